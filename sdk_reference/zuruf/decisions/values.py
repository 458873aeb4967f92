"""Numbers that more than one decision needs, and JSON values read as far as they can be meant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DAY_MS = 24 * 60 * 60 * 1_000
# The whole numbers of the protocol: 64 bits, with a sign.
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


def whole(value: object) -> int | None:
    """Give a value if it is a whole number, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Give a JSON object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Give a JSON array; anything else is an empty one."""
    return value if isinstance(value, list) else []
