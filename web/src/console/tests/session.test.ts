import { beforeEach, describe, expect, it } from "vitest";

import { de } from "../messages/de";
import { en } from "../messages/en";
import { es } from "../messages/es";
import { fr } from "../messages/fr";
import { hi } from "../messages/hi";
import { hashOf, readRoute } from "../route";
import { forgetSession, readToken, rememberedRooms, rememberedSession, rememberRooms, rememberSession } from "../session";
import { fill, wordFor } from "../words";

const encoded = (claims: object) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims)))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const token = (claims: object) => `e30.${encoded(claims)}.signature`;

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
});

describe("a token", () => {
  it("says who it is for", () => {
    const claims = { sub: "u1", role: "doctor", hospital_id: "H1", name: "Zoë Ångström", exp: 1_800_000_000 };

    expect(readToken(` ${token(claims)} `)).toEqual({ userId: "u1", role: "doctor", hospitalId: "H1", name: "Zoë Ångström", expiresAt: 1_800_000_000_000, token: token(claims) });
  });

  it("is none without three parts, JSON, sub and role", () => {
    for (const none of ["", "a", "a.b", "a.b.c.d", "a.###.c", `a.${btoa("[]")}.c`, token({ sub: "u1" }), token({ role: "nurse" })]) expect(readToken(none), none).toBeUndefined();
  });
});

describe("who was here", () => {
  it("goes on: by name in open mode, by token elsewhere, and not after leaving", () => {
    rememberSession({ userId: "u1", role: "nurse" });
    expect(rememberedSession("open")).toEqual({ userId: "u1", role: "nurse" });
    expect(rememberedSession("token")).toBeUndefined();

    rememberSession({ userId: "u2", role: "doctor", token: token({ sub: "u2", role: "doctor" }) });
    rememberRooms(["patient_P1"]);
    expect(rememberedSession("token")).toMatchObject({ userId: "u2", role: "doctor" });
    expect(localStorage.getItem("wardbell.session")).not.toContain("u2");

    forgetSession();
    expect(rememberedSession("open")).toBeUndefined();
    expect(rememberedSession("token")).toBeUndefined();
    expect(rememberedRooms()).toEqual([]);
  });

  it("is nobody where somebody else wrote", () => {
    localStorage.setItem("wardbell.session", "{");
    sessionStorage.setItem("wardbell.rooms", '{"a":1}');

    expect(rememberedSession("open")).toBeUndefined();
    expect(rememberedRooms()).toEqual([]);
  });
});

describe("addresses", () => {
  it("name a view and what it shows", () => {
    expect(readRoute("#/patient/PAT%3A1")).toEqual({ view: "patient", id: "PAT:1" });
    expect(readRoute(hashOf("boards", "a/b"))).toEqual({ view: "boards", id: "a/b" });
    expect(readRoute("")).toEqual({ view: "live", id: undefined });
    expect(readRoute("#/nothing/x")).toEqual({ view: "live", id: "x" });
    expect(readRoute("#/patient/%")).toEqual({ view: "patient", id: "%" });
  });
});

describe("words", () => {
  it("have their places filled, and no others", () => {
    expect(fill("{a} of {b}, {c}", { a: 1, b: "x" })).toBe("1 of x, {c}");
    expect(wordFor({ doctor: "Arzt" }, "doctor")).toBe("Arzt");
    expect(wordFor({ doctor: "Arzt" }, "toString")).toBe("toString");
  });

  it("have the same places in every language", () => {
    const places = (words: object): unknown[] => Object.entries(words).map(([key, value]: [string, unknown]) => (typeof value === "string" ? [key, [...value.matchAll(/\{\w+\}/g)].map(([place]) => place).sort()] : [key, places(value as object)]));

    for (const words of [de, es, fr, hi]) expect(places(words)).toEqual(places(en));
  });
});
