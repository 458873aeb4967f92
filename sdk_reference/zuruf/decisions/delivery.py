"""The decisions of delivery: what to send next, what an answer means, how long to wait.

All times are milliseconds.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKOFF_MS_MIN = 1_000
BACKOFF_MS_MAX = 300_000
RETRY_AFTER_MS_MAX = 15 * 60 * 1_000
# For answers that only a person can change (a wrong key, a wrong address, a refused device).
SLOW_RETRY_MS = 300_000
GROW_AFTER = 4

OK_MIN, OK_MAX = 200, 299
NOT_MODIFIED = 304
BAD_REQUEST, UNAUTHORIZED, TOO_LARGE, UNSUPPORTED, UNPROCESSABLE = 400, 401, 413, 415, 422
TRANSIENT = frozenset({408, 409, 425, 429})
UNKNOWN_ROUTE = frozenset({404, 405})
SERVER_ERROR_MIN = 500
# Enough for every exponent: 2 to the 20th seconds is far beyond any limit.
DOUBLINGS_MAX = 20


# What an answer means


class Answer(Protocol):
    """What a decision needs of an answer. Header names are in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Accepted(NamedTuple):
    """It is on the gateway's disk, but for the events rejected: event id → code."""

    rejected: Mapping[str, str]
    body: Mapping[str, Any]


Cause = Literal["no_answer", "busy", "unknown_route", "not_modified", "unexpected"]
"""`no_answer`: none, or none of the gateway's. The others are its own: it cannot now, it has no such route,
nothing is new, or something that only a person can change."""


class Retry(NamedTuple):
    """Nothing is lost and nothing is known: the same again, later."""

    reason: str
    floor_ms: int = 0
    cause: Cause = "no_answer"


class TooLarge(NamedTuple):
    """Fewer events at once."""

    code: str = "too_large"


class Unauthorized(NamedTuple):
    """The token does not do; `code` says why."""

    code: str


class Refused(NamedTuple):
    """The gateway will never take this, and does not say which part is wrong."""

    code: str


class PartlyRefused(NamedTuple):
    """Nothing was accepted; these events never will be: event id → code."""

    rejected: Mapping[str, str]


class Uncompressed(NamedTuple):
    """Something on the way does not take compressed bodies."""

    code: str = "unsupported_encoding"


Outcome = Accepted | Retry | TooLarge | Unauthorized | Refused | PartlyRefused | Uncompressed


def outcome(response: Answer | None, error: str) -> Outcome:
    """Read an answer. Only the gateway's own word ever costs an event."""
    if response is None:
        return Retry(error or "network_error")
    if "x-zuruf" not in response.headers:
        # A captive portal or a proxy answered, whatever it says.
        return Retry("foreign_answer")
    status = response.status
    body = json_object(response.body)
    code = body.get("code")
    if not isinstance(code, str) or not code:
        code = f"http_{status}"
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
        return Retry(code, retry_after_ms(response.headers.get("retry-after")), "busy")
    if status in UNKNOWN_ROUTE:
        return Retry(code, SLOW_RETRY_MS, "unknown_route")
    return Retry(code, SLOW_RETRY_MS, "not_modified" if status == NOT_MODIFIED else "unexpected")


def rejections(body: Mapping[str, Any]) -> dict[str, str]:
    """Give the events an answer rejects: event id → code."""
    found = body.get("rejected")
    if not isinstance(found, list):
        return {}
    return {
        item["id"]: code if isinstance(code := item.get("code"), str) and code else "rejected"
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


def backoff_ms(failures: int, floor_ms: int, chance: float) -> int:
    """Give the wait after the n-th failure in a row: full jitter, and never less than was asked.

    `failures` counts from 1; `chance` is from 0 up to, not including, 1.
    """
    ceiling_ms = min(BACKOFF_MS_MAX, BACKOFF_MS_MIN << min(failures - 1, DOUBLINGS_MAX))
    return max(int(chance * ceiling_ms), floor_ms)


def retry_after_ms(value: str | None) -> int:
    """Read `Retry-After` in whole seconds, within reason. Dates and nonsense are no wait."""
    text = "" if value is None else value.strip()
    if not text.isascii() or not text.isdigit():
        return 0
    # Longer than this and it is over the limit anyway; nobody has to read a million digits.
    if len(text) > 9:
        return RETRY_AFTER_MS_MAX
    return min(int(text) * 1_000, RETRY_AFTER_MS_MAX)


# How many at once


class BatchSize(NamedTuple):
    """How many events to try at once after an answer that said: not so many, or not these."""

    limit: int | None = None
    successes: int = 0

    def halved(self, events: int) -> BatchSize:
        """Learn that `events` at once were too many."""
        return BatchSize(limit=max(1, events // 2))

    def after_success(self, events_max: int) -> BatchSize:
        """Grow again, slowly: the reason for the smaller size may still be there."""
        if self.limit is None:
            return self
        if self.successes + 1 < GROW_AFTER:
            return self._replace(successes=self.successes + 1)
        limit = self.limit * 2
        return BatchSize() if limit >= events_max else BatchSize(limit=limit)

    def within(self, events_max: int) -> int:
        """Give the number to try, at most `events_max`."""
        return events_max if self.limit is None else min(self.limit, events_max)


# What to do next


class Step(Enum):
    """The next request of the upload lane."""

    WAIT = "wait"
    REGISTER = "register"
    SEND_BATCH = "send_batch"
    MAKE_OPERATION = "make_operation"
    MAKE_BATCH = "make_batch"
    # The token is renewed before it has to be: nothing waits for that.
    RENEW = "renew"
    REFRESH_CONFIG = "refresh_config"


Head = Literal["event", "identity", "operation"]
"""What stands first in the queue: an event, a login or logout, or another operation."""


class Situation(NamedTuple):
    """Everything the next step depends on. Times are monotonic milliseconds."""

    now_ms: int
    retry_at_ms: int = 0
    # False with consent required and nothing granted, and after an opt-out.
    may_contact: bool = True
    # The gateway knows this device, whether or not its token still does.
    is_registered: bool = True
    has_token: bool = True
    # A consent operation stands in the queue, wherever.
    has_consent_operation: bool = False
    has_open_batch: bool = False
    head: Head | None = None
    head_is_due: bool = False
    is_identity_refused: bool = False
    # The token ends soon, and asking for a new one now costs little.
    is_renewal_due: bool = False
    config_is_stale: bool = False


def next_step(situation: Situation) -> Step:
    """Decide: everything in the order of the calls, one request at a time.

    Without leave to contact the gateway there is one thing left to say, to a gateway that knows
    this device: that it is not to be contacted. `MAKE_OPERATION` then means the consent operation,
    wherever it stands; otherwise the head of the queue.
    """
    if situation.now_ms < situation.retry_at_ms:
        return Step.WAIT
    if not situation.may_contact:
        if not (situation.has_consent_operation and situation.is_registered):
            return Step.WAIT
        return Step.MAKE_OPERATION if situation.has_token else Step.REGISTER
    if not situation.has_token:
        return Step.REGISTER
    if situation.has_open_batch:
        return Step.SEND_BATCH
    is_stuck = situation.head == "identity" and situation.is_identity_refused
    if situation.head in {"identity", "operation"} and not is_stuck:
        return Step.MAKE_OPERATION
    if situation.head == "event" and situation.head_is_due:
        return Step.MAKE_BATCH
    if situation.is_renewal_due:
        return Step.RENEW
    if situation.config_is_stale and not is_stuck:
        return Step.REFRESH_CONFIG
    return Step.WAIT
