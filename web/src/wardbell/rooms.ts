// The rooms that a client can be in, and where a room stands.

/** Where a room stands: asked for, joined, or refused for good (`unauthorized`, `invalid_room`, `too_many_rooms`). */
export type RoomStanding = "asked" | "joined" | { readonly refused: string };

/** The room of everybody who works at triage. */
export const TRIAGE_QUEUE = "triage_queue";

/** The room of whoever watches this patient. */
export const patientRoom = (patientId: string): string => `patient_${patientId}`;

/** The room of a hospital's staff. */
export const hospitalRoom = (hospitalId: string): string => `hospital_${hospitalId}`;

/** The room of whoever follows this triage case. */
export const triageRoom = (triageId: string): string => `triage_${triageId}`;

/** What a room's alerts are asked for by, in the history; `undefined` for rooms that hear no alerts. */
export function historyFilter(room: string): { patient_id: string } | { hospital_id: string } | undefined {
  if (room.startsWith("patient_")) return { patient_id: room.slice("patient_".length) };
  if (room.startsWith("hospital_")) return { hospital_id: room.slice("hospital_".length) };
  return undefined;
}
