/**
 * The rule language on the properties of an event.
 *
 * Two-valued: a leaf is true or false, never unknown. A missing property or one of another type makes
 * every operator false; `ne` and `not_in` are exactly the negations of `eq` and `in`.
 */

import { isObject, member } from "../json.ts";
import type { Json, JsonObject } from "../json.ts";

/** A value of a rule or a property. A whole number that a double cannot hold is a bigint. */
type Value = Json | bigint | undefined;

const LEAVES_MAX = 64;
const DEPTH_MAX = 8;
const LIST_MAX = 256;
const PATH_CHARACTERS_MAX = 256;
const LEAF_MEMBERS: ReadonlySet<string> = new Set(["prop", "op", "value"]);

/**
 * Tells whether an event sets off a trigger, `{"event": name, "where"?: rule}`.
 *
 * A rule that cannot be understood fits nothing: a message more is worse than one less.
 */
export function matches(trigger: Json | undefined, name: string, props: JsonObject): boolean {
  if (!isObject(trigger) || trigger["event"] !== name) {
    return false;
  }
  const where = trigger["where"] ?? null;
  return where === null || (isRule(where) && holds(where as JsonObject, props));
}

/** Tells whether a value is a rule within the limits. */
export function isRule(value: Json): boolean {
  const leaves = leavesOf(value, 1);
  return leaves !== null && leaves <= LEAVES_MAX;
}

/** Counts the comparisons of a rule, an empty branch as one; null when it is not a rule. */
function leavesOf(rule: Json, depth: number): number | null {
  if (!isObject(rule) || depth > DEPTH_MAX) {
    return null;
  }
  const words = ["not", "all", "any"].filter((word) => Object.hasOwn(rule, word));
  const word = words[0];
  if (word === undefined) {
    return isLeaf(rule) ? 1 : null;
  }
  const parts = word === "not" ? [rule["not"] ?? null] : rule[word];
  if (Object.keys(rule).length !== 1 || !Array.isArray(parts)) {
    return null;
  }
  let sum = 0;
  for (const part of parts) {
    const leaves = leavesOf(part, depth + 1);
    if (leaves === null) {
      return null;
    }
    sum += leaves;
  }
  return Math.max(sum, 1);
}

function isLeaf(leaf: JsonObject): boolean {
  const { prop: path, value } = leaf;
  if (Object.keys(leaf).some((name) => !LEAF_MEMBERS.has(name)) || typeof path !== "string") {
    return false;
  }
  const characters = [...path].length;
  return characters >= 1 && characters <= PATH_CHARACTERS_MAX && fitsOperator(leaf["op"], value);
}

function fitsOperator(op: Json | undefined, value: Value): boolean {
  switch (op) {
    case "exists":
      return value === undefined || typeof value === "boolean";
    case "in":
    case "not_in":
      return Array.isArray(value) && value.length <= LIST_MAX && value.every(isScalar);
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      return typeof value === "string" || isNumber(value);
    case "starts_with":
      return typeof value === "string";
    case "eq":
    case "ne":
    case "contains":
      return isScalar(value);
    default:
      return false;
  }
}

/** Tells whether a rule, one for which `isRule` is true, holds on these properties. */
function holds(rule: JsonObject, props: JsonObject): boolean {
  const { all, any, not } = rule;
  if (Array.isArray(all)) {
    return all.every((part) => holds(part as JsonObject, props));
  }
  if (Array.isArray(any)) {
    return any.some((part) => holds(part as JsonObject, props));
  }
  if (not !== undefined) {
    return !holds(not as JsonObject, props);
  }
  return compares(valueAt(props, rule["prop"] as string), rule["op"] as string, rule["value"]);
}

/** Gives the value at a path. A key that contains dots wins over the path. */
function valueAt(props: JsonObject, path: string): Value {
  if (Object.hasOwn(props, path)) {
    return props[path];
  }
  let value: Json | undefined = props;
  for (const key of path.split(".")) {
    value = isObject(value) ? member(value, key) : undefined;
  }
  return value;
}

function compares(there: Value, op: string, value: Value): boolean {
  switch (op) {
    case "exists":
      return (there === undefined) === (value === false);
    case "eq":
      return equals(there, value);
    case "ne":
      return !equals(there, value);
    case "in":
      return (value as Json[]).some((item) => equals(there, item));
    case "not_in":
      return !(value as Json[]).some((item) => equals(there, item));
    case "contains":
      return Array.isArray(there)
        ? there.some((item) => equals(item, value))
        : typeof there === "string" && typeof value === "string" && there.includes(value);
    case "starts_with":
      return typeof there === "string" && there.startsWith(value as string);
  }
  const order = orderOf(there, value);
  return order !== null && isInOrder(op, order);
}

function isInOrder(op: string, order: number): boolean {
  switch (op) {
    case "gt":
      return order > 0;
    case "gte":
      return order >= 0;
    case "lt":
      return order < 0;
    default:
      return order <= 0;
  }
}

/** Gives a negative number, zero or a positive one; null for values that have no order. */
function orderOf(there: Value, value: Value): number | null {
  if (isNumber(there) && isNumber(value)) {
    return there < value ? -1 : there > value ? 1 : 0;
  }
  if (typeof there === "string" && typeof value === "string") {
    // By UTF-8 bytes: the language's own `<` compares halves of characters.
    return Buffer.compare(Buffer.from(there), Buffer.from(value));
  }
  return null;
}

/** Values are equal within their kind only: `true` is not 1. */
function equals(there: Value, value: Value): boolean {
  return typeof there === "boolean" ? there === value : orderOf(there, value) === 0;
}

function isScalar(value: Value): boolean {
  return typeof value === "boolean" || typeof value === "string" || isNumber(value);
}

function isNumber(value: Value): value is number | bigint {
  if (typeof value === "bigint") {
    return BigInt.asIntN(64, value) === value;
  }
  return typeof value === "number" && Number.isFinite(value);
}
