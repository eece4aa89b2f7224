// What the EHR's hooks do (contract B): they connect to the configured server once, attach their listeners after React has
// rendered, emit nothing again when the connection comes back, give up on the rejections that they know by their text, and read
// payloads as they expect them: one that is not nested throws.

import { io, type Socket } from "client-4.8.4";
import { createContext, useContext, useEffect, useState } from "react";

/** Written in by the build, as the EHR's is. */
declare const NEXT_PUBLIC_SOCKET_URL: string;

/** After these it does not come again. */
const FINAL = ["Authentication token required", "Tenant ID required", "Invalid authentication token", "Invalid tenant ID"];

export interface Connection {
  readonly socket: Socket | undefined;
  readonly isConnected: boolean;
  readonly isRecovered: boolean;
  readonly rejection: string | undefined;
}

export const ConnectionContext = createContext<Connection>({ socket: undefined, isConnected: false, isRecovered: false, rejection: undefined });

/** The page's one connection. */
export function useConnection(token: string, tenantId: string): Connection {
  const [socket, setSocket] = useState<Socket>();
  const [isConnected, setConnected] = useState(false);
  const [isRecovered, setRecovered] = useState(false);
  const [rejection, setRejection] = useState<string>();
  useEffect(() => {
    const own = io(NEXT_PUBLIC_SOCKET_URL, { auth: { token, tenantId }, transports: ["polling", "websocket"], reconnectionDelay: 100, reconnectionDelayMax: 400 });
    own.on("connect", () => {
      setSocket(own);
      setConnected(true);
      setRecovered(own.recovered);
    });
    own.on("disconnect", () => setConnected(false));
    own.on("connect_error", ({ message }) => {
      if (!FINAL.includes(message)) return;
      setRejection(message);
      own.disconnect();
    });
    return () => {
      own.off();
      own.disconnect();
    };
  }, [token, tenantId]);
  return { socket, isConnected, isRecovered, rejection };
}

/** Hears these events for as long as it is mounted. */
function useListeners<Payloads extends object>(listeners: { readonly [Event in keyof Payloads]: (payload: Payloads[Event]) => void }): void {
  const { socket } = useContext(ConnectionContext);
  useEffect(() => {
    if (socket === undefined) return;
    for (const [event, listener] of Object.entries<(payload: never) => void>(listeners)) socket.on(event, listener as (payload: unknown) => void);
    return () => {
      for (const [event, listener] of Object.entries<(payload: never) => void>(listeners)) socket.off(event, listener as (payload: unknown) => void);
    };
    // The listeners only set state: the first ones are as good as the latest.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [socket]);
}

interface Presence {
  readonly userId: string;
  readonly userName: string;
  readonly status: string;
}

/** Who is online, and how. */
export function useOnlineUsers(): ReadonlyMap<string, Presence> {
  const [users, setUsers] = useState<ReadonlyMap<string, Presence>>(new Map());
  const know = (presence: Presence) => setUsers((before) => new Map(before).set(presence.userId, presence));
  useListeners({
    "user:online": know,
    "user:status": know,
    "user:offline": ({ userId }: Presence) => setUsers((before) => new Map([...before].filter(([user]) => user !== userId))),
  });
  return users;
}

interface Message {
  readonly id: string;
  readonly body: string;
}

/** What is written in a thread, who is typing, and how much is unread. */
export function useThread(threadId: string) {
  const { socket } = useContext(ConnectionContext);
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [previews, setPreviews] = useState<readonly string[]>([]);
  const [typing, setTyping] = useState<readonly string[]>([]);
  const [unread, setUnread] = useState<number>();
  useEffect(() => {
    if (socket === undefined) return;
    socket.emit("message:join-thread", threadId);
    return () => void socket.emit("message:leave-thread", threadId);
  }, [socket, threadId]);
  useListeners({
    "message:new": ({ message }: { message: Message }) => {
      const { id, body } = message;
      setMessages((before) => [...before, { id, body: body.trim() }]);
    },
    "message:notification": ({ preview }: { preview: string }) => {
      const short = preview.slice(0, 100);
      setPreviews((before) => [...before, short]);
    },
    "message:typing": ({ userName, isTyping }: { userName: string; isTyping: boolean }) =>
      setTyping((before) => [...before.filter((name) => name !== userName), ...(isTyping ? [userName] : [])]),
    "message:unread-count": ({ unreadCount }: { unreadCount: number }) => setUnread(unreadCount),
  });
  const type = (isTyping: boolean) => socket?.emit("message:typing", { threadId, isTyping });
  return { messages, previews, typing, unread, type };
}

interface Viewing {
  readonly userId: string;
  readonly userName: string;
  readonly patientId: string;
  readonly isViewing: boolean;
}

/** Views a patient; who else does, and the heart rate that was told last. */
export function usePatient(patientId: string) {
  const { socket } = useContext(ConnectionContext);
  const [viewers, setViewers] = useState<ReadonlyMap<string, string>>(new Map());
  const [heartRate, setHeartRate] = useState<number>();
  useEffect(() => {
    if (socket === undefined) return;
    socket.emit("patient:viewing", { patientId, isViewing: true });
    return () => void socket.emit("patient:viewing", { patientId, isViewing: false });
  }, [socket, patientId]);
  useListeners({
    "patient:viewing": (viewing: Viewing) => {
      if (viewing.patientId !== patientId) return;
      setViewers((before) => new Map([...[...before].filter(([user]) => user !== viewing.userId), ...(viewing.isViewing ? [[viewing.userId, viewing.userName] as const] : [])]));
    },
    "patient:vitals-updated": (vitals: { patientId: string; heartRate: number }) => setHeartRate(vitals.heartRate),
  });
  return { viewers, heartRate };
}

interface Appointment {
  readonly id: string;
  readonly status: string;
  readonly patientName?: string;
}

/** The day's appointments: an item is replaced by what arrives. */
export function useAppointments(): ReadonlyMap<string, Appointment> {
  const [appointments, setAppointments] = useState<ReadonlyMap<string, Appointment>>(new Map());
  const replace = ({ appointment }: { appointment: Appointment }) => {
    const { id } = appointment;
    setAppointments((before) => new Map(before).set(id, appointment));
  };
  const become = (status: string) => ({ appointmentId }: { appointmentId: string }) =>
    setAppointments((before) => new Map([...before].map(([id, appointment]) => [id, id === appointmentId ? { ...appointment, status } : appointment])));
  useListeners({
    "appointment:created": replace,
    "appointment:updated": replace,
    "appointment:checkedin": become("checked_in"),
    "appointment:cancelled": become("cancelled"),
  });
  return appointments;
}

interface Notification {
  readonly id: string;
  readonly title: string;
  readonly message: string;
  readonly priority: string;
}

/** What the bell of the EHR shows. */
export function useNotifications(): readonly Notification[] {
  const [notifications, setNotifications] = useState<readonly Notification[]>([]);
  useListeners({
    "notification:new": ({ notification }: { notification: Notification }) => {
      const { id, title, message, priority } = notification;
      setNotifications((before) => [...before, { id, title, message, priority }]);
    },
  });
  return notifications;
}
