// Which language?

import { Languages } from "lucide-react";

import { type Locale, LOCALES } from "../wardbell";
import type { LocaleChoice } from "./App";
import { useWords } from "./words";

const NAMES: Readonly<Record<Locale, string>> = { en: "English", de: "Deutsch", es: "Español", fr: "Français", hi: "हिन्दी" };

/** The choice, each language in its own. */
export function LocaleSelect({ locale }: { readonly locale: LocaleChoice }) {
  const { words } = useWords();
  return (
    <span className="inline-flex items-center gap-1">
      <Languages aria-hidden className="size-5 text-quiet" />
      <select
        aria-label={words.language}
        className="min-h-11 rounded-md border border-line bg-ground px-2"
        value={locale.value}
        onChange={(event) => locale.choose(LOCALES.find((known) => known === event.target.value) ?? "en")}
      >
        {LOCALES.map((known) => (
          <option key={known} value={known} lang={known}>
            {NAMES[known]}
          </option>
        ))}
      </select>
    </span>
  );
}
