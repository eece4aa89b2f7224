// A stock socket.io-client that says what happens to it and does as it is told.
//
//   node client.mjs VERSION TRANSPORT URL OPTIONS
//
// Each line of standard output is one thing that happened, as JSON: {on, args?, …}. Each line of standard input is one thing to
// do: {emit: [event, payload], ack?: number}, {close: true}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [version, transport, url, given] = process.argv.slice(2);
const options = JSON.parse(given);
const { io } = createRequire(import.meta.url)(`client-${version}`);

// What the existing frontend listens to, and what servers of ours may say beside it.
const EVENTS = [
  "connection_response",
  "room_joined",
  "room_left",
  "error",
  "patient_alert",
  "risk_updated",
  "hospital_alert",
  "triage_updated",
  "staff_availability_changed",
  "bed_status_changed",
  "token_expired",
  "recovery_gap",
];
const TRANSPORTS = { polling: ["polling"], upgrade: ["polling", "websocket"], websocket: ["websocket"] };

const say = (happened) => process.stdout.write(`${JSON.stringify(happened)}\n`);

// With `remember`, what a client does that keeps its last event's id over reconnections.
let lastEventId;
const auth = (callback) => {
  callback(options.remember && lastEventId ? { ...options.auth, lastEventId } : (options.auth ?? {}));
};

const socket = io(url, {
  transports: TRANSPORTS[transport],
  query: options.query ?? {},
  auth,
  extraHeaders: options.headers ?? {},
  reconnectionDelay: 100,
  reconnectionDelayMax: 400,
  timeout: options.timeout ?? 20000,
  forceNew: true,
});

for (const event of EVENTS) {
  socket.on(event, (...args) => {
    lastEventId = args[0]?.event_id ?? lastEventId;
    say({ on: event, args });
  });
}
socket.on("connect", () => {
  const { engine } = socket.io;
  say({ on: "connect", sid: socket.id, recovered: socket.recovered ?? null, transport: engine.transport.name });
  engine.once("upgrade", (upgraded) => say({ on: "upgrade", transport: upgraded.name }));
});
socket.on("connect_error", (error) => say({ on: "connect_error", message: error.message, data: error.data ?? null }));
socket.on("disconnect", (reason) => say({ on: "disconnect", reason }));

createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.close) {
    socket.close();
  } else if (told.ack === undefined) {
    socket.emit(...told.emit);
  } else {
    socket.emit(...told.emit, (...args) => say({ on: "ack", ack: told.ack, args }));
  }
}).on("close", () => process.exit(0));
