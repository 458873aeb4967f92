/**
 * Whether a message may come up now: one gate after the other, the first that fails is the reason.
 *
 * Times are milliseconds since 1970 by the device's clock.
 */

import { isObject } from "../json.ts";
import type { Json, JsonObject } from "../json.ts";
import { DAY_MS, dayStartMs, quietUntilMs } from "./quiet_hours.ts";
import type { QuietHours } from "./quiet_hours.ts";

/** What the gateway set for all messages; null is no limit. */
export interface Rules {
  readonly gapMs: number;
  readonly perSessionMax: number | null;
  readonly perDayMax: number | null;
  readonly quietHours: QuietHours | null;
}

/** How often one message may be shown, in a sliding period or (null) ever. */
export interface Limit {
  readonly count: number;
  readonly periodMs: number | null;
}

/** Reads `display.limit` of a message; once, ever, when there is none that can be meant. */
export function limitIn(how: JsonObject): Limit {
  const limit = isObject(how["limit"]) ? how["limit"] : {};
  if (!isWhole(limit["count"])) {
    return { count: 1, periodMs: null };
  }
  const periodS = limit["period_s"];
  return { count: limit["count"], periodMs: isWhole(periodS) ? periodS * 1_000 : null };
}

function isWhole(value: Json | undefined): value is number {
  return typeof value === "number" && Number.isInteger(value);
}

/** A message that could be shown. `shownMs`: when it was shown before. */
export interface Candidate {
  readonly expiresAt: number;
  readonly isInline: boolean;
  readonly limit: Limit;
  readonly ignoresCaps: boolean;
  readonly shownMs: readonly number[];
}

/**
 * What is on the screen and what has been. Inline messages neither take the slot nor count.
 *
 * The slot is taken from before the app is asked to show a message until that message is gone.
 * `freedMs` is when that was last. Shown today: since local midnight.
 */
export interface Screen {
  readonly isSlotTaken: boolean;
  readonly isPaused: boolean;
  readonly freedMs: number | null;
  readonly shownInSession: number;
  readonly shownToday: number;
}

export type Reason =
  | "expired"
  | "message_limit"
  | "paused"
  | "slot"
  | "quiet_hours"
  | "gap"
  | "session_cap"
  | "day_cap";

/** What to do, and why not to show it. `untilMs`: when to ask again, if that is known. */
export interface Decision {
  readonly verdict: "show" | "wait" | "never";
  readonly reason: Reason | null;
  readonly untilMs: number | null;
}

const SHOW: Decision = { verdict: "show", reason: null, untilMs: null };

export function decide(
  message: Candidate,
  screen: Screen,
  rules: Rules,
  nowMs: number,
  utcOffsetMs: number,
): Decision {
  if (message.expiresAt <= nowMs) {
    return never("expired");
  }
  const limited = limitedBy(message, nowMs);
  if (limited !== null) {
    return limited;
  }
  if (message.isInline) {
    // It comes up where the app has left room for it.
    return SHOW;
  }
  if (screen.isPaused) {
    return wait("paused");
  }
  if (screen.isSlotTaken) {
    return wait("slot");
  }
  return message.ignoresCaps ? SHOW : cappedBy(screen, rules, nowMs, utcOffsetMs);
}

function cappedBy(screen: Screen, rules: Rules, nowMs: number, utcOffsetMs: number): Decision {
  const quietUntil = quietUntilMs(rules.quietHours, nowMs, utcOffsetMs);
  if (quietUntil !== null) {
    return wait("quiet_hours", quietUntil);
  }
  // A clock that was set back must not make the gap longer than it is.
  if (screen.freedMs !== null && screen.freedMs <= nowMs && nowMs < screen.freedMs + rules.gapMs) {
    return wait("gap", screen.freedMs + rules.gapMs);
  }
  if (rules.perSessionMax !== null && screen.shownInSession >= rules.perSessionMax) {
    return wait("session_cap");
  }
  if (rules.perDayMax !== null && screen.shownToday >= rules.perDayMax) {
    return wait("day_cap", dayStartMs(nowMs, utcOffsetMs) + DAY_MS);
  }
  return SHOW;
}

function limitedBy(message: Candidate, nowMs: number): Decision | null {
  const { count, periodMs } = message.limit;
  if (count <= 0) {
    return never("message_limit");
  }
  if (periodMs === null) {
    return message.shownMs.length >= count ? never("message_limit") : null;
  }
  const latest = message.shownMs.filter((at) => at > nowMs - periodMs).sort((a, b) => a - b);
  const leaving = latest[latest.length - count];
  if (leaving === undefined) {
    return null;
  }
  // The period slides: it is the count-th show from the end that has to leave it.
  const untilMs = leaving + periodMs;
  return untilMs >= message.expiresAt ? never("message_limit") : wait("message_limit", untilMs);
}

function never(reason: Reason): Decision {
  return { verdict: "never", reason, untilMs: null };
}

function wait(reason: Reason, untilMs: number | null = null): Decision {
  return { verdict: "wait", reason, untilMs };
}
