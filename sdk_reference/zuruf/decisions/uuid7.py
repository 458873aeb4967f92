"""The bits of a UUID of version 7. Pure: time and noise are arguments."""

from __future__ import annotations

NOISE_BYTES = 10
TIME_BITS, COUNT_BITS = 48, 12
TIME_MASK = (1 << TIME_BITS) - 1
COUNT_MASK = (1 << COUNT_BITS) - 1
# The count starts with the first 10 bits of the noise; 62 other bits of it are the end of the id.
START_SHIFT = NOISE_BYTES * 8 - 10
TAIL_MASK = (1 << 62) - 1
VARIANT = 0b10 << 62


def uuid7(last: int, now_ms: int, noise: int) -> tuple[int, str]:
    """Give the id after `last`, and what is to be `last` next time (0 before the first).

    `last` is 48 bits of time and 12 of a count. Ids grow by at least one, so they sort by the call,
    also within a millisecond and when the clock runs backwards; the count starts below 1,024 to
    leave room, and what overflows it goes into the time. `noise` is 80 random bits.
    """
    last = max(last + 1, (now_ms & TIME_MASK) << COUNT_BITS | noise >> START_SHIFT)
    digits = f"{last >> COUNT_BITS:012x}7{last & COUNT_MASK:03x}{VARIANT | noise & TAIL_MASK:016x}"
    return last, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
