/** What an event about the person must say, beside the limits of every event. */

import { isObject, member } from "../json.ts";
import { InvalidEvent } from "./canonical_event.ts";

const TEXT_CHARACTERS_MAX = 256;
const PROFILE_NAMES: ReadonlySet<string> = new Set(["set", "set_once", "increment", "unset"]);

/** Throws `InvalidEvent` for what the gateway could not make sense of. */
export function checkPerson(type: string, name: unknown, props: unknown): void {
  const told: Readonly<Record<string, unknown>> = isObject(props) ? props : {};
  if (type === "group") {
    checkText("group_id", member(told, "group_id"));
  } else if (type === "alias") {
    checkText("alias", member(told, "alias"));
  } else if (type === "profile" && !PROFILE_NAMES.has(String(name))) {
    throw new InvalidEvent("invalid_event", `${String(name)} is no change of a profile`);
  } else if (type === "profile" && name === "increment" && !Object.values(told).every(isNumber)) {
    throw new InvalidEvent("invalid_event", "an increment is a finite number");
  }
}

function checkText(what: string, value: unknown): void {
  const isText = typeof value === "string" && value !== "";
  if (!isText || [...value].length > TEXT_CHARACTERS_MAX) {
    throw new InvalidEvent("invalid_event", `${what} is a text of 1 to 256 characters`);
  }
}

function isNumber(value: unknown): boolean {
  return typeof value === "bigint" || Number.isFinite(value);
}
