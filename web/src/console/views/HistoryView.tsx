// Past alerts, by filters, and what became of each.

import { type SubmitEvent, useCallback, useState } from "react";

import { asPayload, MESSAGES, numberOf, type Payload, type SocketService, textOf } from "../../wardbell";
import { readPage, useReading } from "../api";
import type { ViewProps } from "../Console";
import { Button, Card, Choice, Empty, Loading, Problem, TextField } from "../parts";
import { fill, useWords } from "../words";
import { AlertRow } from "./AlertRow";
import { ID_PATTERN } from "./LiveView";

const PAGE = 50;
const TYPES = ["critical", "warning", "info", "emergency", "capacity", "system"] as const;

interface Loaded {
  readonly alerts: readonly Payload[];
  readonly next: string | undefined;
}

/** The view. */
export function HistoryView({ service, session }: ViewProps) {
  const { words, locale } = useWords();
  const names = { ...MESSAGES[locale].hospitalAlertTypes, ...MESSAGES[locale].alertTypes };
  const [query, setQuery] = useState(() => queryOf(session.hospitalId === undefined ? {} : { hospital_id: session.hospitalId }));
  const history = useReading(
    service,
    useCallback((signal: AbortSignal) => load(service, `/api/alerts/history?${query}`, signal), [service, query]),
  );
  const [error, setError] = useState<unknown>();
  const [isBusy, setIsBusy] = useState(false);

  const search = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const asked = queryOf(Object.fromEntries(new FormData(event.currentTarget)));
    if (asked === query) history.reload();
    else setQuery(asked);
  };
  const more = async (next: string) => {
    setIsBusy(true);
    setError(undefined);
    try {
      const page = await load(service, next);
      history.update((known) => ({ alerts: [...known.alerts, ...page.alerts], next: page.next }));
    } catch (problem) {
      setError(problem);
    }
    setIsBusy(false);
  };

  const { value } = history;
  return (
    <div className="space-y-4">
      <Card title={words.history.heading}>
        <form onSubmit={search} className="grid items-end gap-3 sm:grid-cols-2 lg:grid-cols-3 xl:grid-cols-[1fr_1fr_8rem_15rem_15rem_8rem]">
          <TextField label={words.history.patient} name="patient_id" pattern={ID_PATTERN} title={words.rooms.badId} />
          <TextField label={words.history.hospital} name="hospital_id" pattern={ID_PATTERN} title={words.rooms.badId} defaultValue={session.hospitalId} />
          <Choice label={words.history.type} name="alert_type" options={[["", words.history.all], ...TYPES.map((type) => [type, names[type]] as const)]} />
          <TextField label={words.history.since} name="since" type="datetime-local" />
          <TextField label={words.history.until} name="until" type="datetime-local" />
          <Button type="submit">{words.history.search}</Button>
        </form>
      </Card>
      <Card title={words.history.found}>
        {history.error !== undefined && <Problem error={history.error} onRetry={history.reload} />}
        {value === undefined && history.error === undefined && <Loading />}
        {value !== undefined &&
          (value.alerts.length === 0 ? (
            <Empty>{words.history.none}</Empty>
          ) : (
            <ul className="divide-y divide-line">
              {value.alerts.map((alert) => (
                <AlertRow key={textOf(alert, "alert_id")} alert={alert} service={service}>
                  <Became service={service} id={textOf(alert, "alert_id") ?? ""} />
                </AlertRow>
              ))}
            </ul>
          ))}
        {error !== undefined && <Problem error={error} />}
        {value?.next !== undefined && (
          <Button isPlain className="mt-3 w-full" disabled={isBusy} onClick={() => void more(value.next ?? "")}>
            {words.history.more}
          </Button>
        )}
      </Card>
    </div>
  );
}

function queryOf(fields: Readonly<Record<string, FormDataEntryValue>>): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "string" || value === "") continue;
    // What a person picks is local time.
    query.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value.trim());
  }
  return query.toString();
}

async function load(service: SocketService, path: string, signal?: AbortSignal): Promise<Loaded> {
  const { body, next } = await readPage(service, path, signal);
  return { alerts: Array.isArray(body) ? body.map(asPayload) : [], next };
}

/** What became of an alert, once somebody asks. */
function Became({ service, id }: { readonly service: SocketService; readonly id: string }) {
  const { words } = useWords();
  const timeline = useReading(
    service,
    useCallback(async (signal: AbortSignal) => asPayload((await readPage(service, `/api/alerts/${encodeURIComponent(id)}`, signal)).body), [service, id]),
  );
  if (timeline.error !== undefined) return <Problem error={timeline.error} onRetry={timeline.reload} />;
  if (timeline.value === undefined) return <Loading />;
  const count = (field: string) => numberOf(timeline.value ?? {}, field) ?? 0;
  return <p>{fill(words.history.delivered, { count: count("delivered"), recovered: count("recovered") })}</p>;
}
