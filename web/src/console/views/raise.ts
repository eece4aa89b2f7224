// Which forms there are, and the request that each makes.

import type { Words } from "../messages/en";

/** A field of a form. */
export interface Field {
  readonly name: keyof Words["raise"]["fields"];
  readonly preset?: string;
  readonly options?: readonly string[];
  readonly isOptional?: boolean;
  readonly isNumber?: boolean;
  readonly isBoolean?: boolean;
}

/** A form. */
export interface Kind {
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly fields: readonly Field[];
  /** The field that the path ends with. */
  readonly pathField?: Field["name"];
  /** The object of the body that all fields but the ids and the type go into. */
  readonly nest?: "alert_data" | "vitals";
}

/** The forms. */
export type KindName = keyof Words["raise"]["kinds"];

const PATIENT: Field = { name: "patient_id", preset: "PAT-1A2B3C4D" };
const HOSPITAL: Field = { name: "hospital_id", preset: "hosp_456" };
const BOOLEAN = { options: ["true", "false"], isBoolean: true } as const;

export const KINDS: Readonly<Record<KindName, Kind>> = {
  patient: {
    method: "POST",
    path: "/api/alerts/patient",
    nest: "alert_data",
    fields: [PATIENT, { name: "alert_type", options: ["critical", "warning", "info"] }, { name: "message", preset: "SpO2 84 %" }],
  },
  hospital: {
    method: "POST",
    path: "/api/hospital/alert",
    fields: [HOSPITAL, { name: "alert_type", options: ["emergency", "capacity", "system", "info"] }, { name: "message", preset: "Fire on ward 3" }],
  },
  risk: {
    method: "POST",
    path: "/api/risk/predict",
    fields: [PATIENT, { ...HOSPITAL, preset: "", isOptional: true }, { name: "risk_score", preset: "0.87", isNumber: true }],
  },
  vitals: {
    method: "POST",
    path: "/api/risk/predict",
    nest: "vitals",
    fields: [
      PATIENT,
      { name: "respiratory_rate", preset: "24", isNumber: true },
      { name: "oxygen_saturation", preset: "92", isNumber: true },
      { name: "supplemental_oxygen", options: ["false", "true"], isBoolean: true },
      { name: "blood_pressure", preset: "98/60" },
      { name: "heart_rate", preset: "118", isNumber: true },
      { name: "consciousness", options: ["A", "C", "V", "P", "U"] },
      { name: "temperature", preset: "38.6", isNumber: true },
    ],
  },
  triage: {
    method: "POST",
    path: "/api/triage",
    fields: [{ name: "triage_id", isOptional: true }, PATIENT, { ...HOSPITAL, isOptional: true }, { name: "status", options: ["pending", "triaged", "assigned"] }, { name: "complaint", preset: "chest pain", isOptional: true }],
  },
  staff: {
    method: "PUT",
    path: "/api/staff/availability",
    fields: [HOSPITAL, { name: "staff_id", preset: "DOC-9" }, { name: "staff_type", options: ["doctor", "nurse"] }, { name: "available", ...BOOLEAN }],
  },
  bed: {
    method: "PUT",
    path: "/api/beds/",
    pathField: "bed_id",
    fields: [
      HOSPITAL,
      { name: "bed_id", preset: "B-12" },
      { name: "status", options: ["occupied", "available", "reserved", "cleaning", "maintenance"] },
      { name: "patient_id", isOptional: true },
      { name: "ward", preset: "ICU", isOptional: true },
      { name: "floor", isOptional: true },
    ],
  },
};

/** Fields that stand at the top of the body, whatever is nested. */
const TOP = new Set<string>(["patient_id", "hospital_id", "alert_type"]);

/** What a filled form asks for. Numbers that are none are sent as they were written: the server says what is wrong with them. */
export function requestOf(kind: Kind, form: FormData): { method: "POST" | "PUT"; path: string; body: Record<string, unknown> } {
  const body: Record<string, unknown> = {};
  const nested: Record<string, unknown> = {};
  let path = kind.path;
  for (const field of kind.fields) {
    const value = valueOf(field, form.get(field.name));
    if (value === undefined) continue;
    if (field.name === kind.pathField) path += encodeURIComponent(value.toString());
    else if (kind.nest !== undefined && !TOP.has(field.name)) nested[field.name] = value;
    else body[field.name] = value;
  }
  return { method: kind.method, path, body: kind.nest === undefined ? body : { ...body, [kind.nest]: nested } };
}

function valueOf(field: Field, entry: FormDataEntryValue | null): string | number | boolean | undefined {
  const text = typeof entry === "string" ? entry.trim() : "";
  if (text === "") return undefined;
  if (field.isBoolean === true) return text === "true";
  // People in most of Europe write decimals with a comma.
  const number = Number(text.replace(",", "."));
  return field.isNumber === true && !Number.isNaN(number) ? number : text;
}
