// Whether alerts arrive, and when the server was last heard. It may not say `live` when it is not.

import { CircleAlert, CircleCheck, CircleDashed, CircleOff, RefreshCw } from "lucide-react";

import { useBell } from "./AlertContext";
import { duration, relativeTime } from "./format";
import type { Messages } from "./messages";
import type { ConnectionPhase, ConnectionState, SocketService } from "./SocketService";
import { useConnection, useNow } from "./useSocketIO";

/** A phase, or `silent`: connected, and nothing heard for longer than the server ever is silent. */
export type Liveness = ConnectionPhase | "silent";

/** What can be said truthfully at this moment. */
export function livenessOf(service: SocketService, state: ConnectionState, now: number): Liveness {
  const isSilent = state.phase === "live" && now - (service.lastHeardAt ?? state.since) > service.silenceAfterMs;
  return isSilent ? "silent" : state.phase;
}

/** What can be said truthfully, kept up to date. */
export function useLiveness(service: SocketService): Liveness {
  return livenessOf(service, useConnection(service), useNow());
}

const ICONS = {
  live: CircleCheck,
  silent: CircleAlert,
  connecting: CircleDashed,
  reconnecting: RefreshCw,
  offline: CircleOff,
  refused: CircleOff,
  idle: CircleDashed,
} as const;

/** The state of the connection in words. With `isShort` for a header: the state alone. */
export function ConnectionBadge({ isShort = false }: { readonly isShort?: boolean }) {
  const { service, locale, messages } = useBell();
  const state = useConnection(service);
  const now = useNow();
  const liveness = livenessOf(service, state, now);
  const Icon = ICONS[liveness];
  const heardAt = service.lastHeardAt;
  const heard =
    heardAt === null ? messages.connection.neverHeard : messages.connection.heard(relativeTime(heardAt, now, locale));
  const reasons = messages.connection.reasons;
  return (
    <div className="wb-connection" data-state={liveness}>
      <span className="wb-connection-state">
        <Icon aria-hidden className="wb-icon" />
        {phaseText(liveness, state, now, locale, messages)}
      </span>
      {!isShort && (
        <span className="wb-connection-heard">
          {heard}
          {state.reason !== undefined && ` · ${reasons[state.reason] ?? state.reason}`}
        </span>
      )}
    </div>
  );
}

function phaseText(liveness: Liveness, state: ConnectionState, now: number, locale: string, m: Messages): string {
  const since = duration(now - state.since, locale);
  switch (liveness) {
    case "reconnecting":
      return m.connection.reconnecting(since);
    case "offline":
      return m.connection.offline(since);
    case "live":
    case "silent":
    case "connecting":
    case "refused":
    case "idle":
      return m.connection[liveness];
  }
}

/** For those who hear the page: each change of the state, once, without the seconds that go by. */
export function ConnectionAnnouncer() {
  const { service, messages } = useBell();
  const liveness = useLiveness(service);
  const isDown = liveness !== "live" && liveness !== "idle" && liveness !== "connecting";
  const words = liveness === "reconnecting" || liveness === "offline" ? messages.connection.notTold : messages.connection[liveness];
  return (
    <div className="wb-unseen" role="status">
      {isDown ? words : ""}
    </div>
  );
}
