// How the system is: its parts, who is connected, and how much happens.

import { CircleAlert, CircleCheck } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";

import { asPayload, duration, numberOf, objectOf, type Payload, type SocketService, textOf } from "../../wardbell";
import { ApiError, problemOf, readPage } from "../api";
import type { ViewProps } from "../Console";
import { Card, Empty } from "../parts";
import { fill, useWords, wordFor } from "../words";
import { type Figures, figuresOf, nodesOf, rates, readMetrics, wholenessOf } from "./metrics";
import { Sparkline } from "./Sparkline";

const COLOURS = { ready: "text-success", degraded: "text-warning", unready: "text-critical" } as const;
const EVERY_MS = 2_000;
/** Readings that are kept: five minutes. */
const MAX_READINGS = 150;
/** Rooms that are listed. */
const MAX_ROOMS = 50;

interface Watched {
  readonly readings: readonly Figures[];
  readonly ready: Payload | undefined;
  readonly sockets: Payload | undefined;
  readonly problem: string | undefined;
}

/** The view. */
export function StatusView({ service }: ViewProps) {
  const { words, locale } = useWords();
  const { readings, ready, sockets, problem } = useWatched(service);
  const latest = readings.at(-1);
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const members = Object.entries(objectOf(sockets ?? {}, "rooms")).flatMap(([room, count]) => (typeof count === "number" ? [[room, count] as const] : []));
  const nodes = nodesOf(sockets ?? {});
  const minutes = fill(words.status.lastMinutes, { minutes: (MAX_READINGS * EVERY_MS) / 60_000 });
  const connections = numberOf(sockets ?? {}, "active_connections") ?? latest?.connections;
  const line = (name: string, values: readonly number[]) => <Sparkline values={values} label={`${name}, ${minutes}`} />;
  const of = (pick: (figures: Figures) => number) => readings.map(pick);

  return (
    <div className="space-y-4">
      <h2 className="text-xl font-semibold">{words.status.heading}</h2>
      {problem !== undefined && (
        <p role="alert" className="rounded-md bg-warning-ground p-3 text-warning">
          {fill(words.failed, { error: problem })}
        </p>
      )}
      <Parts ready={ready} />
      {latest === undefined ? (
        <Empty>{ready === undefined ? words.loading : words.status.noMetrics}</Empty>
      ) : (
        <div className="grid gap-4 sm:grid-cols-2 lg:grid-cols-4">
          <Figure name={words.status.connections} note={words.status.allNodes} value={number.format(connections ?? 0)}>
            {line(words.status.connections, of((figures) => figures.connections))}
          </Figure>
          <Figure name={words.status.rooms} note={words.status.thisNode} value={number.format(latest.rooms)}>
            {line(words.status.rooms, of((figures) => figures.rooms))}
          </Figure>
          <Figure name={words.status.events} note={words.status.thisNode} value={number.format(rates(readings, ({ events }) => events).at(-1) ?? 0)}>
            {line(words.status.events, rates(readings, ({ events }) => events))}
          </Figure>
          <Figure name={words.status.deliveries} note={words.status.thisNode} value={number.format(rates(readings, ({ deliveries }) => deliveries).at(-1) ?? 0)}>
            {line(words.status.deliveries, rates(readings, ({ deliveries }) => deliveries))}
          </Figure>
          <Figure name={words.status.recoveries} value={number.format(latest.recoveries["recovered"] ?? 0)}>
            <p className="text-sm text-quiet">
              {Object.entries(latest.recoveries)
                .map(([result, count]) => `${result} ${number.format(count)}`)
                .join(" · ")}
            </p>
          </Figure>
          <Figure name={words.status.suppressed} value={number.format(latest.suppressed)} />
          <Figure name={words.status.overflowed} value={number.format(latest.overflowed)} />
          <Figure name={words.status.uptime} value={duration(latest.uptimeMs, locale)} />
        </div>
      )}
      {sockets?.["partial"] === true && <p className="text-warning">{words.status.partial}</p>}
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Card title={words.status.nodes}>
          {nodes.length === 0 ? <Empty>{sockets === undefined && problem === undefined ? words.loading : "–"}</Empty> : <Counts of={words.status.node} count={words.status.connections} rows={nodes.map(({ node, connections }) => [node ?? words.status.unnamed, connections])} />}
        </Card>
        <Card title={words.status.members}>
          {members.length === 0 ? <Empty>{words.status.nobody}</Empty> : <Counts of={words.status.room} count={words.status.count} rows={members.sort(([, one], [, other]) => other - one).slice(0, MAX_ROOMS)} />}
        </Card>
      </div>
    </div>
  );
}

/** How many of something each has. Two may have one name. */
function Counts({ of, count, rows }: { readonly of: string; readonly count: string; readonly rows: readonly (readonly [name: string, count: number])[] }) {
  const { locale } = useWords();
  const number = new Intl.NumberFormat(locale);
  return (
    <table className="w-full">
      <thead className="text-left text-sm text-quiet">
        <tr>
          <th scope="col">{of}</th>
          <th scope="col" className="text-right">
            {count}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, value], index) => (
          <tr key={`${index} ${name}`} className="border-t border-line">
            <td className="break-all py-1 font-mono text-sm">{name}</td>
            <td className="text-right tabular-nums">{number.format(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Parts({ ready }: { readonly ready: Payload | undefined }) {
  const { words } = useWords();
  if (ready === undefined) return null;
  const parts = Object.keys(objectOf(ready, "parts"));
  const wholeness = wholenessOf(ready);
  const colour = COLOURS[wholeness];
  return (
    <Card title={words.status.parts} extra={<span className={`font-semibold ${colour}`}>{words.status[wholeness]}</span>}>
      <ul className="flex flex-wrap gap-x-8 gap-y-2">
        {parts.map((part) => {
          const state = textOf(objectOf(ready, "parts"), part) ?? "";
          const isUp = state === "up";
          const Icon = isUp ? CircleCheck : CircleAlert;
          return (
            <li key={part} className={`flex items-center gap-2 ${isUp ? "text-success" : colour}`}>
              <Icon aria-hidden className="size-5" />
              {wordFor(words.status.names, part)}: {wordFor(words.status.states, state)}
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

function Figure({ name, note, value, children }: { readonly name: string; readonly note?: string; readonly value: string; readonly children?: ReactNode }) {
  return (
    <section aria-label={name} className="rounded-lg border border-line bg-ground p-4">
      <h3 className="text-sm text-quiet">
        {name} {note !== undefined && `(${note})`}
      </h3>
      <p className="text-3xl font-semibold tabular-nums">{value}</p>
      {children}
    </section>
  );
}

/** Asks again and again, as long as the view is there. */
function useWatched(service: SocketService): Watched {
  const [watched, setWatched] = useState<Watched>({ readings: [], ready: undefined, sockets: undefined, problem: undefined });
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const [metrics, ready, sockets] = await Promise.allSettled([readPage(service, "/metrics", signal), readReady(service, signal), readPage(service, "/api/status/socket", signal)]);
      if (signal.aborted) return;
      setWatched((before) => ({
        readings: metrics.status === "fulfilled" ? [...before.readings, figuresOf(readMetrics(String(metrics.value.body)), Date.now())].slice(-MAX_READINGS) : before.readings,
        ready: ready.status === "fulfilled" ? ready.value : before.ready,
        sockets: sockets.status === "fulfilled" ? asPayload(sockets.value.body) : before.sockets,
        problem: problemIn(ready) ?? problemIn(sockets),
      }));
      timer = setTimeout(() => void ask(), EVERY_MS);
    };
    void ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [service]);
  return watched;
}

function problemIn(answer: PromiseSettledResult<unknown>): string | undefined {
  return answer.status === "rejected" ? problemOf(answer.reason) : undefined;
}

/** `/ready`; its 503 is an answer, too. */
async function readReady(service: SocketService, signal: AbortSignal): Promise<Payload> {
  const response = await service.fetch("/ready", { signal });
  if (response.status !== 200 && response.status !== 503) throw new ApiError(response.status, response.statusText);
  return asPayload(await response.json());
}
