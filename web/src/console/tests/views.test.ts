import { describe, expect, it } from "vitest";

import { byWard, changeBed, changeStaff, occupancyOf } from "../views/boards";
import { figuresOf, nodesOf, rates, readMetrics, wholenessOf } from "../views/metrics";
import { KINDS, requestOf } from "../views/raise";
import { factorsOf, riskPoints } from "../views/risk";

describe("a bed board", () => {
  const beds = [
    { bed_id: "B-2", status: "occupied", ward: "ICU" },
    { bed_id: "B-10", status: "reserved" },
    { bed_id: "B-1", status: "cleaning", ward: "ICU" },
    { bed_id: "B-3", status: "maintenance", ward: "Ward 2" },
  ];

  it("counts as the server does: a bed that is being cleaned is usable, one that is mended is not", () => {
    expect(occupancyOf(beds)).toEqual({ taken: 2, usable: 3 });
    expect(occupancyOf([])).toEqual({ taken: 0, usable: 0 });
    expect(occupancyOf([{}])).toEqual({ taken: 0, usable: 1 });
  });

  it("is in the order of wards and beds, those without a ward last", () => {
    const order = byWard(beds).map(([ward, own]) => [ward, own.map(({ bed_id }) => bed_id)]);

    expect(order).toEqual([
      ["ICU", ["B-1", "B-2"]],
      ["Ward 2", ["B-3"]],
      ["", ["B-10"]],
    ]);
  });

  it("changes by what is heard, and not by what is none", () => {
    const changed = changeBed(beds, { bed_info: { bed_id: "B-2", status: "available" }, timestamp: "t" });

    expect(changed[0]).toEqual({ bed_id: "B-2", status: "available", updated_at: "t" });
    expect(changeBed(beds, { bed_info: { bed_id: "B-9", status: "available" } })).toHaveLength(5);
    expect(changeBed(beds, { bed_info: "B-2" })).toEqual(beds);
    expect(changeStaff([{ staff_id: "D1" }], { staff_id: "D1", available: false })).toEqual([]);
    expect(changeStaff([], { staff_id: "D1", available: true, timestamp: "t" })).toEqual([{ staff_id: "D1", available: true, timestamp: "t", updated_at: "t" }]);
    expect(changeStaff([], { available: true })).toEqual([]);
  });
});

describe("risks", () => {
  it("are a line over time: oldest first, each once, nothing impossible", () => {
    const at = (minute: number) => new Date(Date.UTC(2026, 1, 15, 3, minute)).toISOString();
    const points = riskPoints([
      { timestamp: at(2), risk_score: 0.8, risk_level: "high" },
      { timestamp: at(1), risk_score: 0.5 },
      { timestamp: at(2), risk_score: 0.8, risk_level: "high", alert_id: "A1" },
      { timestamp: at(3), risk_score: 7 },
      { timestamp: "yesterday", risk_score: 0.1 },
      { message: "no risk" },
    ]);

    expect(points.map(({ score }) => score)).toEqual([0.5, 0.8]);
  });

  it("are made of factors, the largest first, whichever way they pull", () => {
    const explanation = { top_features: [{ feature: "age", impact: 0.1 }, { feature: "lactate", impact: -0.4 }, { feature: "", impact: 1 }, null, "text"] };

    expect(factorsOf(explanation)).toEqual([
      { name: "lactate", impact: -0.4 },
      { name: "age", impact: 0.1 },
    ]);
    expect(factorsOf({ top_features: "none" })).toEqual([]);
  });
});

describe("metrics", () => {
  const text = `# HELP wardbell_connections Engine.IO connections now, by transport.
# TYPE wardbell_connections gauge
wardbell_connections{transport="websocket"} 3
wardbell_connections{transport="polling"} 2
wardbell_events_total{event="patient_alert"} 10
wardbell_recoveries_total{result="recovered"} 4
wardbell_uptime_seconds 12.5
not a line
# EOF`;

  it("are read as OpenMetrics writes them", () => {
    expect(figuresOf(readMetrics(text), 7)).toMatchObject({ at: 7, connections: 5, events: 10, recoveries: { recovered: 4 }, uptimeMs: 12_500, suppressed: 0 });
    expect(readMetrics('a{b="c\\"d,e",f="g"} 1')).toEqual([{ name: "a", labels: { b: 'c\\"d,e', f: "g" }, value: 1 }]);
  });

  it("grow by the second, and a server that was started anew has not shrunk them", () => {
    const at = (seconds: number, events: number) => ({ ...figuresOf([], seconds * 1_000), events });

    expect(rates([at(0, 0), at(2, 10), at(4, 10), at(6, 3)], ({ events }) => events)).toEqual([5, 0, 0]);
  });
});

describe("forms", () => {
  const form = (fields: Readonly<Record<string, string>>) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.set(name, value);
    return data;
  };

  it("make the requests that backends make", () => {
    expect(requestOf(KINDS.patient, form({ patient_id: "P1", alert_type: "critical", message: "SpO2" }))).toEqual({
      method: "POST",
      path: "/api/alerts/patient",
      body: { patient_id: "P1", alert_type: "critical", alert_data: { message: "SpO2" } },
    });
    expect(requestOf(KINDS.vitals, form({ patient_id: "P1", temperature: "38,6", supplemental_oxygen: "true", blood_pressure: "98/60" })).body).toEqual({
      patient_id: "P1",
      vitals: { temperature: 38.6, supplemental_oxygen: true, blood_pressure: "98/60" },
    });
    expect(requestOf(KINDS.bed, form({ hospital_id: "H1", bed_id: "B 1/2", status: "occupied", ward: " " }))).toEqual({
      method: "PUT",
      path: "/api/beds/B%201%2F2",
      body: { hospital_id: "H1", status: "occupied" },
    });
  });

  it("send what is no number as it was written: the server says what is wrong with it", () => {
    expect(requestOf(KINDS.risk, form({ patient_id: "P1", risk_score: "high" })).body).toEqual({ patient_id: "P1", risk_score: "high" });
  });
});

describe("nodes", () => {
  it("are those that the server names, with or without a name", () => {
    const nodes = [{ node: "a", active_connections: 3 }, { node: "", active_connections: 1 }, "nonsense"];

    expect(nodesOf({ active_connections: 4, nodes })).toEqual([
      { node: "a", connections: 3 },
      { node: undefined, connections: 1 },
      { node: undefined, connections: 0 },
    ]);
    expect(nodesOf({ active_connections: 4 })).toEqual([]);
  });

  it("are whole, do without something, or cannot work: what nobody understands is no good news", () => {
    expect(["ready", "degraded", "unready", "splendid"].map((status) => wholenessOf({ status }))).toEqual(["ready", "degraded", "unready", "unready"]);
    expect(wholenessOf({})).toBe("unready");
  });
});
