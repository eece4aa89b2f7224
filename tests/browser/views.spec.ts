import type { Server } from "./server.js";
import { type Console, expect, test } from "./ward.js";

const PATIENT = "PAT-1A2B3C4D";
const HOSPITAL = "hosp_456";

const VITALS = {
  respiratory_rate: 24,
  oxygen_saturation: 92,
  supplemental_oxygen: true,
  blood_pressure: "98/60",
  heart_rate: 118,
  consciousness: "A",
  temperature: 38.6,
};

/** A night on a ward. */
async function night(server: Server): Promise<void> {
  const statuses = ["available", "occupied", "occupied", "cleaning", "occupied", "available", "reserved", "maintenance"];
  for (const [index, status] of statuses.entries()) {
    const patient = status === "occupied" ? { patient_id: index === 1 ? PATIENT : `PAT-${index}` } : {};
    await server.send("PUT", `/api/beds/B-${index + 1}`, { hospital_id: HOSPITAL, status, ward: index < 5 ? "ICU" : "Ward 3", floor: "3", ...patient });
  }
  for (const [staff_id, staff_type] of [["DR-OKAFOR", "doctor"], ["DR-LIND", "doctor"], ["N-PATEL", "nurse"], ["N-GARCIA", "nurse"]]) {
    await server.send("PUT", "/api/staff/availability", { hospital_id: HOSPITAL, staff_id, staff_type, available: true });
  }
  await server.send("POST", "/api/triage", { triage_id: "T-101", patient_id: "PAT-7", hospital_id: HOSPITAL, status: "pending", complaint: "chest pain", priority: 2 });
  await server.send("POST", "/api/triage", { triage_id: "T-102", patient_id: null, hospital_id: HOSPITAL, status: "pending", complaint: "fall from a ladder" });
  await server.send("POST", "/api/triage", { triage_id: "T-100", patient_id: "PAT-5", hospital_id: HOSPITAL, status: "triaged", complaint: "fever" });
  await server.send("POST", "/api/triage", { triage_id: "T-99", patient_id: "PAT-4", hospital_id: HOSPITAL, status: "assigned" });
  // A `timestamp` in `alert_data` wins over the server's: the night so far.
  for (const [index, risk_score] of [0.34, 0.31, 0.42, 0.47, 0.55, 0.64].entries()) {
    const timestamp = new Date(Date.now() - (6 - index) * 35 * 60_000).toISOString();
    const alert_data = { message: `Risk ${risk_score}`, risk_score, risk_level: risk_score < 0.6 ? "medium" : "high", timestamp };
    await server.send("POST", "/api/alerts/patient", { patient_id: PATIENT, alert_type: "warning", alert_data });
  }
  await server.send("POST", "/api/risk/predict", { patient_id: PATIENT, vitals: VITALS });
}

/** What is heard while somebody looks. */
async function hour(server: Server): Promise<void> {
  await server.alert("PAT-2", "warning", "Potassium 5.9 mmol/l, rising since yesterday evening. Repeat sample asked for.");
  await server.send("POST", "/api/hospital/alert", { hospital_id: HOSPITAL, alert_type: "system", message: "The laboratory system is down until 04:00" });
  await server.alert(PATIENT, "critical", "SpO2 84 %, dropping for four minutes; oxygen mask found beside the bed");
  await server.send("POST", "/api/hospital/alert", { hospital_id: HOSPITAL, alert_type: "emergency", message: "Cardiac arrest, ward 3, bed B-6" });
}

async function enter(ward: Console): Promise<void> {
  await ward.enter(["hospital", HOSPITAL], ["patient", PATIENT], ["patient", "PAT-2"]);
}

/** Every view, checked and kept as a picture. */
async function tour(ward: Console, server: Server, suffix: string): Promise<void> {
  const { page } = ward;
  await night(server);
  await enter(ward);
  // What was told before the page was opened is there, too; somebody has read it.
  await expect(ward.bell).toHaveAccessibleName("Alerts, 7 unread. Live");
  await ward.bell.click();
  await ward.panel.getByRole("button", { name: "Mark all as read" }).click();
  await page.keyboard.press("Escape");
  await hour(server);
  await expect(ward.bell.locator(".wb-badge")).toHaveText("4");
  await ward.expectAccessible();
  await ward.picture(`console-${suffix}`);

  await ward.bell.click();
  await expect(ward.panel.getByRole("listitem")).toHaveCount(11);
  await ward.expectAccessible();
  await ward.picture(`panel-${suffix}`);
  await ward.panel.getByRole("button", { name: "Mark all as read" }).click();
  await page.keyboard.press("Escape");

  await page.goto(`${server.url}/#/patient/${PATIENT}`);
  await expect(page.getByRole("heading", { name: `Patient ${PATIENT}` })).toBeVisible();
  await expect(page.locator("section").filter({ hasText: "Risk now" })).toContainText("87%");
  await expect(page.getByText("NEWS2 11", { exact: true })).toBeVisible();
  await expect(page.locator(".recharts-line-curve")).toBeVisible();
  await expect(page.locator(".recharts-bar-rectangle")).not.toHaveCount(0);
  await ward.expectAccessible();
  await ward.picture(`patient-${suffix}`);

  await page.goto(`${server.url}/#/boards/${HOSPITAL}`);
  await expect(page.locator("[data-bed]")).toHaveCount(8);
  await expect(page.locator("[data-staff]")).toHaveCount(4);
  await ward.expectAccessible();
  await ward.picture(`boards-${suffix}`);

  await ward.go("Triage");
  await expect(page.locator("[data-case]")).toHaveCount(4);
  await ward.expectAccessible();
  await ward.picture(`triage-${suffix}`);

  await ward.go("History");
  await expect(page.getByRole("main").getByText("SpO2 84 %").first()).toBeVisible();
  await ward.expectAccessible();
  await ward.picture(`history-${suffix}`);

  await ward.go("Raise");
  await page.getByRole("tab", { name: "Vital signs" }).click();
  await ward.expectAccessible();
  await ward.picture(`raise-${suffix}`);

  await ward.go("System");
  await expect(page.getByText("Server: up")).toBeVisible();
  await expect(page.getByRole("region", { name: "Connections" })).toContainText("1");
  await expect(page.getByRole("region", { name: "Nodes" }).getByRole("row", { name: "without a name 1" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Events per second" }).locator("polyline")).toHaveAttribute("points", /.* .* .*/);
  await ward.expectAccessible();
  await ward.picture(`status-${suffix}`);
}

test.setTimeout(120_000);

test("every view is accessible and looks as it should: light", async ({ console: ward, server }) => {
  await tour(ward, server, "light");
});

test.describe("dark", () => {
  test.use({ colorScheme: "dark" });

  test("every view is accessible and looks as it should: dark", async ({ console: ward, server }) => {
    await tour(ward, server, "dark");
  });
});

test.describe("phone", () => {
  test.use({ viewport: { width: 375, height: 740 }, hasTouch: true });

  test("every view is accessible and looks as it should: phone", async ({ console: ward, server, page }) => {
    await tour(ward, server, "phone");

    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
    await page.evaluate(() => window.scrollTo(0, 200));
    await ward.go("History");
    await expect(page.getByRole("main")).toBeFocused();
    expect(await page.evaluate(() => window.scrollY)).toBe(0);
  });
});

test("each form raises its event, and the stream shows it", async ({ console: ward, page }) => {
  await ward.enter(["patient", PATIENT], ["hospital", HOSPITAL], ["queue", ""]);
  await ward.go("Raise");
  const kinds = ["Patient alert", "Hospital alert", "Risk score", "Vital signs", "Triage case", "Staff", "Bed"];
  for (const kind of kinds) {
    await page.getByRole("tab", { name: kind, exact: true }).click();
    await page.getByRole("button", { name: "Send" }).click();
    await expect(page.getByRole("tabpanel").getByRole("status")).toContainText("Sent.");
  }
  await ward.go("Live");
  for (const event of ["patient_alert", "hospital_alert", "risk_updated", "triage_updated", "staff_availability_changed", "bed_status_changed"]) {
    const entry = page.locator("summary").filter({ hasText: event }).first();
    await entry.click();
    await expect(page.locator("details[open]").filter({ hasText: event }).locator("pre").first()).toContainText('"event_id"');
    await entry.click();
  }
});

test.describe("a refusal", () => {
  test.use({ isCut: true }); // browsers say failing requests aloud

  test("names the field that is wrong", async ({ console: ward, page }) => {
    await ward.enter();
    await ward.go("Raise");
    await page.getByRole("tab", { name: "Risk score" }).click();
    await page.getByLabel("Score, 0 to 1").fill("7");
    await page.getByRole("button", { name: "Send" }).click();

    await expect(page.getByRole("tabpanel").getByRole("alert")).toContainText("risk_score");
  });
});

test("the boards are live", async ({ console: ward, server, page }) => {
  await night(server);
  await ward.enter();
  await page.goto(`${server.url}/#/boards/${HOSPITAL}`);
  await expect(page.locator('[data-bed="B-1"]')).toHaveAttribute("data-status", "available");
  await expect(page.getByText("4 of 7 usable beds taken")).toBeVisible();

  await server.send("PATCH", "/api/beds/B-1", { hospital_id: HOSPITAL, status: "occupied", patient_id: "PAT-NEW" });
  await server.send("PUT", "/api/beds/B-9", { hospital_id: HOSPITAL, status: "available", ward: "ICU" });
  await server.send("PUT", "/api/staff/availability", { hospital_id: HOSPITAL, staff_id: "DR-LIND", staff_type: "doctor", available: false });

  await expect(page.locator('[data-bed="B-1"]')).toContainText("PAT-NEW");
  await expect(page.locator("[data-bed]")).toHaveCount(9);
  await expect(page.locator('[data-staff="DR-LIND"]')).toHaveCount(0);
  await expect(page.getByText("5 of 8 usable beds taken")).toBeVisible();
});

test("the triage queue is live, and moves on by a click", async ({ console: ward, server, page }) => {
  await night(server);
  await ward.enter();
  await ward.go("Triage");

  await page.locator('[data-case="T-101"]').getByRole("button", { name: "Move to: triaged" }).click();
  await expect(page.getByRole("region", { name: "triaged (2)" }).locator('[data-case="T-101"]')).toBeVisible();
  await server.send("PATCH", "/api/triage/T-101", { status: "assigned" });

  await expect(page.getByRole("region", { name: "assigned (2)" }).locator('[data-case="T-101"]')).toBeVisible();
});

test("the history is filtered, goes on, and says what became of an alert", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  for (let n = 1; n <= 55; n += 1) await server.alert("PAT-1", "critical", `alert ${n}`);
  await server.alert("PAT-2", "warning", "of another patient");
  await ward.go("History");

  await page.getByLabel("Patient id").fill("PAT-1");
  await page.getByRole("button", { name: "Search" }).click();
  const found = page.getByRole("region", { name: "Alerts", exact: true }).getByRole("listitem");
  await expect(found).toHaveCount(50);
  await expect(page.getByText("of another patient")).toHaveCount(0);
  await page.getByRole("button", { name: "Load more" }).click();
  await expect(found).toHaveCount(55);
  await found.filter({ hasText: "alert 55" }).locator("summary").click();
  await expect(page.getByText("Delivered to 1 sockets, 0 got it when they came back")).toBeVisible();

  await page.getByLabel("Type").selectOption("warning");
  await page.getByLabel("Patient id").fill("");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(found).toHaveCount(1);
});

test.describe("a node with a name", () => {
  test.use({ setup: { variables: { WARDBELL__SERVER__NODE: "ward-a" } } });

  test("is in the list of nodes with its connections, live", async ({ console: ward, context, server, page }) => {
    await ward.enter();
    await ward.go("System");
    const rows = page.getByRole("region", { name: "Nodes" }).getByRole("row");
    await expect(rows).toHaveText(["NodeConnections", "ward-a1"]);

    const second = await context.newPage();
    await second.goto(server.url);
    await expect(rows).toHaveText(["NodeConnections", "ward-a2"]);
    await second.close();

    await expect(rows).toHaveText(["NodeConnections", "ward-a1"]);
  });
});
