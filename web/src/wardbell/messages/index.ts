// The languages of the bell, and which one a reader gets.

import { de } from "./de";
import { en, type Messages } from "./en";
import { es } from "./es";
import { fr } from "./fr";
import { hi } from "./hi";

export type { Messages } from "./en";

/** The languages that there are. */
export const LOCALES = ["en", "de", "es", "fr", "hi"] as const;

/** One of them. */
export type Locale = (typeof LOCALES)[number];

/** What is said in each. */
export const MESSAGES: Readonly<Record<Locale, Messages>> = { en, de, es, fr, hi };

/** The first of the wanted languages that there is; English if there is none. */
export function bestLocale(wanted: readonly string[] = navigator.languages): Locale {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0];
    const found = LOCALES.find((locale) => locale === language);
    if (found !== undefined) return found;
  }
  return "en";
}
