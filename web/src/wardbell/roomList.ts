// Which rooms are wanted, and seeing to it that the socket is in them.

import type { Socket } from "socket.io-client";

import { asPayload, textOf } from "./events";
import type { RoomStanding } from "./rooms";

/** The most rooms that are remembered; the server allows as many. */
const MAX_ROOMS = 256;
/** Requests that are on their way at once. The server takes 100 at once and 50 a second. */
const IN_FLIGHT = 20;
/** How long an answer may take before it is asked again. */
const ANSWER_PATIENCE_MS = 10_000;
/** When to ask again where the server was too busy. */
const BUSY_RETRY_MS = 1_000;
/** Refusals that pass by themselves. */
const PASSING = new Set(["rate_limited", "unavailable"]);

/** The rooms that somebody asked for. They are asked for again on every connection until somebody leaves them. */
export class RoomList {
  readonly #standings = new Map<string, RoomStanding>();
  readonly #inFlight = new Set<string>();
  readonly #changed: () => void;
  #snapshot: ReadonlyMap<string, RoomStanding> = new Map();
  #socket: Socket | null = null;
  /** Answers to requests of an earlier connection are not answers. */
  #generation = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Every wanted room and where it stands. The same object until something changes. */
  get standings(): ReadonlyMap<string, RoomStanding> {
    return this.#snapshot;
  }

  /** Whether every wanted room was answered. */
  get isSettled(): boolean {
    return [...this.#standings.values()].every((standing) => standing !== "asked");
  }

  /** Wants a room; false if there are too many. A room that was refused is asked for once more. */
  add(room: string): boolean {
    if (this.#standings.get(room) === "joined") return true;
    if (!this.#standings.has(room) && this.#standings.size >= MAX_ROOMS) return false;
    this.#set(room, "asked");
    this.#ask();
    return true;
  }

  /** No longer wants a room. */
  remove(room: string): void {
    if (!this.#standings.delete(room)) return;
    this.#inFlight.delete(room);
    this.#publish();
    if (this.#socket?.connected === true) this.#socket.emit("leave_room", { room });
  }

  /** Forgets all: somebody else is here. */
  clear(): void {
    this.#standings.clear();
    this.#publish();
  }

  /** The socket is connected. Where the session was recovered, the server has kept the rooms. */
  connected(socket: Socket, isRecovered: boolean): void {
    this.#socket = socket;
    this.#generation += 1;
    this.#inFlight.clear();
    if (!isRecovered) {
      // Also what was refused: another token, or the same one after its rights have changed, may be let in.
      for (const room of this.#standings.keys()) this.#standings.set(room, "asked");
      this.#publish();
    }
    this.#ask();
  }

  /** The connection is lost. Rooms stay as they were: a recovered session is still in them. */
  disconnected(): void {
    this.#socket = null;
    this.#generation += 1;
    this.#inFlight.clear();
  }

  /** The server said `room_joined`. */
  joined(room: string): void {
    if (!this.#standings.has(room)) return;
    this.#inFlight.delete(room);
    this.#set(room, "joined");
    this.#ask();
  }

  /** The server said `error` about a room. */
  refused(room: string, code: string): void {
    if (this.#standings.get(room) !== "asked") return;
    if (PASSING.has(code)) {
      // It stays in flight until then, so that it is not asked for at once.
      const generation = this.#generation;
      setTimeout(() => {
        if (generation !== this.#generation) return;
        this.#inFlight.delete(room);
        this.#ask();
      }, BUSY_RETRY_MS);
      return;
    }
    this.#inFlight.delete(room);
    this.#set(room, { refused: code });
    this.#ask();
  }

  #ask(): void {
    const socket = this.#socket;
    if (socket?.connected !== true) return;
    for (const [room, standing] of this.#standings) {
      if (this.#inFlight.size >= IN_FLIGHT) return;
      if (standing !== "asked" || this.#inFlight.has(room)) continue;
      this.#inFlight.add(room);
      const generation = this.#generation;
      socket.timeout(ANSWER_PATIENCE_MS).emit("join_room", { room }, (error: Error | null, answer: unknown) => {
        if (generation !== this.#generation) return;
        // The same answer comes as an event too, so only its absence matters here.
        if (error === null) this.#answered(room, answer);
        else if (this.#inFlight.delete(room)) this.#ask();
      });
    }
  }

  #answered(room: string, answer: unknown): void {
    const payload = asPayload(answer);
    if (textOf(payload, "status") === "joined") this.joined(room);
    else if (this.#standings.get(room) === "asked" && !PASSING.has(textOf(payload, "code") ?? "")) {
      this.refused(room, textOf(payload, "code") ?? "refused");
    }
  }

  #set(room: string, standing: RoomStanding): void {
    this.#standings.set(room, standing);
    this.#publish();
  }

  #publish(): void {
    this.#snapshot = new Map(this.#standings);
    this.#changed();
  }
}
