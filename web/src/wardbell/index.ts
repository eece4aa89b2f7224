// The bell, for any frontend. README.md in this folder says how to take it over.

export { type Alert, type AlertSource, type AlertType, eventOfHistory, type NewAlert, percentOf, typeOf, wordsFor } from "./alert";
export { AlertProvider, type AlertProviderProps, type Alerts, type Bell, useAlerts, useBell } from "./AlertContext";
export { AlertTime, TYPE_ICONS } from "./AlertItem";
export { type BannerPlace, CriticalBanner } from "./CriticalBanner";
export { ConnectionBadge, type Liveness, useLiveness } from "./ConnectionBadge";
export * from "./events";
export { absoluteTime, duration, regional, relativeTime } from "./format";
export { nextPage } from "./history";
export { bestLocale, type Locale, LOCALES, MESSAGES, type Messages } from "./messages";
export { RealtimeAlertsPanel, type RealtimeAlertsPanelProps } from "./RealtimeAlertsPanel";
export * from "./rooms";
export {
  type ConnectionPhase,
  type ConnectionState,
  type ConnectOptions,
  createSocketService,
  getSocketService,
  type Listener,
  SocketService,
  type Token,
} from "./SocketService";
export { type RoomCalls, useConnection, useNow, useRooms, useSocketIO, type User } from "./useSocketIO";
