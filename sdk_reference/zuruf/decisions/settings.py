"""The settings in force: what the app chose and what the gateway recommends, in one. Pure."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from zuruf.decisions.display import QuietHours, Rules, minute_of_day
from zuruf.decisions.session import IDLE_MS, LENGTH_MS_MAX
from zuruf.decisions.values import DAY_MS, mapping, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

CAP_MAX = 1_000

# What a recommendation is brought within: name → least and most.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "flush_at": (1, 10_000),
    "flush_interval_ms": (100, DAY_MS),
    "batch_events_max": (1, 100_000),
    "batch_bytes_max": (1_024, 64 * 1024 * 1024),
    "poll_interval_ms": (1_000, DAY_MS),
    "session_idle_ms": (10_000, DAY_MS),
    "session_max_ms": (60_000, 30 * DAY_MS),
}
POLL_WAIT_S_MIN, POLL_WAIT_S_MAX = 1, 55
POLL_WAIT_MS_MAX = POLL_WAIT_S_MAX * 1_000
# Here the smaller of both sides counts, everywhere else the app's word.
LIMITS = ("batch_events_max", "batch_bytes_max")
# What an app can set itself: the name in `Config`, the name here, and how many of this make one of that.
CHOICES: tuple[tuple[str, str, int], ...] = (
    ("flush_at", "flush_at", 1),
    ("flush_interval_s", "flush_interval_ms", 1_000),
    ("batch_events_max", "batch_events_max", 1),
    ("batch_bytes_max", "batch_bytes_max", 1),
    ("poll_wait_s", "poll_wait_ms", 1_000),
    ("session_idle_s", "session_idle_ms", 1_000),
    ("session_max_s", "session_max_ms", 1_000),
    ("display_gap_s", "display_gap_ms", 1_000),
)
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Settings(NamedTuple):
    """The settings in force. Times in milliseconds; the defaults are those of the protocol."""

    flush_at: int = 20
    flush_interval_ms: int = 30_000
    batch_events_max: int = 500
    batch_bytes_max: int = 512 * 1024
    poll_wait_ms: int = 25_000
    poll_interval_ms: int = 60_000
    session_idle_ms: int = IDLE_MS
    session_max_ms: int = LENGTH_MS_MAX
    display: Rules = Rules()
    trigger_events: frozenset[str] = frozenset()
    # Event name → share of the devices that upload it.
    sampling: Mapping[str, float] = NOTHING
    # The remote configuration as the gateway sent it; `remote_config.resolved` reads it.
    values: Mapping[str, Any] = NOTHING

    @property
    def flush_interval_s(self) -> float:
        return self.flush_interval_ms / 1000

    @property
    def poll_wait_s(self) -> float:
        return self.poll_wait_ms / 1000


DEFAULTS = Settings()


def merged(app: Mapping[str, int], recommended: Mapping[str, Any]) -> Settings:
    """Merge what the app has set itself (the names of `CHOICES`) with what the gateway recommends.

    The app's word counts; for the limits of a batch the smaller of both. A recommendation that
    cannot be meant is ignored, one out of bounds brought within.
    """
    recommended_numbers = _numbers(recommended)

    def number(name: str, default: int) -> int:
        ours, theirs = app.get(name), recommended_numbers.get(name)
        if theirs is None:
            return default if ours is None else ours
        if name in LIMITS:
            return min(theirs, default if ours is None else ours)
        return theirs if ours is None else ours

    display = _display(recommended.get("display"))
    triggers = recommended.get("trigger_events")
    return Settings(
        flush_at=number("flush_at", DEFAULTS.flush_at),
        flush_interval_ms=number("flush_interval_ms", DEFAULTS.flush_interval_ms),
        batch_events_max=number("batch_events_max", DEFAULTS.batch_events_max),
        batch_bytes_max=number("batch_bytes_max", DEFAULTS.batch_bytes_max),
        poll_wait_ms=min(number("poll_wait_ms", DEFAULTS.poll_wait_ms), POLL_WAIT_MS_MAX),
        poll_interval_ms=number("poll_interval_ms", DEFAULTS.poll_interval_ms),
        session_idle_ms=number("session_idle_ms", DEFAULTS.session_idle_ms),
        session_max_ms=number("session_max_ms", DEFAULTS.session_max_ms),
        display=display._replace(gap_ms=app.get("display_gap_ms", display.gap_ms)),
        trigger_events=frozenset(name for name in triggers if isinstance(name, str))
        if isinstance(triggers, list)
        else DEFAULTS.trigger_events,
        sampling=_shares(recommended.get("sampling")),
        values=mapping(recommended.get("values")),
    )


def _numbers(recommended: Mapping[str, Any]) -> dict[str, int]:
    """Read the numbers that can be meant, each brought within its bounds."""
    found = {
        name: _within(value, *bounds)
        for name, bounds in BOUNDS.items()
        if (value := whole(recommended.get(name))) is not None
    }
    if (wait_s := whole(recommended.get("poll_wait_s"))) is not None:
        found["poll_wait_ms"] = _within(wait_s, POLL_WAIT_S_MIN, POLL_WAIT_S_MAX) * 1_000
    return found


def _display(value: Any) -> Rules:
    given = mapping(value)
    gap_ms = whole(given.get("gap_ms"))
    return Rules(
        gap_ms=0 if gap_ms is None else _within(gap_ms, 0, DAY_MS),
        per_session_max=_cap(given.get("per_session_max")),
        per_day_max=_cap(given.get("per_day_max")),
        quiet_hours=_quiet_hours(given.get("quiet_hours")),
    )


def _cap(value: Any) -> int | None:
    cap = whole(value)
    return None if cap is None else _within(cap, 0, CAP_MAX)


def _quiet_hours(value: Any) -> QuietHours | None:
    given = mapping(value)
    from_minute, to_minute = minute_of_day(given.get("from")), minute_of_day(given.get("to"))
    if from_minute is None or to_minute is None or from_minute == to_minute:
        return None
    return QuietHours(from_minute, to_minute)


def _shares(value: Any) -> dict[str, float]:
    return {
        # Brought within first: JSON has whole numbers that are too large for a float.
        name: float(max(0, min(share, 1)))
        for name, share in mapping(value).items()
        if _is_number(share)
    }


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and not (isinstance(value, float) and math.isnan(value))


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
