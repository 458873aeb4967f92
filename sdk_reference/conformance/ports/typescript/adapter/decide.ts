/** The decisions of the port, asked as the vectors of the kit ask them. */

import { backoffMs } from "../src/decisions/backoff.ts";
import * as batchSize from "../src/decisions/batch_size.ts";
import { bucket, isSampled } from "../src/decisions/bucketing.ts";
import type { Sampled } from "../src/decisions/bucketing.ts";
import * as canonical from "../src/decisions/canonical_event.ts";
import { better, measured } from "../src/decisions/clock_offset.ts";
import type { ClockOffset, Exchange } from "../src/decisions/clock_offset.ts";
import * as consentGate from "../src/decisions/consent_gate.ts";
import * as display from "../src/decisions/display_decision.ts";
import { evicted } from "../src/decisions/eviction.ts";
import type { Bounds, Queued } from "../src/decisions/eviction.ts";
import * as identity from "../src/decisions/identity_machine.ts";
import { merged } from "../src/decisions/merge_config.ts";
import { nextStep } from "../src/decisions/next_step.ts";
import type { Situation } from "../src/decisions/next_step.ts";
import { checkPerson } from "../src/decisions/person_event.ts";
import { inOrder } from "../src/decisions/priority_order.ts";
import { minuteOfDay, quietUntilMs } from "../src/decisions/quiet_hours.ts";
import type { QuietHours } from "../src/decisions/quiet_hours.ts";
import { resolved, valueOf } from "../src/decisions/remote_config.ts";
import * as sessions from "../src/decisions/session_machine.ts";
import { EventTooLarge, SseParser } from "../src/decisions/sse_parser.ts";
import { outcomeOf } from "../src/decisions/status_classification.ts";
import * as streams from "../src/decisions/stream_machine.ts";
import { rendered } from "../src/decisions/template_render.ts";
import { matches } from "../src/decisions/trigger_match.ts";
import { uuid7 } from "../src/decisions/uuid7.ts";
import { isObject, member } from "../src/json.ts";
import type { Json, JsonObject } from "../src/json.ts";
import { expanded } from "./tags.ts";

type Decide = (given: JsonObject, input: JsonObject) => unknown;

/** Takes one decision; undefined for a vector that is not known. */
export function decide(vector: string, given: Json, input: Json): unknown {
  const [known, asked] = [expanded(given) ?? {}, expanded(input)];
  return DECISIONS[vector]?.(known as JsonObject, asked as JsonObject);
}

// The vectors write names as `retry_at_ms`, the port as `retryAtMs`; both name the same things.

function camel(value: unknown): unknown {
  return renamed(value, (name) =>
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
  );
}

function snake(value: unknown): unknown {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => renamed(item, rename));
  }
  if (!isObject(value)) {
    return value;
  }
  const members = Object.entries(value).map(([name, item]) => [
    rename(name),
    renamed(item, rename),
  ]);
  return Object.fromEntries(members) as unknown;
}

function read<Shape>(value: unknown): Shape {
  return camel(value) as Shape;
}

// Uploads

function statusClassification(_: JsonObject, input: JsonObject): unknown {
  const { status, headers, body = "", error } = input;
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = { headers: (headers ?? {}) as Record<string, string>, body: text };
  const outcome =
    status === undefined
      ? outcomeOf(null, String(error ?? ""))
      : outcomeOf({ ...answer, status: Number(status) });
  switch (outcome.kind) {
    case "accepted":
    case "partly_refused":
      return { outcome: outcome.kind, rejected: outcome.rejected };
    case "retry":
      return { outcome: outcome.kind, reason: outcome.reason, floor_ms: outcome.floorMs };
    case "unauthorized":
    case "refused":
      return { outcome: outcome.kind, code: outcome.code };
    default:
      return { outcome: outcome.kind };
  }
}

function sizeOfBatch(given: JsonObject, input: JsonObject): unknown {
  const eventsMax = Number(given["events_max"]);
  const before = { limit: given["limit"] as number | null, successes: Number(given["successes"]) };
  const after =
    input["event"] === "too_many"
      ? batchSize.halved(Number(input["events"]))
      : batchSize.afterSuccess(before, eventsMax);
  const effects = [{ do: "try", events: batchSize.within(after, eventsMax) }];
  return { state: after, effects };
}

const NOTHING_TO_DO: Situation = {
  nowMs: 0,
  retryAtMs: 0,
  mayContact: true,
  isRegistered: true,
  hasToken: true,
  hasConsentOperation: false,
  hasOpenBatch: false,
  head: null,
  headIsDue: false,
  isIdentityRefused: false,
  configIsStale: false,
};

function stepAfter(given: JsonObject, input: JsonObject): unknown {
  return nextStep({ ...NOTHING_TO_DO, ...read<Situation>({ ...given, ...input }) });
}

function eviction(given: JsonObject, input: JsonObject): unknown {
  const unmarked = { isTrigger: false, isFixed: false, isOperation: false };
  const rows = read<Queued[]>(given["rows"]).map((row) => ({ ...unmarked, ...row }));
  return evicted(rows, read<Bounds>(given), Number(input["now_ms"]));
}

// Events

function canonicalEvent(_: JsonObject, input: JsonObject): unknown {
  try {
    const type = String(input["type"] ?? "track");
    const name = canonical.checkedName(input["name"]);
    checkPerson(type, name, input["props"]);
    const props = canonical.checkedProps(input["props"]);
    const id = "01938f2e-0000-7000-8000-000000000001";
    const session = { id: "01938f2e-0000-7000-8000-000000000000", seq: 0 };
    canonical.eventJson({ id, type, ts: 1_763_750_000_000, session }, name, props);
    return { name, props: asWritten(props.json), truncated: props.truncated };
  } catch (error) {
    if (error instanceof canonical.InvalidEvent) {
      return { error: error.code };
    }
    throw error;
  }
}

/** What the language can do with the digits of a number; not yet among its types. */
const SOURCES = JSON as unknown as {
  rawJSON(text: string): unknown;
  parse(
    text: string,
    revive: (key: string, value: unknown, found: { source: string }) => unknown,
  ): unknown;
};

/** Reads JSON so that it goes out again with the same digits. */
function asWritten(json: string): unknown {
  return SOURCES.parse(json, (_, value, { source }) =>
    typeof value === "number" ? SOURCES.rawJSON(source) : value,
  );
}

const COUNT_BITS = 12n;

function nextUuid7(given: JsonObject, input: JsonObject): unknown {
  const before = given["last"] as { ms: number; count: number } | null;
  const last = before === null ? 0n : (BigInt(before.ms) << COUNT_BITS) | BigInt(before.count);
  const noise = BigInt(`0x${String(input["noise"])}`);
  const made = uuid7(last, Number(input["now_ms"]), noise);
  const ms = Number(made.last >> COUNT_BITS);
  const count = Number(BigInt.asUintN(Number(COUNT_BITS), made.last));
  return { id: made.id, last: { ms, count } };
}

function clockOffset(given: JsonObject, input: JsonObject): unknown {
  return snake(
    better(read<ClockOffset | null>(given["estimate"]), measured(read<Exchange>(input))),
  );
}

function sessionMachine(given: JsonObject, input: JsonObject): unknown {
  const before = read<sessions.Session | null>(given["session"]);
  const limits = read<sessions.SessionLimits>({
    idle_ms: given["idle_ms"],
    max_ms: given["max_ms"],
  });
  const atMs = Number(input["at_ms"]);
  if (input["event"] === "another_person") {
    return { state: null, effects: [] };
  }
  if (input["event"] === "background_activity") {
    const after = sessions.inBackground(before, atMs, limits);
    return { state: snake(after ?? before), effects: [stampOf(after)] };
  }
  const after = sessions.continued(before, atMs, String(input["new_id"]), limits);
  const tells = { do: "tell_session_changed", session_id: after.id };
  const effects = before?.id === after.id ? [stampOf(after)] : [stampOf(after), tells];
  return { state: snake(after), effects };
}

function stampOf(session: sessions.Session | null): unknown {
  return { do: "stamp", session_id: session?.id ?? null, seq: session?.seq ?? null };
}

// Who, and what they allow

function identityMachine(given: JsonObject, input: JsonObject): unknown {
  const before = read<identity.Identity>(given["identity"]);
  if (input["call"] !== undefined) {
    return { state: snake(before), effects: effectsOfCall(given, input, before) };
  }
  const after = afterAnswer(before, input);
  const effects: unknown[] = identity.clearsCursor(before, after) ? [{ do: "clear_cursor" }] : [];
  const who = input["answer"] === "registered" ? identity.logsInAgain(before, after) : null;
  if (who !== null) {
    effects.push({ do: "log_in_again", user_id: who });
  }
  return { state: snake(after), effects };
}

function afterAnswer(before: identity.Identity, input: JsonObject): identity.Identity {
  const { answer, device_id, profile_id, token, user_id, code } = input;
  const told = { deviceId: String(device_id), profileId: String(profile_id), token: String(token) };
  switch (answer) {
    case "registered":
      return identity.registered(before, told);
    case "token_unknown":
      return identity.withoutToken(before, String(code));
    default:
      return identity.changedTo(before, told, (user_id ?? null) as string | null);
  }
}

function effectsOfCall(given: JsonObject, input: JsonObject, before: identity.Identity): unknown[] {
  const userId = (input["user_id"] ?? null) as string | null;
  const { wanted, logins, is_refused } = given;
  const waiting = read<identity.Waiting>({ wanted, logins, is_refused });
  const hasProof = input["has_proof"] === true;
  const call = input["call"] as identity.Call;
  const placed = identity.placed(waiting, before.userId, call, userId, hasProof);
  return [
    ...(placed.givesUpRefused ? [{ do: "give_up_refused" }] : []),
    ...(placed.action === "replace" ? [{ do: "replace_proof", user_id: userId }] : []),
    ...(placed.action === "append"
      ? [{ do: "append", operation: placed.operation, user_id: userId }]
      : []),
    ...(placed.isAnotherPerson ? [{ do: "isolate" }] : []),
  ];
}

function consent(given: JsonObject, input: JsonObject): unknown {
  const now = {
    purposes: given["purposes"] as Record<string, boolean>,
    isRequired: given["is_required"] === true,
    isOptedOut: given["is_opted_out"] === true,
  };
  if (input["ask"] === "event") {
    const purpose = consentGate.purposeOf(String(input["type"]));
    return { purpose, is_allowed: consentGate.allows(now, purpose) };
  }
  if (input["ask"] === "purpose") {
    return consentGate.isPurpose(input["name"]);
  }
  if (input["ask"] === "status") {
    return {
      status: consentGate.statusOf(now),
      may_contact: consentGate.mayContact(now),
      may_receive: consentGate.mayReceive(now),
      may_push: consentGate.mayPush(now),
    };
  }
  const changed = changedBy(now, input);
  const { purposes, isRequired, isOptedOut } = changed.consent;
  const tells = Object.keys(changed.tells).length > 0;
  return {
    state: { purposes, is_required: isRequired, is_opted_out: isOptedOut },
    effects: [
      ...(tells ? [{ do: "tell_gateway", consent: changed.tells }] : []),
      ...changed.purges.map((purpose) => ({ do: "purge_events", purpose })),
    ],
  };
}

function changedBy(now: consentGate.Consent, input: JsonObject): consentGate.Changed {
  const names = (input["purposes"] ?? []) as string[];
  switch (input["call"]) {
    case "grant":
      return consentGate.said(now, names, true);
    case "revoke":
      return consentGate.said(now, names, false);
    default:
      return consentGate.opted(now, input["call"] === "opt_out");
  }
}

// Settings

/** What holds names of apps, which are not ours to rename. */
const NAMES_OF_APPS = ["sampling", "values"];

function mergeConfig(given: JsonObject, input: JsonObject): unknown {
  const settings = merged(read(given["app"]), input["recommended"] as JsonObject);
  const plain = settings as unknown as JsonObject;
  const found = {
    ...(snake(plain) as JsonObject),
    trigger_events: [...settings.triggerEvents].sort(),
  };
  const names = input["read"] as string[];
  return Object.fromEntries(
    names.map((name) => [name, NAMES_OF_APPS.includes(name) ? plain[name] : member(found, name)]),
  );
}

function bucketing(_: JsonObject, input: JsonObject): unknown {
  return input["share"] === undefined
    ? bucket(String(input["unit"]), String(input["salt"]))
    : isSampled(String(input["install_id"]), read<Sampled>(input), Number(input["share"]));
}

function remoteConfig(given: JsonObject, input: JsonObject): unknown {
  const [values, installId] = [given["values"] as JsonObject, String(given["install_id"])];
  return input["key"] === undefined
    ? resolved(values, installId)
    : valueOf(values, installId, String(input["key"]), input["default"] ?? null);
}

// Messages

function sseParser(given: JsonObject, input: JsonObject): unknown {
  const parser = new SseParser(
    (given["last_event_id"] ?? "") as string,
    given["event_bytes_max"] as number | undefined,
  );
  try {
    const chunks = input["chunks"] as (string | { hex: string })[];
    const events = chunks.flatMap((chunk) =>
      parser.feed(typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk.hex, "hex")),
    );
    return { events, last_event_id: parser.lastEventId, retry_ms: parser.retryMs };
  } catch (error) {
    if (error instanceof EventTooLarge) {
      return { error: "event_too_large" };
    }
    throw error;
  }
}

const TUNING: streams.Tuning = {
  best: "sse",
  heartbeatMs: 25_000,
  pollWaitMs: 25_000,
  pollIntervalMs: 60_000,
};

function streamMachine(given: JsonObject, input: JsonObject): unknown {
  const tuning = { ...TUNING, ...read<Partial<streams.Tuning>>(given["tuning"] ?? {}) };
  let stepped: streams.Stepped = { state: streams.OFF, effects: [] };
  for (const happened of [...(given["before"] as JsonObject[]), input]) {
    const event = read<streams.StreamEvent>(happened);
    const [atMs, chance] = [Number(happened["at_ms"]), Number(happened["u"] ?? 0)];
    stepped = streams.step(stepped.state, event, atMs, chance, tuning);
  }
  const { state, effects } = stepped;
  return {
    state: {
      phase: state.phase,
      mode: state.mode,
      word: streams.described(state),
      deadline_ms: streams.deadlineMs(state),
    },
    effects: effects.map((effect) => ({ do: effect })),
  };
}

const NO_RULES: display.Rules = {
  gapMs: 0,
  perSessionMax: null,
  perDayMax: null,
  quietHours: null,
};
const EMPTY_SCREEN: display.Screen = {
  isSlotTaken: false,
  isPaused: false,
  freedMs: null,
  shownInSession: 0,
  shownToday: 0,
};

function displayDecision(given: JsonObject, input: JsonObject): unknown {
  const message = input["message"] as JsonObject;
  const how = (message["display"] ?? {}) as JsonObject;
  const rules = (given["rules"] ?? {}) as JsonObject;
  const candidate: display.Candidate = {
    expiresAt: Number(message["expires_at"]),
    isInline: message["layout"] === "inline",
    limit: display.limitIn(how),
    ignoresCaps: how["ignores_caps"] === true,
    shownMs: (message["shown_ms"] ?? []) as number[],
  };
  const quietHours = hoursIn(rules["quiet_hours"] ?? null);
  const found = display.decide(
    candidate,
    { ...EMPTY_SCREEN, ...read<Partial<display.Screen>>(given["screen"] ?? {}) },
    { ...NO_RULES, ...read<Partial<display.Rules>>(rules), quietHours },
    Number(input["now_ms"]),
    Number(input["utc_offset_s"]) * 1_000,
  );
  return { decision: found.verdict, reason: found.reason, until_ms: found.untilMs };
}

function quietHours(given: JsonObject, input: JsonObject): unknown {
  const utcOffsetMs = Number(input["utc_offset_s"]) * 1_000;
  const untilMs = quietUntilMs(hoursIn(given), Number(input["now_ms"]), utcOffsetMs);
  return { is_quiet: untilMs !== null, until_ms: untilMs };
}

function hoursIn(value: Json): QuietHours | null {
  const hours = isObject(value) ? value : {};
  const [fromMinute, toMinute] = [minuteOfDay(hours["from"]), minuteOfDay(hours["to"])];
  return fromMinute === null || toMinute === null ? null : { fromMinute, toMinute };
}

function priorityOrder(_: JsonObject, input: JsonObject): unknown {
  return inOrder(
    read<{ id: string; priority: number; createdAt: number }[]>(input["messages"]),
  ).map((message) => message.id);
}

function triggerMatch(given: JsonObject, input: JsonObject): unknown {
  return matches(given["trigger"], String(input["name"]), input["props"] as JsonObject);
}

function templateRender(_: JsonObject, input: JsonObject): unknown {
  return rendered(String(input["template"]), input["props"] as JsonObject);
}

function backoff(_: JsonObject, input: JsonObject): unknown {
  return backoffMs(Number(input["failures"]), Number(input["floor_ms"]), Number(input["u"]));
}

const DECISIONS: Readonly<Record<string, Decide>> = {
  backoff,
  batch_size: sizeOfBatch,
  bucketing,
  canonical_event: canonicalEvent,
  clock_offset: clockOffset,
  consent_gate: consent,
  display_decision: displayDecision,
  eviction,
  identity_machine: identityMachine,
  merge_config: mergeConfig,
  next_step: stepAfter,
  priority_order: priorityOrder,
  quiet_hours: quietHours,
  remote_config: remoteConfig,
  session_machine: sessionMachine,
  sse_parser: sseParser,
  status_classification: statusClassification,
  stream_machine: streamMachine,
  template_render: templateRender,
  trigger_match: triggerMatch,
  uuid7: nextUuid7,
};

/** Every vector that this port answers. */
export const VECTORS: readonly string[] = Object.keys(DECISIONS);
