import { expect, test } from "./ward.js";

test.describe("with tokens", () => {
  test.use({ setup: { mode: "token" } });

  test.describe("refused", () => {
    // It closes its polling session while the server does: whose request comes second is answered 400, and browsers say that aloud.
    test.use({ isCut: true });

    test("nothing is shown without a token, and a bad one is refused", async ({ page, server, console: ward }) => {
      await page.goto(server.url);
      await expect(page.getByLabel("Token")).toBeVisible();
      await expect(page.getByRole("navigation")).toHaveCount(0);
      await ward.expectAccessible();

      await page.getByLabel("Token").fill("nonsense");
      await page.getByRole("button", { name: "Go on" }).click();
      await expect(page.getByRole("alert")).toContainText("That is no token");
      const forged = `${server.token("--role", "doctor").split(".").slice(0, 2).join(".")}.AAAA`;
      await page.getByLabel("Token").fill(forged);
      await page.getByRole("button", { name: "Go on" }).click();

      await expect(page.getByRole("alert")).toContainText("The token is not valid.");
      await expect(page.getByRole("navigation")).toHaveCount(0);
    });
  });

  test("a token opens the door, is kept over a reload, and is gone after signing out", async ({ page, server, console: ward }) => {
    await page.goto(server.url);
    await page.getByLabel("Token").fill(server.token("--role", "doctor", "--hospital", "hosp_456"));
    await page.getByRole("button", { name: "Go on" }).click();
    await expect(ward.bell).toHaveAttribute("data-state", "live");
    await ward.join("hospital", "hosp_456");
    await page.getByLabel("Kind").selectOption("hospital");
    await page.getByLabel("Id", { exact: true }).fill("another");
    await page.getByRole("button", { name: "Join", exact: true }).click();
    await expect(page.getByText("refused: unauthorized")).toBeVisible();

    await page.reload();
    await expect(page.getByRole("listitem").filter({ hasText: "hospital_hosp_456" }).getByRole("img", { name: "joined" })).toBeVisible();
    await ward.go("System");
    await expect(page.getByText("Server: up")).toBeVisible();
    await ward.go("History");
    await expect(page.getByText("No alerts.")).toBeVisible();

    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page.getByLabel("Token")).toBeVisible();
    await page.reload();
    await expect(page.getByLabel("Token")).toBeVisible();
    expect(await page.evaluate(() => sessionStorage.length + Number(localStorage.getItem("wardbell.session") !== null))).toBe(0);
  });
});

test.describe("when the token is over", () => {
  test.use({ setup: { mode: "token", variables: { WARDBELL__AUTH__LEEWAY: "0s", WARDBELL__AUTH__EXPIRY_GRACE: "1s" } } });

  test("the page says so, and shows nothing more", async ({ page, server, console: ward }) => {
    await page.goto(server.url);
    await page.getByLabel("Token").fill(server.token("--role", "doctor", "--ttl", "4s"));
    await page.getByRole("button", { name: "Go on" }).click();
    await expect(ward.bell).toHaveAttribute("data-state", "live");

    await expect(page.getByRole("alert")).toContainText("The token has expired.", { timeout: 15_000 });

    await expect(page.getByRole("navigation")).toHaveCount(0);
    await expect(page.getByLabel("Token")).toBeVisible();
  });
});

test.describe("switched off", () => {
  test.use({ setup: { variables: { WARDBELL__CONSOLE__ENABLED: "false" } } });

  test("there is no page", async ({ server }) => {
    const answer = await fetch(server.url, { headers: { Accept: "text/html" } });

    expect(answer.headers.get("content-type")).toBe("application/json");
  });
});

test("the page is served as it should be: policy, caching, and the charts only where they are needed", async ({ page, server, console: ward }) => {
  const scripts: string[] = [];
  page.on("response", (response) => {
    if (response.request().resourceType() === "script") scripts.push(response.url());
  });
  const index = await page.goto(server.url);
  const headers = index?.headers() ?? {};
  expect(headers["content-security-policy"]).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
  expect(headers["content-security-policy"]).not.toContain("unsafe");
  expect(headers["cache-control"]).toBe("no-store");
  const script = await fetch(scripts[0] ?? "");
  expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");

  await page.getByRole("button", { name: "Go on" }).click();
  await expect(ward.bell).toHaveAttribute("data-state", "live");
  expect(scripts.filter((url) => url.includes("PatientView"))).toEqual([]);
  await ward.go("Patient");
  await expect.poll(() => scripts.filter((url) => url.includes("PatientView")).length).toBe(1);
});
