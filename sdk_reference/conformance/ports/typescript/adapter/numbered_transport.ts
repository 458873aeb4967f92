/** Numbers every request for the runner, and knows how much of each answer the client has taken. */

import type { OpenAnswer, Request, Transport } from "../src/transport.ts";

const NUMBER = "X-Conformance-Request";

export class RequestNumbers {
  private last = 0;
  /** Number → bytes of the body taken; null before the head of the answer. */
  private readonly open = new Map<number, number | null>();

  next(): number {
    this.last += 1;
    this.open.set(this.last, null);
    return this.last;
  }

  taken(number: number, bytes: number): void {
    this.open.set(number, (this.open.get(number) ?? 0) + bytes);
  }

  ended(number: number): void {
    this.open.delete(number);
  }

  inFlight(): Record<string, number | null> {
    return Object.fromEntries(this.open);
  }
}

export class NumberedTransport implements Transport {
  private readonly inner: Transport;
  private readonly numbers: RequestNumbers;

  constructor(inner: Transport, numbers: RequestNumbers) {
    this.inner = inner;
    this.numbers = numbers;
  }

  async open(request: Request, cancelled: AbortSignal): Promise<OpenAnswer> {
    const number = this.numbers.next();
    try {
      const headers = { ...request.headers, [NUMBER]: String(number) };
      const answer = await this.inner.open({ ...request, headers }, cancelled);
      this.numbers.taken(number, 0);
      return { ...answer, pieces: this.counted(number, answer.pieces) };
    } catch (error) {
      this.numbers.ended(number);
      throw error;
    }
  }

  /** A piece counts when the client comes back for the next one. */
  private async *counted(
    number: number,
    pieces: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of pieces) {
        yield piece;
        this.numbers.taken(number, piece.length);
      }
    } finally {
      this.numbers.ended(number);
    }
  }
}
