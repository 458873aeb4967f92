"""A device out of a script: for machines that have no GPS, no battery and nothing to vibrate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from client_demo.shop.platform.ports import (
    CAPABILITIES,
    Battery,
    Capability,
    CapabilityName,
    Place,
)

TRACK: tuple[Place, ...] = (
    Place(53.5507, 9.9930, 12.0),  # Hamburg: from the town hall …
    Place(53.5519, 9.9868, 10.0),
    Place(53.5534, 9.9796, 9.0),
    Place(53.5551, 9.9722, 8.0),
    Place(53.5570, 9.9659, 6.0),  # … to a shop in the Schanze
)
STEP_S = 2.0
"""Between two points of the track."""

After = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Runs something after some seconds; gives the function that cancels it."""


def _never(seconds: float, run: Callable[[], None]) -> Callable[[], None]:
    return lambda: None


@dataclass
class SimulatedPlatform:
    """Does what it is told and writes down what it did."""

    name: str = "Simulated device"
    charge: float = 82.0
    is_charging: bool = False
    track: Sequence[Place] = TRACK
    after: After = _never
    """How time passes for the GPS; `step` moves it by hand."""
    notifications: list[tuple[str, str]] = field(default_factory=list)
    vibrations: list[float] = field(default_factory=list)
    _points: Iterator[Place] | None = None
    _on_place: Callable[[Place], None] | None = None
    _cancel: Callable[[], None] = lambda: None

    def capabilities(self) -> Mapping[CapabilityName, Capability]:
        return dict.fromkeys(CAPABILITIES, Capability(is_available=True, source="simulated"))

    def notify(self, title: str, text: str) -> None:
        self.notifications.append((title, text))

    def battery(self) -> Battery:
        return Battery(self.charge, self.is_charging)

    def device_name(self) -> str:
        return self.name

    def start_gps(self, on_place: Callable[[Place], None]) -> None:
        self.stop_gps()
        self._points, self._on_place = itertools.cycle(self.track), on_place
        self._walk()

    def stop_gps(self) -> None:
        self._cancel()
        self._points = self._on_place = None

    def vibrate(self, seconds: float) -> None:
        self.vibrations.append(seconds)

    def step(self) -> None:
        """Go to the next point of the track."""
        if self._points is not None and self._on_place is not None:
            self._on_place(next(self._points))

    def _walk(self) -> None:
        self.step()
        self._cancel = self.after(STEP_S, self._walk)
