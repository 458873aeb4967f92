/**
 * How messages are received: a stream, held polls where streams fail, short polls where those fail too.
 *
 * A reducer: `step` gives the state after an event and what to do now; `deadlineMs` says when to come
 * back with `tick` if nothing happens before. Times are monotonic.
 */

/** From the best to the one that always works. */
const MODES = ["sse", "long_poll", "poll"] as const;
export type Mode = (typeof MODES)[number];

/**
 * `suspended`: in the background. `waiting`: for the time of the next request. `connecting`: it is on
 * its way. `open`: a stream is there.
 */
export type Phase = "off" | "suspended" | "waiting" | "connecting" | "open";

/** `open`: send a request of the state's mode. `close`: end the one that is on its way or open. */
export type Effect = "open" | "close";

export type Kind =
  | "start"
  | "stop"
  | "restart"
  | "foreground"
  | "background"
  | "online"
  | "opened"
  | "heard"
  | "answered"
  | "cut"
  | "drain"
  | "failed"
  | "refused"
  | "tick";

/** A stream is dead after one and a half heartbeats and a little for the network. */
const DEAD_AFTER_HEARTBEATS = 1.5;
const DEAD_AFTER_EXTRA_MS = 5_000;
/** What a request may take beyond the time for which the gateway holds it. */
const ANSWER_MS_MAX = 30_000;
/** After a cut that hits everybody, devices must not all come back at once. */
const HERD_MS = 3_000;
const RECONNECT_MS_MIN = 500;
const RECONNECT_MS_MAX = 30_000;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 30_000;
const FAILURES_MAX = 3;
/** Streams that opened and stayed silent: something on the way keeps back what it is given. */
const SILENT_STREAMS_MAX = 2;
const PROBE_AFTER_MS = 300_000;
const POLL_INTERVAL_MS_MAX = 600_000;
const BACKGROUND_GRACE_MS = 10_000;
/** A held poll that ends empty sooner than this part of its wait was cut by something in between. */
const HELD_PART_MIN = 0.5;
const DOUBLINGS_MAX = 20;

/** What app and gateway can set. `best` is the best mode to use. */
export interface Tuning {
  readonly best: Mode;
  readonly heartbeatMs: number;
  readonly pollWaitMs: number;
  readonly pollIntervalMs: number;
}

export interface StreamEvent {
  readonly kind: Kind;
  /** Of `failed` and `refused`: wait at least so long. */
  readonly floorMs?: number;
  /** Of `heard`: what the stream said about reconnecting. */
  readonly retryMs?: number | null;
  /** Of `answered`: how long the poll was held, and whether it brought anything. */
  readonly heldMs?: number;
  readonly isEmpty?: boolean;
}

export interface StreamState {
  readonly phase: Phase;
  readonly mode: Mode;
  /** Waiting: when to open. Connecting, open: when to give it up. */
  readonly atMs: number;
  /** In a row: attempts that speak against the mode, and those that do not. */
  readonly failures: number;
  readonly refusals: number;
  /** The gateway asked not to be asked before. */
  readonly floorAtMs: number;
  /** Whether anything came on this stream, and how many before it never brought anything. */
  readonly isHeard: boolean;
  readonly silentStreams: number;
  /** When to try a better mode, and whether this is such a try. */
  readonly probeAtMs: number | null;
  readonly isProbe: boolean;
  /** The first wait before a reconnect, which then doubles. */
  readonly retryMs: number;
  readonly isBackground: boolean;
  /** In the background, until it is closed: when to close. */
  readonly closeAtMs: number | null;
}

export interface Stepped {
  readonly state: StreamState;
  readonly effects: readonly Effect[];
}

/** Everything else that a step depends on. */
interface Now {
  readonly ms: number;
  readonly chance: number;
  readonly tuning: Tuning;
}

export const OFF: StreamState = {
  phase: "off",
  mode: "sse",
  atMs: 0,
  failures: 0,
  refusals: 0,
  floorAtMs: 0,
  isHeard: false,
  silentStreams: 0,
  probeAtMs: null,
  isProbe: false,
  retryMs: RECONNECT_MS_MIN,
  isBackground: false,
  closeAtMs: null,
};

/** Says in a word how it goes: off, suspended, retrying, sse, long_poll or poll. */
export function described(state: StreamState): string {
  if (state.phase === "off" || state.phase === "suspended") {
    return state.phase;
  }
  return state.failures > 0 || state.refusals > 0 ? "retrying" : state.mode;
}

/** Gives the time at which `tick` changes something; null while off or suspended. */
export function deadlineMs(state: StreamState): number | null {
  if (state.phase === "off" || state.phase === "suspended") {
    return null;
  }
  return Math.min(state.atMs, state.closeAtMs ?? Infinity);
}

/** Decides. An event that does not fit the phase (a late one) changes nothing. */
export function step(
  state: StreamState,
  event: StreamEvent,
  nowMs: number,
  chance: number,
  tuning: Tuning,
): Stepped {
  const now: Now = { ms: nowMs, chance, tuning };
  switch (event.kind) {
    case "start":
      return started(state, now);
    case "stop":
      return ended(state, "off");
    case "background":
      return only(inBackground(state, now));
    case "foreground":
      return inForeground(state, now);
  }
  if (state.phase === "off" || state.phase === "suspended") {
    return only(state);
  }
  if (event.kind === "tick") {
    return ticked(state, now);
  }
  if (event.kind === "restart") {
    return restarted(state, now);
  }
  if (event.kind === "online") {
    return online(state, now);
  }
  return state.phase === "waiting" ? only(state) : followed(state, event, now);
}

/** What the network did to a request that is on its way or open. */
function followed(state: StreamState, event: StreamEvent, now: Now): Stepped {
  const floorMs = event.floorMs ?? 0;
  switch (event.kind) {
    case "opened":
      return only({ ...state, phase: "open", atMs: now.ms + deadAfterMs(now.tuning) });
    case "heard":
      return only(heard(state, event.retryMs ?? null, now));
    case "answered":
      return answered(state, event, now);
    case "drain":
      return { state: waiting(state, now.ms + herdMs(now)), effects: ["close"] };
    case "refused":
      return only(refused(state, floorMs, now));
    case "cut":
      return only(
        state.isHeard ? waiting(state, now.ms + herdMs(now)) : failed(state, floorMs, now),
      );
    default:
      return only(failed(state, floorMs, now));
  }
}

// What the app and the clock do

function started(state: StreamState, now: Now): Stepped {
  if (state.phase !== "off") {
    return only(state);
  }
  return state.isBackground ? only({ ...state, phase: "suspended" }) : resumed(state, now);
}

/** Begins at once, unless the gateway has asked to wait. */
function resumed(state: StreamState, now: Now): Stepped {
  const fresh = { ...state, failures: 0, refusals: 0 };
  return now.ms < state.floorAtMs ? only(waiting(fresh, state.floorAtMs)) : begun(fresh, now);
}

function restarted(state: StreamState, now: Now): Stepped {
  const fresh = { ...waiting(state, now.ms), failures: 0, refusals: 0, floorAtMs: 0 };
  const next = begun(fresh, now);
  return { state: next.state, effects: [...closing(state), ...next.effects] };
}

/** Sends the next request, in a better mode if it is time to try one. */
function begun(state: StreamState, now: Now): Stepped {
  const climbs = !state.isProbe && mayClimb(state, now);
  const place = MODES.indexOf(state.mode) - (climbs ? 1 : 0);
  const mode = modeAt(Math.max(place, MODES.indexOf(now.tuning.best)));
  const patienceMs = ANSWER_MS_MAX + (mode === "long_poll" ? now.tuning.pollWaitMs : 0);
  const connecting: StreamState = {
    ...state,
    phase: "connecting",
    mode,
    atMs: now.ms + patienceMs,
    isHeard: false,
    isProbe: state.isProbe || climbs,
  };
  return { state: connecting, effects: ["open"] };
}

/** Tells whether it is time to try a better mode; not while not even this one works. */
function mayClimb(state: StreamState, now: Now): boolean {
  const canBeBetter = MODES.indexOf(state.mode) > MODES.indexOf(now.tuning.best);
  const isDue = state.probeAtMs !== null && now.ms >= state.probeAtMs;
  return canBeBetter && state.failures === 0 && isDue;
}

function inBackground(state: StreamState, now: Now): StreamState {
  if (state.isBackground) {
    return state;
  }
  const closeAtMs = state.phase === "off" ? null : now.ms + BACKGROUND_GRACE_MS;
  return { ...state, isBackground: true, closeAtMs };
}

/** Begins anew with the best mode: it was the network that failed. An attempt under way goes on. */
function online(state: StreamState, now: Now): Stepped {
  if (state.phase !== "waiting" || now.ms < state.floorAtMs) {
    return only(state);
  }
  const { retryMs, isBackground, closeAtMs } = state;
  return begun({ ...OFF, mode: now.tuning.best, retryMs, isBackground, closeAtMs }, now);
}

function inForeground(state: StreamState, now: Now): Stepped {
  const front = { ...state, isBackground: false, closeAtMs: null };
  // The person is looking now: whatever we were waiting for, this is a new attempt.
  const isIdle = state.phase === "suspended" || state.phase === "waiting";
  return isIdle ? resumed(front, now) : only(front);
}

/** Closes; what was learnt about the modes stays. */
function ended(state: StreamState, phase: "off" | "suspended"): Stepped {
  const closed: StreamState = {
    ...state,
    phase,
    atMs: 0,
    failures: 0,
    refusals: 0,
    isHeard: false,
    silentStreams: 0,
    closeAtMs: null,
  };
  return { state: closed, effects: closing(state) };
}

function ticked(state: StreamState, now: Now): Stepped {
  if (state.closeAtMs !== null && now.ms >= state.closeAtMs) {
    return ended(state, "suspended");
  }
  if (now.ms < state.atMs) {
    return only(state);
  }
  if (state.phase === "waiting") {
    return begun(state, now);
  }
  if (state.isHeard) {
    return { state: waiting(state, now.ms + herdMs(now)), effects: ["close"] };
  }
  const silentStreams = state.silentStreams + (state.phase === "open" ? 1 : 0);
  return { state: failed({ ...state, silentStreams }, 0, now), effects: ["close"] };
}

// What the network does

function heard(state: StreamState, retryMs: number | null, now: Now): StreamState {
  return {
    ...worked(state, now),
    phase: "open",
    atMs: now.ms + deadAfterMs(now.tuning),
    isHeard: true,
    retryMs: retryMs === null ? state.retryMs : clamped(retryMs, RETRY_MS_MIN, RETRY_MS_MAX),
  };
}

function answered(state: StreamState, event: StreamEvent, now: Now): Stepped {
  const after = worked(state, now);
  if (state.mode === "long_poll") {
    const heldMs = event.heldMs ?? 0;
    const isCut = event.isEmpty === true && heldMs < now.tuning.pollWaitMs * HELD_PART_MIN;
    return isCut ? only(failed(state, 0, now)) : begun(after, now);
  }
  // Where not even this had worked, it was the network, not the better mode.
  const known = state.failures > 0 ? { ...after, probeAtMs: now.ms } : after;
  const next = waiting(known, now.ms + now.tuning.pollIntervalMs);
  return mayClimb(known, now) ? begun(known, now) : only(next);
}

/** Learns that the mode works; after a probe, the next better one is tried in a while. */
function worked(state: StreamState, now: Now): StreamState {
  const probeAtMs = state.isProbe ? now.ms + PROBE_AFTER_MS : state.probeAtMs;
  return {
    ...state,
    failures: 0,
    refusals: 0,
    silentStreams: 0,
    isProbe: false,
    probeAtMs: state.mode === "sse" ? null : probeAtMs,
  };
}

/** Waits; and goes on in a lesser mode if this one has failed too often. */
function failed(state: StreamState, floorMs: number, now: Now): StreamState {
  const failures = state.failures + 1;
  const waitMs = Math.max(floorMs, waitAfterMs(state, failures, now));
  const later = { ...waiting(state, now.ms + waitMs), failures, floorAtMs: now.ms + floorMs };
  const isSilent = state.silentStreams >= SILENT_STREAMS_MAX;
  if (state.mode === "poll" || !(state.isProbe || failures >= FAILURES_MAX || isSilent)) {
    return later;
  }
  return {
    ...later,
    mode: modeAt(MODES.indexOf(state.mode) + 1),
    failures: 0,
    silentStreams: 0,
    isProbe: false,
    probeAtMs: now.ms + PROBE_AFTER_MS,
  };
}

function refused(state: StreamState, floorMs: number, now: Now): StreamState {
  const refusals = state.refusals + 1;
  const waitMs = Math.max(floorMs, reconnectMs(state, refusals, now));
  return { ...waiting(state, now.ms + waitMs), refusals, floorAtMs: now.ms + floorMs };
}

function waiting(state: StreamState, atMs: number): StreamState {
  return { ...state, phase: "waiting", atMs, isHeard: false };
}

function waitAfterMs(state: StreamState, failures: number, now: Now): number {
  if (state.mode !== "poll") {
    return reconnectMs(state, failures, now);
  }
  const intervalMs = now.tuning.pollIntervalMs;
  const longestMs = Math.min(POLL_INTERVAL_MS_MAX, doubled(intervalMs, failures));
  const halfMs = Math.floor(longestMs / 2);
  // Never less than the interval: half of the wait is chance, half is not.
  return Math.max(intervalMs, halfMs + Math.floor(now.chance * halfMs));
}

function reconnectMs(state: StreamState, attempts: number, now: Now): number {
  const longestMs = Math.min(RECONNECT_MS_MAX, doubled(state.retryMs, attempts - 1));
  return Math.floor(now.chance * longestMs);
}

function closing(state: StreamState): Effect[] {
  return state.phase === "connecting" || state.phase === "open" ? ["close"] : [];
}

function only(state: StreamState): Stepped {
  return { state, effects: [] };
}

function modeAt(place: number): Mode {
  return MODES[place] ?? "poll";
}

function herdMs(now: Now): number {
  return Math.floor(now.chance * HERD_MS);
}

function deadAfterMs(tuning: Tuning): number {
  return Math.floor(tuning.heartbeatMs * DEAD_AFTER_HEARTBEATS) + DEAD_AFTER_EXTRA_MS;
}

function doubled(ms: number, times: number): number {
  return ms * 2 ** Math.min(times, DOUBLINGS_MAX);
}

function clamped(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}
