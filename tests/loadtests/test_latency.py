import math
import random

import pytest

from loadtests.latency import over_rounds, percentile, spread, weighted_percentile


def test_percentiles_are_observed_values_by_nearest_rank() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert percentile(ordered, 0.5) == 50
    assert percentile(ordered, 0.99) == 99
    assert percentile(ordered, 0.999) == 100
    assert percentile(ordered, 0) == 1


def test_one_value_is_every_percentile() -> None:
    assert [percentile([7.0], quantile) for quantile in (0, 0.5, 0.99, 1)] == [7.0] * 4


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(weighted_percentile({}, 0.5))
    assert math.isnan(spread([]).p99_ms)
    assert spread([]).count == 0


def test_a_spread_is_in_milliseconds_and_in_order() -> None:
    source = random.Random(1)
    took = spread(source.expovariate(100) for _ in range(1000))
    assert took.count == 1000
    assert took.p50_ms <= took.p90_ms <= took.p99_ms <= took.p999_ms <= took.max_ms
    assert took.p50_ms == pytest.approx(6.9, rel=0.15)


@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_counted_values_have_the_percentiles_of_the_values_themselves(quantile: float) -> None:
    source = random.Random(3)
    values = sorted(float(source.randrange(20)) for _ in range(500))
    counts = {value: values.count(value) for value in values}
    assert weighted_percentile(counts, quantile) == percentile(values, quantile)


def test_rounds_keep_median_and_extremes_and_leave_out_what_is_missing() -> None:
    rounds = over_rounds([3.0, math.nan, 1.0, 2.0])
    assert (rounds.median, rounds.lowest, rounds.highest, rounds.count) == (2.0, 1.0, 3.0, 3)
