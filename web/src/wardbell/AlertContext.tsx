// The alerts of a page, for all its parts.

import { createContext, type ReactNode, use, useEffect, useMemo, useState, useSyncExternalStore } from "react";

import { alertFrom, type Alert, freshId, type NewAlert, worded } from "./alert";
import { AlertStore } from "./AlertStore";
import { asPayload, SERVER_EVENTS } from "./events";
import { Handled } from "./handled";
import { bestLocale, type Locale, MESSAGES, type Messages } from "./messages";
import { MissedAlerts, type MissedState } from "./MissedAlerts";
import { getSocketService, type SocketService } from "./SocketService";
import { Sound } from "./sound";

/** What `useAlerts` gives. */
export interface Alerts {
  /** Newest first. */
  readonly alerts: readonly Alert[];
  readonly unreadCount: number;
  /** Shows an alert of the page's own; its id. */
  readonly addAlert: (alert: NewAlert) => string;
  readonly removeAlert: (id: string) => void;
  readonly markAsRead: (id: string) => void;
  readonly markAllAsRead: () => void;
  readonly clearAll: () => void;
  /** Older alerts that gave way to newer ones; they are in the history. */
  readonly droppedCount: number;
  /** Whether something that was missed is still to be fetched, and how to try that now. */
  readonly missed: MissedState;
  readonly fetchMissed: () => void;
}

/** What the library's own parts need beside it. */
export interface Bell {
  readonly service: SocketService;
  readonly sound: Sound;
  readonly locale: Locale;
  readonly messages: Messages;
  /** Whether the list behind the bell is open. */
  readonly isOpen: boolean;
  readonly setIsOpen: (isOpen: boolean) => void;
}

interface Provided {
  readonly alerts: Alerts;
  readonly bell: Bell;
}

const AlertContext = createContext<Provided | null>(null);

/** What an `AlertProvider` may be given. */
export interface AlertProviderProps {
  readonly children: ReactNode;
  /** The connection to listen to; the shared one where it is left out. */
  readonly service?: SocketService;
  /** The reader's language; the browser's where it is left out. */
  readonly locale?: Locale;
  /**
   * How far back alerts are shown that a room was told before this page joined it, so that opening or reloading a page hides none.
   * Critical ones and warnings that nobody has read or removed in this tab; none where it is left out.
   */
  readonly lookbackMs?: number;
}

/** Keeps the alerts of everything below it. */
export function AlertProvider({ children, service = getSocketService(), locale = bestLocale(), lookbackMs = 0 }: AlertProviderProps) {
  const [{ store, sound, handled }] = useState(() => ({ store: new AlertStore(), sound: new Sound(), handled: new Handled() }));
  const missed = useMemo(
    () =>
      new MissedAlerts(
        service,
        (alert) => {
          if (!handled.has(alert.id)) receive(store, sound, alert);
        },
        lookbackMs,
      ),
    [service, store, sound, handled, lookbackMs],
  );

  useEffect(() => {
    const stops = SERVER_EVENTS.map((event) => {
      const listener = (data: unknown) => void receive(store, sound, alertFrom(event, asPayload(data)));
      service.on(event, listener);
      return () => service.off(event, listener);
    });
    return () => stops.forEach((stop) => stop());
  }, [service, store, sound]);
  useEffect(() => missed.start(), [missed]);
  useEffect(() => sound.listen(), [sound]);
  useEffect(() => () => store.clear(), [store]);

  const subscribe = useMemo(() => (observer: () => void) => store.subscribe(observer), [store]);
  const shown = useSyncExternalStore(subscribe, () => store.shown);
  const observeMissed = useMemo(() => (observer: () => void) => missed.subscribe(observer), [missed]);
  const missedState = useSyncExternalStore(observeMissed, () => missed.state);
  const messages = MESSAGES[locale];
  const [isOpen, setIsOpen] = useState(false);

  const provided = useMemo<Provided>(
    () => ({
      alerts: {
        alerts: shown.alerts.map((alert) => worded(alert, messages, locale)),
        unreadCount: shown.unreadCount,
        droppedCount: shown.droppedCount,
        addAlert: (alert) => addToPage(store, sound, alert),
        removeAlert: (id) => {
          handled.add(id);
          store.remove(id);
        },
        markAsRead: (id) => {
          handled.add(id);
          store.markAsRead(id);
        },
        markAllAsRead: () => {
          handled.add(...store.shown.alerts.map(({ id }) => id));
          store.markAllAsRead();
        },
        clearAll: () => {
          handled.add(...store.shown.alerts.map(({ id }) => id));
          store.clear();
        },
        missed: missedState,
        fetchMissed: missed.fetchNow,
      },
      bell: { service, sound, locale, messages, isOpen, setIsOpen },
    }),
    [shown, missedState, store, sound, handled, missed, service, locale, messages, isOpen],
  );
  return <AlertContext value={provided}>{children}</AlertContext>;
}

function receive(store: AlertStore, sound: Sound, alert: Alert): boolean {
  const isNew = store.add(alert);
  if (isNew && alert.type === "critical") sound.ring();
  return isNew;
}

function addToPage(store: AlertStore, sound: Sound, { id = freshId(), source = "page", ...alert }: NewAlert): string {
  const data = alert.data ?? {};
  receive(store, sound, { timestamp: new Date().toISOString(), ...alert, data, id, source, read: false });
  return id;
}

function useProvided(): Provided {
  const provided = use(AlertContext);
  if (provided === null) throw new Error("there is no AlertProvider above this");
  return provided;
}

/** The alerts of the page. */
export function useAlerts(): Alerts {
  return useProvided().alerts;
}

/** What the library's own parts need. */
export function useBell(): Bell {
  return useProvided().bell;
}
