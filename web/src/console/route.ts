// Which view is shown: `#/patient/PAT-1`. Behind the hash, so that the server need not know the views.

import { useSyncExternalStore } from "react";

/** The views. */
export const VIEWS = ["live", "raise", "boards", "patient", "triage", "history", "status"] as const;
export type View = (typeof VIEWS)[number];

/** A view and what it shows. */
export interface Route {
  readonly view: View;
  readonly id: string | undefined;
}

/** Reads a hash; what is no view is the first one. */
export function readRoute(hash: string): Route {
  const [name, id] = hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS.find((known) => known === name) ?? "live";
  return { view, id: id === undefined || id === "" ? undefined : decoded(id) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash of a view. */
export function hashOf(view: View, id?: string): string {
  return id === undefined ? `#/${view}` : `#/${view}/${encodeURIComponent(id)}`;
}

function subscribe(observer: () => void): () => void {
  window.addEventListener("hashchange", observer);
  return () => window.removeEventListener("hashchange", observer);
}

/** The view that the address names. */
export function useRoute(): Route {
  return readRoute(useSyncExternalStore(subscribe, () => window.location.hash));
}
