// Many stock socket.io-clients in one process, who all listen in one room, and say together what each has heard.
//
//   node crowd.mjs URL OPTIONS     OPTIONS: {room, token, groups: [{version, transport, count}]}
//
// Standard output, a JSON object a line: {on: "joined"} once everybody is in the room. Standard input, an object a line:
// {until: MESSAGES} answers {on: "heard"} once everybody has heard all those alerts, {report: true} answers {on: "report", clients}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [url, given] = process.argv.slice(2);
const { room, token, groups } = JSON.parse(given);
const require = createRequire(new URL("../interop/js/", import.meta.url));
const TRANSPORTS = { polling: ["polling"], upgrade: ["polling", "websocket"], websocket: ["websocket"] };

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const clients = [];
let awaited;

// Says once that everybody has got there.
const watch = () => {
  if (clients.every((client) => client.isJoined) && !watch.hasSaid) {
    watch.hasSaid = true;
    say({ on: "joined" });
  }
  if (awaited !== undefined && clients.every((client) => !client.isWaitedFor)) {
    awaited = undefined;
    say({ on: "heard" });
  }
};

// Whether something is still to come that is waited for.
const look = (client) => {
  const heard = new Set(client.heard);
  client.isWaitedFor = awaited !== undefined && !awaited.every((message) => heard.has(message));
};

const start = (version, transport) => {
  const { io } = require(`client-${version}`);
  const client = { version, transport, isJoined: false, isWaitedFor: false, nodes: [], recovered: 0, surprises: [], troubles: [], heard: [] };
  clients.push(client);
  const socket = io(url, {
    transports: TRANSPORTS[transport],
    auth: { token, recovery: true },
    reconnectionDelay: 100,
    reconnectionDelayMax: 1000,
    forceNew: true,
  });
  socket.on("connect", () => {
    // The session's id begins with the node's name.
    client.nodes.push(socket.io.engine.id.split(".")[0]);
    if (socket.recovered) {
      client.recovered += 1;
    }
    // A connection that broke before the answer may have taken the question with it.
    if (!socket.recovered || !client.isJoined) {
      socket.emit("join_room", { room });
    }
  });
  const trouble = (on, reason, why) => client.troubles.push({ on, reason, status: why?.context?.status ?? null });
  socket.on("disconnect", (reason, why) => trouble("disconnect", reason, why));
  socket.on("connect_error", (error) => trouble("connect_error", error.message, error));
  socket.on("room_joined", () => {
    client.isJoined = true;
    watch();
  });
  socket.on("patient_alert", ({ message }) => {
    client.heard.push(message);
    look(client);
    watch();
  });
  for (const event of ["error", "recovery_gap", "token_expired"]) {
    socket.on(event, (payload) => client.surprises.push({ on: event, payload }));
  }
};

for (const { version, transport, count } of groups) {
  for (let i = 0; i < count; i += 1) {
    start(version, transport);
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.until !== undefined) {
    awaited = told.until;
    clients.forEach(look);
    watch();
  } else {
    say({ on: "report", clients });
  }
}).on("close", () => process.exit(0));
