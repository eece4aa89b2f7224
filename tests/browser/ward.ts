// What every test stands on: a server of its own, and a page that has said nothing wrong when the test ends.

import { expect, type Locator, type Page, test as base } from "@playwright/test";
import axe from "axe-core";

import { Server, type Setup } from "./server.js";

/** What the page may not say. Failing requests are said too, and are what happens while a server is gone. */
const NETWORK = /Failed to load resource|WebSocket connection to .* failed|net::ERR_/;

interface Fixtures {
  /** How the test's server is started. */
  readonly setup: Setup;
  readonly server: Server;
  /** Whether the test takes the network or the server away. */
  readonly isCut: boolean;
  readonly console: Console;
}

/** The console in a browser. */
export class Console {
  readonly page: Page;
  readonly bell: Locator;
  readonly panel: Locator;
  readonly #server: Server;

  constructor(page: Page, server: Server) {
    this.page = page;
    this.#server = server;
    this.bell = page.locator("button.wb-bell");
    this.panel = page.getByRole("dialog");
  }

  /** Comes as a nurse, in open mode, and joins rooms. */
  async enter(...rooms: readonly (readonly [kind: string, id: string])[]): Promise<void> {
    await this.page.goto(this.#server.url);
    await this.page.getByRole("button", { name: "Go on" }).click();
    await expect(this.bell).toHaveAttribute("data-state", "live");
    for (const [kind, id] of rooms) await this.join(kind, id);
  }

  /** Joins a room by the form. */
  async join(kind: string, id: string): Promise<void> {
    await this.page.getByLabel("Kind").selectOption(kind);
    if (kind !== "queue") await this.page.getByLabel("Id", { exact: true }).fill(id);
    await this.page.getByRole("button", { name: "Join", exact: true }).click();
    const room = kind === "queue" ? "triage_queue" : `${kind}_${id}`;
    await expect(this.page.getByRole("listitem").filter({ hasText: room }).getByRole("img", { name: "joined" })).toBeVisible();
  }

  /** Goes to a view. */
  async go(view: string): Promise<void> {
    await this.page.getByRole("link", { name: view, exact: true }).click();
    await expect(this.page.getByRole("link", { name: view, exact: true })).toHaveAttribute("aria-current", "page");
  }

  /** Sees to it that axe finds nothing to complain of. */
  async expectAccessible(): Promise<void> {
    // Through the debugger, which the page's policy does not concern.
    await this.page.evaluate(axe.source);
    const findings = await this.page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary ?? ""}`).join("; ")}`);
    });
    expect(findings).toEqual([]);
  }

  /** Keeps a picture of what is seen. */
  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: `../../target/screenshots/${name}.png`, animations: "disabled" });
  }
}

/** What a page says that it should not: errors, warnings, what it did not catch. It goes on growing. */
export function watch(page: Page, isCut: boolean): readonly string[] {
  const said: string[] = [];
  page.on("console", (message) => {
    const text = message.text();
    if (["error", "warning"].includes(message.type()) && !(isCut && NETWORK.test(text))) said.push(`${message.type()}: ${text}`);
  });
  page.on("pageerror", (error) => said.push(`uncaught: ${error.message}`));
  return said;
}

export const test = base.extend<Fixtures>({
  setup: [{}, { option: true }],
  isCut: [false, { option: true }],
  server: async ({ setup }, use, info) => {
    const server = await Server.start(setup);
    await use(server);
    if (info.status !== info.expectedStatus) await info.attach("server.log", { body: await server.log() });
    await server.remove();
  },
  // The server outlives the page, or the page would say that it is gone.
  page: async ({ page, isCut, server: _server }, use) => {
    const said = watch(page, isCut);
    await page.addInitScript(() => {
      // Said in the page, where `watch` hears it.
      // eslint-disable-next-line no-console
      document.addEventListener("securitypolicyviolation", (violation) => console.error(`policy: ${violation.violatedDirective} ${violation.blockedURI}`));
    });
    await use(page);
    expect(said).toEqual([]);
  },
  console: async ({ page, server }, use) => {
    await use(new Console(page, server));
  },
});

export { expect, type Locator, type Page } from "@playwright/test";
