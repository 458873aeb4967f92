/** Decides what goes to the gateway next, and when: everything in the order of the calls. */

import { Account, isIdentity } from "./account.ts";
import type { Timer } from "./clock.ts";
import { UNLIMITED, afterSuccess, halved, within } from "./decisions/batch_size.ts";
import type { BatchSize } from "./decisions/batch_size.ts";
import { allows, mayContact, purposeOf } from "./decisions/consent_gate.ts";
import { nextStep } from "./decisions/next_step.ts";
import type { Situation, Step } from "./decisions/next_step.ts";
import { outcomeOf } from "./decisions/status_classification.ts";
import type { Outcome, Rejected } from "./decisions/status_classification.ts";
import type { Change } from "./journal.ts";
import { member, textIn } from "./json.ts";
import type { JsonObject } from "./json.ts";
import { Lane } from "./lane.ts";
import type { Exchange } from "./lane.ts";
import type { Batch, NewRow, Row } from "./queue.ts";
import type { Work } from "./work.ts";

/** What the envelope of a batch takes beside its events. */
const ENVELOPE_BYTES = 2_048;
const NOT_MODIFIED = 304;
const CONFIG_TTL_MS = 15 * 60 * 1_000;
/** What a person did with a message matters to their other devices at once. */
const PROMPT: ReadonlySet<string> = new Set([
  "message_shown",
  "message_clicked",
  "message_dismissed",
  "message_failed",
  "survey_answered",
]);

export interface FlushResult {
  readonly sent: number;
  readonly remaining: number;
}

interface Flush {
  /** Of the last row that it waits for. */
  readonly position: number;
  readonly sentBefore: number;
  readonly done: (result: FlushResult) => void;
  readonly timer: Timer;
}

export class Uploader {
  sentEvents = 0;
  readonly lane: Lane;
  readonly account: Account;
  private readonly work: Work;
  private timer: Timer | null = null;
  private isSending = false;
  private size: BatchSize = UNLIMITED;
  /** Events up to this position go out at once; later ones may wait for company. */
  private dueThrough: number;
  private waitingSinceMs: number | null = null;
  private configCheckedMs = -Infinity;
  private flushes: Flush[] = [];

  /** What an earlier run left has waited long enough. */
  constructor(work: Work, cancelled: AbortSignal) {
    this.work = work;
    this.lane = new Lane(work, cancelled);
    this.account = new Account(work, this.lane);
    this.account.configured = (config) => this.follow(config);
    this.dueThrough = work.queue.lastPosition;
  }

  close(): void {
    this.timer?.cancel();
    this.flushes.forEach((flush) => this.endFlush(flush));
  }

  /** Puts an operation behind everything else, together with what is noted about it. */
  append(operation: NewRow, ...together: Change[]): void {
    this.added(this.work.queue.append(operation, ...together));
  }

  /** Learns of a new row. */
  added(row: Row): void {
    this.waitingSinceMs ??= this.work.clock.monotonicMs();
    const isPrompt = this.work.settings.triggerEvents.includes(row.name) || PROMPT.has(row.name);
    if (row.kind !== "event" || isPrompt) {
      this.dueThrough = Math.max(this.dueThrough, row.position);
    }
    this.look();
  }

  /** Sends all there is now. A wait that the gateway asked for stays. */
  hurry(): void {
    this.dueThrough = this.work.queue.lastPosition;
    this.lane.hurry();
    this.look();
  }

  /** Sends all there is now; `done` is called once that is over, or after the timeout. */
  flush(timeoutMs: number, done: (result: FlushResult) => void): void {
    const flush: Flush = {
      position: this.work.queue.lastPosition,
      sentBefore: this.sentEvents,
      done,
      timer: this.work.clock.after(timeoutMs, () => this.endFlush(flush)),
    };
    this.flushes.push(flush);
    this.hurry();
  }

  /** Drops events that are not allowed any more, unless they are on their way. */
  purge(): void {
    const { queue, consent } = this.work;
    const isDenied = (row: Row): boolean => !allows(consent, purposeOf(row.type));
    if (queue.openBatch !== null && !this.isSending && queue.openBatch.events.some(isDenied)) {
      this.dissolve(queue.openBatch, {});
    }
    const sent = queue.openBatch?.events ?? [];
    const denied = queue.events.filter((row) => isDenied(row) && !sent.includes(row));
    queue.drop(denied, "consent");
  }

  /** Follows a refusal of the token elsewhere. */
  tokenRefused(token: string | null, code: string): void {
    // A login or logout that waits brings a new token anyway, and its answer says more.
    if (!this.work.queue.operations.some(isIdentity)) {
      this.account.tokenRefused(token, code);
      this.look();
    }
  }

  /** Sends the next request, if one is due and none is on its way. */
  look(): void {
    if (this.isSending || this.lane.isClosed) {
      return;
    }
    this.timer?.cancel();
    this.expire();
    this.markDue();
    const sending = this.begun();
    if (sending === null) {
      this.endFlushes();
      this.sleep();
      return;
    }
    this.isSending = true;
    void sending.then(() => {
      this.isSending = false;
      this.endFlushes();
      this.look();
    });
  }

  // What is due

  /** What is too old leaves, also out of a batch that could not be sent in all this time. */
  private expire(): void {
    const { queue, config, clock } = this.work;
    if (queue.openBatch !== null && queue.hasOldBatch(config.queueTtlMs, clock.wallMs())) {
      this.dissolve(queue.openBatch, {});
    }
    this.work.evict();
  }

  private markDue(): void {
    const { queue, settings, clock } = this.work;
    if (queue.eventCount === 0) {
      this.waitingSinceMs = null;
      return;
    }
    this.waitingSinceMs ??= clock.monotonicMs();
    const hasWaited = clock.monotonicMs() - this.waitingSinceMs >= settings.flushIntervalMs;
    if (queue.eventCount >= settings.flushAt || hasWaited) {
      this.dueThrough = queue.lastPosition;
    }
  }

  private sleep(): void {
    const dueMs = this.dueAtMs();
    if (dueMs !== null) {
      const nowMs = this.work.clock.monotonicMs();
      this.timer = this.work.clock.after(dueMs - nowMs, () => this.look());
    }
  }

  /** When there is something to do without being told; null: never. */
  private dueAtMs(): number | null {
    const { clock, consent, queue, settings } = this.work;
    const hasLastWord = queue.operations.some((row) => row.kind === "consent");
    const { retryAtMs } = this.lane;
    if (clock.monotonicMs() < retryAtMs) {
      return mayContact(consent) || hasLastWord ? retryAtMs : null;
    }
    const isIdle = this.account.isLoginRefused || !mayContact(consent);
    return isIdle || this.waitingSinceMs === null
      ? null
      : this.waitingSinceMs + settings.flushIntervalMs;
  }

  private begun(): Promise<void> | null {
    const { queue, consent } = this.work;
    const lastWord = queue.operations.find((row) => row.kind === "consent");
    const head = mayContact(consent) ? queue.head : lastWord;
    if (this.account.mayRenewEarly()) {
      return this.account.renewEarly();
    }
    return this.make(nextStep(this.situation(head, lastWord !== undefined)), head);
  }

  private make(step: Step, head: Row | undefined): Promise<void> | null {
    const { openBatch } = this.work.queue;
    switch (step) {
      case "register":
        return this.account.register();
      case "send_batch":
        return openBatch === null ? null : this.sendBatch(openBatch);
      case "make_batch":
        return this.sendBatch(this.makeBatch());
      case "make_operation":
        return head === undefined ? null : this.account.make(head);
      case "refresh_config":
        return this.refreshConfig();
      case "wait":
        return null;
    }
  }

  private situation(head: Row | undefined, hasConsentOperation: boolean): Situation {
    const { queue, identity, clock, consent } = this.work;
    const configAgeMs = clock.monotonicMs() - this.configCheckedMs;
    const isConfigOld = configAgeMs >= CONFIG_TTL_MS && this.lane.isWarm;
    return {
      nowMs: clock.monotonicMs(),
      retryAtMs: this.lane.retryAtMs,
      mayContact: mayContact(consent),
      isRegistered: identity.deviceId !== null,
      hasToken: this.account.hasToken,
      hasConsentOperation,
      hasOpenBatch: queue.openBatch !== null,
      head: headKind(head),
      headIsDue: head !== undefined && head.position <= this.dueThrough,
      isIdentityRefused: this.account.isLoginRefused,
      configIsStale: configAgeMs === Infinity || isConfigOld,
    };
  }

  // Batches

  private makeBatch(): Batch {
    const { queue, settings } = this.work;
    this.waitingSinceMs = this.work.clock.monotonicMs();
    const eventsMax = within(this.size, settings.batchEventsMax);
    return queue.makeBatch(this.work.newId(), eventsMax, settings.batchBytesMax - ENVELOPE_BYTES);
  }

  private async sendBatch(batch: Batch): Promise<void> {
    const { clock, offset } = this.work;
    const told = Object.entries(batch.report).map(([reason, quantity]) => ({ reason, quantity }));
    const envelope = JSON.stringify({
      batch_id: batch.id,
      sent_at: clock.wallMs(),
      ...(offset === null ? {} : { clock: { offset_ms: offset.offsetMs, rtt_ms: offset.rttMs } }),
      ...(told.length === 0 ? {} : { client_report: told }),
    });
    // The events stay the bytes they were at the call; only the envelope is made anew.
    const events = batch.events.map((row) => row.body).join(",");
    const body = `${envelope.slice(0, -1)},"events":[${events}]}`;
    const exchange = await this.lane.send("POST", "/v1/events", body);
    this.batchAnswered(exchange, batch, outcomeOf(exchange.answer));
  }

  private batchAnswered(exchange: Exchange, batch: Batch, outcome: Outcome): void {
    switch (outcome.kind) {
      case "accepted":
        return this.delivered(batch, outcome.rejected);
      case "partly_refused":
        return this.partlyRefused(batch, outcome.rejected);
      case "refused":
      case "too_large":
        return this.makeSmaller(batch, outcome.code);
      case "unauthorized":
        return this.account.tokenRefused(exchange.token, outcome.code);
      default:
        return this.lane.stumble(exchange, outcome);
    }
  }

  private delivered(batch: Batch, rejected: Rejected): void {
    const { queue, settings, clock } = this.work;
    const ids = batch.events.map((row) => row.id).filter((id) => !Object.hasOwn(rejected, id));
    queue.settle(batch, rejected);
    this.sentEvents += ids.length;
    this.size = afterSuccess(this.size, settings.batchEventsMax);
    this.waitingSinceMs = queue.eventCount > 0 ? clock.monotonicMs() : null;
    this.account.tokenWorked();
    this.lane.succeed();
    this.work.publish("delivered", ids);
  }

  private partlyRefused(batch: Batch, rejected: Rejected): void {
    if (batch.events.every((row) => member(rejected, row.id) === undefined)) {
      this.makeSmaller(batch, "rejected");
    } else {
      this.dissolve(batch, rejected);
      this.lane.succeed();
    }
  }

  /** Halves until the event that is at fault is alone; only then drops it. */
  private makeSmaller(batch: Batch, code: string): void {
    const [only, ...others] = batch.events;
    if (only !== undefined && others.length === 0) {
      this.dissolve(batch, { [only.id]: code });
      this.size = UNLIMITED;
    } else {
      this.dissolve(batch, {});
      this.size = halved(batch.events.length);
    }
  }

  private dissolve(batch: Batch, rejected: Rejected): void {
    this.work.queue.dissolve(batch, rejected);
    this.dueThrough = Math.max(this.dueThrough, batch.events.at(-1)?.position ?? 0);
  }

  // Configuration

  private async refreshConfig(): Promise<void> {
    this.configCheckedMs = this.work.clock.monotonicMs();
    const etag = textIn(this.work.recommended["etag"])?.replace(/^"|"$/g, "");
    const headers: Record<string, string> =
      etag === undefined ? {} : { "If-None-Match": `"${etag}"` };
    const { answer, token } = await this.lane.send("GET", "/v1/config", "", headers);
    const outcome = outcomeOf(answer);
    if (outcome.kind === "accepted") {
      this.follow(outcome.body);
      this.lane.succeed();
    } else if (outcome.kind === "unauthorized") {
      this.account.tokenRefused(token, outcome.code);
    } else if (answer?.status === NOT_MODIFIED) {
      this.lane.succeed();
    }
    // Otherwise the old one still does: events must not wait because of this.
  }

  private follow(config: JsonObject): void {
    this.configCheckedMs = this.work.clock.monotonicMs();
    this.work.recommend(config);
    const { triggerEvents } = this.work.settings;
    const awaited = this.work.queue.events.findLast((row) => triggerEvents.includes(row.name));
    this.dueThrough = Math.max(this.dueThrough, awaited?.position ?? 0);
  }

  // Flushes

  private endFlushes(): void {
    for (const flush of this.flushes.filter((one) => this.isOver(one))) {
      this.endFlush(flush);
    }
  }

  /** Everything up to the position is out, or cannot go on. */
  private isOver(flush: Flush): boolean {
    const { head, openBatch } = this.work.queue;
    const isOut = head === undefined || head.position > flush.position;
    return !this.isSending && openBatch === null && (isOut || this.account.isLoginRefused);
  }

  private endFlush(flush: Flush): void {
    this.flushes = this.flushes.filter((one) => one !== flush);
    flush.timer.cancel();
    const sent = this.sentEvents - flush.sentBefore;
    flush.done({ sent, remaining: this.work.queue.eventCount });
  }
}

function headKind(head: Row | undefined): Situation["head"] {
  if (head === undefined) {
    return null;
  }
  return head.kind === "event" ? "event" : isIdentity(head) ? "identity" : "operation";
}
