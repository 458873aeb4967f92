"""Laws of the estimate of the clock; its cases are the vector `clock_offset`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.clock_offset import better, measured

delays = st.integers(0, 60_000)


@given(st.integers(-(10**9), 10**9), delays, delays)
def test_the_estimate_is_wrong_by_half_the_round_trip_at_most(
    true_offset_ms: int, there_ms: int, back_ms: int
) -> None:
    wall_at_send = 1_763_750_000_000
    answered_ms = 1_000 + there_ms + back_ms
    found = measured(
        wall_at_send + there_ms + true_offset_ms,
        sent_ms=1_000,
        answered_ms=answered_ms,
        wall_ms=wall_at_send + there_ms + back_ms,
    )
    assert found.rtt_ms == there_ms + back_ms
    assert abs(found.offset_ms - true_offset_ms) <= (found.rtt_ms + 1) // 2


@given(st.lists(st.tuples(delays, delays), min_size=1, max_size=10))
def test_of_several_exchanges_the_one_with_the_least_round_trip_is_kept(
    exchanges: list[tuple[int, int]],
) -> None:
    estimate = None
    for place, (there_ms, back_ms) in enumerate(exchanges):
        sent_ms = place * 1_000
        answered_ms = sent_ms + there_ms + back_ms
        sample = measured(
            10**12 + sent_ms + there_ms,
            sent_ms=sent_ms,
            answered_ms=answered_ms,
            wall_ms=10**12 + answered_ms,
        )
        estimate = better(estimate, sample)
    assert estimate is not None
    assert estimate.rtt_ms == min(there + back for there, back in exchanges)
