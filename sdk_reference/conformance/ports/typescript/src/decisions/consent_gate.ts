/** What a person allows, and what that lets through. */

import { member } from "../json.ts";

/** What the SDK obeys. Any other purpose is kept and told to the gateway. */
export const PURPOSES = ["analytics", "messaging", "push"] as const;
const PURPOSE_CHARACTERS_MAX = 64;
/** The purposes whose unsent events go when they are denied. */
const PURGED = ["analytics", "messaging"] as const;

export type Purposes = Readonly<Record<string, boolean>>;

/** What was not said is allowed, unless consent is required. */
export interface Consent {
  readonly purposes: Purposes;
  readonly isRequired: boolean;
  /** Lies over everything that was said and leaves it as it is for the time after. */
  readonly isOptedOut: boolean;
}

/** What follows from a change: what to tell the gateway, and the purposes whose events go. */
export interface Changed {
  readonly consent: Consent;
  readonly tells: Purposes;
  readonly purges: readonly string[];
}

export function allows(consent: Consent, purpose: string): boolean {
  return !consent.isOptedOut && (member(consent.purposes, purpose) ?? !consent.isRequired);
}

/** Gives every purpose that is obeyed or was named, and whether it is allowed. */
export function statusOf(consent: Consent): Record<string, boolean> {
  const names = [...PURPOSES, ...Object.keys(consent.purposes)];
  return Object.fromEntries(names.map((name) => [name, allows(consent, name)]));
}

/** Tells whether anything may go over the network, a registration included. */
export function mayContact(consent: Consent): boolean {
  const isGranted = Object.values(consent.purposes).some(Boolean);
  return !consent.isOptedOut && (!consent.isRequired || isGranted);
}

export function mayReceive(consent: Consent): boolean {
  return mayContact(consent) && allows(consent, "messaging");
}

export function mayPush(consent: Consent): boolean {
  return mayContact(consent) && allows(consent, "push");
}

export function purposeOf(eventType: string): string {
  return eventType === "message" ? "messaging" : "analytics";
}

export function isPurpose(name: unknown): name is string {
  return typeof name === "string" && name.length >= 1 && [...name].length <= PURPOSE_CHARACTERS_MAX;
}

/** Follows a grant or a revocation. While opted out it is kept, and counts afterwards. */
export function said(consent: Consent, names: readonly string[], allowed: boolean): Changed {
  const named = Object.fromEntries(names.map((name) => [name, allowed]));
  const after = { ...consent, purposes: { ...consent.purposes, ...named } };
  return changed(consent, after, consent.isOptedOut ? {} : named);
}

/** Follows an opt-out, which denies everything, or its end, which restores what was said. */
export function opted(consent: Consent, out: boolean): Changed {
  if (consent.isOptedOut === out) {
    return { consent, tells: {}, purges: [] };
  }
  const after = { ...consent, isOptedOut: out };
  return changed(consent, after, statusOf(after));
}

function changed(before: Consent, after: Consent, tells: Purposes): Changed {
  const purges = PURGED.filter((purpose) => allows(before, purpose) && !allows(after, purpose));
  return { consent: after, tells, purges };
}
