// What was missed, from the history.

import { eventOfHistory } from "./alert";
import { asPayload, type Payload, type ServerEvent, textOf } from "./events";
import { historyFilter } from "./rooms";

/** Alerts that one page holds. */
const PAGE = 500;
/** Pages that are read for one room: beyond it nobody reads them in a panel. */
const MAX_PAGES = 4;

/** What is needed of the service. */
export interface Fetches {
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** An alert of the history, as it would have come. */
export interface Past {
  readonly event: ServerEvent;
  readonly payload: Payload;
}

/** The history could not be read. */
export class HistoryError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the history answered ${status}`);
    this.name = "HistoryError";
    this.status = status;
  }
}

/** The path of the next page, from the header `Link`. */
export function nextPage(link: string | null): string | undefined {
  return link === null ? undefined : /<([^>]+)>\s*;\s*rel="?next"?/.exec(link)?.[1];
}

/**
 * The alerts that a room was told since an instant (milliseconds since 1970), newest first. Rooms that hear no alerts have none,
 * and what was suppressed was not told.
 */
export async function loadMissed(service: Fetches, room: string, since: number, signal: AbortSignal): Promise<Past[]> {
  const filter = historyFilter(room);
  if (filter === undefined) return [];
  const query = new URLSearchParams({ ...filter, since: new Date(since).toISOString(), limit: String(PAGE) });
  const past: Past[] = [];
  let path: string | undefined = `/api/alerts/history?${query}`;
  for (let page = 0; path !== undefined && page < MAX_PAGES; page += 1) {
    const response = await service.fetch(path, { signal });
    if (!response.ok) throw new HistoryError(response.status);
    const answer: unknown = await response.json();
    for (const entry of Array.isArray(answer) ? answer : []) {
      const payload = asPayload(entry);
      const event = eventOfHistory(payload);
      // A hospital's history holds its patients' alerts, too; its room does not.
      const isOfRoom = "patient_id" in filter || event === "hospital_alert";
      if (isOfRoom && payload["suppressed"] !== true && textOf(payload, "alert_id") !== undefined) past.push({ event, payload });
    }
    path = nextPage(response.headers.get("Link"));
  }
  return past;
}
