import math

import pytest

from loadtests.budgets import (
    PATIENCE,
    Budget,
    RouteBudget,
    RouteFigures,
    judge,
    missed,
    with_patience,
)
from loadtests.figures import Figures
from loadtests.shapes import SHAPES

AT_LEAST = Budget("upload.rate/twin", "at least", 5, "×", "")
AT_MOST = Budget("latency-light.p99", "at most", 10, "ms", "")
ROUTE = {"POST /v1/events": RouteBudget(p50_ms=10, p99_ms=100, failure_ratio=0.01)}


@pytest.mark.parametrize(
    "budget,measured,kept",
    [
        (AT_LEAST, 5, True),
        (AT_LEAST, 4.99, False),
        (AT_MOST, 10, True),
        (AT_MOST, 10.01, False),
    ],
)
def test_a_bound_itself_is_kept(budget: Budget, measured: float, kept: bool) -> None:
    (verdict,) = judge({budget.figure: measured}, [budget])
    assert verdict.known
    assert verdict.kept is kept


@pytest.mark.parametrize("budget", [AT_LEAST, AT_MOST])
def test_what_was_not_measured_is_neither_known_nor_kept(budget: Budget) -> None:
    (verdict,) = judge({}, [budget])
    assert not verdict.known
    assert not verdict.kept


def test_ratios_are_taken_within_a_round() -> None:
    """A neighbour who slows both programs down in one round does not change their ratio."""
    figures = Figures()
    for number, (ours, theirs) in enumerate([(500, 100), (50, 10), (600, 100)]):
        figures.add("upload", "rate", "gateway", "batches/s", ours, number)
        figures.add("upload", "rate", "twin", "batches/s", theirs, number)
    assert figures.for_budgets()["upload.rate/twin"] == 5
    ratio = figures.ratio("upload", "rate", "gateway", "twin")
    assert (ratio.lowest, ratio.highest) == (5, 6)


def test_a_round_that_one_program_missed_has_no_ratio() -> None:
    figures = Figures()
    figures.add("poll", "rate", "gateway", "polls/s", 100, 0)
    figures.add("poll", "rate", "floor", "polls/s", 100, 1)
    assert math.isnan(figures.for_budgets()["poll.rate/floor"])
    assert figures.for_budgets()["poll.rate"] == 100


def test_a_fleet_within_its_budgets_misses_nothing() -> None:
    seen = {"POST /v1/events": RouteFigures(requests=100, failures=1, p50_ms=10, p99_ms=100)}
    assert missed(seen, ROUTE) == []


def test_each_missed_budget_is_named() -> None:
    seen = {"POST /v1/events": RouteFigures(requests=100, failures=2, p50_ms=11, p99_ms=101)}
    sentences = missed(seen, ROUTE)
    assert [sentence.split(": ")[1].split()[0] for sentence in sentences] == ["2.00%", "p50", "p99"]


@pytest.mark.parametrize("seen", [{}, {"POST /v1/events": RouteFigures(0, 0, math.nan, math.nan)}])
def test_a_route_that_nobody_asked_has_not_kept_its_budget(seen: dict[str, RouteFigures]) -> None:
    assert missed(seen, ROUTE) == ["POST /v1/events: no requests"]


def test_patience_stretches_times_and_forgives_no_failure() -> None:
    assert with_patience(ROUTE, 4) == {
        "POST /v1/events": RouteBudget(p50_ms=40, p99_ms=400, failure_ratio=0.01)
    }


def test_there_is_a_patience_for_every_shape() -> None:
    assert PATIENCE.keys() == SHAPES.keys()
