// A clinic's EHR beside the server: its frontend, on an origin of its own, its tokens and its backend's requests.

import { createHmac } from "node:crypto";
import { createServer, type Server as HttpServer } from "node:http";
import { join } from "node:path";

import { build } from "esbuild";

import { originOf } from "./origin.js";
import type { Server } from "./server.js";
import { expect, type Locator, type Page, test as base, watch } from "./ward.js";

const SECRET = "the secret of the EHR of these tests, long enough";
const INDEX = `<!doctype html><html lang="en"><title>EHR</title><link rel="icon" href="data:,"><div id="root"></div><script src="/page.js"></script></html>`;
const TENANT = "clinic-a";
const TOKEN_S = 900;

/** Where the EHR's frontend is served. */
class Frontend {
  readonly origin: string;
  /** Where it looks for the server: set before a page is opened. */
  socketUrl = "";
  readonly #http: HttpServer;

  private constructor(http: HttpServer, origin: string) {
    this.#http = http;
    this.origin = origin;
  }

  static async start(): Promise<Frontend> {
    const http = createServer();
    const frontend = new Frontend(http, await originOf(http));
    http.on("request", ({ url }, response) => {
      if (url === "/page.js") {
        void frontend.#script().then((script) => response.setHeader("Content-Type", "text/javascript").end(script));
      } else {
        response.setHeader("Content-Type", "text/html").end(INDEX);
      }
    });
    return frontend;
  }

  stop(): void {
    this.#http.closeAllConnections();
    this.#http.close();
  }

  /** As `next dev` builds it: React's development build, which is what mounts everything twice. */
  async #script(): Promise<string> {
    const { outputFiles } = await build({
      entryPoints: [join(import.meta.dirname, "ehr/page.tsx")],
      bundle: true,
      write: false,
      jsx: "automatic",
      define: { "process.env.NODE_ENV": '"development"', NEXT_PUBLIC_SOCKET_URL: JSON.stringify(this.socketUrl) },
      logLevel: "silent",
    });
    return outputFiles[0]?.text ?? "";
  }
}

/** What a page is opened with. */
export interface Seat {
  readonly token?: string;
  readonly tenant?: string;
  readonly patient?: string;
}

/** The clinic: its people, its frontend, its backend. */
export class Clinic {
  readonly #frontend: Frontend;
  readonly #server: Server;

  constructor(frontend: Frontend, server: Server) {
    this.#frontend = frontend;
    this.#server = server;
    // Not `localhost`: with a server of that name, socket.io-client takes no notice of a network that is gone.
    frontend.socketUrl = server.url.replace("localhost", "127.0.0.1");
  }

  /** The token of one of its people. */
  token(user: string, secret = SECRET): string {
    const now = Math.floor(Date.now() / 1_000);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { id: user, tenantId: TENANT, role: "provider", fullName: `Dr. ${user}`, email: `${user}@clinic.example`, iat: now, exp: now + TOKEN_S };
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }

  /** Opens the EHR's page for somebody. */
  async open(page: Page, user: string, { token = this.token(user), tenant = TENANT, patient }: Seat = {}): Promise<void> {
    const asked = new URLSearchParams({ token, tenant, thread: "T1", ...(patient === undefined ? {} : { patient }) });
    await page.goto(`${this.#frontend.origin}/?${asked.toString()}`);
  }

  /** Opens it, and waits until the snapshots have come: the unread count is one that always comes. */
  async enter(page: Page, user: string, seat: Seat = {}): Promise<void> {
    await this.open(page, user, seat);
    await expect(page.getByRole("status")).toHaveText("connected");
    await expect(page.getByLabel("unread")).not.toBeEmpty();
  }

  /** What the EHR's backend says after its own commit. */
  async say(method: string, path: string, body: object): Promise<void> {
    await this.#server.send(method, path, body, this.token("backend"), { "x-tenant-id": TENANT });
  }

  /** A message of one to the other. */
  async message(id: string, sender: string, body: string): Promise<void> {
    const message = { id, threadId: "T1", body, sender, createdAt: new Date().toISOString() };
    await this.say("POST", "/api/messaging/T1/messages", { message, participants: ["ann", "bob"] });
  }
}

interface Fixtures {
  readonly frontend: Frontend;
  readonly clinic: Clinic;
  /** A second browser, with somebody else before it. */
  readonly other: Page;
}

/** The items of a list of the EHR's page. */
export function list(page: Page, name: string): Locator {
  return page.getByRole("list", { name, exact: true }).getByRole("listitem");
}

export const test = base.extend<Fixtures>({
  // Playwright wants a pattern, even of nothing.
  frontend: async ({}, use) => {
    const frontend = await Frontend.start();
    await use(frontend);
    frontend.stop();
  },
  setup: async ({ frontend }, use) => {
    await use({ variables: { JWT_SECRET: SECRET, SOCKET_IO_CORS_ORIGINS: frontend.origin, WARDBELL__EHR__PRESENCE_GRACE: "300ms" } });
  },
  clinic: async ({ frontend, server }, use) => {
    await use(new Clinic(frontend, server));
  },
  other: async ({ browser, server: _server }, use) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const said = watch(page, false);
    await use(page);
    expect(said).toEqual([]);
    await context.close();
  },
});

export { expect } from "./ward.js";
