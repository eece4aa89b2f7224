// What a reader prefers: language and colours.

import { useEffect, useState } from "react";

import { bestLocale, type Locale, LOCALES } from "../wardbell";

/** The colours: as the system has them, or one of the two. */
export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is forbidden here: it holds until the page is closed.
  }
}

/** The language, and how to choose another. */
export function useLocale(): [Locale, (locale: Locale) => void] {
  const [locale, setLocale] = useState<Locale>(() => LOCALES.find((known) => known === read("wardbell.locale")) ?? bestLocale());
  useEffect(() => {
    document.documentElement.lang = locale;
  }, [locale]);
  return [
    locale,
    (chosen) => {
      write("wardbell.locale", chosen);
      setLocale(chosen);
    },
  ];
}

/** The colours, and how to choose others. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => THEMES.find((known) => known === read("wardbell.theme")) ?? "system");
  useEffect(() => {
    const root = document.documentElement;
    if (theme === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = theme;
  }, [theme]);
  return [
    theme,
    (chosen) => {
      write("wardbell.theme", chosen);
      setTheme(chosen);
    },
  ];
}
