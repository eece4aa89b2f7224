import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { createSocketService, getSocketService, SocketService } from "../SocketService";
import { next, until, Ward } from "./server";

let ward: Ward;
let service: SocketService;

beforeEach(async () => {
  ward = await Ward.start();
  service = new SocketService(ward.url);
});

afterEach(async () => {
  service.disconnect();
  await ward.stop();
});

const isJoined = (room: string) => () => service.rooms.get(room) === "joined";

describe("connecting", () => {
  it("says who it is, as the existing frontend does, and the token beside it", async () => {
    await service.connect("u1", "nurse", { token: "a.b.c" });

    expect(service.isConnected()).toBe(true);
    expect(service.state.phase).toBe("live");
    expect(ward.handshakes[0]?.query).toMatchObject({ user_id: "u1", user_role: "nurse" });
    expect(ward.handshakes[0]?.auth).toEqual({ token: "a.b.c" });
  });

  it("rejects when the first attempt fails, goes on trying, and is live once the server is there", async () => {
    await ward.stop();
    await expect(service.connect("u1", "nurse")).rejects.toThrow();
    expect(service.state.phase).toBe("reconnecting");

    await ward.restart();
    await until(service, () => service.state.phase === "live");
  });

  it("says why it is not let in, and comes in with another token", async () => {
    ward.refusal = "Invalid token";
    await expect(service.connect("u1", "nurse", { token: "bad" })).rejects.toThrow("Invalid token");
    expect(service.state).toMatchObject({ phase: "refused", reason: "Invalid token" });

    ward.refusal = null;
    await service.connect("u1", "nurse", { token: "good" });

    expect(service.state.phase).toBe("live");
    expect(ward.handshakes.at(-1)?.auth).toMatchObject({ token: "good" });
  });

  it("asks a function for the token each time", async () => {
    const token = vi.fn<() => Promise<string>>().mockResolvedValueOnce("first").mockResolvedValueOnce("second");
    await service.connect("u1", "nurse", { token });
    const isBack = next(service, "socket_connected");

    ward.showTheDoor();
    await isBack;

    expect(ward.handshakes.map(({ auth }) => auth["token"])).toEqual(["first", "second"]);
  });

  it("comes back with a fresh token when the server says that the one it has is over", async () => {
    const token = vi.fn<() => string>().mockReturnValueOnce("first").mockReturnValueOnce("second");
    await service.connect("u1", "nurse", { token });
    const isBack = next(service, "socket_connected");

    ward.tellAll("token_expired", { message: "Token expired" });
    await isBack;

    expect(ward.handshakes.map(({ auth }) => auth["token"])).toEqual(["first", "second"]);
  });

  it("comes back to a server that has closed the socket", async () => {
    await service.connect("u1", "nurse");
    ward.showTheDoor();
    await until(service, () => service.state.phase === "reconnecting");

    await until(service, () => service.state.phase === "live");
  });

  it("stays away after disconnect", async () => {
    await service.connect("u1", "nurse");
    service.disconnect();

    expect(service.isConnected()).toBe(false);
    expect(service.state.phase).toBe("idle");
    expect(service.getSocket()).toBeNull();
  });

  it("connects once, however often it is asked to", async () => {
    await Promise.all([service.connect("u1", "nurse"), service.connect("u1", "nurse")]);
    await service.connect("u1", "nurse");

    expect(ward.handshakes).toHaveLength(1);
  });
});

describe("rooms", () => {
  it("asked for before the connection are joined with it", async () => {
    service.joinPatientRoom("patient_123");
    service.joinHospitalRoom("hosp_456");
    service.joinTriageRoom("T-1");
    service.joinTriageQueue();
    await service.connect("u1", "nurse");

    await until(service, () => [...service.rooms.values()].every((standing) => standing === "joined"));

    expect([...service.rooms.keys()]).toEqual(["patient_patient_123", "hospital_hosp_456", "triage_T-1", "triage_queue"]);
  });

  it("are joined again after the server was gone", async () => {
    service.joinRoom("patient_P1");
    await service.connect("u1", "nurse");
    await until(service, isJoined("patient_P1"));

    await ward.stop();
    await ward.restart();
    await until(service, () => service.rooms.get("patient_P1") === "asked");
    await until(service, isJoined("patient_P1"));
    const told = next(service, "patient_alert");
    ward.tell("patient_P1", "patient_alert", { alert_id: "A1" });

    expect(await told).toEqual({ alert_id: "A1" });
  });

  it("that are left are not joined again", async () => {
    service.joinRoom("patient_P1");
    service.joinRoom("patient_P2");
    await service.connect("u1", "nurse");
    await until(service, isJoined("patient_P1"));
    service.leaveRoom("patient_P1");
    await next(service, "room_left");

    ward.requests.length = 0;
    const isBack = next(service, "socket_connected");
    ward.showTheDoor();
    await isBack;
    await until(service, isJoined("patient_P2"));

    expect(ward.requests).toEqual(["join patient_P2"]);
  });

  it("that are refused say so, and are not asked for again on this connection", async () => {
    ward.answer = (room) => ({ room, message: "Unauthorized", code: "unauthorized" });
    const error = next(service, "error");
    service.joinRoom("patient_P1");
    await service.connect("u1", "patient");

    expect(await error).toMatchObject({ code: "unauthorized" });
    await until(service, () => service.rooms.get("patient_P1") !== "asked");
    expect(service.rooms.get("patient_P1")).toEqual({ refused: "unauthorized" });
    expect(ward.requests).toEqual(["join patient_P1"]);
  });

  it("are asked for again where the server was only too busy", async () => {
    let asked = 0;
    ward.answer = (room) => {
      asked += 1;
      return asked === 1 ? { room, message: "Too many events", code: "rate_limited" } : { room, status: "joined" };
    };
    service.joinRoom("patient_P1");
    await service.connect("u1", "nurse");

    await until(service, isJoined("patient_P1"));

    expect(asked).toBe(2);
  });

  it("of one person are not another's", async () => {
    service.joinRoom("patient_P1");
    await service.connect("u1", "nurse");
    await until(service, isJoined("patient_P1"));

    await service.connect("u2", "nurse");

    expect(service.rooms.size).toBe(0);
  });

  it("are no more than the server allows", () => {
    const errors = vi.fn();
    service.on("error", errors);

    for (let room = 0; room <= 256; room += 1) service.joinRoom(`patient_${room}`);

    expect(service.rooms.size).toBe(256);
    expect(errors).toHaveBeenCalledExactlyOnceWith({ message: "Too many rooms", room: "patient_256", code: "too_many_rooms" });
  });
});

describe("what was missed", () => {
  it("is asked for from the last event on, and said once the connection is back", async () => {
    service.joinRoom("patient_P1");
    await service.connect("u1", "nurse");
    await until(service, isJoined("patient_P1"));
    const told = next(service, "patient_alert");
    ward.tell("patient_P1", "patient_alert", { alert_id: "E1", event_id: "E1" });
    await told;
    const before = Date.now();
    const missed = next(service, "missed");

    ward.showTheDoor();

    const { since } = (await missed) as { since: number };
    expect(since).toBeLessThan(before);
    expect(ward.handshakes.at(-1)?.auth).toEqual({ lastEventId: "E1" });
  });

  it("is nothing on the first connection", async () => {
    const missed = vi.fn();
    service.on("missed", missed);

    await service.connect("u1", "nurse");
    service.joinRoom("patient_P1");
    await until(service, isJoined("patient_P1"));

    expect(missed).not.toHaveBeenCalled();
  });
});

describe("listeners", () => {
  it("hear until they are taken off, and one that throws harms no other", async () => {
    const reported = vi.fn();
    vi.stubGlobal("reportError", reported);
    const first = vi.fn(() => {
      throw new Error("a fault of the page");
    });
    const second = vi.fn();
    service.on("patient_alert", first);
    service.on("patient_alert", second);
    await service.connect("u1", "nurse");
    let marker = next(service, "marker");
    ward.tellAll("patient_alert", {});
    ward.tellAll("marker", {});
    await marker;

    service.off("patient_alert", second);
    marker = next(service, "marker");
    ward.tellAll("patient_alert", {});
    ward.tellAll("marker", {});
    await marker;

    expect(first).toHaveBeenCalledTimes(2);
    expect(second).toHaveBeenCalledTimes(1);
    expect(reported).toHaveBeenCalledTimes(2);
  });
});

describe("the shared service", () => {
  it("is one until another is made", () => {
    const first = getSocketService();
    expect(getSocketService()).toBe(first);

    const second = createSocketService(`${ward.url}/`);

    expect(getSocketService()).toBe(second);
    expect(second.url).toBe(ward.url);
  });
});
