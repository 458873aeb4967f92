"""The decisions of delivery: what to send next, what an answer means, how long to wait.

Pure functions of values; threads and sockets only obey them. A port to another language is written
against this file and docs/protocol.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuruf.transport import Response

BACKOFF_S_MAX = 300.0
RETRY_AFTER_S_MAX = 15 * 60.0
# For answers that only a person can change (a wrong key, a wrong address, a refused device).
SLOW_RETRY_S = 300.0
GROW_AFTER = 4

OK_MIN, OK_MAX = 200, 299
NOT_MODIFIED = 304
BAD_REQUEST, UNAUTHORIZED, TOO_LARGE, UNSUPPORTED, UNPROCESSABLE = 400, 401, 413, 415, 422
TRANSIENT = frozenset({408, 409, 425, 429})
SERVER_ERROR_MIN = 500


# What an answer means


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is on the gateway's disk, but for the events rejected: event id → code."""

    rejected: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing is lost and nothing is known: the same again, later."""

    reason: str
    floor_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Fewer events at once."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The token does not do; `code` says why."""

    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway will never take this, and does not say which part is wrong."""

    code: str


@dataclass(frozen=True, slots=True)
class PartlyRefused:
    """Nothing was accepted; these events never will be: event id → code."""

    rejected: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Uncompressed:
    """Something on the way does not take compressed bodies."""


Outcome = Accepted | Retry | TooLarge | Unauthorized | Refused | PartlyRefused | Uncompressed


def outcome(response: Response | None, error: str) -> Outcome:
    """Read an answer. Only the gateway's own word ever costs an event."""
    if response is None:
        return Retry(error or "network_error")
    if "x-zuruf" not in response.headers:
        # A captive portal or a proxy answered, whatever it says.
        return Retry("foreign_answer")
    status = response.status
    body = json_object(response.body)
    code = str(body.get("code") or f"http_{status}")
    if OK_MIN <= status <= OK_MAX:
        # Also when the body cannot be read: the status alone says that it is on disk.
        return Accepted(rejections(body), body)
    if status == UNAUTHORIZED:
        return Unauthorized(code)
    if status == TOO_LARGE:
        return TooLarge()
    if status == UNSUPPORTED and code == "unsupported_encoding":
        return Uncompressed()
    if status in {BAD_REQUEST, UNPROCESSABLE}:
        rejected = rejections(body)
        return PartlyRefused(rejected) if rejected else Refused(code)
    if status in TRANSIENT or status >= SERVER_ERROR_MIN:
        return Retry(code, retry_after_s(response.headers.get("retry-after")))
    return Retry(code, SLOW_RETRY_S)


def rejections(body: Mapping[str, Any]) -> dict[str, str]:
    """Give the events an answer rejects: event id → code."""
    found = body.get("rejected")
    if not isinstance(found, list):
        return {}
    return {
        item["id"]: str(item.get("code") or "rejected")
        for item in found
        if isinstance(item, dict) and isinstance(item.get("id"), str)
    }


def json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# How long to wait


def backoff_s(failures: int, floor_s: float, chance: float) -> float:
    """Give the wait after the n-th failure in a row: full jitter, and never less than was asked."""
    return max(chance * min(BACKOFF_S_MAX, 2.0 ** min(failures - 1, 20)), floor_s)


def retry_after_s(value: str | None) -> float:
    """Read `Retry-After` in whole seconds, within reason."""
    if value is None or not value.strip().isascii() or not value.strip().isdigit():
        return 0.0
    return min(float(value), RETRY_AFTER_S_MAX)


# How many at once


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How many events to try at once after an answer that said: not so many, or not these."""

    limit: int | None = None
    successes: int = 0

    def halved(self, events: int) -> BatchSize:
        return BatchSize(limit=max(1, events // 2))

    def after_success(self, events_max: int) -> BatchSize:
        """Grow again, slowly: the reason for the smaller size may still be there."""
        if self.limit is None:
            return self
        if self.successes + 1 < GROW_AFTER:
            return replace(self, successes=self.successes + 1)
        limit = self.limit * 2
        return BatchSize() if limit >= events_max else BatchSize(limit=limit)

    def within(self, events_max: int) -> int:
        return events_max if self.limit is None else min(self.limit, events_max)


# What to do next


class Step(Enum):
    """The next request of the upload lane."""

    WAIT = "wait"
    REGISTER = "register"
    SEND_BATCH = "send_batch"
    CHANGE_IDENTITY = "change_identity"
    MAKE_BATCH = "make_batch"
    REFRESH_CONFIG = "refresh_config"


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the next step depends on. Times are monotonic seconds."""

    now_s: float
    retry_at_s: float
    has_token: bool
    has_open_batch: bool
    head: str | None
    head_is_due: bool
    is_identity_refused: bool
    config_is_stale: bool


def next_step(situation: Situation) -> Step:
    """Decide: everything in the order of the calls, one request at a time."""
    if situation.now_s < situation.retry_at_s:
        return Step.WAIT
    if not situation.has_token:
        return Step.REGISTER
    if situation.has_open_batch:
        return Step.SEND_BATCH
    if situation.head == "operation":
        return Step.WAIT if situation.is_identity_refused else Step.CHANGE_IDENTITY
    if situation.head == "event" and situation.head_is_due:
        return Step.MAKE_BATCH
    if situation.config_is_stale:
        return Step.REFRESH_CONFIG
    return Step.WAIT


# How to receive


POLL_FAILURES_MAX = 3
PROBE_AFTER_S = 300.0
# A held poll that ends empty sooner than this part of its wait was cut by something in between.
HELD_PART_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Receiving:
    """How messages are fetched: held polls, or short ones where held ones keep failing."""

    mode: str
    next_at_s: float = 0.0
    failures: int = 0
    fell_back_at_s: float | None = None

    @property
    def is_probing(self) -> bool:
        """A held poll is tried again after a time of short ones."""
        return self.mode == "long_poll" and self.fell_back_at_s is not None


def after_poll(state: Receiving, now_s: float, interval_s: float) -> Receiving:
    """Go on after a poll that worked."""
    if state.mode == "long_poll":
        return Receiving("long_poll", next_at_s=now_s)
    if state.fell_back_at_s is not None and now_s - state.fell_back_at_s >= PROBE_AFTER_S:
        return replace(state, mode="long_poll", next_at_s=now_s, failures=0)
    return replace(state, next_at_s=now_s + interval_s, failures=0)


def after_failed_poll(
    state: Receiving, now_s: float, *, floor_s: float, chance: float
) -> Receiving:
    """Go on after a poll that did not work."""
    failures = state.failures + 1
    wait_s = backoff_s(failures, floor_s, chance)
    if state.mode == "long_poll" and (state.is_probing or failures >= POLL_FAILURES_MAX):
        return Receiving("poll", now_s + wait_s, 0, fell_back_at_s=now_s)
    return replace(state, next_at_s=now_s + wait_s, failures=failures)
