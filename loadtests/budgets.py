"""The promises as numbers: what a benchmark or a fleet must reach, and whether it did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on one figure of the benchmark, named `measure.figure` or `measure.figure/target`."""

    figure: str
    bound: Literal["at least", "at most"]
    value: float
    unit: str
    promise: str


@dataclass(frozen=True, slots=True)
class Verdict:
    budget: Budget
    measured: float

    @property
    def known(self) -> bool:
        return not math.isnan(self.measured)

    @property
    def kept(self) -> bool:
        if self.budget.bound == "at least":
            return self.measured >= self.budget.value
        return self.measured <= self.budget.value


# Ratios are taken round by round and then their median, so both sides had the same neighbours.
BENCH = (
    Budget("upload.rate/twin", "at least", 5, "×", "upload against the twin"),
    Budget("upload.rate/floor", "at least", 0.40, "×", "upload against the floor"),
    Budget("poll.rate/floor", "at least", 0.60, "×", "poll, nothing new, against the floor"),
    Budget("latency-light.p50", "at most", 4, "ms", "event to message, light load, p50"),
    Budget("latency-light.p99", "at most", 10, "ms", "event to message, light load, p99"),
    Budget("latency-half.p99", "at most", 30, "ms", "event to message, half load, p99"),
    Budget("react.rate", "at least", 100_000, "events/s", "log to react, 200 live rules"),
    Budget("held.polls", "at least", 15_000, "polls", "held by one edge process"),
    Budget("held.memory", "at most", 12, "KiB", "memory of a held poll"),
)


def judge(figures: Mapping[str, float], budgets: Iterable[Budget] = BENCH) -> list[Verdict]:
    """One verdict for each budget; a figure that was not measured is not known, and not kept."""
    return [Verdict(budget, figures.get(budget.figure, math.nan)) for budget in budgets]


@dataclass(frozen=True, slots=True)
class RouteBudget:
    """What a fleet must see at a route, measured by Locust beside the server on the same machine."""

    p50_ms: float
    p99_ms: float
    failure_ratio: float


@dataclass(frozen=True, slots=True)
class RouteFigures:
    requests: int
    failures: int
    p50_ms: float
    p99_ms: float


# Locust spends about a millisecond of Python on a request, on the cores of the server. These are
# the bounds of a healthy server seen through it; `loadtests.bench` measures the server itself.
ROUTES = {
    "POST /v1/devices": RouteBudget(50, 500, 0.001),
    "POST /v1/events": RouteBudget(25, 250, 0.001),
    "GET /v1/messages": RouteBudget(25, 250, 0.001),
    "event to message": RouteBudget(50, 500, 0.001),
}

# In a crowd that comes at once, a device waits for those before it; nothing may fail all the same.
PATIENCE = {"ramp": 1.0, "soak": 1.0, "spike": 2.0, "herd": 4.0}


def with_patience(budgets: Mapping[str, RouteBudget], factor: float) -> dict[str, RouteBudget]:
    return {
        route: RouteBudget(budget.p50_ms * factor, budget.p99_ms * factor, budget.failure_ratio)
        for route, budget in budgets.items()
    }


def missed(
    seen: Mapping[str, RouteFigures], budgets: Mapping[str, RouteBudget] = ROUTES
) -> list[str]:
    """A sentence for each budget that was missed. A route that was never asked has kept nothing."""
    sentences = []
    for route, budget in budgets.items():
        figures = seen.get(route)
        if figures is None or not figures.requests:
            sentences.append(f"{route}: no requests")
            continue
        ratio = figures.failures / figures.requests
        if ratio > budget.failure_ratio:
            sentences.append(f"{route}: {ratio:.2%} failed, at most {budget.failure_ratio:.2%}")
        if figures.p50_ms > budget.p50_ms:
            sentences.append(f"{route}: p50 {figures.p50_ms:.0f} ms, at most {budget.p50_ms:.0f}")
        if figures.p99_ms > budget.p99_ms:
            sentences.append(f"{route}: p99 {figures.p99_ms:.0f} ms, at most {budget.p99_ms:.0f}")
    return sentences
