from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from client_demo.fleet.tally import Outcome, Tally, histogram, percentile

MILLISECONDS = st.lists(st.floats(0, 10_000), max_size=50)


def test_lives_are_added_up() -> None:
    tally = Tally()
    tally.add(
        Outcome(
            "u1",
            "tv",
            "webos",
            tracked=Counter(purchase=2),
            acknowledged=9,
            dropped=Counter(queue_overflow=1),
            latencies_ms=[("Demo: welcome", 4.0), ("Demo: thank-you", 8.0)],
            clicked=1,
        )
    )
    tally.add(Outcome("u2", "phone", "ios", tracked=Counter(purchase=1), unsent=4, error="lost"))
    assert (tally.lives, tally.purchases, tally.acknowledged, tally.unsent) == (2, 3, 9, 4)
    assert tally.form_factors == {"tv": 1, "phone": 1}
    assert tally.messages == {"Demo: welcome": 1, "Demo: thank-you": 1}
    assert tally.latencies_ms == [4.0, 8.0]
    assert (tally.dropped, tally.errors) == ({"queue_overflow": 1}, {"lost": 1})


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.01) == 7.0
    assert percentile([], 0.5) is None


@given(MILLISECONDS, st.floats(0.01, 1))
def test_no_more_than_its_share_lies_below_a_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    if found is not None:
        assert sum(value < found for value in values) <= share * len(values)
        assert sum(value <= found for value in values) >= share * len(values) - 1e-6


@given(MILLISECONDS)
def test_every_value_is_in_one_bar_of_the_histogram(values: list[float]) -> None:
    edges = (5, 10, 100)
    counts = histogram([*values, *edges], edges)
    assert sum(counts) == len(values) + 3
    assert counts[0] == sum(value <= 5 for value in values) + 1
    assert counts[-1] == sum(value > 100 for value in values)
