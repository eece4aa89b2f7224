// From what the server says to what the bell shows.

import { instantOf, isServerEvent, numberOf, objectOf, type Payload, type ServerEvent, textOf } from "./events";
import type { Messages } from "./messages";

/** How much it matters. Critical and warning stay until somebody removes them. */
export type AlertType = "critical" | "warning" | "info" | "success";

/** What it came from: the server's event, or the page itself (`addAlert`). */
export type AlertSource = ServerEvent | "page";

/** An alert, as the panel shows it. */
export interface Alert {
  readonly id: string;
  readonly type: AlertType;
  readonly source: AlertSource;
  readonly title: string;
  readonly message: string;
  /** The payload as it came. */
  readonly data: Payload;
  /** When it happened, ISO 8601. */
  readonly timestamp: string;
  readonly read: boolean;
}

/** What `addAlert` needs to know; the rest is made up. */
export type NewAlert = Pick<Alert, "type" | "title" | "message"> & Partial<Pick<Alert, "id" | "source" | "data" | "timestamp">>;

/** How much an event matters. What is not understood is never quieter than a warning. */
export function typeOf(event: ServerEvent, payload: Payload): AlertType {
  switch (event) {
    case "patient_alert":
      return patientAlertType(textOf(payload, "alert_type"));
    case "hospital_alert":
      return hospitalAlertType(payload);
    case "risk_updated":
      return riskType(textOf(payload, "risk_level"));
    case "staff_availability_changed":
      return payload["available"] === true ? "success" : "info";
    case "triage_updated":
    case "bed_status_changed":
      return "info";
  }
}

function patientAlertType(type: string | undefined): AlertType {
  return type === "critical" || type === "info" ? type : "warning";
}

function hospitalAlertType(payload: Payload): AlertType {
  switch (textOf(payload, "alert_type")) {
    case "emergency":
    case "critical":
      return "critical";
    case "info":
      return "info";
    case "capacity":
      return textOf(payload, "state") === "available" ? "success" : "warning";
    default:
      return "warning";
  }
}

function riskType(level: string | undefined): AlertType {
  switch (level) {
    case "critical":
      return "critical";
    case "low":
    case "medium":
      return "info";
    default:
      return "warning";
  }
}

let made = 0;

/** An id for an alert that brings none. */
export function freshId(): string {
  made += 1;
  return `page-${Date.now().toString(36)}-${made}`;
}

/** An event as an alert, without words: those depend on the reader (`worded`). */
export function alertFrom(event: ServerEvent, payload: Payload): Alert {
  const at = instantOf(payload, "timestamp") ?? Date.now();
  return {
    id: textOf(payload, "alert_id") ?? textOf(payload, "event_id") ?? freshId(),
    type: typeOf(event, payload),
    source: event,
    title: "",
    message: "",
    data: payload,
    timestamp: new Date(at).toISOString(),
    read: false,
  };
}

/** The event that a payload of the history was told by. */
export function eventOfHistory(payload: Payload): ServerEvent {
  return textOf(payload, "patient_id") === undefined && textOf(payload, "hospital_id") !== undefined ? "hospital_alert" : "patient_alert";
}

/** A risk as people read it: 0.87 is 87 %. */
export function percentOf(score: number, locale: string): string {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(score);
}

/** The alert in the reader's language. What a backend wrote itself stays as it was written. */
export function worded(alert: Alert, messages: Messages, locale: string): Alert {
  return isServerEvent(alert.source) ? { ...alert, ...wordsFor(alert.source, alert.data, messages, locale) } : alert;
}

/** What an event says, as title and message. */
export function wordsFor(event: ServerEvent, data: Payload, m: Messages, locale: string): { title: string; message: string } {
  const said = textOf(data, "message");
  const unknown = m.unknown;
  const patient = textOf(data, "patient_id") ?? unknown;
  const hospital = textOf(data, "hospital_id") ?? unknown;
  switch (event) {
    case "patient_alert":
      return { title: m.titles.patient(patient), message: said ?? m.noMessage };
    case "hospital_alert": {
      const kind = textOf(data, "alert_type") ?? "";
      const kinds: Readonly<Record<string, string>> = m.hospitalAlertTypes;
      return { title: m.titles.hospital(kinds[kind] ?? kind, hospital), message: said ?? m.noMessage };
    }
    case "risk_updated": {
      const score = numberOf(data, "risk_score");
      const level = textOf(data, "risk_level") ?? "";
      const levels: Readonly<Record<string, string>> = m.riskLevels;
      return {
        title: m.titles.risk(patient),
        message: m.risk(levels[level] ?? (level || unknown), score === undefined ? unknown : percentOf(score, locale)),
      };
    }
    case "triage_updated": {
      const status = textOf(data, "status") ?? "";
      const statuses: Readonly<Record<string, string>> = m.triageStatuses;
      return { title: m.titles.triage(textOf(data, "triage_id") ?? unknown), message: m.triage(statuses[status] ?? (status || unknown)) };
    }
    case "staff_availability_changed": {
      const kind = textOf(data, "staff_type") ?? "";
      const kinds: Readonly<Record<string, string>> = m.staffTypes;
      const who = `${kinds[kind] ?? kind} ${textOf(data, "staff_id") ?? unknown}`.trim();
      return { title: m.titles.staff(hospital), message: data["available"] === true ? m.staffAvailable(who) : m.staffUnavailable(who) };
    }
    case "bed_status_changed": {
      const bed = objectOf(data, "bed_info");
      const status = textOf(bed, "status") ?? "";
      const statuses: Readonly<Record<string, string>> = m.bedStatuses;
      return {
        title: m.titles.bed(hospital),
        message: m.bed(textOf(bed, "bed_id") ?? unknown, statuses[status] ?? (status || unknown), textOf(bed, "ward")),
      };
    }
  }
}
