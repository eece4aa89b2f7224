// The connection: one socket, the rooms that are wanted, and the truth about whether it works.
//
// Names and behaviour are those of the service that existing frontends have, so that imports can be swapped. Beyond it: rooms
// may be asked for at any time, retries never end, and it says what was missed.

import { io, type Socket } from "socket.io-client";

import { asPayload, instantOf, type Payload, textOf } from "./events";
import { RoomList } from "./roomList";
import { hospitalRoom, patientRoom, type RoomStanding, triageRoom, TRIAGE_QUEUE } from "./rooms";

/** A token, or where to get one that is still good. */
export type Token = string | (() => string | Promise<string>);

/** What a connection may be given beside who it is for. */
export interface ConnectOptions {
  readonly token?: Token;
}

/**
 * Where the connection stands.
 *
 * `idle`: nobody has connected. `connecting`: for the first time. `live`: connected. `reconnecting`: it was lost, or could not
 * be made, and is tried again. `offline`: the same, and the browser says that there is no network. `refused`: the server does not
 * let this identity in; it is tried again, seldom.
 */
export type ConnectionPhase = "idle" | "connecting" | "live" | "reconnecting" | "offline" | "refused";

/** Where the connection stands, since when, and why. */
export interface ConnectionState {
  readonly phase: ConnectionPhase;
  /** Since when it is live, or not (milliseconds since 1970): `reconnecting` and `offline` go on counting from the loss. */
  readonly since: number;
  /** With `refused`: what the server said. */
  readonly reason?: string;
}

/** Events of ours, beside the server's. */
export interface Missed {
  /** Whatever happened after this instant (milliseconds since 1970, the server's clock) may not have been told. */
  readonly since: number;
}

/** Listeners get what came, unread. */
export type Listener = (data: unknown) => void;

const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 5_000;
/** How often a refused identity is tried again: a wrongly configured server is mended some day. */
const REFUSED_RETRY_MS = 30_000;
/** And where the token is asked for anew each time. */
const FRESH_TOKEN_RETRY_MS = 5_000;
/** When to come back to a server that has closed the socket, or could not take it. */
const CLOSED_RETRY_MS = 1_000;
/** How often servers ping unless they show otherwise. */
const USUAL_PING_MS = 25_000;
/** What is asked for again before the loss: the last thing heard may have overtaken others. */
const MISSED_MARGIN_MS = 60_000;
/** What the server says of an identity that it does not let in. */
const REFUSALS = ["Authentication required", "Token expired", "Invalid token", "user_id and user_role required"];

/** Where the server is unless somebody says so: `VITE_API_URL`, or where the page came from. */
function defaultUrl(): string {
  const configured: unknown = import.meta.env["VITE_API_URL"];
  return typeof configured === "string" && configured !== "" ? configured : window.location.origin;
}

interface Identity {
  readonly userId: string;
  readonly userRole: string;
  readonly token: Token | undefined;
}

/** The connection to wardbell. */
export class SocketService {
  readonly url: string;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #observers = new Set<() => void>();
  readonly #rooms = new RoomList(() => this.#changed());
  #socket: Socket | null = null;
  #identity: Identity | null = null;
  #state: ConnectionState = { phase: "idle", since: Date.now() };
  #retry: ReturnType<typeof setTimeout> | undefined;
  #lastHeardAt: number | null = null;
  #lastPingAt: number | null = null;
  #pingIntervalMs = USUAL_PING_MS;
  #clockSkewMs = 0;
  /** When the connection was lost that has not come back yet, or null. */
  #lostAt: number | null = null;
  /** The last event that was told after everything before it was told, too. */
  #lastEventId: string | undefined;
  #newestEventId: string | undefined;

  constructor(url: string = defaultUrl()) {
    this.url = url.replace(/\/+$/, "");
  }

  // ---------------------------------------------------------------- the existing service's names

  /**
   * Connects. Resolves when connected, and rejects when the first attempt fails; attempts go on all the same until
   * `disconnect`. With another identity than before, the rooms of the one before are forgotten.
   */
  connect(userId: string, userRole: string, options: ConnectOptions = {}): Promise<void> {
    const before = this.#identity;
    const identity: Identity = { userId, userRole, token: options.token };
    const isSamePerson = before?.userId === userId && before.userRole === userRole;
    const isSame = isSamePerson && before.token === identity.token;
    if (!isSame || this.#socket === null) {
      this.#close();
      if (before !== null && !isSamePerson) this.#forget();
      this.#identity = identity;
      this.#open(identity);
    }
    const socket = this.#socket;
    if (socket === null || socket.connected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        socket.off("connect", succeeded).off("connect_error", settle);
        if (error === undefined) resolve();
        else reject(error);
      };
      const succeeded = () => settle();
      socket.on("connect", succeeded).on("connect_error", settle);
    });
  }

  /** Ends the connection, and the attempts to make one. Rooms are remembered for the same person. */
  disconnect(): void {
    this.#close();
    this.#enter("idle");
  }

  /** Whether the socket is connected now. */
  isConnected(): boolean {
    return this.#socket?.connected ?? false;
  }

  /** Wants to be in a room: now, and after every loss of the connection. */
  joinRoom(room: string): void {
    if (!this.#rooms.add(room)) {
      this.#dispatch("error", { message: "Too many rooms", room, code: "too_many_rooms" });
    }
  }

  /** No longer wants to be in a room. */
  leaveRoom(room: string): void {
    this.#rooms.remove(room);
  }

  joinPatientRoom(patientId: string): void {
    this.joinRoom(patientRoom(patientId));
  }

  leavePatientRoom(patientId: string): void {
    this.leaveRoom(patientRoom(patientId));
  }

  joinHospitalRoom(hospitalId: string): void {
    this.joinRoom(hospitalRoom(hospitalId));
  }

  leaveHospitalRoom(hospitalId: string): void {
    this.leaveRoom(hospitalRoom(hospitalId));
  }

  joinTriageRoom(triageId: string): void {
    this.joinRoom(triageRoom(triageId));
  }

  leaveTriageRoom(triageId: string): void {
    this.leaveRoom(triageRoom(triageId));
  }

  joinTriageQueue(): void {
    this.joinRoom(TRIAGE_QUEUE);
  }

  leaveTriageQueue(): void {
    this.leaveRoom(TRIAGE_QUEUE);
  }

  /**
   * Listens to an event: the server's by their names, and `socket_connected`, `socket_disconnected`, `socket_error` and
   * `missed`. Before or after connecting.
   */
  on(event: string, listener: Listener): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
  }

  /** No longer listens. */
  off(event: string, listener: Listener): void {
    this.#listeners.get(event)?.delete(listener);
  }

  /** The socket itself; null before `connect`. */
  getSocket(): Socket | null {
    return this.#socket;
  }

  // ---------------------------------------------------------------- beyond them

  /** Where the connection stands. The same object until that changes. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Every wanted room and where it stands. The same object until that changes. */
  get rooms(): ReadonlyMap<string, RoomStanding> {
    return this.#rooms.standings;
  }

  /** When anything was last heard from the server (milliseconds since 1970), pings included. */
  get lastHeardAt(): number | null {
    return this.#lastHeardAt;
  }

  /** After which silence of a live connection something is wrong: the server pings more often than that. */
  get silenceAfterMs(): number {
    return this.#pingIntervalMs * 1.2 + 5_000;
  }

  /** The server's clock minus this one's, as far as it is known. */
  get clockSkewMs(): number {
    return this.#clockSkewMs;
  }

  /** Calls back when the state or a room changes. Returns how to stop that. */
  subscribe(observer: () => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Asks the server over HTTP, with the token. `path` begins with a slash. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const token = await this.#token();
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
    return fetch(`${this.url}${path}`, { ...init, headers });
  }

  // ---------------------------------------------------------------- the socket

  async #token(): Promise<string | undefined> {
    const token = this.#identity?.token;
    return typeof token === "function" ? token() : token;
  }

  #open({ userId, userRole }: Identity): void {
    const socket = io(this.url, {
      forceNew: true,
      autoConnect: false,
      query: { user_id: userId, user_role: userRole },
      auth: (give) => {
        const lastEventId = this.#lastEventId;
        const resume = lastEventId === undefined ? {} : { lastEventId };
        this.#token().then(
          (token) => give(token === undefined ? resume : { ...resume, token }),
          () => give(resume), // the server will say what is wrong
        );
      },
      reconnection: true,
      reconnectionAttempts: Infinity,
      reconnectionDelay: RETRY_FIRST_MS,
      reconnectionDelayMax: RETRY_LONGEST_MS,
    });
    this.#socket = socket;
    socket.on("connect", () => this.#connected(socket));
    socket.on("disconnect", (reason) => this.#disconnected(socket, reason));
    socket.on("connect_error", (error) => this.#failed(socket, error));
    socket.onAny((event: string, data: unknown) => this.#heardEvent(event, data));
    socket.io.on("open", () => socket.io.engine.on("packet", () => (this.#lastHeardAt = Date.now())));
    socket.io.on("ping", () => this.#pinged());
    window.addEventListener("online", this.#wake);
    window.addEventListener("offline", this.#networkLost);
    document.addEventListener("visibilitychange", this.#wake);
    this.#enter("connecting");
    socket.connect();
  }

  #close(): void {
    clearTimeout(this.#retry);
    window.removeEventListener("online", this.#wake);
    window.removeEventListener("offline", this.#networkLost);
    document.removeEventListener("visibilitychange", this.#wake);
    const socket = this.#socket;
    this.#socket = null;
    this.#rooms.disconnected();
    if (socket === null) return;
    if (socket.connected) {
      this.#lostAt ??= Date.now();
      this.#dispatch("socket_disconnected", { reason: "io client disconnect" });
    }
    socket.off().offAny();
    socket.disconnect();
  }

  #forget(): void {
    this.#rooms.clear();
    this.#lostAt = null;
    this.#lastEventId = undefined;
    this.#newestEventId = undefined;
  }

  #connected(socket: Socket): void {
    clearTimeout(this.#retry);
    const lostAt = this.#lostAt;
    this.#lostAt = null;
    this.#lastHeardAt = Date.now();
    this.#lastPingAt = null;
    this.#enter("live");
    this.#rooms.connected(socket, socket.recovered);
    this.#dispatch("socket_connected", { recovered: socket.recovered });
    // What the server could send again by itself it has; the history knows about the rest. Told twice is shown once.
    if (lostAt !== null && !socket.recovered) {
      const missed: Missed = { since: lostAt + this.#clockSkewMs - MISSED_MARGIN_MS };
      this.#dispatch("missed", missed);
    }
  }

  #disconnected(socket: Socket, reason: string): void {
    this.#lostAt ??= this.#lastHeardAt ?? Date.now();
    this.#rooms.disconnected();
    this.#enter(navigator.onLine ? "reconnecting" : "offline");
    this.#dispatch("socket_disconnected", { reason });
    // The library comes back by itself, except to a server that has shown it the door.
    if (!socket.active) this.#retryIn(socket, CLOSED_RETRY_MS);
  }

  #failed(socket: Socket, error: Error): void {
    this.#dispatch("socket_error", { error });
    if (socket.active) {
      this.#enter(navigator.onLine ? "reconnecting" : "offline");
      return;
    }
    if (REFUSALS.includes(error.message)) {
      this.#enter("refused", error.message);
      this.#retryIn(socket, typeof this.#identity?.token === "function" ? FRESH_TOKEN_RETRY_MS : REFUSED_RETRY_MS);
    } else {
      this.#enter("reconnecting");
      this.#retryIn(socket, CLOSED_RETRY_MS);
    }
  }

  #retryIn(socket: Socket, delayMs: number): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => socket.connect(), delayMs);
  }

  /** The network is back, or somebody looks: no time to wait for the next attempt, nor to believe in a dead connection. */
  readonly #wake = (): void => {
    const socket = this.#socket;
    if (socket === null || document.visibilityState === "hidden") return;
    const { phase } = this.#state;
    if (phase === "reconnecting" || phase === "offline") {
      clearTimeout(this.#retry);
      socket.disconnect().connect();
      this.#enter(navigator.onLine ? "reconnecting" : "offline");
    } else if (phase === "live" && Date.now() - (this.#lastHeardAt ?? 0) > this.silenceAfterMs) {
      socket.io.engine.close();
    }
  };

  /** Without a network the connection is dead; the library would find out more than a minute later. */
  readonly #networkLost = (): void => {
    if (this.#socket?.connected === true) this.#socket.io.engine.close();
    else if (this.#state.phase === "reconnecting") this.#enter("offline");
  };

  #pinged(): void {
    const now = Date.now();
    if (this.#lastPingAt !== null) this.#pingIntervalMs = Math.max(now - this.#lastPingAt, 1_000);
    this.#lastPingAt = now;
  }

  #heardEvent(event: string, data: unknown): void {
    const payload: Payload = asPayload(data);
    switch (event) {
      case "connection_response": {
        const serverNow = instantOf(payload, "timestamp");
        if (serverNow !== undefined) this.#clockSkewMs = serverNow - Date.now();
        break;
      }
      case "room_joined":
        this.#rooms.joined(textOf(payload, "room") ?? "");
        break;
      case "token_expired":
        // It may stay a moment longer. Where a token can be had, it comes back with a fresh one before it is shown the door.
        if (typeof this.#identity?.token === "function") this.#socket?.io.engine.close();
        break;
      case "error":
        this.#rooms.refused(textOf(payload, "room") ?? "", textOf(payload, "code") ?? "refused");
        break;
      default:
        this.#newestEventId = textOf(payload, "event_id") ?? this.#newestEventId;
    }
    // While rooms are still being asked for, their older events may be on their way behind this one.
    if (this.#rooms.isSettled) this.#lastEventId = this.#newestEventId;
    this.#dispatch(event, data);
  }

  #enter(phase: ConnectionPhase, reason?: string): void {
    const before = this.#state;
    const isWaiting = (of: ConnectionPhase) => of === "connecting" || of === "reconnecting" || of === "offline";
    const goesOn = phase === before.phase || (isWaiting(phase) && isWaiting(before.phase));
    if (phase === before.phase && reason === before.reason) return;
    const since = goesOn ? before.since : Date.now();
    this.#state = reason === undefined ? { phase, since } : { phase, since, reason };
    this.#changed();
  }

  #changed(): void {
    for (const observer of [...this.#observers]) observer();
  }

  #dispatch(event: string, data: unknown): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(data);
      } catch (error) {
        // One listener's fault must not keep an alert from the others; the page's error handling hears of it.
        reportError(error);
      }
    }
  }
}

let shared: SocketService | null = null;

/** The service that all parts share. */
export function getSocketService(): SocketService {
  shared ??= new SocketService();
  return shared;
}

/** Makes the service that all parts share from now on. */
export function createSocketService(url?: string): SocketService {
  shared = new SocketService(url);
  return shared;
}

export default SocketService;
