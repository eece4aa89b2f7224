// What a board shows, from what was read and what was heard since.

import { objectOf, type Payload, textOf } from "../../wardbell";

/** As the server counts, so that the board and its capacity alerts say the same: a bed that is being cleaned is usable. */
const UNUSABLE = new Set(["maintenance"]);
const TAKEN = new Set(["occupied", "reserved"]);

/** The beds after `bed_status_changed`. */
export function changeBed(beds: readonly Payload[], payload: Payload): Payload[] {
  const info = objectOf(payload, "bed_info");
  const id = textOf(info, "bed_id");
  if (id === undefined) return [...beds];
  const bed = { ...info, updated_at: payload["timestamp"] };
  const isKnown = beds.some((known) => textOf(known, "bed_id") === id);
  return isKnown ? beds.map((known) => (textOf(known, "bed_id") === id ? bed : known)) : [...beds, bed];
}

/** Who is available after `staff_availability_changed`. */
export function changeStaff(staff: readonly Payload[], payload: Payload): Payload[] {
  const id = textOf(payload, "staff_id");
  const others = staff.filter((known) => textOf(known, "staff_id") !== id);
  return payload["available"] === true && id !== undefined ? [...others, { ...payload, updated_at: payload["timestamp"] }] : others;
}

/** How many of the usable beds are taken. */
export function occupancyOf(beds: readonly Payload[]): { taken: number; usable: number } {
  const statuses = beds.map((bed) => textOf(bed, "status") ?? "");
  return { taken: statuses.filter((status) => TAKEN.has(status)).length, usable: statuses.filter((status) => !UNUSABLE.has(status)).length };
}

/** The beds by ward, both in the order of their names; those without a ward last. */
export function byWard(beds: readonly Payload[]): [ward: string, beds: Payload[]][] {
  const wards = new Map<string, Payload[]>();
  const named = (bed: Payload) => textOf(bed, "bed_id") ?? "";
  for (const bed of beds.toSorted((one, other) => named(one).localeCompare(named(other), undefined, { numeric: true }))) {
    const ward = textOf(bed, "ward") ?? "";
    wards.set(ward, [...(wards.get(ward) ?? []), bed]);
  }
  return [...wards].sort(([one], [other]) => (one === "" ? 1 : other === "" ? -1 : one.localeCompare(other, undefined, { numeric: true })));
}
