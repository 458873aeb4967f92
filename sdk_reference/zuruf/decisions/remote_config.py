"""What a key of the remote configuration says on this device. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuruf.decisions.bucket import is_within

if TYPE_CHECKING:
    from collections.abc import Mapping

PERCENT_MAX = 100
BUCKETS_PER_PERCENT = 100


def resolved(values: Mapping[str, Any], install_id: str) -> dict[str, Any]:
    """Give every key that has a value here: key → value.

    An entry is `{"value", "percent"?, "otherwise"?}`: that share of devices gets `value`, the others
    `otherwise`, or nothing if there is none. An entry of another shape is as if it were missing.
    """
    found = {}
    for key, entry in values.items():
        if not isinstance(entry, dict) or "value" not in entry:
            continue
        percent = entry.get("percent", PERCENT_MAX)
        if isinstance(percent, bool) or not isinstance(percent, int | float):
            continue
        if not 0 <= percent <= PERCENT_MAX:
            continue
        if is_within(install_id, key, percent * BUCKETS_PER_PERCENT):
            found[key] = entry["value"]
        elif "otherwise" in entry:
            found[key] = entry["otherwise"]
    return found
