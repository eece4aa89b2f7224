// A page of the EHR: a stock socket.io-client with hooks that behave as those of the React frontend do.
//
//   node hooks.mjs VERSION TRANSPORT URL OPTIONS
//
// Like the frontend it attaches its listeners only after it has rendered, mounts every hook twice (React's strict mode: join,
// leave, join in one tick), emits nothing again when the connection comes back by itself, replaces the whole socket when the
// token is refreshed, stops trying on the rejections that it knows by their text, and throws on a payload that is not nested.
//
// Each line of standard output is one thing that happened, as JSON. Each line of standard input is one thing to do:
// {emit: [event, payload]}, {refresh: token}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [version, transport, url, given] = process.argv.slice(2);
const options = JSON.parse(given);
const { io } = createRequire(import.meta.url)(`client-${version}`);
const TRANSPORTS = { polling: ["polling"], upgrade: ["polling", "websocket"], websocket: ["websocket"] };
// Milliseconds from `connect` until React has rendered and the effects have run.
const RENDERING = 200;
const FINAL = [
  "Authentication token required",
  "Tenant ID required",
  "Invalid authentication token",
  "Invalid tenant ID",
];

const say = (happened) => process.stdout.write(`${JSON.stringify(happened)}\n`);

// What each handler reads of its payload. Reading a field of what is not there throws, as in the frontend.
const HANDLERS = {
  "appointment:created": (payload) => payload.appointment.id,
  "appointment:updated": (payload) => payload.appointment.id,
  "appointment:cancelled": (payload) => payload.appointmentId,
  "patient:checkin": (payload) => payload.patientId,
  "appointment:checkedin": (payload) => payload.appointmentId,
  "message:new": (payload) => payload.message.body.length,
  "message:notification": (payload) => payload.preview.length,
  "message:read": (payload) => payload.readBy,
  "message:typing": (payload) => payload.userName.length,
  "message:unread-count": (payload) => payload.unreadCount.toFixed(),
  "notification:new": (payload) => payload.notification.id,
  "user:online": (payload) => payload.userId,
  "user:offline": (payload) => payload.userId,
  "user:status": (payload) => payload.status,
  "patient:viewing": (payload) => payload.isViewing.valueOf(),
  "patient:vitals-updated": (payload) => payload.patientId,
  error: () => "the page shows this as a lost connection",
};

let socket;

// A hook is mounted, unmounted and mounted again before anything else happens.
const mountTwice = (mount) => mount()() || mount();

const mountHooks = () => {
  if (options.thread) {
    mountTwice(() => {
      socket.emit("message:join-thread", options.thread);
      return () => void socket.emit("message:leave-thread", options.thread);
    });
  }
  if (options.patient) {
    mountTwice(() => {
      socket.emit("patient:viewing", { patientId: options.patient, isViewing: true });
      return () => void socket.emit("patient:viewing", { patientId: options.patient, isViewing: false });
    });
  }
};

const listen = () => {
  for (const [event, read] of Object.entries(HANDLERS)) {
    socket.on(event, (payload) => {
      try {
        read(payload);
        say({ on: event, args: [payload] });
      } catch (error) {
        say({ on: "threw", event, message: error.message });
      }
    });
  }
};

const connect = (token) => {
  socket = io(url, {
    transports: TRANSPORTS[transport],
    auth: { token, tenantId: options.auth.tenantId },
    extraHeaders: options.headers ?? {},
    reconnectionDelay: 100,
    reconnectionDelayMax: 400,
    forceNew: true,
  });
  const own = socket;
  let isMounted = false;
  own.on("connect", () => {
    say({ on: "connect", recovered: own.recovered ?? null });
    if (isMounted) return;
    isMounted = true;
    mountHooks();
    setTimeout(() => own === socket && listen(), RENDERING);
  });
  own.on("connect_error", (error) => {
    say({ on: "connect_error", message: error.message });
    if (FINAL.includes(error.message)) own.disconnect();
  });
  own.on("disconnect", (reason) => say({ on: "disconnect", reason }));
};

connect(options.auth.token);

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const told = JSON.parse(line);
    if (told.refresh) {
      const old = socket;
      old.off();
      old.disconnect();
      connect(told.refresh);
    } else {
      socket.emit(...told.emit);
    }
  })
  .on("close", () => process.exit(0));
