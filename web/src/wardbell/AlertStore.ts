// The alerts that are shown: newest first, each once, no more than a screen can bear.
//
// It knows no React and no network, so that any frontend can use it.

import type { Alert } from "./alert";
import { numberOf, textOf } from "./events";

/** How long alerts stay that ask for nothing. */
export const AUTO_DISMISS_MS = 10_000;
/** The most alerts that are shown at once. */
const MAX_ALERTS = 200;
/** Ids that are remembered, so that what was removed does not come back with a replay. */
const MAX_REMEMBERED = 5_000;
/** A prediction tells the risk and the alert that follows from it within this time. */
const SAME_PREDICTION_MS = 5_000;

/** What the bell shows. The same object until something changes. */
export interface Shown {
  readonly alerts: readonly Alert[];
  readonly unreadCount: number;
  /** Older alerts that gave way to newer ones; they are in the history. */
  readonly droppedCount: number;
}

const NOTHING: Shown = { alerts: [], unreadCount: 0, droppedCount: 0 };

/** The alerts that are shown. */
export class AlertStore {
  readonly #observers = new Set<() => void>();
  readonly #dismissals = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #remembered = new Set<string>();
  readonly #maxAlerts: number;
  #shown: Shown = NOTHING;

  constructor(maxAlerts = MAX_ALERTS) {
    this.#maxAlerts = maxAlerts;
  }

  /** What is shown now. */
  get shown(): Shown {
    return this.#shown;
  }

  /** Calls back when that changes. Returns how to stop it. */
  subscribe(observer: () => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Shows an alert. False if it was shown before, or another one already says the same. */
  add(alert: Alert): boolean {
    if (this.#remembered.has(alert.id)) return false;
    this.#remember(alert.id);
    const { alerts } = this.#shown;
    if (alert.source === "risk_updated" && alerts.some((other) => isSamePrediction(other, alert))) return false;
    const others = alert.source === "patient_alert" ? alerts.filter((other) => !isSamePrediction(alert, other)) : alerts;
    // Newest first by when it happened; what was missed comes late and belongs further down.
    const older = others.findIndex((other) => other.timestamp <= alert.timestamp);
    const at = older === -1 ? others.length : older;
    this.#show([...others.slice(0, at), alert, ...others.slice(at)]);
    if (alert.type === "info" || alert.type === "success") {
      this.#dismissals.set(alert.id, setTimeout(() => this.remove(alert.id), AUTO_DISMISS_MS));
    }
    return true;
  }

  /** Removes an alert; it does not come back. */
  remove(id: string): void {
    clearTimeout(this.#dismissals.get(id));
    this.#dismissals.delete(id);
    const { alerts } = this.#shown;
    if (alerts.some((alert) => alert.id === id)) this.#show(alerts.filter((alert) => alert.id !== id));
  }

  /** Somebody has read it. */
  markAsRead(id: string): void {
    this.#show(this.#shown.alerts.map((alert) => (alert.id === id ? { ...alert, read: true } : alert)));
  }

  /** Somebody has read all. */
  markAllAsRead(): void {
    this.#show(this.#shown.alerts.map((alert) => (alert.read ? alert : { ...alert, read: true })));
  }

  /** Removes all. */
  clear(): void {
    for (const dismissal of this.#dismissals.values()) clearTimeout(dismissal);
    this.#dismissals.clear();
    this.#publish(NOTHING);
  }

  /** Removes all and forgets what was ever shown: somebody else is here. */
  reset(): void {
    this.clear();
    this.#remembered.clear();
  }

  #remember(id: string): void {
    this.#remembered.add(id);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#remembered) {
      if (this.#shown.alerts.some((alert) => alert.id === oldest)) continue;
      this.#remembered.delete(oldest);
      return;
    }
  }

  #show(alerts: readonly Alert[]): void {
    let kept = alerts;
    let { droppedCount } = this.#shown;
    while (kept.length > this.#maxAlerts) {
      // The oldest one that is not critical gives way; only among critical ones it is a critical one.
      const last = kept.findLastIndex((alert) => alert.type !== "critical");
      const dropped = last === -1 ? kept.length - 1 : last;
      clearTimeout(this.#dismissals.get(kept[dropped]?.id ?? ""));
      kept = kept.filter((_, index) => index !== dropped);
      droppedCount += 1;
    }
    this.#publish({ alerts: kept, unreadCount: kept.filter((alert) => !alert.read).length, droppedCount });
  }

  #publish(shown: Shown): void {
    this.#shown = shown;
    for (const observer of [...this.#observers]) observer();
  }
}

/** Whether a risk says only what the alert that followed from it says, too. */
function isSamePrediction(alert: Alert, risk: Alert): boolean {
  const score = numberOf(risk.data, "risk_score");
  const patient = textOf(risk.data, "patient_id");
  return (
    alert.source === "patient_alert" &&
    risk.source === "risk_updated" &&
    patient !== undefined &&
    patient === textOf(alert.data, "patient_id") &&
    score !== undefined &&
    score === numberOf(alert.data, "risk_score") &&
    Math.abs(Date.parse(alert.timestamp) - Date.parse(risk.timestamp)) < SAME_PREDICTION_MS
  );
}
