// What the server says, by name, and how to read payloads that may hold anything.

/** Events that tell what happened. */
export const SERVER_EVENTS = [
  "patient_alert",
  "risk_updated",
  "hospital_alert",
  "triage_updated",
  "staff_availability_changed",
  "bed_status_changed",
] as const;

/** The name of an event that tells what happened. */
export type ServerEvent = (typeof SERVER_EVENTS)[number];

/** A payload as it came. Its fields are whatever somebody sent: read them with the functions below. */
export type Payload = Readonly<Record<string, unknown>>;

/** Texts longer than this are cut: a payload may be a megabyte, a line of a panel is not. */
const MAX_TEXT = 1_000;

/** Anything as a payload; what is no object has no fields. */
export function asPayload(value: unknown): Payload {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Payload) : {};
}

/** A field as text: texts and numbers, trimmed and cut; `undefined` for everything else and for nothing. */
export function textOf(payload: Payload, field: string): string | undefined {
  const value = payload[field];
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value !== "string") return undefined;
  const text = value.trim();
  if (text === "") return undefined;
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** A field as a finite number; texts that are written as one count. */
export function numberOf(payload: Payload, field: string): number | undefined {
  const value = payload[field];
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** A field as an instant, in milliseconds since 1970; `undefined` if it is none. */
export function instantOf(payload: Payload, field: string): number | undefined {
  const value = payload[field];
  if (typeof value !== "string") return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at;
}

/** A nested object. */
export function objectOf(payload: Payload, field: string): Payload {
  return asPayload(payload[field]);
}

/** Whether this is the name of an event that tells what happened. */
export function isServerEvent(name: string): name is ServerEvent {
  return (SERVER_EVENTS as readonly string[]).includes(name);
}
