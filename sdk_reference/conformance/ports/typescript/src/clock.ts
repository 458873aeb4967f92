/** Time and timers. Everything in the client that waits, waits through a `Clock`. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** What the device's clock says: whole milliseconds since 1970-01-01 UTC. Somebody may set it. */
  wallMs(): number;
  /** Whole milliseconds since some moment, which nobody can set. */
  monotonicMs(): number;
  /** Runs `act` once, `delayMs` from now (0 or less: as soon as possible, never before returning). */
  after(delayMs: number, act: () => void): Timer;
}

/** The longest delay a timer of the platform can have; beyond it, it would fire at once. */
const PLATFORM_DELAY_MS_MAX = 2 ** 31 - 1;

export class SystemClock implements Clock {
  wallMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return Math.floor(performance.now());
  }

  after(delayMs: number, act: () => void): Timer {
    const timer = setTimeout(act, Math.min(Math.max(delayMs, 0), PLATFORM_DELAY_MS_MAX));
    return { cancel: () => clearTimeout(timer) };
  }
}
