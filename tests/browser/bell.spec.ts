import { expect, test } from "./ward.js";

test("the bell rings within a second, in the right colour, with text and count", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  await expect(ward.bell).toHaveAccessibleName("Alerts, none unread. Live");

  const raised = server.alert("PAT-1", "critical", "SpO2 84 %");
  await expect(ward.bell).toHaveAccessibleName("Alerts, 1 unread. Live", { timeout: 1_000 });
  await raised;

  await expect(ward.bell.locator(".wb-badge")).toHaveText("1");
  await expect(ward.bell.locator(".wb-badge")).toHaveCSS("background-color", "rgb(185, 28, 28)");
  await expect(page.getByRole("alert").filter({ hasText: "Patient PAT-1" })).toContainText("SpO2 84 %");
  await expect(page).toHaveTitle("(1) Live · wardbell");
  await expect(page.locator('link[rel="icon"]')).toHaveAttribute("href", /^data:image\/png/);
  await server.alert("PAT-1", "warning", "pulse 118");
  await ward.bell.click();
  const items = ward.panel.getByRole("listitem");
  await expect(items).toHaveCount(2);
  await expect(items.nth(0)).toContainText("Warning");
  await expect(items.nth(0)).toContainText("pulse 118");
  await expect(items.nth(0)).toHaveCSS("border-left-color", "rgb(154, 52, 18)");
  await expect(items.nth(1)).toContainText("Critical");
  await expect(items.nth(1)).toHaveCSS("border-left-color", "rgb(185, 28, 28)");
});

test("alerts are read, removed and cleared", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  for (const message of ["one", "two", "three"]) await server.alert("PAT-1", "critical", message);
  await expect(ward.bell.locator(".wb-badge")).toHaveText("3");
  await ward.bell.click();

  const two = ward.panel.getByRole("listitem").filter({ hasText: "two" });
  await two.getByRole("button", { name: "Mark as read: Patient PAT-1" }).click();
  await expect(ward.panel.getByText("2 unread")).toBeVisible();
  await expect(two).toHaveAttribute("data-read", "true");
  await ward.panel.getByRole("listitem").filter({ hasText: "one" }).getByRole("button", { name: "Remove: Patient PAT-1" }).click();
  await expect(ward.panel.getByRole("listitem")).toHaveCount(2);
  await ward.panel.getByRole("button", { name: "Clear all" }).click();

  await expect(ward.panel.getByText("No alerts.")).toBeVisible();
  await expect(page).toHaveTitle("Live · wardbell");
});

test("info leaves by itself after ten seconds, critical and warning stay", async ({ console: ward, server, page }) => {
  await page.clock.install();
  await ward.enter(["patient", "PAT-1"]);
  for (const type of ["info", "warning", "critical"]) await server.alert("PAT-1", type, `an alert of type ${type}`);
  await ward.bell.click();
  await expect(ward.panel.getByRole("listitem")).toHaveCount(3);

  await page.clock.fastForward(11_000);

  await expect(ward.panel.getByRole("listitem")).toHaveCount(2);
  await expect(ward.panel.getByText("an alert of type info")).toHaveCount(0);
});

test("more than nine are 9+, and what they say is text", async ({ console: ward, server, page }) => {
  await ward.enter(["hospital", "H1"]);

  for (let n = 0; n < 12; n += 1) await server.send("POST", "/api/hospital/alert", { hospital_id: "H1", alert_type: "emergency", message: `<img src=x onerror=alert(${n})>` });

  await expect(ward.bell.locator(".wb-badge")).toHaveText("9+");
  await expect(ward.bell).toHaveAccessibleName("Alerts, 12 unread. Live");
  await ward.bell.click();
  await expect(ward.panel.getByText("<img src=x onerror=alert(11)>")).toBeVisible();
  expect(await page.locator("img").count()).toBe(0);
});

test("two tabs both ring, and each is read by itself", async ({ console: ward, server, context }) => {
  await ward.enter(["patient", "PAT-1"]);
  const second = await context.newPage();
  await second.goto(server.url);
  const bell = second.locator("button.wb-bell");
  await expect(bell).toHaveAttribute("data-state", "live");
  await second.getByLabel("Id", { exact: true }).fill("PAT-1");
  await second.getByRole("button", { name: "Join", exact: true }).click();
  await expect(second.getByRole("img", { name: "joined" })).toBeVisible();

  await server.alert("PAT-1", "critical", "for both");

  await expect(bell.locator(".wb-badge")).toHaveText("1");
  await ward.bell.click();
  await ward.panel.getByRole("button", { name: "Mark all as read" }).click();
  await expect(ward.bell.locator(".wb-badge")).toHaveCount(0);
  await expect(bell.locator(".wb-badge")).toHaveText("1");
});

test("sound is off until somebody allows it, then kept, and back with the first click after a reload", async ({ console: ward, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  await ward.bell.click();
  await ward.panel.getByRole("button", { name: "Sound for critical alerts is off" }).click();
  await expect(ward.panel.getByRole("button", { name: "Sound for critical alerts is on" })).toBeVisible();

  await page.reload();
  await expect(ward.bell).toHaveAttribute("data-state", "live");
  await ward.bell.click();

  await expect(ward.panel.getByRole("button", { name: "Sound for critical alerts is on" })).toBeVisible();
});

test("the panel works by keyboard alone", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  await server.alert("PAT-1", "warning", "one");
  await server.alert("PAT-1", "warning", "two");
  await expect(ward.bell.locator(".wb-badge")).toHaveText("2");

  await ward.bell.focus();
  await page.keyboard.press("Enter");
  await expect(ward.panel).toBeVisible();
  const tabTo = async (name: string | RegExp) => {
    const target = ward.panel.getByRole("button", { name }).first();
    for (let presses = 0; presses < 20 && !(await target.evaluate((node) => node === document.activeElement)); presses += 1) await page.keyboard.press("Tab");
    await expect(target).toBeFocused();
  };
  await tabTo(/^Mark as read/);
  await page.keyboard.press("Enter");
  await expect(ward.panel.getByText("1 unread")).toBeVisible();
  await tabTo(/^Remove/);
  await page.keyboard.press("Space");
  await expect(ward.panel.getByRole("listitem")).toHaveCount(1);
  await tabTo("Clear all");
  await page.keyboard.press("Enter");
  await expect(ward.panel.getByText("No alerts.")).toBeVisible();
  await page.keyboard.press("Escape");

  await expect(ward.panel).toHaveCount(0);
  await expect(ward.bell).toBeFocused();
});

test("it speaks German, and says times as Germans do", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  await page.getByRole("banner").getByLabel("Language").selectOption("de");
  await expect(page.getByRole("link", { name: "Auslösen" })).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("lang", "de");

  await server.alert("PAT-1", "critical", "SpO2 84 %");
  await ward.bell.click();

  const item = ward.panel.getByRole("listitem");
  await expect(item).toContainText("Kritisch");
  await expect(item).toContainText(/\d\d:\d\d:\d\d · (vor|jetzt)/);
  await expect(ward.bell).toHaveAccessibleName("Alarme, 1 ungelesen. Live");
  await page.reload();
  await expect(page.getByRole("link", { name: "Auslösen" })).toBeVisible();
});

test("reloading the page hides nothing that nobody has read, and brings back nothing that somebody has", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"]);
  await server.alert("PAT-1", "critical", "read");
  await server.alert("PAT-1", "critical", "removed");
  await server.alert("PAT-1", "warning", "neither");
  await server.alert("PAT-1", "info", "asks for nothing");
  await ward.bell.click();
  await ward.panel.getByRole("listitem").filter({ hasText: "removed" }).getByRole("button", { name: /^Remove/ }).click();
  await ward.panel.locator(".wb-alert", { has: page.getByText("read", { exact: true }) }).getByRole("button", { name: /^Mark as read/ }).click();

  await page.reload();

  await expect(ward.bell).toHaveAccessibleName("Alerts, 1 unread. Live");
  await ward.bell.click();
  await expect(ward.panel.locator(".wb-alert-message")).toHaveText(["neither"]);
});
