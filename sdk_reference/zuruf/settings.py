"""The settings in force: what the app configured and what the gateway recommends, in one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuruf.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

HOLD_S_MAX = 55.0
POLL_INTERVAL_S = 60.0
DEFAULTS = Config.__dataclass_fields__


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force."""

    flush_at: int
    flush_interval_s: float
    batch_events_max: int
    batch_bytes_max: int
    poll_wait_s: float
    poll_interval_s: float
    trigger_events: frozenset[str]


def merged(config: Config, recommended: Mapping[str, Any]) -> Settings:
    """Merge. A recommendation that cannot be meant is ignored or brought within bounds."""

    def recommend(name: str, least: int, most: int) -> int | None:
        value = recommended.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return max(least, min(value, most))

    def app_left(name: str) -> bool:
        return bool(getattr(config, name) == DEFAULTS[name].default)

    flush_at = recommend("flush_at", 1, 10_000)
    flush_interval_ms = recommend("flush_interval_ms", 100, 86_400_000)
    poll_wait_s = recommend("poll_wait_s", 1, 55)
    poll_interval_ms = recommend("poll_interval_ms", 1_000, 86_400_000)
    batch_events_max = recommend("batch_events_max", 1, 100_000)
    batch_bytes_max = recommend("batch_bytes_max", 1_024, 64 * 1024 * 1024)
    triggers = recommended.get("trigger_events")
    return Settings(
        flush_at=flush_at if flush_at and app_left("flush_at") else config.flush_at,
        flush_interval_s=flush_interval_ms / 1000
        if flush_interval_ms and app_left("flush_interval_s")
        else config.flush_interval_s,
        batch_events_max=min(config.batch_events_max, batch_events_max or config.batch_events_max),
        batch_bytes_max=min(config.batch_bytes_max, batch_bytes_max or config.batch_bytes_max),
        poll_wait_s=min(
            poll_wait_s if poll_wait_s and app_left("poll_wait_s") else config.poll_wait_s,
            HOLD_S_MAX,
        ),
        poll_interval_s=poll_interval_ms / 1000 if poll_interval_ms else POLL_INTERVAL_S,
        trigger_events=frozenset(name for name in triggers if isinstance(name, str))
        if isinstance(triggers, list)
        else frozenset(),
    )
