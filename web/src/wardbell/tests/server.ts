// A Socket.IO server on loopback that answers rooms as wardbell does, and that a test can stop and start again.

import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";

import { Server, type Socket } from "socket.io";

import type { SocketService } from "../SocketService";

/** What a socket brought along. */
export interface Handshake {
  readonly auth: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** A running server. */
export class Ward {
  /** What each socket brought along, in order. */
  readonly handshakes: Handshake[] = [];
  /** What was asked for, in order: `join patient_P1`. */
  readonly requests: string[] = [];
  /** Why whoever comes is not let in. */
  refusal: string | null = null;
  /** How a request for a room is answered. */
  answer: (room: string) => object = (room) => ({ room, status: "joined", timestamp: new Date().toISOString() });
  /** The history, by path; what it does not know is empty. */
  history: (path: string) => { status?: number; body?: unknown; link?: string } = () => ({ body: [] });
  #http: HttpServer;
  #io: Server;
  #port = 0;

  private constructor() {
    this.#http = createServer();
    this.#io = new Server(this.#http);
  }

  static async start(): Promise<Ward> {
    const ward = new Ward();
    await ward.#listen();
    return ward;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Tells everybody in a room. */
  tell(room: string, event: string, payload: object): void {
    this.#io.to(room).emit(event, payload);
  }

  /** Tells everybody. */
  tellAll(event: string, payload: object): void {
    this.#io.emit(event, payload);
  }

  /** Closes the sockets, as a server does whose client's token is over. */
  showTheDoor(): void {
    this.#io.disconnectSockets();
  }

  /** Is gone, as after kill -9. */
  async stop(): Promise<void> {
    const closed = this.#io.close();
    this.#http.closeAllConnections();
    await closed;
  }

  /** Is back, on the same port. */
  async restart(): Promise<void> {
    this.#http = createServer();
    this.#io = new Server(this.#http);
    await this.#listen();
  }

  async #listen(): Promise<void> {
    this.#io.use((socket, next) => {
      const { auth, query } = socket.handshake;
      this.handshakes.push({ auth, query });
      next(this.refusal === null ? undefined : new Error(this.refusal));
    });
    this.#io.on("connection", (socket) => this.#greet(socket));
    this.#http.on("request", (request, response) => {
      if (request.url?.startsWith("/api/") !== true) return;
      this.requests.push(request.url);
      const { status = 200, body = [], link } = this.history(request.url);
      response.writeHead(status, { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Link", ...(link === undefined ? {} : { Link: link }) });
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => this.#http.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#http.address() as AddressInfo).port;
  }

  #greet(socket: Socket): void {
    socket.emit("connection_response", { status: "connected", sid: socket.id, timestamp: new Date().toISOString() });
    socket.on("join_room", ({ room }: { room: string }, acknowledge: (answer: object) => void) => {
      this.requests.push(`join ${room}`);
      const answer = this.answer(room);
      if ("status" in answer) void socket.join(room);
      socket.emit("status" in answer ? "room_joined" : "error", answer);
      acknowledge(answer);
    });
    socket.on("leave_room", ({ room }: { room: string }) => {
      this.requests.push(`leave ${room}`);
      void socket.leave(room);
      socket.emit("room_left", { room, status: "left" });
    });
  }
}

/** Waits until the service, or one of its rooms, is as it should be. */
export async function until(service: SocketService, isSo: () => boolean): Promise<void> {
  if (isSo()) return;
  await new Promise<void>((resolve) => {
    const stop = service.subscribe(() => {
      if (!isSo()) return;
      stop();
      resolve();
    });
  });
}

/** Waits for an event. */
export async function next(service: SocketService, event: string): Promise<unknown> {
  return new Promise((resolve) => {
    const listener = (data: unknown) => {
      service.off(event, listener);
      resolve(data);
    };
    service.on(event, listener);
  });
}
