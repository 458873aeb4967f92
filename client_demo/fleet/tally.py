"""What came out, counted. Pure: lives are added up, wherever they were lived."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil


@dataclass(slots=True)
class Outcome:
    """What became of one life."""

    user_id: str
    form_factor: str
    platform: str
    big_orders: int = 0
    # What the app recorded, by name, and what became of all events, those of the SDK included.
    tracked: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unsent: int = 0
    reopened: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    # By journey: milliseconds from the purchase to the message.
    latencies_ms: list[tuple[str, float]] = field(default_factory=list)
    clicked: int = 0
    awaited: int = 0
    error: str | None = None

    @property
    def purchases(self) -> int:
        """How many were made."""
        return self.tracked["purchase"]


@dataclass(slots=True)
class Tally:
    """Many outcomes added up."""

    lives: int = 0
    purchases: int = 0
    acknowledged: int = 0
    unsent: int = 0
    reopened: int = 0
    clicked: int = 0
    awaited: int = 0
    form_factors: Counter[str] = field(default_factory=Counter)
    platforms: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one more life."""
        self.lives += 1
        self.purchases += outcome.purchases
        self.acknowledged += outcome.acknowledged
        self.unsent += outcome.unsent
        self.reopened += outcome.reopened
        self.clicked += outcome.clicked
        self.awaited += outcome.awaited
        self.form_factors[outcome.form_factor] += 1
        self.platforms[outcome.platform] += 1
        self.dropped += outcome.dropped
        for journey, latency_ms in outcome.latencies_ms:
            self.messages[journey] += 1
            self.latencies_ms.append(latency_ms)
        if outcome.error is not None:
            self.errors[outcome.error] += 1


def percentile(values: Sequence[float], share: float) -> float | None:
    """Give the least value that this share of all does not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Count values up to each edge, and beyond the last one."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        # A value on an edge belongs below it.
        index = bisect_right(edges, value)
        counts[index - (index > 0 and edges[index - 1] == value)] += 1
    return counts
