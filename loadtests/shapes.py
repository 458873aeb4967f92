"""How many devices are there at each second: the courses that a fleet can take.

A course is a function of the elapsed seconds, so that tests can look at it without running it. It
answers the number of devices and how many of them come or go per second, or None when it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Tick: TypeAlias = tuple[int, float] | None
Course: TypeAlias = Callable[[float], Tick]


def ramp(users: int, duration_s: float) -> Course:
    """Evenly from nobody to everybody over two thirds of the time, then everybody."""

    def course(elapsed_s: float) -> Tick:
        if elapsed_s >= duration_s:
            return None
        share = min(elapsed_s / (duration_s * 2 / 3), 1.0)
        return max(round(users * share), 1), max(users / (duration_s * 2 / 3), 1.0) * 2

    return course


def soak(users: int, duration_s: float) -> Course:
    """Everybody within the first tenth of the time, then hours of the same."""

    def course(elapsed_s: float) -> Tick:
        if elapsed_s >= duration_s:
            return None
        return users, max(users / min(duration_s / 10, 60), 1.0)

    return course


def spike(users: int, duration_s: float) -> Course:
    """A tenth of the devices; everybody at once in the middle third (a goal, a push); a tenth."""

    def course(elapsed_s: float) -> Tick:
        if elapsed_s >= duration_s:
            return None
        if duration_s / 3 <= elapsed_s < duration_s * 2 / 3:
            return users, float(users)
        return max(users // 10, 1), float(users)

    return course


def herd(users: int, duration_s: float) -> Course:
    """Everybody; an outage; then everybody again within a second, with what they saved up."""

    def course(elapsed_s: float) -> Tick:
        if elapsed_s >= duration_s:
            return None
        if duration_s * 0.4 <= elapsed_s < duration_s * 0.5:
            return 0, float(users)
        before = elapsed_s < duration_s * 0.4
        return users, max(users / (duration_s * 0.2), 1.0) if before else float(users)

    return course


SHAPES: dict[str, Callable[[int, float], Course]] = {
    "ramp": ramp,
    "soak": soak,
    "spike": spike,
    "herd": herd,
}
