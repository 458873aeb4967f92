"""Events and operations on their way into the queue, and the ids they are given there."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Protocol

from zuruf.decisions.uuid7 import NOISE_BYTES, uuid7

EVENT, IDENTIFY, SWITCH, RESET = "event", "identify", "switch", "reset"
CONSENT, PUSH = "consent", "push"
# What rows of the kinds `consent` and `push` are called.
SAID, OPT_OUT, OPT_IN = "said", "opt_out", "opt_in"
REGISTER, FORGET = "register", "forget"
# Not kept in the queue: the queue itself goes.
DELETE_DATA = "delete_local_data"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the queue: an event, or an operation, which is made by a request of its own.

    Operations stand between the events in the order of the calls: what was recorded before is
    uploaded for the person before, what was recorded after for the person after. `switch` is an
    identify that replaces one known person by another; the worker tells the two apart.
    `position` is its place in the queue, once it has one.
    `type` is the event's; what it is decides which consent it needs.
    """

    kind: str
    id: str
    name: str
    created_ms: int
    body: bytes
    person: int = 0
    position: int = 0
    type: str = ""


class IdSource(Protocol):
    """Where ids come from."""

    def new_id(self, now_ms: int) -> str:
        """Give a UUID nobody has seen, in its 36 character form."""


class Uuid7Source:
    """UUIDs of version 7: they sort by the time of the call, also within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new_id(self, now_ms: int) -> str:
        noise = int.from_bytes(os.urandom(NOISE_BYTES), "big")
        with self._lock:
            self._last, new_id = uuid7(self._last, now_ms, noise)
        return new_id
