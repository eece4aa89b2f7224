// The real server: started for a test on a free port with a folder of its own, killed, started again.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The binary under test: the release binary, or the one that the other tests use. */
const BINARY = resolve(process.env["WARDBELL_BINARY"] ?? join(import.meta.dirname, "../../target/debug/wardbell"));
const READY_PATIENCE_MS = 20_000;
const SECRET = "a secret of these tests alone, long enough";

/** What a server may be given. */
export interface Setup {
  readonly mode?: "open" | "token";
  readonly variables?: Readonly<Record<string, string>>;
}

/** A running server. */
export class Server {
  readonly url: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #setup: Setup;
  #child: ChildProcess | undefined;

  private constructor(port: number, folder: string, setup: Setup) {
    this.#port = port;
    this.#folder = folder;
    this.#setup = setup;
    // As people type it. The server listens on 127.0.0.1; the browser finds that out.
    this.url = `http://localhost:${port}`;
  }

  static async start(setup: Setup = {}): Promise<Server> {
    const folder = await mkdtemp(join(tmpdir(), "wardbell-browser-"));
    const server = new Server(await freePort(), folder, setup);
    await server.restart();
    return server;
  }

  /** Starts it again, on the same port and data. */
  async restart(): Promise<void> {
    const log = createWriteStream(join(this.#folder, "log"), { flags: "a" });
    const child = spawn(BINARY, [], { cwd: this.#folder, env: this.#environment(), stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#child = child;
    const deadline = Date.now() + READY_PATIENCE_MS;
    for (;;) {
      const isReady = await fetch(`http://127.0.0.1:${this.#port}/ready`).then(({ ok }) => ok, () => false);
      if (isReady) return;
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${BINARY} did not become ready:\n${await this.log()}`);
    }
  }

  /** Kills it, as a power cut does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await gone;
  }

  /** Stops it where it is: connections stay, and nothing is said on them. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** Kills it and removes what it wrote. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** What it logged. */
  async log(): Promise<string> {
    return readFile(join(this.#folder, "log"), "utf8").catch(() => "");
  }

  /** A token that it takes. */
  token(...args: readonly string[]): string {
    return execFileSync(BINARY, ["token", ...args], { env: this.#environment(), encoding: "utf8" }).trim();
  }

  /** Sends what a backend would send. */
  async send(method: string, path: string, body: object, token?: string, more: Readonly<Record<string, string>> = {}): Promise<Record<string, unknown>> {
    const headers: Record<string, string> = { "Content-Type": "application/json", ...more };
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, { method, headers, body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Raises a patient's alert. */
  async alert(patient: string, type: string, message: string, token?: string): Promise<void> {
    await this.send("POST", "/api/alerts/patient", { patient_id: patient, alert_type: type, alert_data: { message } }, token);
  }

  #environment(): Record<string, string> {
    const mode = this.#setup.mode ?? "open";
    return {
      PATH: process.env["PATH"] ?? "",
      HOST: "127.0.0.1",
      PORT: String(this.#port),
      AUTH_MODE: mode,
      DATABASE_URL: `sqlite://${join(this.#folder, "wardbell.db")}`,
      ...(mode === "token" ? { JWT_SECRET_KEY: SECRET } : {}),
      ...this.#setup.variables,
    };
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((listening) => probe.listen(0, "127.0.0.1", listening));
  const address = probe.address();
  await new Promise((closed) => probe.close(closed));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
