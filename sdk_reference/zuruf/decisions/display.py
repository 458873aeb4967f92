"""Whether a message may come up now: one gate after the other, the first that fails is the reason. Pure.

Times are milliseconds since 1970, all by the same clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from zuruf.decisions.values import DAY_MS, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MINUTE_MS = 60 * 1_000
MINUTES_OF_DAY = 24 * 60

Verdict = Literal["show", "wait", "never"]
Reason = Literal[
    "expired",
    "message_limit",
    "paused",
    "slot",
    "quiet_hours",
    "gap",
    "session_cap",
    "day_cap",
]


class QuietHours(NamedTuple):
    """A part of every day, in minutes after local midnight: from the first, up to the second.

    `from` later than `to` goes over midnight; both the same is no time at all.
    """

    from_minute: int
    to_minute: int


class Rules(NamedTuple):
    """What the gateway set for all messages that show themselves; None is no limit."""

    gap_ms: int = 0
    per_session_max: int | None = None
    per_day_max: int | None = None
    quiet_hours: QuietHours | None = None


class Limit(NamedTuple):
    """How often one message may be shown, in a sliding period or (None) ever."""

    times: int = 1
    period_ms: int | None = None


def limit_of(display: Mapping[str, Any]) -> Limit:
    """Read `display.limit` of a message; once, ever, when there is none that can be meant."""
    limit = display.get("limit")
    times = whole(limit.get("count")) if isinstance(limit, dict) else None
    if not isinstance(limit, dict) or times is None:
        return Limit()
    period_s = whole(limit.get("period_s"))
    return Limit(times, None if period_s is None else period_s * 1_000)


class Candidate(NamedTuple):
    """A message that could be shown. `shown_ms`: when it was shown before."""

    expires_at: int
    is_inline: bool = False
    limit: Limit = Limit()
    ignores_caps: bool = False
    shown_ms: Sequence[int] = ()


class Screen(NamedTuple):
    """What is on the screen and what has been. Inline messages take no slot and are not counted.

    The slot is taken from before the app is asked to show a message until that message is gone.
    `freed_ms` is when that was last. Shown today: since `day_start_ms`.
    """

    is_slot_taken: bool = False
    is_paused: bool = False
    freed_ms: int | None = None
    shown_in_session: int = 0
    shown_today: int = 0


class Decision(NamedTuple):
    """What to do, and why not to show it. `until_ms`: when to ask again, if that is known."""

    verdict: Verdict
    reason: Reason | None = None
    until_ms: int | None = None


SHOW = Decision("show")


def decide(
    message: Candidate, screen: Screen, rules: Rules, now_ms: int, utc_offset_s: int
) -> Decision:
    """Decide about one message at one moment."""
    if message.expires_at <= now_ms:
        return Decision("never", "expired")
    if (limited := _limited(message, now_ms)) is not None:
        return limited
    if message.is_inline:
        # It covers nothing and comes up where the app has left room for it.
        return SHOW
    if screen.is_paused:
        return Decision("wait", "paused")
    if screen.is_slot_taken:
        return Decision("wait", "slot")
    return SHOW if message.ignores_caps else _capped(screen, rules, now_ms, utc_offset_s)


def _capped(screen: Screen, rules: Rules, now_ms: int, utc_offset_s: int) -> Decision:
    quiet_until = quiet_until_ms(rules.quiet_hours, now_ms, utc_offset_s)
    if quiet_until is not None:
        return Decision("wait", "quiet_hours", quiet_until)
    freed_ms = screen.freed_ms
    # A clock that was set back must not make the gap longer than it is.
    if freed_ms is not None and freed_ms <= now_ms < freed_ms + rules.gap_ms:
        return Decision("wait", "gap", freed_ms + rules.gap_ms)
    if rules.per_session_max is not None and screen.shown_in_session >= rules.per_session_max:
        return Decision("wait", "session_cap")
    if rules.per_day_max is not None and screen.shown_today >= rules.per_day_max:
        return Decision("wait", "day_cap", day_start_ms(now_ms, utc_offset_s) + DAY_MS)
    return SHOW


def _limited(message: Candidate, now_ms: int) -> Decision | None:
    times, period_ms = message.limit
    if times <= 0 or (period_ms is None and len(message.shown_ms) >= times):
        return Decision("never", "message_limit")
    if period_ms is None:
        return None
    latest = sorted(at_ms for at_ms in message.shown_ms if at_ms > now_ms - period_ms)
    if len(latest) < times:
        return None
    # The period slides: it is the times-th showing from the end that has to leave it.
    until_ms = latest[-times] + period_ms
    if until_ms >= message.expires_at:
        return Decision("never", "message_limit")
    return Decision("wait", "message_limit", until_ms)


def quiet_until_ms(hours: QuietHours | None, now_ms: int, utc_offset_s: int) -> int | None:
    """Give the end of the quiet hours that it is now, or None when it is not quiet."""
    if hours is None:
        return None
    local_ms = (now_ms + utc_offset_s * 1_000) % DAY_MS
    from_ms, to_ms = hours.from_minute * MINUTE_MS, hours.to_minute * MINUTE_MS
    if (local_ms - from_ms) % DAY_MS >= (to_ms - from_ms) % DAY_MS:
        return None
    return now_ms + (to_ms - local_ms) % DAY_MS


def minute_of_day(text: object) -> int | None:
    """Read a time of day as `HH:MM`, 00:00 to 23:59; None when it is something else."""
    if not isinstance(text, str) or len(text) != len("HH:MM") or text[2] != ":":
        return None
    hours, minutes = text[:2], text[3:]
    if not (text.isascii() and hours.isdigit() and minutes.isdigit()):
        return None
    minute = int(hours) * 60 + int(minutes)
    return minute if int(minutes) < 60 and minute < MINUTES_OF_DAY else None


def day_start_ms(now_ms: int, utc_offset_s: int) -> int:
    """Give the local midnight that began the day."""
    offset_ms = utc_offset_s * 1_000
    return (now_ms + offset_ms) // DAY_MS * DAY_MS - offset_ms


# In which order


class Ranked(NamedTuple):
    """What the order of messages depends on."""

    priority: int
    created_at: int
    id: str


def rank(message: Ranked) -> tuple[int, int, str]:
    """Give the key to sort by: the important first, then the old, then any order that stays."""
    return -message.priority, message.created_at, message.id


def in_order(messages: Iterable[Ranked]) -> list[Ranked]:
    """Give the messages in the order in which they are offered to the app."""
    return sorted(messages, key=rank)
