"""The ports of the SDK, as tests need them: time by hand, chance as told, and builders."""

import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from zuruf import Diagnostics, Zuruf

Item = TypeVar("Item")

DEADLINE_S = 20.0


class Ping:
    """Asks whether the worker waits. Taken while it works, it says no; a waiting clock says yes."""

    def __init__(self, is_settled: Callable[[], bool] = lambda: True) -> None:
        self._is_settled = is_settled
        self.answered = threading.Event()
        self.is_waiting = False
        self.until_s = math.inf

    def __call__(self, _: object) -> None:
        self.answered.set()

    def found_waiting(self, until_s: float) -> None:
        """Be found by a worker that waits until a moment, on its own thread."""
        self.is_waiting = self._is_settled()
        self.until_s = until_s
        self.answered.set()


class ManualClock:
    """Time that stands still until a test moves it.

    `advance` jumps, as a device does that slept. `run` goes from deadline to deadline, as time does,
    and lets the worker finish what is due at each.
    """

    def __init__(self, wall_ms: int = 1_763_750_000_000) -> None:
        self._changed = threading.Condition()
        self._monotonic_s = 1_000.0
        self._base_ms = wall_ms - 1_000_000
        self._mailboxes: list[queue.SimpleQueue[Any]] = []
        self._waits = 0

    def wall_ms(self) -> int:
        return self._base_ms + round(self._monotonic_s * 1000)

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def wait(self, mailbox: queue.SimpleQueue[Item], timeout_s: float | None) -> Item:
        until_s = math.inf if timeout_s is None else self._monotonic_s + timeout_s
        if self._monotonic_s < until_s:
            with self._changed:
                if mailbox not in self._mailboxes:
                    self._mailboxes.append(mailbox)
                self._waits += 1
                self._changed.notify_all()
        while True:
            if self._monotonic_s >= until_s:
                return mailbox.get_nowait()
            item = mailbox.get()
            if not isinstance(item, Ping):
                return item
            item.found_waiting(until_s)

    def advance(self, seconds: float) -> None:
        self._move_to(self._monotonic_s + seconds)

    def set_wall(self, wall_ms: int) -> None:
        """Set the device's clock, which moves nothing else."""
        self._base_ms = wall_ms - round(self._monotonic_s * 1000)

    def settle(self, *clients: Zuruf) -> float:
        """Wait until all have nothing left to do at this moment; give the next that means something."""
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            with self._changed:
                waits = self._waits
            pings = [self._ping(client) for client in clients]
            if all(ping.is_waiting for ping in pings):
                return min(ping.until_s for ping in pings)
            self._await_another_wait(waits, ends_at - time.monotonic())

    def run(self, seconds: float, *clients: Zuruf) -> None:
        """Let time go by, from deadline to deadline."""
        ends_s = self._monotonic_s + seconds
        while (next_s := self.settle(*clients)) <= ends_s:
            self._move_to(next_s)
        self._move_to(ends_s)

    def _move_to(self, moment_s: float) -> None:
        with self._changed:
            self._monotonic_s = moment_s
            mailboxes = list(self._mailboxes)
        for mailbox in mailboxes:
            mailbox.put(Ping())

    def _await_another_wait(self, waits: int, timeout_s: float) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._waits > waits, timeout_s), "unsettled"

    def _ping(self, client: Zuruf) -> Ping:
        worker = client._core.worker
        assert worker is not None, "only a client that runs can settle"
        ping = Ping(lambda: worker.is_settled)
        client._core.mailbox.put(ping)
        assert ping.answered.wait(DEADLINE_S), "the worker does not answer"
        return ping


class Chance:
    """A random number generator that always says the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


class Screen:
    """An app's callback that remembers what it was given.

    It shows what it does not decide about, and unless it `keeps` that on the screen, closes it at once.
    """

    def __init__(self, *decisions: Any, keeps: bool = False) -> None:
        self._decisions = list(decisions)
        self._keeps = keeps
        self._changed = threading.Condition()
        self.shows: list[Any] = []

    @property
    def message_ids(self) -> list[str]:
        return [show.message.id for show in self.shows]

    def __call__(self, _: object, show: Any) -> Any:
        with self._changed:
            self.shows.append(show)
            decision = self._decisions.pop(0) if self._decisions else None
            self._changed.notify_all()
        if isinstance(decision, Exception):
            raise decision
        if decision is None:
            show.shown()
            if not self._keeps:
                show.dismissed()
        return decision

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.shows) >= count, DEADLINE_S), self.shows


def until(client: Zuruf, condition: Callable[[Diagnostics], bool]) -> Diagnostics:
    """Wait until the client says of itself what is expected."""
    ends_at = time.monotonic() + DEADLINE_S
    while not condition(diagnostics := client.diagnostics()):
        assert time.monotonic() < ends_at, diagnostics
        time.sleep(0.002)
    return diagnostics


def a_message(message_id: str = "m1", **more: Any) -> dict[str, Any]:
    return {
        "id": message_id,
        "channel": "in_app",
        "priority": 50,
        "created_at": 1_763_750_000_000,
        "expires_at": 4_000_000_000_000,
        "content": {
            "layout": "modal",
            "title": "Thank you",
            "body": "…",
            "buttons": [{"id": "ok", "label": "OK", "action": {"type": "dismiss"}}],
        },
        **more,
    }
