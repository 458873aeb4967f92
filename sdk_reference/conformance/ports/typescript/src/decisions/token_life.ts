/** How long a device token is good for, and when to have a new one before it has to be. */

/** It is renewed when less than this part of its life is left. */
const RENEWAL_PART = 1 / 5;

/** By the gateway's clock. */
export interface TokenLife {
  readonly issuedMs: number;
  readonly expiresMs: number;
}

export function isRenewalDue(life: TokenLife, nowMs: number): boolean {
  return life.expiresMs - nowMs < (life.expiresMs - life.issuedMs) * RENEWAL_PART;
}
