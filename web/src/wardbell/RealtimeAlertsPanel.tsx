// The bell and what is behind it.

import { Bell, BellOff, BellRing, CheckCheck, Trash2, Volume2, VolumeX, X } from "lucide-react";
import { Popover } from "radix-ui";
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { AlertItem } from "./AlertItem";
import { useAlerts, useBell } from "./AlertContext";
import { badgeText, showInTab } from "./attention";
import { ConnectionAnnouncer, ConnectionBadge, useLiveness } from "./ConnectionBadge";
import { CriticalBanner } from "./CriticalBanner";
import { useNow } from "./useSocketIO";

/** What a panel may be given. */
export interface RealtimeAlertsPanelProps {
  /** Whether the tab's title and icon show how many are unread. They do where it is left out. */
  readonly isShownInTab?: boolean;
  /**
   * Whether unread critical alerts are shown `over` the page (where it is left out), only said to screen readers (`unseen`), or
   * are shown by a `CriticalBanner` that the page has placed itself (`elsewhere`).
   */
  readonly banner?: "over" | "unseen" | "elsewhere";
}

/** The bell: how many alerts are unread, whether it works, and the list behind it. */
export function RealtimeAlertsPanel({ isShownInTab = true, banner = "over" }: RealtimeAlertsPanelProps) {
  const { alerts, unreadCount } = useAlerts();
  const { service, messages, isOpen, setIsOpen } = useBell();
  const liveness = useLiveness(service);
  const hasCritical = alerts.some((alert) => alert.type === "critical" && !alert.read);
  const isLive = liveness === "live";

  useEffect(
    () => (isShownInTab ? showInTab(unreadCount, hasCritical) : undefined),
    [isShownInTab, unreadCount, hasCritical],
  );

  const Icon = isLive ? (unreadCount > 0 ? BellRing : Bell) : BellOff;
  const state = liveness === "reconnecting" || liveness === "offline" ? messages.connection.notTold : messages.connection[liveness];
  return (
    <div className="wb-bell-place">
      <Popover.Root open={isOpen} onOpenChange={setIsOpen}>
        <Popover.Trigger asChild>
          <button type="button" className="wb-bell" data-state={liveness} aria-label={`${messages.panel.bell(unreadCount)}. ${state}`}>
            <Icon aria-hidden className="wb-icon" />
            {unreadCount > 0 && (
              <span aria-hidden className="wb-badge" data-critical={hasCritical}>
                {badgeText(unreadCount)}
              </span>
            )}
          </button>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content className="wb-panel" align="end" sideOffset={8} collisionPadding={8} aria-label={messages.panel.heading} onOpenAutoFocus={focusItself}>
            <Panel />
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      {banner !== "elsewhere" && <CriticalBanner place={banner} />}
      <NewestAnnouncer />
      <ConnectionAnnouncer />
    </div>
  );
}

/** For those who hear the page: the newest alert that is not critical, when nothing else is being said. Critical ones interrupt. */
function NewestAnnouncer() {
  const { alerts } = useAlerts();
  const { messages } = useBell();
  const newest = alerts.find((alert) => alert.type !== "critical" && !alert.read);
  return (
    <div className="wb-unseen" role="status">
      {newest !== undefined && `${messages.alertTypes[newest.type]}: ${newest.title}. ${newest.message}`}
    </div>
  );
}

/** The first button is the sound's: a second Enter on the bell must not switch it. */
function focusItself(event: Event): void {
  event.preventDefault();
  if (event.currentTarget instanceof HTMLElement) event.currentTarget.focus();
}

function Panel() {
  const { alerts, unreadCount, droppedCount, markAllAsRead, clearAll } = useAlerts();
  const { service, messages } = useBell();
  const liveness = useLiveness(service);
  const now = useNow() + service.clockSkewMs;
  const heading = useRef<HTMLHeadingElement>(null);
  const { panel } = messages;

  // The button that was just used may be gone with its alert: focus must not fall back to the page.
  const count = alerts.length;
  useEffect(() => {
    if (document.activeElement === document.body) heading.current?.focus();
  }, [count, unreadCount]);

  return (
    <>
      <div className="wb-panel-head">
        <h2 ref={heading} tabIndex={-1} className="wb-panel-heading">
          {panel.heading}
          <span className="wb-panel-count">{panel.unread(unreadCount)}</span>
        </h2>
        <SoundButton />
        <Popover.Close className="wb-button" aria-label={panel.close} title={panel.close}>
          <X aria-hidden className="wb-icon" />
        </Popover.Close>
      </div>
      <ConnectionBadge />
      {(liveness === "reconnecting" || liveness === "offline") && <p className="wb-note">{messages.connection.notTold}</p>}
      <MissedNote />
      {count === 0 ? (
        <p className="wb-empty">{liveness === "live" ? panel.empty : panel.emptyNotLive}</p>
      ) : (
        // A list that scrolls must be reachable by keyboard.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <div className="wb-list-place" tabIndex={0} role="region" aria-label={panel.heading}>
          <ul className="wb-list">
            {alerts.map((alert) => (
              <AlertItem key={alert.id} alert={alert} now={now} />
            ))}
          </ul>
        </div>
      )}
      {droppedCount > 0 && <p className="wb-note">{panel.dropped(droppedCount)}</p>}
      {count > 0 && (
        <div className="wb-panel-foot">
          <button type="button" className="wb-text-button" disabled={unreadCount === 0} onClick={markAllAsRead}>
            <CheckCheck aria-hidden className="wb-icon" />
            {panel.markAllAsRead}
          </button>
          <button type="button" className="wb-text-button" onClick={clearAll}>
            <Trash2 aria-hidden className="wb-icon" />
            {panel.clearAll}
          </button>
        </div>
      )}
    </>
  );
}

function MissedNote() {
  const { missed, fetchMissed } = useAlerts();
  const { messages } = useBell();
  if (missed === "none") return null;
  return (
    <p className="wb-note" role="status" data-missed={missed}>
      {messages.missed[missed]}
      {missed === "failed" && (
        <button type="button" className="wb-text-button" onClick={fetchMissed}>
          {messages.missed.retry}
        </button>
      )}
    </p>
  );
}

function SoundButton() {
  const { sound, messages } = useBell();
  const subscribe = useMemo(() => (observer: () => void) => sound.subscribe(observer), [sound]);
  const state = useSyncExternalStore(subscribe, () => sound.state);
  const Icon = state === "on" ? Volume2 : VolumeX;
  const words = messages.sound[state];
  return (
    <button type="button" className="wb-button" data-sound={state} aria-pressed={state !== "off"} aria-label={words} title={words} onClick={() => void sound.toggle()}>
      <Icon aria-hidden className="wb-icon" />
    </button>
  );
}

export default RealtimeAlertsPanel;
