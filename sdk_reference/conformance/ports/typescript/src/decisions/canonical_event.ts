/**
 * Events within the limits of the protocol.
 *
 * What the gateway would reject is refused at the call, where the mistake can still be seen. A text
 * that is too long is cut, not refused. Characters are those of Unicode, not halves of them.
 */

import { isObject, utf8Length } from "../json.ts";

const EVENT_BYTES_MAX = 32 * 1024;
const ITEMS_MAX = 256;
const NAME_CHARACTERS_MAX = 128;
const STRING_BYTES_MAX = 4_096;
const DEPTH_MAX = 5;
const INTEGER_MIN = -(2n ** 63n);
const INTEGER_MAX = 2n ** 63n - 1n;

/** What the gateway would say. */
export class InvalidEvent extends Error {
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}

/** Props as JSON, and how many of their texts were cut. */
export interface Props {
  readonly json: string;
  readonly truncated: number;
}

/** An event before it is JSON. Without a session it has neither an id of one nor a number in it. */
export interface Stamp {
  readonly id: string;
  readonly type: string;
  readonly ts: number;
  readonly session: { readonly id: string; readonly seq: number } | null;
}

/** Gives a name as it is sent. Throws `InvalidEvent`. */
export function checkedName(name: unknown): string {
  if (typeof name !== "string" || name === "") {
    throw new InvalidEvent("invalid_event", "a name is a text of 1 to 128 characters");
  }
  if (charactersIn(name) > NAME_CHARACTERS_MAX) {
    throw new InvalidEvent("name_too_long", `${name.slice(0, 40)}… is too long`);
  }
  return name.toWellFormed();
}

/** Gives props as they are sent, whatever the app does to its own later. Throws `InvalidEvent`. */
export function checkedProps(props: unknown): Props {
  if (props === undefined || props === null) {
    return { json: "{}", truncated: 0 };
  }
  if (!isObject(props)) {
    throw new InvalidEvent("invalid_event", "props are an object");
  }
  const cuts: Cuts = { number: 0 };
  return { json: jsonOf(props, 1, cuts), truncated: cuts.number };
}

/** Puts an event together from parts that were checked before. Throws `InvalidEvent`. */
export function eventJson(stamp: Stamp, name: string, props: Props): string {
  const { id, type, ts, session } = stamp;
  const where = session === null ? {} : { session_id: session.id, seq: session.seq };
  const head = JSON.stringify({ id, type, name, ts, ...where });
  const json = `${head.slice(0, -1)},"props":${props.json}}`;
  const bytes = utf8Length(json);
  if (bytes > EVENT_BYTES_MAX) {
    throw new InvalidEvent("event_too_large", `${bytes} bytes, at most ${EVENT_BYTES_MAX}`);
  }
  return json;
}

interface Cuts {
  number: number;
}

function jsonOf(value: unknown, depth: number, cuts: Cuts): string {
  switch (typeof value) {
    case "boolean":
      return String(value);
    case "string":
      return JSON.stringify(cut(value.toWellFormed(), cuts));
    case "number":
      return numberJson(value);
    case "bigint":
      return integerJson(value);
    case "object":
      return value === null ? "null" : containerJson(value, depth, cuts);
    default:
      throw new InvalidEvent("invalid_event", `JSON has no ${typeof value}`);
  }
}

function containerJson(value: object, depth: number, cuts: Cuts): string {
  checkShape(value, depth);
  if (Array.isArray(value)) {
    return `[${value.map((item) => jsonOf(item, depth + 1, cuts)).join(",")}]`;
  }
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(checkedKey(key))}:${jsonOf(item, depth + 1, cuts)}`,
  );
  return `{${members.join(",")}}`;
}

function checkShape(value: object, depth: number): void {
  if (depth > DEPTH_MAX) {
    throw new InvalidEvent("too_deep", `props are nested deeper than ${DEPTH_MAX} levels`);
  }
  const items = Object.keys(value).length;
  if (items > ITEMS_MAX) {
    throw new InvalidEvent("too_many_props", `${items} entries, at most ${ITEMS_MAX}`);
  }
}

function checkedKey(key: string): string {
  if (charactersIn(key) > NAME_CHARACTERS_MAX) {
    throw new InvalidEvent("key_too_long", `${key.slice(0, 40)}… is too long`);
  }
  return key.toWellFormed();
}

/**
 * A number of the language is a double. Large ones are written with an exponent: as plain digits, the
 * gateway would take them for a whole number of more than 64 bits.
 */
function numberJson(value: number): string {
  if (!Number.isFinite(value)) {
    throw new InvalidEvent("invalid_event", `${value} is not a finite number`);
  }
  return Math.abs(value) >= Number(INTEGER_MAX) ? value.toExponential() : String(value);
}

function integerJson(value: bigint): string {
  if (value < INTEGER_MIN || value > INTEGER_MAX) {
    throw new InvalidEvent("invalid_event", "a whole number needs more than 64 bits");
  }
  return String(value);
}

/** Gives the longest beginning that fits and ends with a whole character. */
function cut(text: string, cuts: Cuts): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= STRING_BYTES_MAX) {
    return text;
  }
  cuts.number += 1;
  let end = STRING_BYTES_MAX;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) {
    end -= 1;
  }
  return bytes.toString("utf8", 0, end);
}

function charactersIn(text: string): number {
  return [...text].length;
}
