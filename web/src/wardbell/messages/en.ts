// English, and what every language has to say.

export interface Messages {
  readonly unknown: string;
  readonly noMessage: string;
  readonly alertTypes: Readonly<Record<"critical" | "warning" | "info" | "success", string>>;
  readonly hospitalAlertTypes: Readonly<Record<"emergency" | "capacity" | "system" | "info", string>>;
  readonly riskLevels: Readonly<Record<"low" | "medium" | "high" | "critical", string>>;
  readonly triageStatuses: Readonly<Record<"pending" | "triaged" | "assigned", string>>;
  readonly staffTypes: Readonly<Record<"doctor" | "nurse", string>>;
  readonly bedStatuses: Readonly<Record<"available" | "occupied" | "reserved" | "cleaning" | "maintenance", string>>;
  readonly titles: {
    readonly patient: (patient: string) => string;
    readonly hospital: (kind: string, hospital: string) => string;
    readonly risk: (patient: string) => string;
    readonly triage: (triage: string) => string;
    readonly staff: (hospital: string) => string;
    readonly bed: (hospital: string) => string;
  };
  readonly risk: (level: string, score: string) => string;
  readonly triage: (status: string) => string;
  readonly staffAvailable: (who: string) => string;
  readonly staffUnavailable: (who: string) => string;
  readonly bed: (bed: string, status: string, ward: string | undefined) => string;
  readonly panel: {
    readonly bell: (unread: number) => string;
    readonly heading: string;
    readonly unread: (count: number) => string;
    readonly empty: string;
    readonly emptyNotLive: string;
    readonly markAsRead: string;
    readonly markAllAsRead: string;
    readonly remove: string;
    readonly clearAll: string;
    readonly close: string;
    readonly show: string;
    readonly isNew: string;
    readonly dropped: (count: number) => string;
    readonly of: (action: string, title: string) => string;
  };
  readonly connection: {
    readonly live: string;
    readonly silent: string;
    readonly connecting: string;
    readonly reconnecting: (seconds: string) => string;
    readonly offline: (seconds: string) => string;
    readonly refused: string;
    readonly idle: string;
    readonly heard: (ago: string) => string;
    readonly neverHeard: string;
    readonly notTold: string;
    readonly reasons: Readonly<Record<string, string>>;
  };
  readonly missed: { readonly loading: string; readonly failed: string; readonly retry: string };
  readonly sound: { readonly on: string; readonly off: string; readonly blocked: string };
}

export const en: Messages = {
  unknown: "unknown",
  noMessage: "No message was given",
  alertTypes: { critical: "Critical", warning: "Warning", info: "Info", success: "Done" },
  hospitalAlertTypes: { emergency: "Emergency", capacity: "Capacity", system: "System", info: "Notice" },
  riskLevels: { low: "low", medium: "medium", high: "high", critical: "critical" },
  triageStatuses: { pending: "pending", triaged: "triaged", assigned: "assigned" },
  staffTypes: { doctor: "Doctor", nurse: "Nurse" },
  bedStatuses: { available: "available", occupied: "occupied", reserved: "reserved", cleaning: "cleaning", maintenance: "maintenance" },
  titles: {
    patient: (patient) => `Patient ${patient}`,
    hospital: (kind, hospital) => `${kind}: hospital ${hospital}`,
    risk: (patient) => `Risk of patient ${patient}`,
    triage: (triage) => `Triage case ${triage}`,
    staff: (hospital) => `Staff: hospital ${hospital}`,
    bed: (hospital) => `Beds: hospital ${hospital}`,
  },
  risk: (level, score) => `Risk ${level}: ${score}`,
  triage: (status) => `Now ${status}`,
  staffAvailable: (who) => `${who} is available`,
  staffUnavailable: (who) => `${who} is not available`,
  bed: (bed, status, ward) => `Bed ${bed}${ward === undefined ? "" : ` (${ward})`}: ${status}`,
  panel: {
    bell: (unread) => (unread === 0 ? "Alerts, none unread" : `Alerts, ${unread} unread`),
    heading: "Alerts",
    unread: (count) => `${count} unread`,
    empty: "No alerts. What happens in your rooms appears here.",
    emptyNotLive: "No alerts here, but the connection is down: alerts may be waiting.",
    markAsRead: "Mark as read",
    markAllAsRead: "Mark all as read",
    remove: "Remove",
    clearAll: "Clear all",
    close: "Close",
    show: "Show alerts",
    isNew: "unread",
    dropped: (count) => `${count} older alerts are only in the history.`,
    of: (action, title) => `${action}: ${title}`,
  },
  connection: {
    live: "Live",
    silent: "Silent",
    connecting: "Connecting",
    reconnecting: (seconds) => `Reconnecting for ${seconds}`,
    offline: (seconds) => `Offline for ${seconds}`,
    refused: "Not let in",
    idle: "Not connected",
    heard: (ago) => `Server last heard ${ago}`,
    neverHeard: "Server not heard yet",
    notTold: "New alerts do not arrive now. What is missed is fetched as soon as the connection is back.",
    reasons: {
      "Authentication required": "A token is needed.",
      "Token expired": "The token has expired.",
      "Invalid token": "The token is not valid.",
      "user_id and user_role required": "Say who you are: user id and role.",
    },
  },
  missed: {
    loading: "Fetching what was missed…",
    failed: "Alerts that were missed could not be fetched. Trying again.",
    retry: "Try now",
  },
  sound: { on: "Sound for critical alerts is on", off: "Sound for critical alerts is off", blocked: "Sound waits for a click on the page" },
};
