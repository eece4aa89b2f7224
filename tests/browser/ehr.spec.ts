// Contract B in a browser: pages of another origin, with the EHR's hooks as they are.

import { type Clinic, expect, list, test } from "./clinic.js";

const APPOINTMENT = {
  id: "A1",
  patientId: "P1",
  patientName: "Erika M.",
  providerId: "ann",
  locationId: "L1",
  scheduledStart: "2026-02-16T09:00:00.000Z",
  scheduledEnd: "2026-02-16T09:30:00.000Z",
  status: "scheduled",
  appointmentTypeId: "T1",
};

test("a page that is mounted twice is there once, and gone when it is closed", async ({ page, other, clinic }) => {
  await clinic.enter(other, "bob", { patient: "P1" });
  await clinic.enter(page, "ann", { patient: "P1" });
  await expect(list(other, "online")).toHaveText(["Dr. ann: online"]);
  await expect(list(other, "viewers")).toHaveText(["Dr. ann"]);

  await page.goto("about:blank");

  await expect(list(other, "online")).toHaveCount(0);
  await expect(list(other, "viewers")).toHaveCount(0);
});

test("who comes later is told who is there, who views what, and how much is unread", async ({ page, other, clinic }) => {
  await clinic.enter(other, "bob", { patient: "P1" });
  await clinic.message("M1", "bob", "for when you are back");

  await clinic.enter(page, "ann", { patient: "P1" });

  await expect(list(page, "online")).toHaveText(["Dr. bob: online"]);
  await expect(list(page, "viewers")).toHaveText(["Dr. bob"]);
  await expect(page.getByLabel("unread")).toHaveText("1");
});

test("messages, previews and notifications arrive as the handlers read them", async ({ page, other, clinic }) => {
  await clinic.enter(page, "ann");
  await clinic.enter(other, "bob");

  await clinic.message("M1", "bob", "Please call back");
  await clinic.say("POST", "/api/tasks", { id: "K1", title: "Call the laboratory", assignedTo: "ann", priority: "high" });
  await clinic.say("POST", "/api/messaging/T1/messages", {
    message: { id: "M2", threadId: "T1", body: "of both", sender: "ann", createdAt: new Date().toISOString() },
    participants: ["ann", "bob"],
  });

  await expect(list(page, "messages")).toHaveText(["M1: Please call back", "M2: of both"]);
  await expect(list(other, "messages")).toHaveText(["M1: Please call back", "M2: of both"]);
  await expect(list(page, "notifications")).toHaveText(["high: New Task Assigned: You have been assigned: Call the laboratory"]);
  await expect(list(page, "previews")).toHaveText(["Please call back"]);
  await expect(list(other, "previews")).toHaveText(["of both"]);
  await expect(page.getByLabel("unread")).toHaveText("1");
});

test("somebody is seen typing until they stop", async ({ page, other, clinic }) => {
  await clinic.say("PUT", "/api/messaging/T1/participants", { participants: ["ann", "bob"] });
  await clinic.enter(page, "ann");
  await clinic.enter(other, "bob");

  await other.getByLabel("reply").pressSequentially("on my way");
  await expect(list(page, "typing")).toHaveText(["Dr. bob"]);
  // What was said of the typing has come before this.
  await clinic.message("M1", "ann", "see you");
  await expect(list(other, "messages")).toHaveText(["M1: see you"]);
  await expect(list(other, "typing")).toHaveCount(0);
  await other.getByLabel("reply").blur();

  await expect(list(page, "typing")).toHaveCount(0);
});

test("appointments appear, change and are checked in", async ({ page, clinic }) => {
  await clinic.enter(page, "ann");

  await clinic.say("POST", "/api/appointments", APPOINTMENT);
  await expect(list(page, "appointments")).toHaveText(["A1 Erika M.: scheduled"]);
  await clinic.say("PATCH", "/api/appointments/A1", { ...APPOINTMENT, patientName: "Erika Mustermann" });
  await expect(list(page, "appointments")).toHaveText(["A1 Erika Mustermann: scheduled"]);
  await clinic.say("PATCH", "/api/appointments/A1/status", { status: "checked_in", patientId: "P1" });
  await expect(list(page, "appointments")).toHaveText(["A1 Erika Mustermann: checked_in"]);
  await clinic.say("DELETE", "/api/appointments/A1", { reason: "moved away" });

  await expect(list(page, "appointments")).toHaveText(["A1 Erika Mustermann: cancelled"]);
});

test.describe("without a network", () => {
  test.use({ isCut: true });

  test("what was missed is shown once, and rooms are back although nothing is emitted again", async ({ page, context, other, clinic }) => {
    await clinic.enter(other, "bob", { patient: "P1" });
    await clinic.enter(page, "ann", { patient: "P1" });
    await clinic.message("M1", "bob", "before");
    await clinic.say("PATCH", "/api/patients/P1/vitals", { heartRate: 80 });
    await expect(list(page, "messages")).toHaveText(["M1: before"]);
    await expect(page.getByLabel("heart rate")).toHaveText("80");

    await context.setOffline(true);
    await expect(page.getByRole("status")).toHaveText("disconnected");
    await clinic.message("M2", "bob", "one");
    await clinic.message("M3", "bob", "two");
    await expect(list(other, "messages")).toHaveCount(3);
    await expect(list(page, "messages")).toHaveCount(1);
    await context.setOffline(false);

    await expect(page.getByRole("status")).toHaveText("recovered");
    await clinic.message("M4", "bob", "after");
    await clinic.say("PATCH", "/api/patients/P1/vitals", { heartRate: 120 });
    await expect(list(page, "messages")).toHaveText(["M1: before", "M2: one", "M3: two", "M4: after"]);
    await expect(page.getByLabel("heart rate")).toHaveText("120");
    await expect(list(other, "online")).toHaveText(["Dr. ann: online"]);
    await expect(list(other, "viewers")).toHaveText(["Dr. ann"]);
  });
});

const STRANGE = "another secret, as long as the right one";

test.describe("a page that is refused", () => {
  // It closes its polling session while the server does: whose request comes second is answered 400, and browsers say that aloud.
  test.use({ isCut: true });

  for (const { without, text, seat } of [
    { without: "a token", text: "Authentication token required", seat: () => ({ token: "" }) },
    { without: "a tenant", text: "Tenant ID required", seat: () => ({ tenant: "" }) },
    { without: "a token of its server's", text: "Invalid authentication token", seat: (clinic: Clinic) => ({ token: clinic.token("ann", STRANGE) }) },
    { without: "a token of its tenant's", text: "Invalid tenant ID", seat: () => ({ tenant: "clinic-b" }) },
  ]) {
    test(`without ${without} shows why, and does not come again`, async ({ page, server, clinic }) => {
      const requests: string[] = [];
      page.on("request", (request) => void requests.push(request.url()));
      await page.clock.install();
      await clinic.open(page, "ann", seat(clinic));
      await expect(page.getByRole("status")).toHaveText(text);
      // What closes the session may still be on its way.
      await page.waitForLoadState("networkidle");
      const before = requests.length;

      await page.clock.fastForward(60_000);
      await page.evaluate((url) => fetch(`${url}/health`), server.url);

      expect(requests.slice(before)).toEqual([`${server.url}/health`]);
    });
  }
});

test("an origin that is not configured is not let in", async ({ browser, server }) => {
  const context = await browser.newContext();
  const stranger = await context.newPage();
  await stranger.route("http://stranger.example/", (route) => route.fulfill({ contentType: "text/html", body: "<title>stranger</title>" }));
  await stranger.goto("http://stranger.example/");

  const isAnswered = await stranger.evaluate(async (url) => fetch(`${url}/socket.io/?EIO=4&transport=polling`).then(() => true, () => false), server.url);

  expect(isAnswered).toBe(false);
  await context.close();
});
