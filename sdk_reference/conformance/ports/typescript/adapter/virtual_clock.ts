/** A clock that stands still until it is told to move on. */

import type { Clock, Timer } from "../src/clock.ts";

interface Due {
  readonly atMs: number;
  readonly act: () => void;
}

export class VirtualClock implements Clock {
  private nowMs = 0;
  private wallAtStartMs: number;
  private readonly timers = new Set<Due>();

  constructor(wallMs: number) {
    this.wallAtStartMs = wallMs;
  }

  wallMs(): number {
    return this.wallAtStartMs + this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, act: () => void): Timer {
    const due = { atMs: this.nowMs + Math.max(delayMs, 0), act };
    this.timers.add(due);
    return { cancel: () => this.timers.delete(due) };
  }

  setWall(wallMs: number): void {
    this.wallAtStartMs = wallMs - this.nowMs;
  }

  /** Moves time on, from one deadline to the next; `settle` lets the client work in between. */
  async advance(ms: number, settle: () => Promise<void>): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (let due = this.next(); due !== undefined && due.atMs <= untilMs; due = this.next()) {
      this.nowMs = Math.max(this.nowMs, due.atMs);
      this.timers.delete(due);
      due.act();
      await settle();
    }
    this.nowMs = untilMs;
  }

  /** Milliseconds until the next timer, rounded up; null without one. */
  nextMs(): number | null {
    const due = this.next();
    return due === undefined ? null : Math.max(Math.ceil(due.atMs - this.nowMs), 0);
  }

  private next(): Due | undefined {
    let first: Due | undefined;
    for (const due of this.timers) {
      if (first === undefined || due.atMs < first.atMs) {
        first = due;
      }
    }
    return first;
  }
}
