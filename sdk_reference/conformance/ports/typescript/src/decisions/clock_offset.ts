/** How wrong the device's clock is: the estimate with the shortest round trip. */

const ESTIMATE_TTL_MS = 30 * 60 * 1_000;
const CLOCK_STEP_MS = 1_000;

/** Server time minus device time, as one exchange showed it. */
export interface ClockOffset {
  readonly offsetMs: number;
  readonly rttMs: number;
  /** Monotonic. */
  readonly measuredMs: number;
  /** Wall minus monotonic time when measured: it moves when somebody sets the device's clock. */
  readonly baseMs: number;
}

/** Sent and answered are monotonic; `wallMs` is the device's time at the answer. */
export interface Exchange {
  readonly serverMs: number;
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly wallMs: number;
}

/** The server is taken to have answered half-way, so the error is at most half the round trip. */
export function measured(exchange: Exchange): ClockOffset {
  const rttMs = Math.max(0, exchange.answeredMs - exchange.sentMs);
  return {
    offsetMs: exchange.serverMs - (exchange.wallMs - Math.floor(rttMs / 2)),
    rttMs,
    measuredMs: exchange.answeredMs,
    baseMs: exchange.wallMs - exchange.answeredMs,
  };
}

/** Keeps the estimate with the least round trip, unless it is old or the clock was set since. */
export function better(current: ClockOffset | null, sample: ClockOffset): ClockOffset {
  const isBetter =
    current === null ||
    sample.rttMs <= current.rttMs ||
    sample.measuredMs - current.measuredMs > ESTIMATE_TTL_MS ||
    Math.abs(sample.baseMs - current.baseMs) > CLOCK_STEP_MS;
  return isBetter ? sample : current;
}
