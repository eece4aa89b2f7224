// The connection and its rooms, for components.

import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";

import type { RoomStanding } from "./rooms";
import { type ConnectionState, getSocketService, type SocketService, type Token } from "./SocketService";

/** Who is at the page. */
export interface User {
  readonly id: string;
  readonly role: string;
  readonly token?: Token;
}

/** What `useSocketIO` gives. */
export interface RoomCalls {
  readonly joinPatientMonitoring: (patientId: string) => void;
  readonly leavePatientMonitoring: (patientId: string) => void;
  readonly joinHospitalUpdates: (hospitalId: string) => void;
  readonly leaveHospitalUpdates: (hospitalId: string) => void;
  readonly joinTriageQueue: () => void;
  readonly leaveTriageQueue: () => void;
}

/**
 * Joining and leaving rooms, at any time. With a `user` it also connects as that user, and disconnects when the user becomes
 * `null`; without one the connection is left to whoever called `connect`.
 */
export function useSocketIO(user?: User | null, service: SocketService = getSocketService()): RoomCalls {
  const id = user?.id;
  const role = user?.role;
  const token = user?.token;
  const isGone = user === null;
  useEffect(() => {
    if (isGone) {
      service.disconnect();
    } else if (id !== undefined && role !== undefined) {
      service.connect(id, role, token === undefined ? {} : { token }).catch(() => {
        // It goes on trying, and its state says so.
      });
    }
  }, [service, id, role, token, isGone]);

  return useMemo(
    () => ({
      joinPatientMonitoring: (patientId) => service.joinPatientRoom(patientId),
      leavePatientMonitoring: (patientId) => service.leavePatientRoom(patientId),
      joinHospitalUpdates: (hospitalId) => service.joinHospitalRoom(hospitalId),
      leaveHospitalUpdates: (hospitalId) => service.leaveHospitalRoom(hospitalId),
      joinTriageQueue: () => service.joinTriageQueue(),
      leaveTriageQueue: () => service.leaveTriageQueue(),
    }),
    [service],
  );
}

/** Where the connection stands. */
export function useConnection(service: SocketService): ConnectionState {
  const subscribe = useCallback((observer: () => void) => service.subscribe(observer), [service]);
  return useSyncExternalStore(subscribe, () => service.state);
}

/** The wanted rooms and where each stands. */
export function useRooms(service: SocketService): ReadonlyMap<string, RoomStanding> {
  const subscribe = useCallback((observer: () => void) => service.subscribe(observer), [service]);
  return useSyncExternalStore(subscribe, () => service.rooms);
}

/** The time, again and again (milliseconds since 1970). */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
