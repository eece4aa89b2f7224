// Asking the HTTP API, and what it says when it refuses.

import { useCallback, useEffect, useRef, useState } from "react";

import { asPayload, nextPage, type Payload, type SocketService, textOf } from "../wardbell";

/** The API refused, or could not be reached (status 0). */
export class ApiError extends Error {
  readonly status: number;
  /** What is wrong with which field. */
  readonly details: readonly string[];

  constructor(status: number, message: string, details: readonly string[] = []) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.details = details;
  }
}

/** An answer: its body, and the next page if there is one. */
export interface Page {
  readonly body: unknown;
  readonly next: string | undefined;
}

async function ask(service: SocketService, path: string, init: RequestInit): Promise<Page> {
  let response: Response;
  try {
    response = await service.fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "—");
  }
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Metrics are text, and so is what a proxy says.
  }
  if (!response.ok) {
    const problem = asPayload(body);
    const details = Object.entries(asPayload(problem["details"])).map(([field, why]) => `${field} ${Array.isArray(why) ? why.join(", ") : String(why)}`);
    throw new ApiError(response.status, textOf(problem, "error") ?? `${response.status} ${response.statusText}`.trim(), details);
  }
  return { body, next: nextPage(response.headers.get("Link")) };
}

/** Reads a page of something. */
export async function readPage(service: SocketService, path: string, signal?: AbortSignal): Promise<Page> {
  return ask(service, path, signal === undefined ? {} : { signal });
}

/** Reads a list; what is no list is an empty one. */
export async function readList(service: SocketService, path: string, signal?: AbortSignal): Promise<Payload[]> {
  const { body } = await readPage(service, path, signal);
  return Array.isArray(body) ? body.map(asPayload) : [];
}

/** Sends something. A repetition of the same request by the browser has no effect twice. */
export async function send(service: SocketService, method: "POST" | "PUT" | "PATCH", path: string, body: object): Promise<Payload> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (method === "POST") headers["Idempotency-Key"] = freshKey();
  return asPayload((await ask(service, path, { method, headers, body: JSON.stringify(body) })).body);
}

function freshKey(): string {
  // Not randomUUID: pages over plain HTTP do not have it.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is wrong, in a line. */
export function problemOf(error: unknown): string {
  if (error instanceof ApiError) return [error.message, ...error.details].join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** Something that is read from the server, again after each time the connection was lost. */
export interface Reading<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  /** When it was read, milliseconds since 1970. */
  readonly at: number | undefined;
  readonly reload: () => void;
  /** Changes what was read by what was heard since. */
  readonly update: (change: (value: T) => T) => void;
}

/** Reads something, now and whenever `read` changes or the socket is connected anew. Keep `read` stable. */
export function useReading<T>(service: SocketService, read: ((signal: AbortSignal) => Promise<T>) | undefined): Reading<T> {
  const [state, setState] = useState<{ value: T | undefined; error: unknown; at: number | undefined; of: unknown }>({ value: undefined, error: undefined, at: undefined, of: undefined });
  const running = useRef<AbortController>(null);

  const reload = useCallback(() => {
    running.current?.abort();
    if (read === undefined) return;
    const controller = new AbortController();
    running.current = controller;
    read(controller.signal).then(
      (value) => !controller.signal.aborted && setState({ value, error: undefined, at: Date.now(), of: read }),
      (error: unknown) => !controller.signal.aborted && setState((before) => ({ ...before, ...(before.of === read ? {} : { value: undefined, at: undefined }), error, of: read })),
    );
  }, [read]);

  useEffect(() => {
    reload();
    service.on("socket_connected", reload);
    return () => {
      service.off("socket_connected", reload);
      running.current?.abort();
    };
  }, [service, reload]);

  const update = useCallback((change: (value: T) => T) => setState((before) => (before.value === undefined ? before : { ...before, value: change(before.value), at: Date.now() })), []);
  // What was read of something else is not shown as this.
  const isOfThis = state.of === read;
  return { value: isOfThis ? state.value : undefined, error: isOfThis ? state.error : undefined, at: state.at, reload, update };
}

/** Hears an event as long as the component is there. */
export function useServerEvent(service: SocketService, event: string, listener: (payload: Payload) => void): void {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const hear = (data: unknown) => latest.current(asPayload(data));
    service.on(event, hear);
    return () => service.off(event, hear);
  }, [service, event]);
}

/** Is in a room as long as the component is there; a room that was joined before stays joined after. */
export function useRoom(service: SocketService, room: string | undefined): void {
  useEffect(() => {
    if (room === undefined || service.rooms.has(room)) return;
    service.joinRoom(room);
    return () => service.leaveRoom(room);
  }, [service, room]);
}
