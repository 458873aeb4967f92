/** The settings in force: what the app chose and what the gateway recommends, in one. */

import { isObject } from "../json.ts";
import type { Json, JsonObject } from "../json.ts";
import type { Rules } from "./display_decision.ts";
import { DAY_MS, minuteOfDay } from "./quiet_hours.ts";
import type { QuietHours } from "./quiet_hours.ts";

const CAP_MAX = 1_000;
const POLL_WAIT_MS_MAX = 55_000;

/** What an app can set itself; what is missing, it leaves to the gateway. */
export interface Choices {
  readonly flushAt?: number;
  readonly flushIntervalMs?: number;
  readonly batchEventsMax?: number;
  readonly batchBytesMax?: number;
  readonly pollWaitMs?: number;
  readonly sessionIdleMs?: number;
  readonly sessionMaxMs?: number;
  readonly displayGapMs?: number;
}

export interface Settings {
  readonly flushAt: number;
  readonly flushIntervalMs: number;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly pollWaitMs: number;
  readonly pollIntervalMs: number;
  readonly sessionIdleMs: number;
  readonly sessionMaxMs: number;
  readonly display: Rules;
  readonly triggerEvents: readonly string[];
  /** Event name → share of the devices that upload it. */
  readonly sampling: Readonly<Record<string, number>>;
  /** The remote configuration as the gateway sent it. */
  readonly values: JsonObject;
}

/**
 * The app's word counts; for the limits of a batch the smaller of both. A recommendation that cannot
 * be meant is ignored, one out of bounds brought within.
 */
export function merged(app: Choices, gateway: JsonObject): Settings {
  const told = (name: string, least: number, most: number): number | undefined => {
    const value = whole(gateway[name]);
    return value === undefined ? undefined : clamped(value, least, most);
  };
  const pollWaitS = told("poll_wait_s", 1, POLL_WAIT_MS_MAX / 1_000);
  const pollWaitMs = app.pollWaitMs ?? (pollWaitS === undefined ? 25_000 : pollWaitS * 1_000);
  const eventsMax = told("batch_events_max", 1, 100_000) ?? Infinity;
  const bytesMax = told("batch_bytes_max", 1_024, 64 * 1_024 * 1_024) ?? Infinity;
  const rules = displayRules(objectOr(gateway["display"]));
  return {
    flushAt: app.flushAt ?? told("flush_at", 1, 10_000) ?? 20,
    flushIntervalMs: app.flushIntervalMs ?? told("flush_interval_ms", 100, DAY_MS) ?? 30_000,
    batchEventsMax: Math.min(app.batchEventsMax ?? 500, eventsMax),
    batchBytesMax: Math.min(app.batchBytesMax ?? 512 * 1_024, bytesMax),
    pollWaitMs: Math.min(pollWaitMs, POLL_WAIT_MS_MAX),
    pollIntervalMs: told("poll_interval_ms", 1_000, DAY_MS) ?? 60_000,
    sessionIdleMs: app.sessionIdleMs ?? told("session_idle_ms", 10_000, DAY_MS) ?? 1_800_000,
    sessionMaxMs: app.sessionMaxMs ?? told("session_max_ms", 60_000, 30 * DAY_MS) ?? DAY_MS,
    display: { ...rules, gapMs: app.displayGapMs ?? rules.gapMs },
    triggerEvents: namesIn(gateway["trigger_events"]),
    sampling: sharesIn(objectOr(gateway["sampling"])),
    values: objectOr(gateway["values"]),
  };
}

function displayRules(display: JsonObject): Rules {
  return {
    gapMs: clamped(whole(display["gap_ms"]) ?? 0, 0, DAY_MS),
    perSessionMax: capIn(display["per_session_max"]),
    perDayMax: capIn(display["per_day_max"]),
    quietHours: quietHoursIn(objectOr(display["quiet_hours"])),
  };
}

function capIn(value: Json | undefined): number | null {
  const cap = whole(value);
  return cap === undefined ? null : clamped(cap, 0, CAP_MAX);
}

function quietHoursIn(hours: JsonObject): QuietHours | null {
  const fromMinute = minuteOfDay(hours["from"]);
  const toMinute = minuteOfDay(hours["to"]);
  const isMeant = fromMinute !== null && toMinute !== null && fromMinute !== toMinute;
  return isMeant ? { fromMinute, toMinute } : null;
}

function sharesIn(sampling: JsonObject): Record<string, number> {
  const shares = Object.entries(sampling).flatMap(([name, share]) =>
    typeof share === "number" ? [[name, clamped(share, 0, 1)] as const] : [],
  );
  return Object.fromEntries(shares);
}

function namesIn(value: Json | undefined): string[] {
  const names = Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
  return [...new Set(names)];
}

function objectOr(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function whole(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

function clamped(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}
