// A Node service with @socket.io/redis-emitter: emits each line of standard input, a JSON object {event, payload, room}.

import { createInterface } from "node:readline";

import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
await client.connect();
const emitter = new Emitter(client);

for await (const line of createInterface({ input: process.stdin })) {
  const { event, payload, room } = JSON.parse(line);
  emitter.to(room).emit(event, payload);
  process.stdout.write("emitted\n");
}
