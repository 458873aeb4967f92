/**
 * Texts of a triggered message: `{{ event.prop }}` and `{{ event.prop|default("…") }}`.
 *
 * Any other `{{ … }}` renders as nothing; `{% … %}` and a `{{` without an end are plain text. What is put
 * in is never read as a template.
 */

import { isObject, member } from "../json.ts";
import type { Json, JsonObject } from "../json.ts";

const OPEN = "{{";
const CLOSE = "}}";
const TEXTS = ["title", "body"];
const LABELLED = ["buttons", "questions"];
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const DEFAULT = /^default\s*\(\s*([\s\S]*?)\s*\)$/;
const ESCAPED: Readonly<Record<string, string>> = { n: "\n", t: "\t" };
/** From here on a number is written the way the language likes best; nobody reads such numbers. */
const PLAIN_NUMBER_MAX = 1e15;

/** Puts the properties of an event into a text. */
export function rendered(template: string, props: JsonObject): string {
  let text = "";
  let place = 0;
  for (;;) {
    const start = template.indexOf(OPEN, place);
    const end = start < 0 ? null : endOf(template, start + OPEN.length);
    if (end === null) {
      return text + template.slice(place);
    }
    text += template.slice(place, start) + valueOf(template.slice(start + OPEN.length, end), props);
    place = end + CLOSE.length;
  }
}

/** Puts the properties of an event into the texts a person reads: title, body and labels. */
export function renderedContent(content: JsonObject, props: JsonObject): JsonObject {
  const found: JsonObject = { ...content };
  for (const key of TEXTS) {
    const text = member(content, key);
    if (typeof text === "string") {
      found[key] = rendered(text, props);
    }
  }
  for (const key of LABELLED) {
    const items = member(content, key);
    if (Array.isArray(items)) {
      found[key] = items.map((item) => labelled(item, props));
    }
  }
  const survey = member(content, "survey");
  return isObject(survey) ? { ...found, survey: renderedContent(survey, props) } : found;
}

function labelled(item: Json, props: JsonObject): Json {
  return isObject(item) && typeof item["label"] === "string"
    ? { ...item, label: rendered(item["label"], props) }
    : item;
}

/** Finds the `}}` of an expression; one inside a quoted text is not it. */
function endOf(template: string, start: number): number | null {
  let quote = "";
  for (let place = start; place < template.length; place += 1) {
    const character = template.charAt(place);
    if (quote !== "") {
      place += character === "\\" ? 1 : 0;
      quote = character === quote ? "" : quote;
    } else if (character === '"' || character === "'") {
      quote = character;
    } else if (template.startsWith(CLOSE, place)) {
      return place;
    }
  }
  return null;
}

/** Gives what an expression stands for; nothing when it is not one of the two forms. */
function valueOf(expression: string, props: JsonObject): string {
  const bar = expression.indexOf("|");
  const path = bar < 0 ? expression : expression.slice(0, bar);
  const [root, ...names] = path.trim().split(".");
  const other = bar < 0 ? "" : defaultIn(expression.slice(bar + 1).trim());
  if (
    root !== "event" ||
    names.length === 0 ||
    !names.every((name) => NAME.test(name)) ||
    other === null
  ) {
    return "";
  }
  let value: Json | undefined = props;
  for (const name of names) {
    value = isObject(value) ? member(value, name) : undefined;
  }
  return written(value) ?? other;
}

/** Reads `default("…")`; null when it is something else. */
function defaultIn(call: string): string | null {
  const argument = DEFAULT.exec(call)?.[1] ?? "";
  const quote = argument.charAt(0);
  if (argument.length < 2 || !["'", '"'].includes(quote)) {
    return null;
  }
  let plain = "";
  let place = 1;
  for (; place < argument.length - 1; place += 1) {
    let character = argument.charAt(place);
    if (character === quote) {
      return null;
    }
    if (character === "\\") {
      place += 1;
      character = ESCAPED[argument.charAt(place)] ?? argument.charAt(place);
    }
    plain += character;
  }
  return place === argument.length - 1 && argument.endsWith(quote) ? plain : null;
}

/** Writes a value; null for null, lists and objects, which have no text. */
function written(value: Json | undefined): string | null {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return String(value);
    case "number":
      return decimal(value);
    default:
      return null;
  }
}

/** Writes a number as people do: no exponent for a small one. */
function decimal(value: number): string {
  const [mantissa = "", exponent] = String(value).split("e");
  if (exponent === undefined || Math.abs(value) >= PLAIN_NUMBER_MAX) {
    return Object.is(value, -0) ? "0" : String(value);
  }
  const digits = mantissa.replace("-", "").replace(".", "");
  return `${value < 0 ? "-" : ""}0.${"0".repeat(-Number(exponent) - 1)}${digits}`;
}
