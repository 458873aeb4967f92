/** Fetches messages: does what the stream machine says, and tells it what came of it. */

import type { Timer } from "./clock.ts";
import { mayReceive } from "./decisions/consent_gate.ts";
import { EventTooLarge, SseParser } from "./decisions/sse_parser.ts";
import type { ServerEvent } from "./decisions/sse_parser.ts";
import { SLOW_RETRY_MS, outcomeOf } from "./decisions/status_classification.ts";
import * as machine from "./decisions/stream_machine.ts";
import type { Mode, StreamEvent, StreamState, Tuning } from "./decisions/stream_machine.ts";
import { isObject, objectIn, textIn } from "./json.ts";
import type { Json } from "./json.ts";
import { pageIn } from "./messages.ts";
import type { Presenter } from "./presenter.ts";
import { leave, nextOf, wholeOf } from "./transport.ts";
import type { Answer, OpenAnswer } from "./transport.ts";
import type { Uploader } from "./uploader.ts";
import type { Work } from "./work.ts";

const CURSOR = "cursor";
const HEARTBEAT_MS = 25_000;
const NO_CONTENT = 204;

/** One request, and as whom it was sent. */
interface Attempt {
  readonly token: string | null;
  readonly person: number;
  readonly sentMs: number;
  readonly controller: AbortController;
}

export class Receiver {
  private readonly work: Work;
  private readonly presenter: Presenter;
  private readonly uploader: Uploader;
  private state: StreamState = machine.OFF;
  private attempt: Attempt | null = null;
  private timer: Timer | null = null;
  private told = "off";
  private isClosed = false;

  constructor(work: Work, presenter: Presenter, uploader: Uploader) {
    this.work = work;
    this.presenter = presenter;
    this.uploader = uploader;
  }

  get word(): string {
    return machine.described(this.state);
  }

  close(): void {
    this.isClosed = true;
    this.happen({ kind: "stop" });
  }

  /** Begins or ends, whatever is right now. */
  look(): void {
    const { config, identity, consent } = this.work;
    const isWanted = this.presenter.callback !== null && config.stream !== "off" && !this.isClosed;
    const may = identity.token !== null && mayReceive(consent) && !this.isLeaving();
    this.happen({ kind: isWanted && may ? "start" : "stop" });
  }

  /** Another token or person: begin anew at once. */
  restart(profileChanged: boolean): void {
    if (profileChanged) {
      this.work.keep(CURSOR, "");
    }
    const wasOff = this.state.phase === "off";
    this.look();
    if (!wasOff) {
      this.happen({ kind: "restart" });
    }
  }

  background(): void {
    this.happen({ kind: "background" });
  }

  foreground(): void {
    this.happen({ kind: "foreground" });
  }

  /** Uploads are answered again after a time without. */
  online(): void {
    this.happen({ kind: "online" });
  }

  /** Fetches now: a push said that there is something. */
  sync(): void {
    this.happen({ kind: "restart" });
  }

  private happen(event: StreamEvent): void {
    const nowMs = this.work.clock.monotonicMs();
    const stepped = machine.step(this.state, event, nowMs, this.work.chance(), this.tuning());
    this.state = stepped.state;
    for (const effect of stepped.effects) {
      if (effect === "open") {
        this.open(this.state.mode);
      } else {
        this.attempt?.controller.abort();
        this.attempt = null;
      }
    }
    this.sleep(nowMs);
    if (this.word !== this.told) {
      this.told = this.word;
      this.work.publish("stream_state", this.word);
    }
  }

  private tuning(): Tuning {
    const { stream } = this.work.config;
    const { pollWaitMs, pollIntervalMs } = this.work.settings;
    const best = stream === "long_poll" || stream === "poll" ? stream : "sse";
    return { best, heartbeatMs: HEARTBEAT_MS, pollWaitMs, pollIntervalMs };
  }

  private sleep(nowMs: number): void {
    this.timer?.cancel();
    const deadlineMs = machine.deadlineMs(this.state);
    this.timer =
      deadlineMs === null
        ? null
        : this.work.clock.after(deadlineMs - nowMs, () => this.happen({ kind: "tick" }));
  }

  private open(mode: Mode): void {
    const attempt: Attempt = {
      token: this.work.identity.token,
      person: this.work.person,
      sentMs: this.work.clock.monotonicMs(),
      controller: new AbortController(),
    };
    this.attempt = attempt;
    void (mode === "sse" ? this.stream(attempt) : this.poll(attempt, mode));
  }

  // Polls

  private async poll(attempt: Attempt, mode: Mode): Promise<void> {
    const heldMs = mode === "long_poll" ? this.work.settings.pollWaitMs : 0;
    const query = new URLSearchParams({ wait: String(Math.floor(heldMs / 1_000)) });
    if (this.cursor() !== "") {
      query.set("after", this.cursor());
    }
    const request = this.work.request("GET", `/v1/messages?${query}`, {}, undefined, heldMs);
    const answer = await this.work.ask(request, attempt.controller.signal);
    if (this.attempt === attempt) {
      this.attempt = null;
      this.polled(attempt, answer);
    }
  }

  private polled(attempt: Attempt, answer: Answer | null): void {
    const outcome = outcomeOf(answer);
    if (outcome.kind !== "accepted") {
      this.refused(attempt, answer);
      return;
    }
    this.uploader.account.tokenWorked();
    const isEmpty = answer?.status === NO_CONTENT;
    if (!isEmpty) {
      this.take(attempt, outcome.body, null);
    }
    const heldMs = this.work.clock.monotonicMs() - attempt.sentMs;
    this.happen({ kind: "answered", heldMs, isEmpty });
  }

  private refused(attempt: Attempt, answer: Answer | null): void {
    const outcome = outcomeOf(answer);
    if (outcome.kind === "unauthorized") {
      this.happen({ kind: "refused", floorMs: SLOW_RETRY_MS });
      this.uploader.tokenRefused(attempt.token, outcome.code);
    } else if (
      outcome.kind === "retry" &&
      answer?.headers["x-zuruf"] !== undefined &&
      isBusy(answer)
    ) {
      this.happen({ kind: "refused", floorMs: outcome.floorMs });
    } else {
      this.happen({ kind: "failed" });
    }
  }

  // Streams

  private async stream(attempt: Attempt): Promise<void> {
    const cursor = this.cursor();
    const headers = { Accept: "text/event-stream", ...(cursor && { "Last-Event-ID": cursor }) };
    const request = this.work.request("GET", "/v1/messages/stream", headers);
    const answer = await this.work.open(request, attempt.controller.signal);
    if (answer === null || isEvents(answer)) {
      return answer === null ? this.ended(attempt, "failed") : this.follow(attempt, answer);
    }
    const whole = await wholeOf(answer);
    if (this.attempt === attempt) {
      this.attempt = null;
      this.refused(attempt, whole);
    }
  }

  private async follow(attempt: Attempt, answer: OpenAnswer): Promise<void> {
    this.uploader.account.tokenWorked();
    this.happen({ kind: "opened" });
    const parser = new SseParser(this.cursor());
    const pieces = answer.pieces[Symbol.asyncIterator]();
    let piece = await nextOf(pieces);
    while (piece !== null && this.attempt === attempt) {
      this.heard(attempt, parser, piece);
      piece = await nextOf(pieces);
    }
    await leave(pieces);
    this.ended(attempt, "cut");
  }

  private heard(attempt: Attempt, parser: SseParser, piece: Uint8Array): void {
    try {
      const events = parser.feed(piece);
      this.happen({ kind: "heard", retryMs: parser.retryMs });
      events.forEach((event) => this.read(attempt, event));
    } catch (error) {
      if (!(error instanceof EventTooLarge)) {
        throw error;
      }
      attempt.controller.abort();
      this.ended(attempt, "failed");
    }
  }

  private ended(attempt: Attempt, kind: "cut" | "failed"): void {
    if (this.attempt === attempt) {
      this.attempt = null;
      this.happen({ kind });
    }
  }

  private read(attempt: Attempt, event: ServerEvent): void {
    if (this.attempt !== attempt) {
      return;
    }
    switch (event.event) {
      case "messages":
        this.take(attempt, objectIn(event.data), event.id);
        break;
      case "drain":
        this.happen({ kind: "drain" });
        break;
      case "superseded":
        attempt.controller.abort();
        this.attempt = null;
        this.happen({ kind: "refused", floorMs: SLOW_RETRY_MS });
        this.uploader.tokenRefused(attempt.token, "token_superseded");
        break;
    }
  }

  private take(attempt: Attempt, body: Json, id: string | null): void {
    if (attempt.person !== this.work.person || !isObject(body)) {
      // What was fetched for somebody else is nobody's business any more.
      return;
    }
    const page = pageIn(body, this.work.gatewayMs());
    this.presenter.take(page);
    this.work.keep(CURSOR, id || (page.cursor ?? this.cursor()));
  }

  /** A logout or a switch is not confirmed yet: what comes is still the person's before. */
  private isLeaving(): boolean {
    return this.work.queue.operations.some((row) => row.kind === "switch" || row.kind === "reset");
  }

  private cursor(): string {
    return textIn(this.work.kept(CURSOR)) ?? "";
  }
}

/** The gateway's own word that it cannot be now says nothing against the way it was asked. */
function isBusy(answer: Answer): boolean {
  return answer.status === 429 || answer.status === 408 || answer.status >= 500;
}

function isEvents({ status, headers }: OpenAnswer): boolean {
  const type = headers["content-type"] ?? "";
  return status === 200 && headers["x-zuruf"] !== undefined && type.startsWith("text/event-stream");
}
