"""Figures of a benchmark run: what was measured of whom, round by round, and how they compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loadtests.latency import Rounds, over_rounds


@dataclass(slots=True)
class Figure:
    measure: str
    name: str
    target: str
    unit: str
    rounds: dict[int, float] = field(default_factory=dict)

    @property
    def summary(self) -> Rounds:
        return over_rounds(self.rounds.values())


class Figures:
    """All figures of a run, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Figure] = {}
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._known.values())

    def add(
        self, measure: str, name: str, target: str, unit: str, value: float, round_number: int = 0
    ) -> None:
        key = measure, name, target
        figure = self._known.setdefault(key, Figure(measure, name, target, unit))
        figure.rounds[round_number] = value

    def get(self, measure: str, name: str, target: str) -> Figure | None:
        return self._known.get((measure, name, target))

    def median(self, measure: str, name: str, target: str) -> float:
        figure = self.get(measure, name, target)
        return figure.summary.median if figure else math.nan

    def ratio(self, measure: str, name: str, target: str, against: str) -> Rounds:
        """`target` against `against`, round by round: both had the same neighbours in a round."""
        one, other = self.get(measure, name, target), self.get(measure, name, against)
        if not one or not other:
            return over_rounds(())
        both = one.rounds.keys() & other.rounds.keys()
        return over_rounds(
            one.rounds[number] / other.rounds[number] for number in both if other.rounds[number]
        )

    def for_budgets(self, target: str = "gateway") -> dict[str, float]:
        """`measure.figure` of the target, and `measure.figure/other` for its ratios to others."""
        flat: dict[str, float] = {}
        for figure in self:
            name = f"{figure.measure}.{figure.name}"
            if figure.target == target:
                flat[name] = figure.summary.median
            else:
                ratio = self.ratio(figure.measure, figure.name, target, figure.target)
                flat[f"{name}/{figure.target}"] = ratio.median
        return flat

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "measure": figure.measure,
                "figure": figure.name,
                "target": figure.target,
                "unit": figure.unit,
                "median": _number(figure.summary.median),
                "lowest": _number(figure.summary.lowest),
                "highest": _number(figure.summary.highest),
                "rounds": [_number(value) for value in figure.rounds.values()],
            }
            for figure in self
        ]


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else round(value, 4)
