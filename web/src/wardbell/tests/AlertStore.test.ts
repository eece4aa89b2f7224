import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Alert, alertFrom } from "../alert";
import { AlertStore, AUTO_DISMISS_MS } from "../AlertStore";

let made = 0;

function alert(over: Partial<Alert> = {}): Alert {
  made += 1;
  const payload = { alert_id: `A${made}`, patient_id: "P1", alert_type: "critical" };
  return { ...alertFrom("patient_alert", payload), ...over };
}

const at = (second: number) => new Date(Date.UTC(2026, 1, 15, 3, 0, second)).toISOString();
const ids = (store: AlertStore) => store.shown.alerts.map(({ id }) => id);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("the list", () => {
  it("has the newest first, whatever the order in which they came", () => {
    const store = new AlertStore();

    store.add(alert({ id: "second", timestamp: at(2) }));
    store.add(alert({ id: "missed", timestamp: at(1) }));
    store.add(alert({ id: "third", timestamp: at(3) }));

    expect(ids(store)).toEqual(["third", "second", "missed"]);
  });

  it("shows an alert once, also after it was removed", () => {
    const store = new AlertStore();

    expect(store.add(alert({ id: "A" }))).toBe(true);
    expect(store.add(alert({ id: "A" }))).toBe(false);
    store.remove("A");

    expect(store.add(alert({ id: "A" }))).toBe(false);
    expect(ids(store)).toEqual([]);
  });

  it("counts what is unread", () => {
    const store = new AlertStore();
    store.add(alert({ id: "A" }));
    store.add(alert({ id: "B" }));
    store.add(alert({ id: "C" }));

    store.markAsRead("A");
    expect(store.shown.unreadCount).toBe(2);
    store.remove("B");
    expect(store.shown.unreadCount).toBe(1);
    store.markAllAsRead();
    expect(store.shown.unreadCount).toBe(0);
    store.clear();
    expect(store.shown).toEqual({ alerts: [], unreadCount: 0, droppedCount: 0 });
  });

  it("is bounded: the oldest that is not critical gives way", () => {
    const store = new AlertStore(3);
    store.add(alert({ id: "old critical", timestamp: at(1) }));
    store.add(alert({ id: "old warning", type: "warning", timestamp: at(2) }));
    store.add(alert({ id: "warning", type: "warning", timestamp: at(3) }));

    store.add(alert({ id: "critical", timestamp: at(4) }));
    expect(ids(store)).toEqual(["critical", "warning", "old critical"]);
    expect(store.shown.droppedCount).toBe(1);

    store.add(alert({ id: "critical 2", timestamp: at(5) }));
    store.add(alert({ id: "critical 3", timestamp: at(6) }));
    expect(ids(store)).toEqual(["critical 3", "critical 2", "critical"]);
  });

  it("forgets everything when somebody else comes", () => {
    const store = new AlertStore();
    store.add(alert({ id: "A" }));

    store.reset();

    expect(store.add(alert({ id: "A" }))).toBe(true);
  });

  it("tells its observers until they stop", () => {
    const store = new AlertStore();
    const observer = vi.fn();
    const stop = store.subscribe(observer);

    store.add(alert());
    stop();
    store.add(alert());

    expect(observer).toHaveBeenCalledTimes(1);
  });
});

describe("auto-dismissal", () => {
  it("takes away info and success after ten seconds, and nothing else", () => {
    const store = new AlertStore();
    for (const type of ["critical", "warning", "info", "success"] as const) store.add(alert({ id: type, type }));

    vi.advanceTimersByTime(AUTO_DISMISS_MS - 1);
    expect(ids(store)).toHaveLength(4);
    vi.advanceTimersByTime(1);

    expect(ids(store).sort()).toEqual(["critical", "warning"]);
    vi.advanceTimersByTime(3_600_000);
    expect(ids(store)).toHaveLength(2);
  });
});

describe("a prediction", () => {
  const payload = { patient_id: "P1", risk_score: 0.87, risk_level: "critical", timestamp: at(1) };
  const risk = (id: string) => alertFrom("risk_updated", { ...payload, event_id: id });
  const following = (id: string) => alertFrom("patient_alert", { ...payload, alert_id: id, alert_type: "critical" });

  it("and the alert that follows from it are shown as one", () => {
    const store = new AlertStore();
    store.add(risk("R1"));
    store.add(following("A1"));
    expect(ids(store)).toEqual(["A1"]);

    const other = new AlertStore();
    other.add(following("A1"));
    other.add(risk("R1"));
    expect(ids(other)).toEqual(["A1"]);
  });

  it("without an alert is shown, and so is another one", () => {
    const store = new AlertStore();
    store.add(following("A1"));

    store.add({ ...risk("R2"), timestamp: at(30) });
    store.add({ ...risk("R3"), data: { ...payload, patient_id: "P2" } });

    expect(ids(store)).toEqual(["R2", "R3", "A1"]);
  });
});
