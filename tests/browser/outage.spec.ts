import { expect, test } from "./ward.js";

test.use({ isCut: true });

test("three alerts during ten seconds without a network are shown, once", async ({ console: ward, server, context }) => {
  await ward.enter(["patient", "PAT-1"]);
  await server.alert("PAT-1", "critical", "before");
  await expect(ward.bell.locator(".wb-badge")).toHaveText("1");

  await context.setOffline(true);
  await expect(ward.bell).toHaveAttribute("data-state", "offline");
  const cut = Date.now();
  for (const message of ["one", "two", "three"]) await server.alert("PAT-1", "critical", message);
  await ward.bell.click();
  await expect(ward.panel.getByText("New alerts do not arrive now.")).toBeVisible();
  await expect(ward.panel.getByText("Offline for 10 sec")).toBeVisible({ timeout: 15_000 });
  expect(Date.now() - cut).toBeGreaterThan(9_000);
  await expect(ward.panel.getByRole("listitem")).toHaveCount(1);
  await context.setOffline(false);

  await expect(ward.bell).toHaveAccessibleName("Alerts, 4 unread. Live");
  await expect(ward.panel.locator(".wb-alert-message")).toHaveText(["three", "two", "one", "before"]);
  await server.alert("PAT-1", "critical", "after");
  await expect(ward.panel.locator(".wb-alert-message")).toHaveText(["after", "three", "two", "one", "before"]);
});

test("the server is killed and started again: the page comes back to its rooms, and says the truth meanwhile", async ({ console: ward, server, page }) => {
  await ward.enter(["patient", "PAT-1"], ["hospital", "H1"]);
  await server.kill();
  await expect(ward.bell).toHaveAttribute("data-state", "reconnecting");
  await expect(ward.bell).toHaveAccessibleName(/New alerts do not arrive now/);
  await expect(page.getByText(/^Reconnecting for/)).toBeVisible();

  await server.restart();
  await expect(ward.bell).toHaveAttribute("data-state", "live");
  await server.alert("PAT-1", "critical", "after the restart");

  await expect(ward.bell.locator(".wb-badge")).toHaveText("1");
});

test("a server that stands still is not live, although the connection is", async ({ console: ward, server, page }) => {
  await page.clock.install();
  await ward.enter(["patient", "PAT-1"]);

  server.freeze();
  await page.clock.fastForward(30_000);
  await expect(ward.bell).toHaveAttribute("data-state", "live");
  await page.clock.fastForward(10_000);

  await expect(ward.bell).toHaveAttribute("data-state", "silent");
  await ward.bell.click();
  await expect(ward.panel.getByText(/Server last heard 4\d sec. ago/)).toBeVisible();
});

test.describe("what the server cannot send again", () => {
  // Without recovery, as when the log does not go back far enough.
  test.use({ setup: { variables: { WARDBELL__SOCKET__RECOVERY: "false" } } });

  test("is fetched from the history, once", async ({ console: ward, server }) => {
    await ward.enter(["patient", "PAT-1"], ["hospital", "H1"]);
    await server.alert("PAT-1", "critical", "before");
    await expect(ward.bell.locator(".wb-badge")).toHaveText("1");
    await server.kill();
    await expect(ward.bell).toHaveAttribute("data-state", "reconnecting");

    await server.restart();
    await server.alert("PAT-1", "critical", "missed");
    await server.alert("PAT-2", "critical", "of another patient");
    await server.send("POST", "/api/hospital/alert", { hospital_id: "H1", alert_type: "emergency", message: "missed, too" });

    await expect(ward.bell).toHaveAccessibleName("Alerts, 3 unread. Live");
    await ward.bell.click();
    await expect(ward.panel.locator(".wb-alert-message")).toHaveText(["missed, too", "missed", "before"]);
  });
});

test("rooms that were asked for without a connection are joined with it", async ({ console: ward, server, page }) => {
  await ward.enter();
  await server.kill();
  await expect(ward.bell).toHaveAttribute("data-state", "reconnecting");
  await page.getByLabel("Id", { exact: true }).fill("PAT-9");
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await expect(page.getByRole("img", { name: "waiting" })).toBeVisible();

  await server.restart();
  await expect(page.getByRole("img", { name: "joined" })).toBeVisible();
  await server.alert("PAT-9", "critical", "heard");

  await expect(ward.bell.locator(".wb-badge")).toHaveText("1");
});
