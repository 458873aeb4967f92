/**
 * Server-sent events out of bytes that are cut anywhere.
 *
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** What the lines of one event may take, comments and line ends included. */
const EVENT_BYTES_MAX = 8 * 1024 * 1024;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const LF = 0x0a;
const CR = 0x0d;
/** More milliseconds than anybody waits. */
const RETRY_DIGITS_MAX = 15;

/** `id` is the latest id of the stream, also when this event brought none. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

/** One event takes more than the limit: whoever sends this does not mean us. */
export class EventTooLarge extends RangeError {}

/** Takes the bytes of one stream as they come, and gives the events in them. */
export class SseParser {
  lastEventId: string;
  retryMs: number | null = null;
  private readonly eventBytesMax: number;
  /** The bytes of a line that has not ended. */
  private rest: Uint8Array[] = [];
  private restBytes = 0;
  /** What the event has taken with its lines before. */
  private size = 0;
  private isAtStart = true;
  private endedWithCr = false;
  private name = "";
  private data: string[] = [];
  private id: string;

  constructor(lastEventId = "", eventBytesMax = EVENT_BYTES_MAX) {
    this.lastEventId = lastEventId;
    this.id = lastEventId;
    this.eventBytesMax = eventBytesMax;
  }

  /** Reads on; gives the events that are complete now. Throws `EventTooLarge`. */
  feed(piece: Uint8Array): ServerEvent[] {
    const bytes = this.pastLineFeed(this.pastBom(piece));
    const events: ServerEvent[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (byte === LF || byte === CR) {
        this.keep(bytes.subarray(start, at));
        events.push(...this.lineEnded());
        at += byte === CR && bytes[at + 1] === LF ? 1 : 0;
        start = at + 1;
      }
    }
    this.endedWithCr = bytes.length === 0 ? this.endedWithCr : bytes.at(-1) === CR;
    this.keep(bytes.subarray(start));
    this.check(this.size + this.restBytes);
    return events;
  }

  /** Skips a byte order mark; gives nothing while the bytes could still become one. */
  private pastBom(piece: Uint8Array): Uint8Array {
    if (!this.isAtStart) {
      return piece;
    }
    const bytes = Buffer.concat([...this.rest, piece]);
    this.forgetRest();
    if (bytes.length < BOM.length && BOM.subarray(0, bytes.length).equals(bytes)) {
      this.keep(bytes);
      return new Uint8Array();
    }
    this.isAtStart = false;
    return bytes.subarray(0, BOM.length).equals(BOM) ? bytes.subarray(BOM.length) : bytes;
  }

  /** A line ended with CR at the end of the piece before: an LF now still belongs to it. */
  private pastLineFeed(bytes: Uint8Array): Uint8Array {
    if (!this.endedWithCr || bytes[0] !== LF) {
      return bytes;
    }
    this.endedWithCr = false;
    return bytes.subarray(1);
  }

  private keep(bytes: Uint8Array): void {
    this.rest.push(bytes);
    this.restBytes += bytes.length;
  }

  private forgetRest(): void {
    this.rest = [];
    this.restBytes = 0;
  }

  private lineEnded(): ServerEvent[] {
    const line = Buffer.concat(this.rest);
    this.forgetRest();
    this.size += line.length + 1;
    this.check(this.size);
    return line.length === 0 ? this.dispatched() : this.fieldRead(line.toString("utf8"));
  }

  private fieldRead(line: string): ServerEvent[] {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") {
      this.name = value;
    } else if (name === "data") {
      this.data.push(value);
    } else if (name === "id" && !value.includes("\0")) {
      this.id = value;
    } else if (name === "retry" && /^[0-9]+$/.test(value) && value.length <= RETRY_DIGITS_MAX) {
      this.retryMs = Number(value);
    }
    return [];
  }

  private dispatched(): ServerEvent[] {
    const event = { event: this.name || "message", data: this.data.join("\n"), id: this.id };
    const hasData = this.data.length > 0;
    this.lastEventId = this.id;
    this.name = "";
    this.data = [];
    this.size = 0;
    return hasData ? [event] : [];
  }

  private check(size: number): void {
    if (size > this.eventBytesMax) {
      throw new EventTooLarge(`an event of more than ${this.eventBytesMax} bytes`);
    }
  }
}
