// Which alerts somebody has read or removed in this tab, over reloads. Ids alone: they say nothing about anybody.

const KEY = "wardbell.handled";
/** Ids that are remembered; older ones are forgotten first. */
const MAX = 500;

/** The ids of the alerts that were read or removed. */
export class Handled {
  readonly #ids = new Set<string>(stored());

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  add(...ids: readonly string[]): void {
    for (const id of ids) this.#ids.add(id);
    for (const id of this.#ids) {
      if (this.#ids.size <= MAX) break;
      this.#ids.delete(id);
    }
    try {
      sessionStorage.setItem(KEY, JSON.stringify([...this.#ids]));
    } catch {
      // Storage is forbidden here: it holds until the page is closed.
    }
  }
}

function stored(): string[] {
  try {
    const ids: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return []; // storage is forbidden, or somebody else wrote there
  }
}
