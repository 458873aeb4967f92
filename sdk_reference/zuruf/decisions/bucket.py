"""Chance that stays: which share of all devices a device belongs to. Pure."""

from __future__ import annotations

BUCKETS = 10_000
SAMPLING = "sampling:"
SAMPLED_TYPES = frozenset({"track", "screen"})


def bucket(unit: str, salt: str) -> int:
    """Give the place of a unit from 0 to 9,999; the same on every device and on the gateway."""
    # Imported here: an app whose gateway samples nothing never needs it.
    from hashlib import sha256  # noqa: PLC0415

    digest = sha256(f"{salt}:{unit}".encode(errors="replace")).hexdigest()
    return int(digest[:8], 16) % BUCKETS


def is_within(unit: str, salt: str, buckets: float) -> bool:
    """Tell whether a unit is in one of the first so many buckets of 10,000, rounded half up."""
    return bucket(unit, salt) < int(buckets + 0.5)


def is_sampled(
    install_id: str, event_type: str, name: str, share: float, *, is_trigger: bool
) -> bool:
    """Tell whether this device uploads such events when a share of all devices does.

    A change of the profile or a report on a message that is missing would be wrong, not just one
    fewer; and messages wait for trigger events: those are always uploaded.
    """
    if is_trigger or share >= 1 or event_type not in SAMPLED_TYPES:
        return True
    return is_within(install_id, SAMPLING + name, share * BUCKETS)
