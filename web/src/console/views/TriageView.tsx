// Who waits at triage, and how far each case is.

import { ArrowRight, Clock, UserCheck, UserSearch } from "lucide-react";
import { useCallback, useState } from "react";

import { absoluteTime, instantOf, MESSAGES, type Payload, relativeTime, textOf, TRIAGE_QUEUE, useNow } from "../../wardbell";
import { readList, send, useReading, useRoom, useServerEvent } from "../api";
import type { ViewProps } from "../Console";
import { Button, Card, Loading, Problem } from "../parts";
import { hashOf } from "../route";
import { fill, useWords } from "../words";

const STATUSES = ["pending", "triaged", "assigned"] as const;
const ICONS = { pending: Clock, triaged: UserSearch, assigned: UserCheck } as const;
/** Fields that have a place of their own. */
const PLACED = new Set(["triage_id", "patient_id", "hospital_id", "status", "created_at", "updated_at", "event_id"]);

/** The view. */
export function TriageView({ service, session }: ViewProps) {
  const { words, locale } = useWords();
  const query = session.hospitalId === undefined ? "" : `?hospital_id=${encodeURIComponent(session.hospitalId)}`;
  const cases = useReading(
    service,
    useCallback((signal: AbortSignal) => readList(service, `/api/triage${query}`, signal), [service, query]),
  );
  useRoom(service, TRIAGE_QUEUE);
  // The event names a case and its status; what else is known of it is read.
  useServerEvent(service, "triage_updated", cases.reload);
  useServerEvent(service, "room_joined", (payload) => {
    if (textOf(payload, "room") === TRIAGE_QUEUE) cases.reload();
  });
  const [error, setError] = useState<unknown>();
  const now = useNow(10_000);

  const move = (id: string, status: string) => {
    setError(undefined);
    send(service, "PATCH", `/api/triage/${encodeURIComponent(id)}`, { status }).catch(setError);
  };

  return (
    <div className="space-y-4">
      <h2 className="text-xl font-semibold">{words.triage.heading}</h2>
      {error !== undefined && <Problem error={error} />}
      {cases.error !== undefined && <Problem error={cases.error} onRetry={cases.reload} />}
      {cases.value === undefined && cases.error === undefined && <Loading />}
      {cases.value !== undefined && (
        <div className="grid items-start gap-4 md:grid-cols-3">
          {STATUSES.map((status, index) => {
            const Icon = ICONS[status];
            const own = (cases.value ?? []).filter((triage) => textOf(triage, "status") === status).toSorted((one, other) => since(one) - since(other));
            const next = STATUSES[index + 1];
            return (
              <Card key={status} title={`${MESSAGES[locale].triageStatuses[status]} (${own.length})`} extra={<Icon aria-hidden className="size-5 text-quiet" />}>
                {own.length === 0 ? (
                  <p className="text-quiet">{words.triage.none}</p>
                ) : (
                  <ol className="space-y-2">
                    {own.map((triage) => (
                      <Case key={textOf(triage, "triage_id")} triage={triage} now={now + service.clockSkewMs} next={next} onMove={move} />
                    ))}
                  </ol>
                )}
              </Card>
            );
          })}
        </div>
      )}
    </div>
  );
}

function since(triage: Payload): number {
  return instantOf(triage, "created_at") ?? 0;
}

function Case({ triage, now, next, onMove }: { readonly triage: Payload; readonly now: number; readonly next: (typeof STATUSES)[number] | undefined; readonly onMove: (id: string, status: string) => void }) {
  const { words, locale } = useWords();
  const id = textOf(triage, "triage_id") ?? "";
  const patient = textOf(triage, "patient_id");
  const at = instantOf(triage, "created_at");
  const others = Object.keys(triage).filter((field) => !PLACED.has(field) && textOf(triage, field) !== undefined);
  return (
    <li className="rounded-md border border-line p-3" data-case={id}>
      <p className="break-words font-semibold">{id}</p>
      <p>
        {patient === undefined ? (
          <span className="text-quiet">{words.triage.unknownPatient}</span>
        ) : (
          <a href={hashOf("patient", patient)} className="text-info underline">
            {fill(words.triage.patient, { id: patient })}
          </a>
        )}
      </p>
      {at !== undefined && (
        <p className="text-sm tabular-nums text-quiet">
          {absoluteTime(at, now, locale)} · {relativeTime(at, now, locale)}
        </p>
      )}
      {others.length > 0 && (
        <dl className="mt-1 text-sm">
          {others.map((field) => (
            <div key={field} className="flex gap-2">
              <dt className="text-quiet">{field}</dt>
              <dd className="min-w-0 break-words">{textOf(triage, field)}</dd>
            </div>
          ))}
        </dl>
      )}
      {next !== undefined && (
        <Button isPlain className="mt-2 w-full" onClick={() => onMove(id, next)}>
          <ArrowRight aria-hidden className="size-5" />
          {fill(words.triage.moveTo, { status: MESSAGES[locale].triageStatuses[next] })}
        </Button>
      )}
    </li>
  );
}
