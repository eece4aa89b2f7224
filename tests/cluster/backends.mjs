// Backends that post numbered alerts, each the next one after the answer to the one before, and never twice.
//
//   node backends.mjs URL OPTIONS     OPTIONS: {patient, token, backends, pauseMs}
//
// Standard output, a JSON object a line: {on: "accepted", message} or {on: "refused", message, why} for each post. Standard input, an
// object a line: {stop: true} answers {on: "stopped"} once nothing is on its way, {post: MESSAGE} posts that one.

import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const [url, given] = process.argv.slice(2);
const { patient, token, backends, pauseMs } = JSON.parse(given);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const post = async (message) => {
  try {
    const answer = await fetch(`${url}/api/alerts/patient`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ patient_id: patient, alert_type: "critical", alert_data: { message } }),
    });
    await answer.arrayBuffer();
    say(answer.ok ? { on: "accepted", message } : { on: "refused", message, why: answer.status });
  } catch (error) {
    say({ on: "refused", message, why: String(error.cause ?? error) });
  }
};

let number = 0;
let isStopped = false;
const work = async () => {
  while (!isStopped) {
    number += 1;
    await post(`alert ${number}`);
    await pause(pauseMs);
  }
};
const working = Array.from({ length: backends }, work);

createInterface({ input: process.stdin }).on("line", async (line) => {
  const told = JSON.parse(line);
  if (told.stop) {
    isStopped = true;
    await Promise.all(working);
    say({ on: "stopped" });
  } else {
    await post(told.post);
  }
}).on("close", () => process.exit(0));
