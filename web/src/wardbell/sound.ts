// The sound of critical alerts. Off until somebody allows it, then kept; browsers let it sound only after a click or key.

const KEY = "wardbell.sound";
/** Critical alerts that come at once sound once. */
const QUIET_MS = 3_000;
const LOUDNESS = 0.25;
/** Two falling tones, twice: unlike any ringtone, and heard through a door. */
const TONES: readonly (readonly [atSeconds: number, hertz: number])[] = [
  [0, 988],
  [0.18, 740],
  [0.5, 988],
  [0.68, 740],
];
const TONE_SECONDS = 0.16;

/** Whether critical alerts sound: `blocked` until the page was clicked, as browsers ask for it. */
export type SoundState = "off" | "on" | "blocked";

/** The sound. */
export class Sound {
  readonly #observers = new Set<() => void>();
  #context: AudioContext | null = null;
  #isWanted = remembered();
  #lastAt = 0;

  /** Whether it sounds. */
  get state(): SoundState {
    if (!this.#isWanted) return "off";
    return this.#context?.state === "running" ? "on" : "blocked";
  }

  /** Calls back when that changes. Returns how to stop it. */
  subscribe(observer: () => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Where it is wanted: gets ready at the next click or key. Returns how to stop waiting for it. */
  listen(): () => void {
    const wake = () => {
      if (this.#isWanted && this.#context?.state !== "running") void this.#ready();
    };
    window.addEventListener("pointerdown", wake);
    window.addEventListener("keydown", wake);
    return () => {
      window.removeEventListener("pointerdown", wake);
      window.removeEventListener("keydown", wake);
    };
  }

  /** Switches it on, and lets it be heard, or off. */
  async toggle(): Promise<void> {
    this.#isWanted = !this.#isWanted;
    remember(this.#isWanted);
    if (this.#isWanted) {
      await this.#ready();
      this.#play();
    }
    this.#changed();
  }

  /** Sounds, if it may. */
  ring(): void {
    const now = Date.now();
    if (this.state !== "on" || now - this.#lastAt < QUIET_MS) return;
    this.#lastAt = now;
    this.#play();
  }

  async #ready(): Promise<void> {
    try {
      if (this.#context === null) {
        this.#context = new AudioContext();
        this.#context.addEventListener("statechange", () => this.#changed());
      }
      await this.#context.resume();
    } catch {
      // No sound device: it stays `blocked`, and says so.
    }
    this.#changed();
  }

  #play(): void {
    const context = this.#context;
    if (context?.state !== "running") return;
    for (const [at, hertz] of TONES) {
      const begin = context.currentTime + at;
      const oscillator = new OscillatorNode(context, { type: "triangle", frequency: hertz });
      const gain = new GainNode(context, { gain: 0 });
      gain.gain.setValueAtTime(0, begin);
      gain.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.01);
      gain.gain.linearRampToValueAtTime(0, begin + TONE_SECONDS);
      oscillator.connect(gain).connect(context.destination);
      oscillator.start(begin);
      oscillator.stop(begin + TONE_SECONDS);
    }
  }

  #changed(): void {
    for (const observer of [...this.#observers]) observer();
  }
}

function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) === "on";
  } catch {
    return false; // storage is forbidden here
  }
}

function remember(isWanted: boolean): void {
  try {
    localStorage.setItem(KEY, isWanted ? "on" : "off");
  } catch {
    // Storage is forbidden here: it holds until the page is closed.
  }
}
