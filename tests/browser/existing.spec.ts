// The existing frontend's way: a page of another origin, with nothing but socket.io-client 4.7.2 and the calls of the contract.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { originOf } from "./origin.js";
import { Server } from "./server.js";
import { expect, test } from "./ward.js";

const CLIENT = join(dirname(createRequire(import.meta.url).resolve("client-4.7.2/package.json")), "dist/socket.io.min.js");

const PAGE = `<!doctype html>
<html lang="en"><title>existing</title>
<script src="/socket.io.min.js"></script>
<script>
  const socket = io(new URLSearchParams(location.search).get("server"), {
    query: { user_id: "u1", user_role: "nurse" },
    reconnection: true, reconnectionDelay: 1000, reconnectionDelayMax: 5000, reconnectionAttempts: 5,
  });
  const say = (event, data) => {
    const line = document.createElement("li");
    line.textContent = event + " " + JSON.stringify(data);
    document.querySelector("ul").append(line);
  };
  socket.on("connect", () => say("connected", {}));
  for (const event of ["connection_response", "room_joined", "patient_alert", "risk_updated", "triage_updated", "hospital_alert", "staff_availability_changed", "bed_status_changed"]) {
    socket.on(event, (data) => say(event, data));
  }
  for (const room of ["patient_patient_123", "hospital_hosp_456", "triage_queue"]) socket.emit("join_room", { room });
</script>
<ul></ul></html>`;

test("hears all six events and reads the history", async ({ page }) => {
  const frontend = createServer((request, response) => {
    const isScript = request.url === "/socket.io.min.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    if (request.url === "/favicon.ico") response.writeHead(204).end();
    else if (isScript) void readFile(CLIENT).then((script) => response.end(script));
    else response.end(PAGE);
  });
  const origin = await originOf(frontend);
  const server = await Server.start({ variables: { SOCKET_IO_CORS_ORIGINS: origin } });
  try {
    await page.goto(`${origin}/?server=${encodeURIComponent(server.url)}`);
    const lines = page.getByRole("listitem");
    await expect(lines.filter({ hasText: /^room_joined .*triage_queue/ })).toHaveCount(1);

    await server.alert("patient_123", "critical", "SpO2 84 %");
    await server.send("POST", "/api/risk/predict", { patient_id: "patient_123", risk_score: 0.1 });
    await server.send("POST", "/api/hospital/alert", { hospital_id: "hosp_456", alert_type: "emergency", message: "fire" });
    await server.send("POST", "/api/triage", { triage_id: "T-1", patient_id: "patient_123", status: "pending" });
    await server.send("PUT", "/api/staff/availability", { hospital_id: "hosp_456", staff_id: "D1", staff_type: "doctor", available: true });
    await server.send("PUT", "/api/beds/B1", { hospital_id: "hosp_456", status: "available" });

    await expect(lines.filter({ hasText: /^patient_alert .*"alert_type":"critical".*SpO2 84 %/ })).toHaveCount(1);
    await expect(lines.filter({ hasText: /^risk_updated .*"risk_score":0.1,"risk_level":"low"/ })).toHaveCount(1);
    await expect(lines.filter({ hasText: /^hospital_alert .*"alert_type":"emergency"/ })).toHaveCount(1);
    await expect(lines.filter({ hasText: /^triage_updated .*"triage_id":"T-1".*"status":"pending"/ })).toHaveCount(1);
    await expect(lines.filter({ hasText: /^staff_availability_changed .*"available":true/ })).toHaveCount(1);
    await expect(lines.filter({ hasText: /^bed_status_changed .*"bed_id":"B1"/ })).toHaveCount(1);
    const history = await page.evaluate(async (url) => {
      const response = await fetch(`${url}/api/alerts/history?patient_id=patient_123`);
      return ((await response.json()) as { message: string }[]).map(({ message }) => message);
    }, server.url);
    expect(history).toEqual(["SpO2 84 %"]);
  } finally {
    await server.remove();
    frontend.closeAllConnections();
    frontend.close();
  }
});
