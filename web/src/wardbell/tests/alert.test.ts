import { describe, expect, it } from "vitest";

import { alertFrom, eventOfHistory, percentOf, typeOf, worded } from "../alert";
import { asPayload, instantOf, numberOf, SERVER_EVENTS, textOf } from "../events";
import { nextPage } from "../history";
import { bestLocale, LOCALES, MESSAGES } from "../messages";

describe("how much an event matters", () => {
  it.each([
    ["patient_alert", { alert_type: "critical" }, "critical"],
    ["patient_alert", { alert_type: "warning" }, "warning"],
    ["patient_alert", { alert_type: "info" }, "info"],
    ["patient_alert", { alert_type: "never heard of" }, "warning"],
    ["patient_alert", {}, "warning"],
    ["hospital_alert", { alert_type: "emergency" }, "critical"],
    ["hospital_alert", { alert_type: "capacity", state: "reached" }, "warning"],
    ["hospital_alert", { alert_type: "capacity", state: "available" }, "success"],
    ["hospital_alert", { alert_type: "system" }, "warning"],
    ["hospital_alert", { alert_type: "info" }, "info"],
    ["risk_updated", { risk_level: "critical" }, "critical"],
    ["risk_updated", { risk_level: "high" }, "warning"],
    ["risk_updated", { risk_level: "medium" }, "info"],
    ["risk_updated", { risk_level: "low" }, "info"],
    ["risk_updated", { risk_level: 7 }, "warning"],
    ["triage_updated", { status: "pending" }, "info"],
    ["staff_availability_changed", { available: true }, "success"],
    ["staff_availability_changed", { available: "true" }, "info"],
    ["bed_status_changed", {}, "info"],
  ] as const)("%s %o is %s", (event, payload, type) => {
    expect(typeOf(event, payload)).toBe(type);
  });
});

describe("payloads of strangers", () => {
  const STRANGE: readonly unknown[] = [null, undefined, 7, "text", [], [{}], { patient_id: {}, message: [], bed_info: "B1", risk_score: "high", timestamp: 5, alert_id: null }];

  it.each(SERVER_EVENTS)("%s: whatever comes has a title, a message, an id and a time, in every language", (event) => {
    for (const strange of STRANGE) {
      for (const locale of LOCALES) {
        const alert = worded(alertFrom(event, asPayload(strange)), MESSAGES[locale], locale);

        expect(alert.title).not.toBe("");
        expect(alert.message).not.toBe("");
        expect(alert.id).not.toBe("");
        expect(Date.parse(alert.timestamp)).not.toBeNaN();
        expect(`${alert.title}${alert.message}`).not.toMatch(/undefined|null|NaN|\[object/);
      }
    }
  });

  it("are read as what they are", () => {
    const payload = { text: "  SpO2 84 %  ", empty: " ", number: 3, written: "0.5", list: [], long: "x".repeat(5_000), when: "2026-02-15T10:30:00.123456+00:00" };

    expect(textOf(payload, "text")).toBe("SpO2 84 %");
    expect(textOf(payload, "empty")).toBeUndefined();
    expect(textOf(payload, "number")).toBe("3");
    expect(textOf(payload, "list")).toBeUndefined();
    expect(textOf(payload, "long")).toHaveLength(1_001);
    expect(numberOf(payload, "written")).toBe(0.5);
    expect(numberOf(payload, "empty")).toBeUndefined();
    expect(numberOf({ n: Infinity }, "n")).toBeUndefined();
    expect(instantOf(payload, "when")).toBe(Date.UTC(2026, 1, 15, 10, 30, 0, 123));
    expect(instantOf(payload, "text")).toBeUndefined();
  });
});

describe("words", () => {
  it("say what happened, in the reader's language", () => {
    const risk = alertFrom("risk_updated", { patient_id: "P1", risk_level: "critical", risk_score: 0.87 });
    const bed = alertFrom("bed_status_changed", { hospital_id: "H1", bed_info: { bed_id: "B-12", status: "occupied", ward: "ICU" } });

    expect(worded(risk, MESSAGES.en, "en")).toMatchObject({ title: "Risk of patient P1", message: "Risk critical: 87%" });
    expect(worded(risk, MESSAGES.de, "de")).toMatchObject({ title: "Risiko von Patient P1", message: "Risiko kritisch: 87\u00a0%" });
    expect(worded(bed, MESSAGES.en, "en").message).toBe("Bed B-12 (ICU): occupied");
    expect(worded(bed, MESSAGES.de, "de").message).toBe("Bett B-12 (ICU): belegt");
    expect(percentOf(0.005, "en")).toBe("1%");
  });

  it("of a backend stay as they were written", () => {
    const alert = alertFrom("patient_alert", { patient_id: "P1", alert_type: "critical", message: "<b>SpO2 84 %</b>" });

    expect(worded(alert, MESSAGES.de, "de").message).toBe("<b>SpO2 84 %</b>");
  });

  it("come in the first wanted language that there is", () => {
    expect(bestLocale(["it-IT", "de-AT", "en"])).toBe("de");
    expect(bestLocale(["HI"])).toBe("hi");
    expect(bestLocale(["it"])).toBe("en");
    expect(bestLocale([])).toBe("en");
  });

  it("are there in every language", () => {
    const keys = (value: object): string[] =>
      Object.entries(value).flatMap(([key, inner]: [string, unknown]) => (typeof inner === "object" && inner !== null ? keys(inner).map((deeper) => `${key}.${deeper}`) : [key]));

    for (const locale of LOCALES) expect(keys(MESSAGES[locale]).sort(), locale).toEqual(keys(MESSAGES.en).sort());
  });
});

describe("the history", () => {
  it("holds patients' and hospitals' alerts", () => {
    expect(eventOfHistory({ patient_id: "P1", alert_type: "info" })).toBe("patient_alert");
    expect(eventOfHistory({ patient_id: "P1", hospital_id: "H1" })).toBe("patient_alert");
    expect(eventOfHistory({ hospital_id: "H1" })).toBe("hospital_alert");
  });

  it("names its next page in the Link header", () => {
    expect(nextPage('</api/alerts/history?limit=1&cursor=7>; rel="next"')).toBe("/api/alerts/history?limit=1&cursor=7");
    expect(nextPage('</first>; rel="first"')).toBeUndefined();
    expect(nextPage(null)).toBeUndefined();
  });
});
