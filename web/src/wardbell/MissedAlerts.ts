// Sees to it that what was missed is fetched from the history, however often that fails.

import { alertFrom, type Alert } from "./alert";
import { asPayload, numberOf, textOf } from "./events";
import { loadMissed } from "./history";
import type { SocketService } from "./SocketService";

/** When to try again after a failure. */
const RETRY_MS = 5_000;
/** Rooms whose history is read at once. */
const AT_ONCE = 4;

/** Whether something that was missed is still to be fetched. */
export type MissedState = "none" | "loading" | "failed";

/** What a room may not have been told to this page. */
interface Gap {
  /** Since when, milliseconds since 1970. */
  readonly since: number;
  /** It is only what was told before this page was there: then what asks for nothing stays where it is. */
  readonly isLookback: boolean;
}

/** Fetches what was missed, and hands it over as alerts. */
export class MissedAlerts {
  readonly #service: SocketService;
  readonly #deliver: (alert: Alert) => void;
  readonly #lookbackMs: number;
  readonly #observers = new Set<() => void>();
  /** Rooms whose time before they were joined was looked at. */
  readonly #lookedAt = new Set<string>();
  readonly #gaps = new Map<string, Gap>();
  #state: MissedState = "none";
  #running: AbortController | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** With `lookbackMs`, what a room was told within that time before this page joined it counts as missed, too. */
  constructor(service: SocketService, deliver: (alert: Alert) => void, lookbackMs = 0) {
    this.#service = service;
    this.#deliver = deliver;
    this.#lookbackMs = lookbackMs;
  }

  /** Whether something is to be fetched. */
  get state(): MissedState {
    return this.#state;
  }

  /** Calls back when that changes. Returns how to stop it. */
  subscribe(observer: () => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Begins to listen to the service. Returns how to stop. */
  start(): () => void {
    const service = this.#service;
    const missed = (data: unknown) => {
      const since = numberOf(asPayload(data), "since") ?? Date.now();
      for (const room of service.rooms.keys()) this.#note(room, { since, isLookback: false });
      this.fetchNow();
    };
    const joined = (data: unknown) => {
      const room = textOf(asPayload(data), "room");
      if (room === undefined) return;
      if (this.#lookbackMs > 0 && !this.#lookedAt.has(room)) {
        this.#lookedAt.add(room);
        this.#note(room, { since: Date.now() + service.clockSkewMs - this.#lookbackMs, isLookback: true });
      }
      this.fetchNow();
    };
    service.on("missed", missed);
    service.on("room_joined", joined);
    service.on("socket_connected", this.fetchNow);
    return () => {
      service.off("missed", missed);
      service.off("room_joined", joined);
      service.off("socket_connected", this.fetchNow);
      clearTimeout(this.#retry);
      this.#running?.abort();
      this.#running = null;
    };
  }

  /** Fetches what is missing of the rooms that this page is in. Of the others it is fetched once they are joined. */
  readonly fetchNow = (): void => {
    if (this.#running !== null || this.#ready().length === 0) return;
    clearTimeout(this.#retry);
    const running = new AbortController();
    this.#running = running;
    this.#enter("loading");
    this.#fetchAll(running.signal).then(
      () => this.#ended(running, "none"),
      () => this.#ended(running, "failed"),
    );
  };

  #note(room: string, gap: Gap): void {
    const known = this.#gaps.get(room);
    this.#gaps.set(room, known === undefined ? gap : { since: Math.min(known.since, gap.since), isLookback: known.isLookback && gap.isLookback });
  }

  /** The rooms that something is missing of, and that this page is in. What is missing of rooms that nobody wants is not missed. */
  #ready(): string[] {
    const { rooms } = this.#service;
    for (const room of this.#gaps.keys()) {
      const standing = rooms.get(room);
      if (standing === undefined || typeof standing === "object") this.#gaps.delete(room);
    }
    return [...this.#gaps.keys()].filter((room) => rooms.get(room) === "joined");
  }

  async #fetchAll(signal: AbortSignal): Promise<void> {
    for (let rooms = this.#ready(); rooms.length > 0 && !signal.aborted; rooms = this.#ready()) {
      await Promise.all(rooms.slice(0, AT_ONCE).map((room) => this.#fetchRoom(room, signal)));
    }
  }

  async #fetchRoom(room: string, signal: AbortSignal): Promise<void> {
    const gap = this.#gaps.get(room);
    if (gap === undefined) return;
    for (const { event, payload } of await loadMissed(this.#service, room, gap.since, signal)) {
      const alert = alertFrom(event, payload);
      const asksForNothing = alert.type === "info" || alert.type === "success";
      if (!signal.aborted && !(gap.isLookback && asksForNothing)) this.#deliver(alert);
    }
    // Unless the connection was lost once more meanwhile.
    if (this.#gaps.get(room) === gap) this.#gaps.delete(room);
  }

  #ended(running: AbortController, state: "none" | "failed"): void {
    if (this.#running !== running) return;
    this.#running = null;
    this.#enter(state);
    if (state === "failed") this.#retry = setTimeout(this.fetchNow, RETRY_MS);
  }

  #enter(state: MissedState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const observer of [...this.#observers]) observer();
  }
}
