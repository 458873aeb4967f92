/** The part of every day in which nothing comes up by itself, in the local time of the device. */

import type { Json } from "../json.ts";

export const DAY_MS = 24 * 60 * 60 * 1_000;
const MINUTE_MS = 60 * 1_000;

/**
 * In minutes after local midnight: from the first, up to the second. `fromMinute` later than `toMinute`
 * goes over midnight; both the same is no time at all.
 */
export interface QuietHours {
  readonly fromMinute: number;
  readonly toMinute: number;
}

/** Gives the end of the quiet hours that it is now, or null when it is not quiet. */
export function quietUntilMs(
  hours: QuietHours | null,
  nowMs: number,
  utcOffsetMs: number,
): number | null {
  if (hours === null) {
    return null;
  }
  const localMs = modulo(nowMs + utcOffsetMs, DAY_MS);
  const fromMs = hours.fromMinute * MINUTE_MS;
  const toMs = hours.toMinute * MINUTE_MS;
  if (modulo(localMs - fromMs, DAY_MS) >= modulo(toMs - fromMs, DAY_MS)) {
    return null;
  }
  return nowMs + modulo(toMs - localMs, DAY_MS);
}

/** Reads a time of day as `HH:MM`, 00:00 to 23:59; null when it is something else. */
export function minuteOfDay(text: Json | undefined): number | null {
  const parts = typeof text === "string" ? /^([01][0-9]|2[0-3]):([0-5][0-9])$/.exec(text) : null;
  return parts === null ? null : Number(parts[1]) * 60 + Number(parts[2]);
}

/** Gives the local midnight that began the day. */
export function dayStartMs(nowMs: number, utcOffsetMs: number): number {
  return nowMs - modulo(nowMs + utcOffsetMs, DAY_MS);
}

/** The remainder that is never negative; the one of the language takes the sign of `value`. */
function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
