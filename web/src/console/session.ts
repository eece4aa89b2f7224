// Who is at the page, and for how long that is remembered: a token for this tab alone, a name for the next time.

import { asPayload, numberOf, textOf } from "../wardbell";

/** What the server asks of whoever comes. */
export type AuthMode = "open" | "token" | "legacy";

/** Who is at the page. */
export interface Session {
  readonly userId: string;
  readonly role: string;
  readonly token?: string;
  /** The hospital that the token is for. */
  readonly hospitalId?: string;
  /** How people call them. */
  readonly name?: string;
  /** When the token ends, milliseconds since 1970. */
  readonly expiresAt?: number;
}

const KEY = "wardbell.session";
const ROOMS_KEY = "wardbell.rooms";

/** Asks the server what it asks for. */
export async function askMode(): Promise<AuthMode> {
  const response = await fetch("/", { headers: { Accept: "application/json" } });
  const mode = textOf(asPayload(await response.json()), "auth_mode");
  return mode === "open" || mode === "legacy" ? mode : "token";
}

/** Who a token is for; `undefined` if it is none. Whether it holds is for the server to say. */
export function readToken(token: string): Session | undefined {
  const [, claims, ...rest] = token.trim().split(".");
  if (claims === undefined || rest.length !== 1) return undefined;
  let read: unknown;
  try {
    const bytes = Uint8Array.from(atob(claims.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    read = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const payload = asPayload(read);
  const [userId, role] = [textOf(payload, "sub"), textOf(payload, "role")];
  if (userId === undefined || role === undefined) return undefined;
  const [hospitalId, name, expires] = [textOf(payload, "hospital_id"), textOf(payload, "name"), numberOf(payload, "exp")];
  return {
    userId,
    role,
    token: token.trim(),
    ...(hospitalId === undefined ? {} : { hospitalId }),
    ...(name === undefined ? {} : { name }),
    ...(expires === undefined ? {} : { expiresAt: expires * 1_000 }),
  };
}

/** Who was at the page before, as far as the mode allows to go on as them. */
export function rememberedSession(mode: AuthMode): Session | undefined {
  try {
    const token = sessionStorage.getItem(KEY);
    if (token !== null) return readToken(token);
    const payload = asPayload(JSON.parse(localStorage.getItem(KEY) ?? "null"));
    const [userId, role] = [textOf(payload, "userId"), textOf(payload, "role")];
    return mode !== "open" || userId === undefined || role === undefined ? undefined : { userId, role };
  } catch {
    return undefined; // storage is forbidden, or somebody else wrote there
  }
}

/** Remembers who is at the page. */
export function rememberSession({ userId, role, token }: Session): void {
  attempt(() => {
    if (token === undefined) localStorage.setItem(KEY, JSON.stringify({ userId, role }));
    else sessionStorage.setItem(KEY, token);
  });
}

/** Forgets who was at the page, and which rooms they were in. */
export function forgetSession(): void {
  attempt(() => {
    sessionStorage.clear();
    localStorage.removeItem(KEY);
  });
}

/** The rooms that this tab was in, so that reloading it does not silence it. */
export function rememberedRooms(): string[] {
  try {
    const rooms: unknown = JSON.parse(sessionStorage.getItem(ROOMS_KEY) ?? "[]");
    return Array.isArray(rooms) ? rooms.filter((room) => typeof room === "string") : [];
  } catch {
    return [];
  }
}

/** Remembers the rooms that this tab is in. */
export function rememberRooms(rooms: Iterable<string>): void {
  attempt(() => sessionStorage.setItem(ROOMS_KEY, JSON.stringify([...rooms])));
}

function attempt(store: () => void): void {
  try {
    store();
  } catch {
    // Storage is forbidden here: it holds until the page is closed.
  }
}
