"""Laws of ids; their cases are the vector `uuid7`."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.uuid7 import NOISE_BYTES, uuid7
from zuruf.events import Uuid7Source

noises = st.integers(0, 2 ** (NOISE_BYTES * 8) - 1)


@given(st.lists(st.tuples(st.integers(0, 2**48 - 2), noises), max_size=50))
def test_ids_grow_however_the_clock_runs(calls: list[tuple[int, int]]) -> None:
    last, ids = 0, []
    for now_ms, noise in calls:
        last, new_id = uuid7(last, now_ms, noise)
        ids.append(new_id)
    assert ids == sorted(set(ids))
    assert {uuid.UUID(one).version for one in ids} <= {7}
    assert {uuid.UUID(one).variant for one in ids} <= {uuid.RFC_4122}


@given(st.integers(0, 2**48 - 1), noises)
def test_id_says_when_it_was_made(now_ms: int, noise: int) -> None:
    _, new_id = uuid7(0, now_ms, noise)
    assert uuid.UUID(new_id).int >> 80 == max(now_ms, 0)


def test_source_never_gives_an_id_twice_within_a_millisecond() -> None:
    source = Uuid7Source()
    made = [source.new_id(1_763_750_000_000 - number // 100) for number in range(5_000)]
    assert made == sorted(set(made))
