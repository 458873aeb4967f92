/** Ids that sort by the call that made them (RFC 9562, version 7). */

const TIME_BITS = 48n;
const COUNT_BITS = 12n;
const NOISE_BITS = 80n;
/** The count starts with the first 10 bits of the noise, which leaves room above. */
const START_BITS = 10n;
const TAIL_BITS = 62n;
const VARIANT = 0b10n << TAIL_BITS;

export interface Made {
  /** 48 bits of time and 12 of a count: what the next id is made after. */
  readonly last: bigint;
  readonly id: string;
}

/**
 * Makes the id after `last` (0 before the first); `noise` is 80 random bits.
 *
 * Ids grow by at least one, also within a millisecond and when the clock runs backwards; a count that
 * overflows goes on in the time.
 */
export function uuid7(last: bigint, nowMs: number, noise: bigint): Made {
  const time = BigInt.asUintN(Number(TIME_BITS), BigInt(nowMs));
  const start = (time << COUNT_BITS) | (noise >> (NOISE_BITS - START_BITS));
  const made = last + 1n > start ? last + 1n : start;
  const hex =
    digits(made >> COUNT_BITS, 12) +
    "7" +
    digits(BigInt.asUintN(Number(COUNT_BITS), made), 3) +
    digits(VARIANT | BigInt.asUintN(Number(TAIL_BITS), noise), 16);
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ];
  return { last: made, id: parts.join("-") };
}

function digits(value: bigint, length: number): string {
  return value.toString(16).padStart(length, "0");
}
