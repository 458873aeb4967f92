/** Chance that stays: which share of all devices a device belongs to. */

import { createHash } from "node:crypto";

const BUCKETS = 10_000;
const SAMPLING = "sampling:";
const SAMPLED_TYPES: ReadonlySet<string> = new Set(["track", "screen"]);

/** Gives 0–9999, the same on every device and on the gateway. */
export function bucket(unit: string, salt: string): number {
  const digest = createHash("sha256").update(`${salt}:${unit}`, "utf8").digest("hex");
  return Number.parseInt(digest.slice(0, 8), 16) % BUCKETS;
}

/** Tells whether a unit is in one of the first so many of 10,000 buckets, rounded half up. */
export function isWithin(unit: string, salt: string, buckets: number): boolean {
  return bucket(unit, salt) < Math.floor(buckets + 0.5);
}

/** What a decision about sampling needs of an event; `isTrigger`: messages wait for it. */
export interface Sampled {
  readonly type: string;
  readonly name: string;
  readonly isTrigger: boolean;
}

/**
 * Tells whether this device uploads such events when a share (0–1) of all devices does.
 *
 * A change of the profile or a report on a message that is missing would be wrong, not just one fewer.
 */
export function isSampled(installId: string, event: Sampled, share: number): boolean {
  const isAlways = event.isTrigger || share >= 1 || !SAMPLED_TYPES.has(event.type);
  return isAlways || isWithin(installId, SAMPLING + event.name, share * BUCKETS);
}
