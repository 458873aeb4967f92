/** Keeps messages, and hands them to the app one at a time, when nothing speaks against it. */

import type { Timer } from "./clock.ts";
import { mayReceive } from "./decisions/consent_gate.ts";
import { decide, limitIn } from "./decisions/display_decision.ts";
import type { Decision } from "./decisions/display_decision.ts";
import { inOrder } from "./decisions/priority_order.ts";
import { dayStartMs } from "./decisions/quiet_hours.ts";
import { renderedContent } from "./decisions/template_render.ts";
import { matches } from "./decisions/trigger_match.ts";
import type { Change } from "./journal.ts";
import type { Json, JsonObject } from "./json.ts";
import { Show, isInline } from "./messages.ts";
import type { DisplayDecision, Held, Message, MessageCallback, Page } from "./messages.ts";
import type { Recorder } from "./recorder.ts";
import type { Work } from "./work.ts";

const MESSAGES = "messages";
/** Ids that were handed over and are not live any more: id → end of the message. */
const GONE = "gone";
/** Every time a message was shown: id of the report → time. */
const SHOWN = "shown";
/** Only those of today are counted; a day has up to 25 hours. */
const SHOWN_KEPT_MS = 25 * 60 * 60 * 1_000;
const DEFER_MS = 30_000;
/** An app that was asked and says nothing shows nothing. */
const SILENCE_MS_MAX = 10_000;
/** An app that showed a message and says no more has forgotten to say that it is gone. */
const SHOWING_MS_MAX = 10 * 60 * 1_000;
const FREES_SLOT: ReadonlySet<string> = new Set([
  "message_clicked",
  "message_dismissed",
  "message_failed",
]);

export interface InboxMessage {
  readonly message: Message;
  readonly isRead: boolean;
}

export class Presenter {
  callback: MessageCallback | null = null;
  /** The app is in the background: nobody would see a message. */
  isInBackground = false;
  private readonly work: Work;
  private readonly recorder: Recorder;
  private timer: Timer | null = null;
  /** What the app was given and has not said to be gone: id → message. */
  private readonly onScreen = new Map<string, Message>();
  /** Who has the one place for messages that cover the screen, and for how long (monotonic). */
  private slot: { readonly id: string; readonly untilMs: number } | null = null;
  /** Monotonic times at which deferred messages are offered again. */
  private readonly deferred = new Map<string, number>();
  private readonly pauses = new Set<string>();
  private freedMs: number | null = null;
  private shownInSession = { sessionId: "", number: 0 };
  private inboxTold = "[]";
  private isClosed = false;
  private isLooking = false;
  private hasNews = false;

  constructor(work: Work, recorder: Recorder) {
    this.work = work;
    this.recorder = recorder;
    this.inboxTold = JSON.stringify(this.inboxTopic());
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
  }

  /** Follows a page of the gateway. */
  take(page: Page): void {
    const live = new Set(page.messages.map((message) => message.id));
    const forgotten = page.isComplete
      ? this.all().filter((one) => !live.has(one.message.id) && !this.isOnScreen(one))
      : [];
    forgotten.forEach((one) => this.forget(one.message.id));
    page.withdrawn.forEach((id) => this.end(id));
    page.messages.forEach((message) => this.add(message));
    this.look();
  }

  /** Learns of an event: messages may have waited for it. */
  happened(type: string, name: string, props: JsonObject): void {
    if (type === "message") {
      return;
    }
    for (const held of this.all()) {
      if (held.message.trigger !== null && matches(held.message.trigger, name, props)) {
        this.keep({ ...held, isReady: true, event: props });
      }
    }
    if (type === "screen") {
      this.deferred.clear();
    }
    this.look();
  }

  /** Somebody else is on the device: nothing of the person before is shown any more. */
  isolate(): void {
    [...this.onScreen.keys()].forEach((id) => this.end(id));
    this.all().forEach((one) => this.forget(one.message.id));
    this.deferred.clear();
    this.look();
  }

  pause(name: string): void {
    this.pauses.add(name);
  }

  resume(name: string): void {
    this.pauses.delete(name);
    this.look();
  }

  /** The messages that can be read, also again. */
  inbox(): InboxMessage[] {
    const nowMs = this.work.gatewayMs();
    const live = this.all().filter(
      (one) => !one.isRemoved && one.message.expiresAt > nowMs && isDelivered(one),
    );
    return live.map(({ message, isRead }) => ({ message, isRead }));
  }

  markRead(id: string): void {
    this.change(id, { isRead: true });
  }

  remove(id: string): void {
    this.change(id, { isRemoved: true, isReady: false });
  }

  /** Offers what may be offered now, and comes back when more may. */
  look(): void {
    this.hasNews = true;
    if (this.isLooking || this.isClosed) {
      // The app may call from inside its callback: the loop below goes round once more.
      return;
    }
    this.isLooking = true;
    let waits: number[] = [];
    try {
      while (this.hasNews) {
        this.hasNews = false;
        this.expire();
        this.reclaimSlot();
        waits = this.mayOffer() ? this.offerAll() : [];
        this.tellInbox();
      }
    } finally {
      this.isLooking = false;
    }
    this.sleep(waits);
  }

  private sleep(waits: readonly number[]): void {
    this.timer?.cancel();
    const lives = this.all().map((one) => this.leftMs(one.message));
    const delayMs = Math.min(this.slotLeftMs(), ...waits, ...lives);
    this.timer = Number.isFinite(delayMs)
      ? this.work.clock.after(delayMs, () => this.look())
      : null;
  }

  private slotLeftMs(): number {
    return (this.slot?.untilMs ?? Infinity) - this.work.clock.monotonicMs();
  }

  private reclaimSlot(): void {
    if (this.slotLeftMs() <= 0) {
      this.freeSlot(this.slot?.id);
    }
  }

  private takeSlot(message: Message, forMs: number): void {
    if (!isInline(message)) {
      this.slot = { id: message.id, untilMs: this.work.clock.monotonicMs() + forMs };
    }
  }

  private freeSlot(id: string | undefined): void {
    if (this.slot !== null && this.slot.id === id) {
      this.slot = null;
      this.freedMs = this.work.clock.wallMs();
    }
  }

  private mayOffer(): boolean {
    return this.callback !== null && !this.isInBackground && mayReceive(this.work.consent);
  }

  /** Gives how long to wait for each message that has to, where that is known. */
  private offerAll(): number[] {
    const waits: number[] = [];
    const ready = this.all().filter((one) => one.isReady && !this.isOnScreen(one));
    for (const { id } of inOrder(ready.map((one) => one.message))) {
      const held = this.held(id);
      if (held !== undefined) {
        waits.push(this.offer(held));
      }
    }
    return waits;
  }

  private offer(held: Held): number {
    const { id } = held.message;
    const { clock } = this.work;
    const deferredMs = (this.deferred.get(id) ?? 0) - clock.monotonicMs();
    if (deferredMs > 0) {
      return deferredMs;
    }
    const { verdict, untilMs } = this.decisionOn(held);
    if (verdict === "show") {
      this.hand(held);
    } else if (verdict === "never") {
      this.keep({ ...held, isReady: false });
    }
    const again = this.deferred.get(id);
    return again === undefined
      ? (untilMs ?? Infinity) - clock.wallMs()
      : again - clock.monotonicMs();
  }

  private decisionOn(held: Held): Decision {
    const { clock, config, settings, offset } = this.work;
    const { message } = held;
    const nowMs = clock.wallMs();
    const isSameSession = this.shownInSession.sessionId === this.recorder.session?.id;
    const today = dayStartMs(nowMs, config.utcOffsetMs);
    const shown = [...this.work.journal.table(SHOWN).values()].map(Number);
    return decide(
      {
        expiresAt: message.expiresAt - (offset?.offsetMs ?? 0),
        isInline: isInline(message),
        limit: limitIn(message.display),
        ignoresCaps: message.display["ignores_caps"] === true,
        shownMs: held.handedMs,
      },
      {
        isSlotTaken: this.slot !== null,
        isPaused: this.pauses.size > 0,
        freedMs: this.freedMs,
        shownInSession: isSameSession ? this.shownInSession.number : 0,
        shownToday: shown.filter((at) => at >= today).length,
      },
      settings.display,
      nowMs,
      config.utcOffsetMs,
    );
  }

  /** Hands a message over; it is marked before the app sees it, so that a crash shows it once. */
  private hand(held: Held): void {
    const { message } = held;
    const content =
      held.event === null ? message.content : renderedContent(message.content, held.event);
    const handedMs = [...held.handedMs, this.work.clock.wallMs()];
    this.onScreen.set(message.id, message);
    this.takeSlot(message, SILENCE_MS_MAX);
    this.deferred.delete(message.id);
    this.keep({ ...held, isReady: false, handedMs });
    const { person } = this.work;
    const show = new Show(
      message.id,
      (name, props) => this.reported(message, person, name, props),
      () => this.isCurrent(message, person),
    );
    this.follow(this.asked({ ...message, content }, show), held, show);
  }

  /** Asks the app; null: its callback failed. */
  private asked(message: Message, show: Show): DisplayDecision | null {
    try {
      return this.callback?.(message, show) ?? "SHOW";
    } catch (error) {
      show.failed(`callback: ${error instanceof Error ? error.name : "error"}`);
      return null;
    }
  }

  private follow(decision: DisplayDecision | null, held: Held, show: Show): void {
    if (decision === "DISCARD") {
      show.dismissed("discarded");
    } else if (decision === "DEFER") {
      this.defer(held);
    }
  }

  /** Takes a hand-over back: it was none. */
  private defer(before: Held): void {
    const { id } = before.message;
    const held = this.held(id);
    this.onScreen.delete(id);
    this.slot = this.slot?.id === id ? null : this.slot;
    if (held !== undefined) {
      const { isReady, handedMs } = before;
      this.deferred.set(id, this.work.clock.monotonicMs() + DEFER_MS);
      this.keep({ ...held, isReady, handedMs });
    }
  }

  private reported(message: Message, person: number, name: string, props: JsonObject): void {
    if (person !== this.work.person) {
      return;
    }
    const reportId = this.recorder.event("message", name, props);
    if (name === "message_shown" && !isInline(message)) {
      this.count(reportId);
    }
    if (name === "message_shown" && this.slot?.id === message.id) {
      this.takeSlot(message, SHOWING_MS_MAX);
    }
    if (FREES_SLOT.has(name)) {
      this.onScreen.delete(message.id);
      this.freeSlot(message.id);
    }
    this.look();
  }

  private count(reportId: string): void {
    const sessionId = this.recorder.session?.id ?? "";
    const before = this.shownInSession.sessionId === sessionId ? this.shownInSession.number : 0;
    this.shownInSession = { sessionId, number: before + 1 };
    this.work.journal.commit([SHOWN, reportId, this.work.clock.wallMs()]);
  }

  private isCurrent(message: Message, person: number): boolean {
    const isTheirs = person === this.work.person && this.held(message.id) !== undefined;
    return isTheirs && message.expiresAt > this.work.gatewayMs();
  }

  private add(message: Message): void {
    const isKnown = this.held(message.id) !== undefined || this.work.journal.get(GONE, message.id);
    if (isKnown || message.expiresAt <= this.work.gatewayMs()) {
      return;
    }
    const isReady = message.trigger === null;
    const nothing = { event: null, handedMs: [], isRead: false, isRemoved: false };
    this.keep({ message, isReady, ...nothing });
    this.recorder.backgroundEvent("message", "message_received", { message_id: message.id });
  }

  /** Takes a message back, from the screen too. */
  private end(id: string): void {
    if (this.onScreen.delete(id)) {
      this.freeSlot(id);
      this.work.publish("message_ended", id);
    }
    this.forget(id);
  }

  private expire(): void {
    const over = this.all().filter((one) => this.leftMs(one.message) <= 0);
    over.forEach((one) => this.end(one.message.id));
    this.prune(GONE, this.work.gatewayMs());
    this.prune(SHOWN, this.work.clock.wallMs() - SHOWN_KEPT_MS);
  }

  /** Forgets entries of a table of times that lie before `untilMs`. */
  private prune(table: string, untilMs: number): void {
    const entries = [...this.work.journal.table(table)];
    const old = entries.filter(([, at]) => Number(at) < untilMs);
    this.work.journal.commit(...old.map(([key]): Change => [table, key, undefined]));
  }

  private leftMs(message: Message): number {
    return message.expiresAt - this.work.gatewayMs();
  }

  private forget(id: string): void {
    const held = this.held(id);
    if (held === undefined) {
      return;
    }
    const wasHanded = held.handedMs.length > 0 || held.isRemoved;
    const mark = wasHanded ? held.message.expiresAt : undefined;
    this.work.journal.commit([MESSAGES, id, undefined], [GONE, id, mark]);
  }

  private change(id: string, change: Partial<Held>): void {
    const held = this.held(id);
    if (held !== undefined) {
      this.keep({ ...held, ...change });
      this.look();
    }
  }

  private isOnScreen(held: Held): boolean {
    return this.onScreen.has(held.message.id);
  }

  private all(): Held[] {
    return [...this.work.journal.table(MESSAGES).values()].map((one) => one as unknown as Held);
  }

  private held(id: string): Held | undefined {
    return this.work.journal.get(MESSAGES, id) as unknown as Held | undefined;
  }

  private keep(held: Held): void {
    this.work.journal.commit([MESSAGES, held.message.id, held as unknown as Json]);
  }

  private tellInbox(): void {
    const topic = this.inboxTopic();
    if (JSON.stringify(topic) !== this.inboxTold) {
      this.inboxTold = JSON.stringify(topic);
      this.work.publish("inbox_changed", topic);
    }
  }

  private inboxTopic(): JsonObject[] {
    return this.inbox().map(({ message, isRead }) => ({
      message_id: message.id,
      title: message.content["title"] ?? "",
      is_read: isRead,
    }));
  }
}

/** One that still waits for its event is not there yet, as far as the person is concerned. */
function isDelivered(held: Held): boolean {
  return held.message.trigger === null || held.isReady || held.handedMs.length > 0;
}
