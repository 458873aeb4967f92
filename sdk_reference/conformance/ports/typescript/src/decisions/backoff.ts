/** How long to wait after failures in a row. */

const BACKOFF_MS_MIN = 1_000;
const BACKOFF_MS_MAX = 300_000;
const RETRY_AFTER_MS_MAX = 15 * 60 * 1_000;
/** 2 ** 20 seconds is far over the most; it keeps the power from growing without end. */
const DOUBLINGS_MAX = 20;

/**
 * Full jitter: anything from 0 to 2 ** (n - 1) seconds, but never less than was asked for.
 * `failures` counts from 1; `chance` is from 0 up to, not including, 1.
 */
export function backoffMs(failures: number, floorMs: number, chance: number): number {
  const doublings = Math.min(failures - 1, DOUBLINGS_MAX);
  const ceilingMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** doublings);
  return Math.max(Math.floor(chance * ceilingMs), floorMs);
}

/** Reads `Retry-After` in whole seconds, within reason. Dates and nonsense are no wait. */
export function retryAfterMs(header: string | undefined): number {
  const text = header?.trim() ?? "";
  return /^[0-9]+$/.test(text) ? Math.min(Number(text) * 1_000, RETRY_AFTER_MS_MAX) : 0;
}
