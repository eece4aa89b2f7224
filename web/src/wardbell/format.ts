// Times, as people of each language read them.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * The reader's own variety of a language, if their browser names one: `en` alone would give everybody American dates and a clock of
 * twelve hours.
 */
export function regional(locale: string): string {
  return navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === locale) ?? locale;
}

/** An instant as date and time: the time alone if it is today. `at` and `now` are milliseconds since 1970. */
export function absoluteTime(at: number, now: number, locale: string): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  const options: Intl.DateTimeFormatOptions = isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(regional(locale), options).format(at);
}

/** How long ago it was. What lies ahead by a clock that is wrong is now. */
export function relativeTime(at: number, now: number, locale: string): string {
  const ago = Math.max(now - at, 0);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  if (ago < MINUTE) return format.format(-Math.floor(ago / SECOND), "second");
  if (ago < HOUR) return format.format(-Math.floor(ago / MINUTE), "minute");
  if (ago < DAY) return format.format(-Math.floor(ago / HOUR), "hour");
  return format.format(-Math.floor(ago / DAY), "day");
}

/** A duration in one unit: seconds, minutes or hours. */
export function duration(ms: number, locale: string): string {
  const [value, unit] = ms < 2 * MINUTE ? [ms / SECOND, "second"] : ms < 2 * HOUR ? [ms / MINUTE, "minute"] : [ms / HOUR, "hour"];
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(Math.max(Math.floor(value), 0));
}
