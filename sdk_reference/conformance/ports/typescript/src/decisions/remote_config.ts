/** What a key of the remote configuration says on this device. */

import { isObject } from "../json.ts";
import type { Json, JsonObject } from "../json.ts";
import { isWithin } from "./bucketing.ts";

const PERCENT_MAX = 100;
const BUCKETS_PER_PERCENT = 100;

/** Gives every key that has a value here. An entry of another shape is as if it were missing. */
export function resolved(values: JsonObject, installId: string): JsonObject {
  const found: [string, Json][] = [];
  for (const [key, entry] of Object.entries(values)) {
    if (!isObject(entry) || entry["value"] === undefined) {
      continue;
    }
    const percent = entry["percent"] === undefined ? PERCENT_MAX : entry["percent"];
    if (typeof percent !== "number" || percent < 0 || percent > PERCENT_MAX) {
      continue;
    }
    if (isWithin(installId, key, percent * BUCKETS_PER_PERCENT)) {
      found.push([key, entry["value"]]);
    } else if (entry["otherwise"] !== undefined) {
      found.push([key, entry["otherwise"]]);
    }
  }
  return Object.fromEntries(found);
}

/** Gives one value, or what the app would have instead; null is a value, too. */
export function valueOf(values: JsonObject, installId: string, key: string, instead: Json): Json {
  const found = resolved(values, installId);
  return Object.hasOwn(found, key) ? (found[key] ?? null) : instead;
}
