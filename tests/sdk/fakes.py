"""The ports of the SDK, as tests need them: time by hand, chance as told, and builders."""

import threading
import time
from collections.abc import Callable
from typing import Any

from zuruf import Diagnostics, Zuruf

DEADLINE_S = 5.0


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self, wall_ms: int = 1_763_750_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_s = 1_000.0
        self._wakes: list[Callable[[], None]] = []

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def on_change(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def advance(self, seconds: float) -> None:
        self._wall_ms += round(seconds * 1000)
        self._monotonic_s += seconds
        for wake in self._wakes:
            wake()

    def set_wall(self, wall_ms: int) -> None:
        self._wall_ms = wall_ms


class Chance:
    """A random number generator that always says the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


class Screen:
    """An app's callback that remembers what it was given."""

    def __init__(self, *decisions: Any) -> None:
        self._decisions = list(decisions)
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
