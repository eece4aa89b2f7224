// The charts of a patient. What they show stands beside them as a table for those who cannot see them.

import { Bar, BarChart, CartesianGrid, LabelList, Line, LineChart, ReferenceLine, ResponsiveContainer, XAxis, YAxis } from "recharts";

import { absoluteTime, MESSAGES, percentOf, regional } from "../../wardbell";
import { useWords, wordFor } from "../words";
import type { Factor, RiskPoint } from "./risk";

/** Where the levels begin, unless the server is configured otherwise. */
const LEVELS = [
  { level: "medium", from: 0.3, colour: "var(--wb-info)" },
  { level: "high", from: 0.6, colour: "var(--wb-warning)" },
  { level: "critical", from: 0.8, colour: "var(--wb-critical)" },
] as const;

/** The risk as a line over time. */
export function RiskChart({ points }: { readonly points: readonly RiskPoint[] }) {
  const { words, locale } = useWords();
  const first = points[0]?.at ?? 0;
  const last = points.at(-1)?.at ?? 0;
  // One point, or many in a second, still need an axis.
  const margin = Math.max((last - first) * 0.02, 30_000);
  const time = new Intl.DateTimeFormat(regional(locale), last - first > 24 * 3_600_000 ? { dateStyle: "short", timeStyle: "short" } : { timeStyle: "short" });
  return (
    <figure>
      <div className="h-64" aria-hidden>
        <ResponsiveContainer width="100%" height="100%">
          <LineChart data={[...points]} margin={{ top: 8, right: 72, bottom: 0, left: 0 }} accessibilityLayer={false}>
            <CartesianGrid stroke="var(--wb-line)" vertical={false} />
            <XAxis dataKey="at" type="number" scale="time" domain={[first - margin, last + margin]} tickFormatter={(at: number) => time.format(at)} stroke="var(--wb-text-quiet)" minTickGap={40} />
            <YAxis domain={[0, 1]} ticks={[0, 0.25, 0.5, 0.75, 1]} tickFormatter={(score: number) => percentOf(score, locale)} stroke="var(--wb-text-quiet)" width={52} />
            {LEVELS.map(({ level, from, colour }) => (
              <ReferenceLine key={level} y={from} stroke={colour} strokeDasharray="6 4" label={{ value: MESSAGES[locale].riskLevels[level], position: "right", fill: colour, fontSize: 13 }} />
            ))}
            <Line dataKey="score" stroke="var(--wb-text)" strokeWidth={2.5} dot={{ r: 4, fill: "var(--wb-text)" }} isAnimationActive={false} />
          </LineChart>
        </ResponsiveContainer>
      </div>
      <figcaption className="sr-only">
        <table>
          <caption>{words.patient.over}</caption>
          <thead>
            <tr>
              <th scope="col">{words.patient.time}</th>
              <th scope="col">{words.patient.score}</th>
              <th scope="col">{words.patient.level}</th>
            </tr>
          </thead>
          <tbody>
            {points.slice(-50).map(({ at, score, level }) => (
              <tr key={`${at} ${score}`}>
                <td>{absoluteTime(at, last, locale)}</td>
                <td>{percentOf(score, locale)}</td>
                <td>{wordFor(MESSAGES[locale].riskLevels, level)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </figcaption>
    </figure>
  );
}

const ROW_PX = 34;

/** What a risk is made of, as bars. */
export function FactorChart({ factors, unit }: { readonly factors: readonly Factor[]; readonly unit: string }) {
  const { words, locale } = useWords();
  const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
  const bars = factors.map(({ name, impact }) => ({ name: readable(name), impact }));
  return (
    <figure>
      <div aria-hidden style={{ height: factors.length * ROW_PX + 16 }}>
        <ResponsiveContainer width="100%" height="100%">
          <BarChart data={bars} layout="vertical" margin={{ top: 0, right: 48, bottom: 0, left: 8 }} accessibilityLayer={false}>
            <XAxis type="number" hide />
            <YAxis type="category" dataKey="name" width={176} stroke="var(--wb-text)" tickLine={false} axisLine={false} interval={0} />
            <ReferenceLine x={0} stroke="var(--wb-line-strong)" />
            <Bar dataKey="impact" fill="var(--wb-info)" barSize={18} isAnimationActive={false}>
              <LabelList dataKey="impact" position="right" fill="var(--wb-text)" formatter={(impact) => number.format(Number(impact))} />
            </Bar>
          </BarChart>
        </ResponsiveContainer>
      </div>
      <figcaption className="sr-only">
        <table>
          <caption>{words.patient.why}</caption>
          <thead>
            <tr>
              <th scope="col">{words.patient.why}</th>
              <th scope="col">{unit}</th>
            </tr>
          </thead>
          <tbody>
            {bars.map(({ name, impact }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{number.format(impact)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </figcaption>
    </figure>
  );
}

/** `respiratory_rate` as people write it. */
function readable(name: string): string {
  return name.replaceAll("_", " ").slice(0, 40);
}
