/** What a vector says with tagged objects because JSON cannot say it. */

import { isObject } from "../src/json.ts";
import type { Json } from "../src/json.ts";

/** What the language can say: bigints, NaN and functions too. */
export type Value = unknown;

/** Puts in place of each tagged value what it stands for. */
export function expanded(value: Json): Value {
  if (Array.isArray(value)) {
    return value.map(expanded);
  }
  if (!isObject(value)) {
    return value;
  }
  const { $repeat, $items, $members, $nested, $number, $utf16 } = value;
  if (typeof $repeat === "string") {
    return $repeat.repeat(Number(value["times"])) + String(value["then"] ?? "");
  }
  if (typeof $items === "number") {
    return Array.from({ length: $items }, (_, number) => number);
  }
  if (typeof $members === "number") {
    const each = value["each"];
    const entries = Array.from({ length: $members }, (_, number) => [
      `key ${number}`,
      each === undefined ? number : expanded(each),
    ]);
    return Object.fromEntries(entries) as Value;
  }
  if (typeof $nested === "number") {
    return nested($nested);
  }
  if (typeof $number === "string") {
    return numberOf($number);
  }
  if (Array.isArray($utf16)) {
    return String.fromCharCode(...$utf16.map(Number));
  }
  if ("$unsupported" in value) {
    return () => {};
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, expanded(item)]));
}

function nested(levels: number): Value {
  return levels === 1 ? {} : { in: nested(levels - 1) };
}

/** Whole numbers that a double cannot hold become bigints. */
function numberOf(text: string): number | bigint {
  if (/^-?[0-9]+$/.test(text)) {
    return Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text);
  }
  return Number(text.replace(/^(-?)inf(inity)?$/i, "$1Infinity"));
}
