// The newest critical alert that nobody has read, where it cannot be overlooked; screen readers say it at once.

import { Check, OctagonAlert } from "lucide-react";

import { AlertTime } from "./AlertItem";
import { useAlerts, useBell } from "./AlertContext";
import { useNow } from "./useSocketIO";

/** Where it is: `over` the page, in its `flow`, or `unseen` and only said. */
export type BannerPlace = "over" | "flow" | "unseen";

/** Shows it as long as there is one and the list is closed. A page has one of these: two would be said twice. */
export function CriticalBanner({ place }: { readonly place: BannerPlace }) {
  const { alerts, markAsRead } = useAlerts();
  const { service, locale, messages, isOpen, setIsOpen } = useBell();
  const isUnseen = place === "unseen" || isOpen;
  const now = useNow() + service.clockSkewMs;
  const unread = alerts.filter((alert) => alert.type === "critical" && !alert.read);
  const newest = unread[0];
  const { panel } = messages;
  return (
    <div className={isUnseen ? "wb-unseen" : "wb-banner-place"} data-place={place}>
      <div role="alert">
        {newest !== undefined && (
          <div className="wb-banner">
            <OctagonAlert aria-hidden className="wb-icon wb-banner-icon" />
            <div className="wb-banner-text">
              <p className="wb-banner-title">
                {messages.alertTypes.critical}: {newest.title}
              </p>
              <p className="wb-banner-message">{newest.message}</p>
            </div>
          </div>
        )}
      </div>
      {newest !== undefined && !isUnseen && (
        <div className="wb-banner-foot">
          <AlertTime timestamp={newest.timestamp} now={now} locale={locale} />
          <button type="button" className="wb-banner-button" onClick={() => setIsOpen(true)}>
            {panel.show}
            {unread.length > 1 && ` (${unread.length})`}
          </button>
          <button type="button" className="wb-banner-button" aria-label={panel.of(panel.markAsRead, newest.title)} onClick={() => markAsRead(newest.id)}>
            <Check aria-hidden className="wb-icon" />
            {panel.markAsRead}
          </button>
        </div>
      )}
    </div>
  );
}
