// What the server says of itself, as far as the system view shows it: its metrics (OpenMetrics text), and who is connected where.

import { asPayload, numberOf, type Payload, textOf } from "../../wardbell";

/** A sample: its name, its labels, its value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of an exposition; lines that are none are skipped. */
export function readMetrics(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    const number = Number(value);
    if (name === undefined || Number.isNaN(number)) return [];
    return [{ name, labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label = "", said = ""]) => [label, said])), value: number }];
  });
}

/** What the view shows of one reading. */
export interface Figures {
  /** When it was read, milliseconds since 1970. */
  readonly at: number;
  readonly connections: number;
  readonly rooms: number;
  readonly events: number;
  readonly deliveries: number;
  readonly suppressed: number;
  readonly overflowed: number;
  readonly recoveries: Readonly<Record<string, number>>;
  readonly uptimeMs: number;
}

/** The figures of a reading. */
export function figuresOf(samples: readonly Sample[], at: number): Figures {
  const sum = (name: string) => samples.filter((sample) => sample.name === `wardbell_${name}`).reduce((total, { value }) => total + value, 0);
  const recoveries: Record<string, number> = {};
  for (const { name, labels, value } of samples) {
    if (name === "wardbell_recoveries_total") recoveries[labels["result"] ?? ""] = value;
  }
  return {
    at,
    connections: sum("connections"),
    rooms: sum("rooms"),
    events: sum("events_total"),
    deliveries: sum("deliveries_total"),
    suppressed: sum("alerts_suppressed_total"),
    overflowed: sum("sockets_overflowed_total"),
    recoveries,
    uptimeMs: sum("uptime_seconds") * 1_000,
  };
}

/** How fast a counter grew between readings, a second. A counter that fell was started anew. */
export function rates(readings: readonly Figures[], of: (figures: Figures) => number): number[] {
  return readings.slice(1).map((reading, index) => {
    const before = readings[index];
    if (before === undefined || reading.at <= before.at) return 0;
    return Math.max(of(reading) - of(before), 0) / ((reading.at - before.at) / 1_000);
  });
}

/** A node, and how many sockets it has. One that was given no name has none. */
export interface Node {
  readonly node: string | undefined;
  readonly connections: number;
}

/** The nodes in an answer of `/api/status/socket`. */
export function nodesOf(sockets: Payload): Node[] {
  const nodes: unknown = sockets["nodes"];
  if (!Array.isArray(nodes)) return [];
  return nodes.map(asPayload).map((node) => ({ node: textOf(node, "node"), connections: numberOf(node, "active_connections") ?? 0 }));
}

/** Whether a node can be sent work. Degraded, it does without a part for a while, and takes alerts. */
export type Wholeness = "ready" | "degraded" | "unready";

/** What an answer of `/ready` says. What is not understood is no good news. */
export function wholenessOf(ready: Payload): Wholeness {
  const status = textOf(ready, "status");
  return status === "ready" || status === "degraded" ? status : "unready";
}
