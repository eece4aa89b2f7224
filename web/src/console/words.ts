// The console's words, in the reader's language.

import { createContext, use } from "react";

import type { Locale } from "../wardbell";
import { en, type Words } from "./messages/en";

/** Loads a language. English is always there. */
export async function loadWords(locale: Locale): Promise<Words> {
  switch (locale) {
    case "en":
      return en;
    case "de":
      return (await import("./messages/de")).de;
    case "es":
      return (await import("./messages/es")).es;
    case "fr":
      return (await import("./messages/fr")).fr;
    case "hi":
      return (await import("./messages/hi")).hi;
  }
}

/** What is said, and in which language. */
export interface Spoken {
  readonly words: Words;
  readonly locale: Locale;
}

export const SpokenContext = createContext<Spoken>({ words: en, locale: "en" });

/** The console's words. */
export function useWords(): Spoken {
  return use(SpokenContext);
}

/** A text with its `{places}` filled. */
export function fill(text: string, places: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(places[name] ?? place));
}

/** One of several words by a name that may be anybody's. */
export function wordFor(words: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(words, name) ? (words[name] ?? name) : name;
}
