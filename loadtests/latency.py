"""Latencies of one run, kept exactly: appending a float costs the client less than any bucket."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What a latency distribution comes down to, in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


def spread(seconds: Iterable[float]) -> Spread:
    ordered = array("d", sorted(seconds))
    if not ordered:
        return Spread(0, math.nan, math.nan, math.nan, math.nan, math.nan)

    def at(quantile: float) -> float:
        return percentile(ordered, quantile) * 1000

    return Spread(len(ordered), at(0.5), at(0.9), at(0.99), at(0.999), ordered[-1] * 1000)


def percentile(ordered: Sequence[float], quantile: float) -> float:
    """Nearest rank: an observed value, never one in between, and never too low for small samples."""
    if not ordered:
        return math.nan
    rank = math.ceil(quantile * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def weighted_percentile(counts: Mapping[float, int], quantile: float) -> float:
    """The same over values that come with how often they occurred."""
    rank = max(math.ceil(quantile * sum(counts.values())), 1)
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    return math.nan


@dataclass(frozen=True, slots=True)
class Rounds:
    """The same figure over the rounds of a run."""

    median: float
    lowest: float
    highest: float
    count: int


def over_rounds(values: Iterable[float]) -> Rounds:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Rounds(math.nan, math.nan, math.nan, 0)
    return Rounds(statistics.median(known), min(known), max(known), len(known))
