/** Turns calls into rows of the queue: checked, stamped with time, id, session and number. */

import { isSampled } from "./decisions/bucketing.ts";
import { InvalidEvent, checkedName, checkedProps, eventJson } from "./decisions/canonical_event.ts";
import { allows, purposeOf } from "./decisions/consent_gate.ts";
import { checkPerson } from "./decisions/person_event.ts";
import { continued, inBackground } from "./decisions/session_machine.ts";
import type { Session } from "./decisions/session_machine.ts";
import { member, objectIn } from "./json.ts";
import type { JsonObject } from "./json.ts";
import type { NewRow, Row } from "./queue.ts";
import type { Work } from "./work.ts";

export class Recorder {
  session: Session | null = null;
  /** The app is in the background: what is recorded there does not keep a session alive. */
  isInBackground = false;
  /** Told of every event that may be recorded, also of one that is not uploaded. */
  recorded: (type: string, name: string, props: JsonObject) => void = () => {};
  /** Told of every event that waits to be uploaded. */
  queued: (row: Row) => void = () => {};
  private readonly work: Work;
  private isClosed = false;

  constructor(work: Work) {
    this.work = work;
  }

  /** Takes no more events: nobody would send them. */
  close(): void {
    this.isClosed = true;
  }

  /** Records what a person did; gives the id, or nothing for an event that breaks a limit. */
  event(type: string, name: unknown, props: unknown = {}): string {
    return this.isInBackground
      ? this.backgroundEvent(type, name, props)
      : this.stamped(type, name, props, (nowMs, id) => this.visit(nowMs, id));
  }

  /** Records what happened without a person: it neither begins nor extends a session. */
  backgroundEvent(type: string, name: unknown, props: unknown): string {
    return this.stamped(type, name, props, (nowMs) => {
      const session = inBackground(this.session, nowMs, this.limits());
      this.session = session ?? this.session;
      return session;
    });
  }

  /** Ends the session: somebody else is on the device. */
  endSession(): void {
    this.session = null;
  }

  private visit(nowMs: number, id: string): Session {
    const before = this.session;
    this.session = continued(before, nowMs, id, this.limits());
    if (before?.id !== this.session.id) {
      this.work.publish("session_changed", this.session.id);
    }
    return this.session;
  }

  private stamped(
    type: string,
    name: unknown,
    props: unknown,
    sessionAt: (nowMs: number, id: string) => Session | null,
  ): string {
    if (this.isClosed) {
      return "";
    }
    try {
      const checked = checkedName(name);
      checkPerson(type, name, props);
      const { json, truncated } = checkedProps(props);
      const ts = this.work.clock.wallMs();
      const id = this.work.newId();
      const session = sessionAt(ts, id);
      const body = eventJson({ id, type, ts, session }, checked, { json, truncated });
      if (truncated > 0) {
        this.work.queue.countDrop("truncated", truncated);
      }
      if (!allows(this.work.consent, purposeOf(type))) {
        this.work.queue.countDrop("consent");
        return id;
      }
      this.take({ kind: "event", type, id, name: checked, createdMs: ts, body });
      this.recorded(type, checked, objectIn(json));
      return id;
    } catch (error) {
      if (!(error instanceof InvalidEvent)) {
        throw error;
      }
      this.work.queue.countDrop(error.code);
      return "";
    }
  }

  private take(event: NewRow): void {
    if (this.isUploaded(event)) {
      const row = this.work.queue.append(event);
      this.work.evict();
      this.queued(row);
    }
  }

  private isUploaded({ type, name }: NewRow): boolean {
    const { sampling, triggerEvents } = this.work.settings;
    const event = { type, name, isTrigger: triggerEvents.includes(name) };
    return isSampled(this.work.identity.installId, event, member(sampling, name) ?? 1);
  }

  private limits(): { idleMs: number; maxMs: number } {
    const { sessionIdleMs, sessionMaxMs } = this.work.settings;
    return { idleMs: sessionIdleMs, maxMs: sessionMaxMs };
  }
}
