// One alert.

import { BadgeCheck, Check, Info, OctagonAlert, TriangleAlert, X } from "lucide-react";

import type { Alert } from "./alert";
import { useAlerts, useBell } from "./AlertContext";
import { absoluteTime, relativeTime } from "./format";

/** The sign of each type: told apart by shape, not by colour alone. */
export const TYPE_ICONS = { critical: OctagonAlert, warning: TriangleAlert, info: Info, success: BadgeCheck } as const;

/** One alert of the list: what, when, and what to do with it. `now` is the server's time (milliseconds since 1970). */
export function AlertItem({ alert, now }: { readonly alert: Alert; readonly now: number }) {
  const { removeAlert, markAsRead } = useAlerts();
  const { locale, messages } = useBell();
  const { panel } = messages;
  const Icon = TYPE_ICONS[alert.type];
  return (
    <li className="wb-alert" data-type={alert.type} data-read={alert.read}>
      <Icon aria-hidden className="wb-icon wb-alert-icon" />
      <div className="wb-alert-text">
        <p className="wb-alert-head">
          <span className="wb-alert-type">{messages.alertTypes[alert.type]}</span>
          {!alert.read && <span className="wb-alert-new">{panel.isNew}</span>}
        </p>
        <p className="wb-alert-title">{alert.title}</p>
        <p className="wb-alert-message">{alert.message}</p>
        <AlertTime timestamp={alert.timestamp} now={now} locale={locale} />
      </div>
      <div className="wb-alert-actions">
        {!alert.read && (
          <button type="button" className="wb-button" title={panel.markAsRead} aria-label={panel.of(panel.markAsRead, alert.title)} onClick={() => markAsRead(alert.id)}>
            <Check aria-hidden className="wb-icon" />
          </button>
        )}
        <button type="button" className="wb-button" title={panel.remove} aria-label={panel.of(panel.remove, alert.title)} onClick={() => removeAlert(alert.id)}>
          <X aria-hidden className="wb-icon" />
        </button>
      </div>
    </li>
  );
}

/** When it happened: the time, and how long ago. */
export function AlertTime({ timestamp, now, locale }: { readonly timestamp: string; readonly now: number; readonly locale: string }) {
  const at = Date.parse(timestamp);
  return (
    <time className="wb-time" dateTime={timestamp}>
      {absoluteTime(at, now, locale)} · {relativeTime(at, now, locale)}
    </time>
  );
}
