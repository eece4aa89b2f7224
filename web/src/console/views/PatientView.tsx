// A patient: the risk now, over time, what it is made of, and the alerts.

import { useCallback, useState } from "react";

import { MESSAGES, objectOf, patientRoom, type Payload, percentOf, textOf } from "../../wardbell";
import { readList, useReading, useRoom, useServerEvent } from "../api";
import { AskFor } from "../AskFor";
import type { ViewProps } from "../Console";
import { Card, Empty, Loading, Problem } from "../parts";
import { fill, useWords, wordFor } from "../words";
import { AlertRow } from "./AlertRow";
import { FactorChart, RiskChart } from "./charts";
import { factorsOf, type RiskPoint, riskPoints } from "./risk";

/** Alerts that are read, and risks that are kept. */
const MAX_ALERTS = 200;
const MAX_HEARD = 500;

/** The view. */
export default function PatientView({ service, session, id }: ViewProps) {
  const { words } = useWords();
  return (
    <div className="space-y-4">
      <AskFor view="patient" label={words.patient.id} submit={words.patient.show} value={id} placeholder="PAT-1A2B3C4D" />
      {id === undefined ? <Empty>{words.patient.ask}</Empty> : <Patient key={id} service={service} session={session} id={id} />}
    </div>
  );
}

function Patient({ service, id = "" }: ViewProps) {
  const { words } = useWords();
  const alerts = useReading(
    service,
    useCallback((signal: AbortSignal) => readList(service, `/api/alerts/history?patient_id=${encodeURIComponent(id)}&limit=${MAX_ALERTS}`, signal), [service, id]),
  );
  const [heard, setHeard] = useState<readonly Payload[]>([]);
  useRoom(service, patientRoom(id));
  useServerEvent(service, "risk_updated", (payload) => {
    if (textOf(payload, "patient_id") === id) setHeard((known) => [payload, ...known].slice(0, MAX_HEARD));
  });
  useServerEvent(service, "patient_alert", (payload) => {
    if (textOf(payload, "patient_id") !== id) return;
    const alertId = textOf(payload, "alert_id");
    alerts.update((known) => [payload, ...known.filter((other) => textOf(other, "alert_id") !== alertId)].slice(0, MAX_ALERTS));
  });
  useServerEvent(service, "room_joined", (payload) => {
    if (textOf(payload, "room") === patientRoom(id)) alerts.reload();
  });

  const points = riskPoints([...heard, ...(alerts.value ?? [])]);
  const latest = points.at(-1);
  return (
    <>
      <h2 className="break-words text-xl font-semibold">{fill(words.triage.patient, { id })}</h2>
      <div className="grid items-start gap-4 lg:grid-cols-[18rem_1fr]">
        <RiskNow latest={latest} />
        <Card title={words.patient.over}>
          {points.length === 0 ? <Empty>{words.patient.noRisk}</Empty> : <RiskChart points={points} />}
          <p className="mt-2 text-sm text-quiet">{words.patient.overNote}</p>
        </Card>
      </div>
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <Explanation latest={latest} />
        <Card title={words.patient.alerts}>
        {alerts.error !== undefined && <Problem error={alerts.error} onRetry={alerts.reload} />}
        {alerts.value === undefined && alerts.error === undefined && <Loading />}
        {alerts.value?.length === 0 && <Empty>{words.patient.noAlerts}</Empty>}
        <ul className="divide-y divide-line">
          {(alerts.value ?? []).map((alert) => (
            <AlertRow key={textOf(alert, "alert_id")} alert={alert} service={service} isNarrow />
          ))}
        </ul>
      </Card>
      </div>
    </>
  );
}

const LEVEL_LOOKS: Readonly<Record<string, string>> = {
  critical: "border-critical bg-critical-ground text-critical",
  high: "border-warning bg-warning-ground text-warning",
  medium: "border-info bg-info-ground text-info",
  low: "border-success bg-success-ground text-success",
};

function RiskNow({ latest }: { readonly latest: RiskPoint | undefined }) {
  const { words, locale } = useWords();
  return (
    <Card title={words.patient.risk}>
      {latest === undefined ? (
        <Empty>{words.patient.noRisk}</Empty>
      ) : (
        <div role="status" className={`rounded-md border-2 p-4 text-center ${LEVEL_LOOKS[latest.level] ?? "border-line-strong"}`}>
          <p className="text-5xl font-bold tabular-nums">{percentOf(latest.score, locale)}</p>
          <p className="text-xl font-semibold">{wordFor(MESSAGES[locale].riskLevels, latest.level)}</p>
        </div>
      )}
    </Card>
  );
}

function Explanation({ latest }: { readonly latest: RiskPoint | undefined }) {
  const { words } = useWords();
  if (latest === undefined) return null;
  const explanation = objectOf(latest.payload, "explanation");
  const factors = factorsOf(explanation);
  const aggregate = textOf(explanation, "aggregate");
  const isNews2 = textOf(explanation, "method") === "NEWS2";
  const response = textOf(explanation, "response");
  const source = textOf(explanation, "source");
  return (
    <Card title={words.patient.why}>
      {aggregate !== undefined && <p className="mb-2 text-lg font-semibold">{fill(words.patient.aggregate, { points: aggregate })}</p>}
      {factors.length === 0 ? <Empty>{words.patient.noWhy}</Empty> : <FactorChart factors={factors} unit={isNews2 ? words.patient.points : words.patient.impact} />}
      <dl className="mt-3 space-y-1 text-sm">
        {response !== undefined && (
          <div>
            <dt className="inline font-medium">{words.patient.response}: </dt>
            <dd className="inline">{response}</dd>
          </div>
        )}
        {source !== undefined && (
          <div>
            <dt className="inline font-medium">{words.patient.source}: </dt>
            <dd className="inline text-quiet">{source}</dd>
          </div>
        )}
      </dl>
    </Card>
  );
}
