/** What all parts of the client share: the device's identity, the settings, the queue. */

import { randomBytes } from "node:crypto";

import type { Clock } from "./clock.ts";
import { better, measured } from "./decisions/clock_offset.ts";
import type { ClockOffset } from "./decisions/clock_offset.ts";
import type { Consent, Purposes } from "./decisions/consent_gate.ts";
import type { Identity } from "./decisions/identity_machine.ts";
import { merged } from "./decisions/merge_config.ts";
import type { Choices, Settings } from "./decisions/merge_config.ts";
import { resolved } from "./decisions/remote_config.ts";
import { uuid7 } from "./decisions/uuid7.ts";
import { Journal } from "./journal.ts";
import type { Change } from "./journal.ts";
import { isObject } from "./json.ts";
import type { Json, JsonObject } from "./json.ts";
import { Queue } from "./queue.ts";
import type { NewRow, Operation, Row } from "./queue.ts";
import type { Answer, OpenAnswer, Request, Transport } from "./transport.ts";
import { answerOf, opened } from "./transport.ts";

export interface Config extends Choices {
  readonly endpoint: string;
  readonly publishableKey: string;
  readonly storageDir: string;
  readonly platform: string;
  readonly formFactor: string;
  readonly device: JsonObject;
  readonly utcOffsetMs: number;
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
  readonly queueTtlMs: number;
  readonly consentRequired: boolean;
  readonly stream: "auto" | "sse" | "long_poll" | "poll" | "off";
}

export const DEFAULTS: Omit<Config, "endpoint" | "publishableKey" | "storageDir"> = {
  platform: "desktop",
  formFactor: "desktop",
  device: {},
  utcOffsetMs: 0,
  queueEventsMax: 10_000,
  queueBytesMax: 10 * 1_024 * 1_024,
  queueTtlMs: 30 * 24 * 60 * 60 * 1_000,
  consentRequired: false,
  stream: "auto",
};

/** What comes from outside. `chance` gives 0 up to, not including, 1. */
export interface Ports {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly chance: () => number;
}

/** Tells the app; the topics are those of the conformance kit. */
export type Publish = (topic: string, value: Json) => void;

const KEPT = "kept";
const VERSION = "0.1.0";
const SDK = { name: "zuruf-typescript", version: VERSION };
/** For an answer that nobody holds back. */
const ANSWER_MS_MAX = 30_000;

export class Work {
  readonly config: Config;
  readonly clock: Clock;
  readonly chance: () => number;
  readonly journal: Journal;
  readonly queue: Queue;
  readonly publish: Publish;
  readonly sdk = SDK;
  identity: Identity;
  /** Who the app says is on the device: the gateway may not know yet. */
  wanted: string | null;
  /** Grows whenever somebody else takes over the device: what is older is nobody's business any more. */
  person = 0;
  consent: Consent;
  /** When the gateway was last told of each purpose, by the device's clock. */
  saidMs: Readonly<Record<string, number>>;
  settings: Settings;
  recommended: JsonObject;
  offset: ClockOffset | null = null;
  private readonly transport: Transport;
  private lastId = 0n;

  constructor(config: Config, ports: Ports, publish: Publish) {
    this.config = config;
    this.clock = ports.clock;
    this.chance = ports.chance;
    this.transport = ports.transport;
    this.publish = publish;
    this.journal = new Journal(config.storageDir);
    this.queue = new Queue(this.journal, (reasons) => publish("dropped", { ...reasons }));
    this.identity = this.restoredIdentity();
    this.wanted = this.kept("wanted") as string | null;
    this.consent = this.restoredConsent();
    this.saidMs = this.restoredSaidMs();
    const recommended = this.kept("config");
    this.recommended = isObject(recommended) ? recommended : {};
    this.settings = merged(config, this.recommended);
  }

  newId(): string {
    const noise = BigInt(`0x${randomBytes(10).toString("hex")}`);
    const { last, id } = uuid7(this.lastId, this.clock.wallMs(), noise);
    this.lastId = last;
    return id;
  }

  kept(key: string): Json {
    return this.journal.get(KEPT, key) ?? null;
  }

  keep(key: string, value: Json): void {
    this.journal.commit([KEPT, key, value]);
  }

  keepIdentity(identity: Identity): void {
    this.identity = identity;
    this.keep("identity", { ...identity });
  }

  /** Notes who is to be on the device; the change has to be committed. */
  want(userId: string | null): Change {
    this.wanted = userId;
    return [KEPT, "wanted", userId];
  }

  /** Notes what was allowed, and when; the change has to be committed. */
  allow(consent: Consent, told: Purposes): Change {
    const atMs = this.clock.wallMs();
    this.consent = consent;
    this.saidMs = { ...this.saidMs, ...mapped(told, () => atMs) };
    const { purposes, isOptedOut } = consent;
    return [KEPT, "consent", { purposes: { ...purposes }, isOptedOut, saidMs: { ...this.saidMs } }];
  }

  /** Notes the push token that the gateway is to know. */
  push(token: JsonObject | null): Change {
    return [KEPT, "push", token];
  }

  /** Makes a row of an operation; `body` null: its request has none. */
  operation(kind: Operation, name: string, body: JsonObject | null): NewRow {
    const createdMs = this.clock.wallMs();
    const json = body === null ? "" : JSON.stringify(body);
    return { kind, type: "", id: this.newId(), name, createdMs, body: json };
  }

  /** Drops what is too old or too much. */
  evict(): void {
    const { queueEventsMax, queueBytesMax, queueTtlMs } = this.config;
    const bounds = { eventsMax: queueEventsMax, bytesMax: queueBytesMax, ttlMs: queueTtlMs };
    const isTrigger = (row: Row): boolean => this.settings.triggerEvents.includes(row.name);
    this.queue.evict(bounds, this.clock.wallMs(), isTrigger);
  }

  /** Follows a configuration of the gateway. */
  recommend(config: JsonObject): void {
    const before = JSON.stringify(this.remoteValues());
    this.recommended = config;
    this.settings = merged(this.config, config);
    this.keep("config", config);
    if (JSON.stringify(this.remoteValues()) !== before) {
      this.publish("config_changed", this.remoteValues());
    }
  }

  remoteValues(): JsonObject {
    return resolved(this.settings.values, this.identity.installId);
  }

  /** The gateway's time, as far as it is known. */
  gatewayMs(): number {
    return this.clock.wallMs() + (this.offset?.offsetMs ?? 0);
  }

  request(
    method: Request["method"],
    path: string,
    headers: Record<string, string>,
    body?: Request["body"],
    heldMs = 0,
  ): Request {
    return {
      method,
      path,
      headers: {
        Accept: "application/json",
        Authorization: `Bearer ${this.identity.token}`,
        "User-Agent": `${SDK.name}/${SDK.version}`,
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      timeoutMs: ANSWER_MS_MAX + heldMs,
    };
  }

  /** Gives the whole answer, or null. */
  ask(request: Request, cancelled: AbortSignal): Promise<Answer | null> {
    return answerOf(this.transport, request, cancelled);
  }

  /** Gives the head of the answer, or null. */
  open(request: Request, cancelled: AbortSignal): Promise<OpenAnswer | null> {
    return opened(this.transport, request, cancelled);
  }

  /** Learns the gateway's time from an answer that nobody held back; `sentMs` is monotonic. */
  learnTime({ headers }: Answer, sentMs: number): void {
    const serverTime = headers["x-server-time"] ?? "";
    if (headers["x-zuruf"] === undefined || !/^[0-9]+$/.test(serverTime)) {
      return;
    }
    const answeredMs = this.clock.monotonicMs();
    const wallMs = this.clock.wallMs();
    const sample = measured({ serverMs: Number(serverTime), sentMs, answeredMs, wallMs });
    this.offset = better(this.offset, sample);
  }

  private restoredIdentity(): Identity {
    const kept = this.kept("identity");
    if (isObject(kept)) {
      return kept as unknown as Identity;
    }
    const installId = this.newId();
    const identity = { installId, deviceId: null, profileId: null, token: null, userId: null };
    this.keep("identity", identity);
    return identity;
  }

  private restoredConsent(): Consent {
    const kept = this.kept("consent");
    const said = isObject(kept) ? (kept as unknown as Omit<Consent, "isRequired">) : null;
    return {
      purposes: said?.purposes ?? {},
      isOptedOut: said?.isOptedOut ?? false,
      isRequired: this.config.consentRequired,
    };
  }

  private restoredSaidMs(): Record<string, number> {
    const kept = this.kept("consent");
    const saidMs = isObject(kept) ? (kept["saidMs"] ?? {}) : {};
    return saidMs as Record<string, number>;
  }
}

function mapped<From, To>(
  object: Readonly<Record<string, From>>,
  change: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
