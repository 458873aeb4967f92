/** The way to the gateway, one request at a time, and when it may be used again after a failure. */

import { gzipSync } from "node:zlib";

import { backoffMs } from "./decisions/backoff.ts";
import { SLOW_RETRY_MS } from "./decisions/status_classification.ts";
import type { Outcome } from "./decisions/status_classification.ts";
import type { Answer, Request } from "./transport.ts";
import type { Work } from "./work.ts";

const GZIP_BYTES_MIN = 1_024;
/** So long after an answer the radio is still on, and one more request costs little. */
const RADIO_WARM_MS = 5_000;

/** One request, and what came of it; `token` is what it was sent with. */
export interface Exchange {
  readonly answer: Answer | null;
  readonly token: string | null;
  readonly isCompressed: boolean;
}

export class Lane {
  /** Why the latest request did not succeed; for people. */
  lastError: string | null = null;
  /** Monotonic. */
  retryAtMs = 0;
  private readonly work: Work;
  private readonly cancelled: AbortSignal;
  private compresses = true;
  /** Told when a request was answered after others were not. */
  cameBack: () => void = () => undefined;
  private failures = 0;
  private floorMs = 0;
  private succeededMs = -Infinity;

  constructor(work: Work, cancelled: AbortSignal) {
    this.work = work;
    this.cancelled = cancelled;
  }

  get isClosed(): boolean {
    return this.cancelled.aborted;
  }

  get isWarm(): boolean {
    return this.work.clock.monotonicMs() - this.succeededMs <= RADIO_WARM_MS;
  }

  /** Sends; `body` is JSON or empty. */
  async send(
    method: Request["method"],
    path: string,
    body = "",
    headers: Record<string, string> = {},
  ): Promise<Exchange> {
    const bytes: Uint8Array<ArrayBuffer> = new TextEncoder().encode(body);
    const isCompressed = this.compresses && bytes.length > GZIP_BYTES_MIN;
    const all = {
      ...headers,
      ...(bytes.length === 0 ? {} : { "Content-Type": "application/json" }),
      ...(isCompressed ? { "Content-Encoding": "gzip" } : {}),
    };
    const payload = isCompressed ? new Uint8Array(gzipSync(bytes)) : bytes;
    const request = this.work.request(method, path, all, bytes.length === 0 ? undefined : payload);
    const token = this.work.identity.token;
    const sentMs = this.work.clock.monotonicMs();
    const answer = await this.work.ask(request, this.cancelled);
    if (answer !== null) {
      this.work.learnTime(answer, sentMs);
    }
    return { answer, token, isCompressed };
  }

  succeed(): void {
    const isBack = this.failures > 0 && this.floorMs === 0;
    this.failures = 0;
    this.retryAtMs = 0;
    this.floorMs = 0;
    this.lastError = null;
    this.succeededMs = this.work.clock.monotonicMs();
    if (isBack) {
      this.cameBack();
    }
  }

  fail(reason: string, floorMs: number): void {
    this.failures += 1;
    this.floorMs = floorMs;
    this.lastError = reason;
    const waitMs = backoffMs(this.failures, floorMs, this.work.chance());
    this.retryAtMs = this.work.clock.monotonicMs() + waitMs;
  }

  /** Follows every outcome that has no end of its own. */
  stumble(exchange: Exchange, outcome: Outcome): void {
    if (outcome.kind === "retry") {
      this.fail(outcome.reason, outcome.floorMs);
    } else if (outcome.kind === "uncompressed" && exchange.isCompressed) {
      this.compresses = false;
    } else {
      this.fail(outcome.kind, SLOW_RETRY_MS);
    }
  }

  /** Forgets a wait of our own; one that the gateway asked for stays. */
  hurry(): void {
    if (this.floorMs === 0) {
      this.retryAtMs = Math.min(this.retryAtMs, this.work.clock.monotonicMs());
    }
  }
}
