"""Laws of eviction, and that the queue on disk follows them; its cases are the vector `eviction`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.eviction import CREDIBLE_MS_MIN, Bounds, Queued, evicted, is_expired
from zuruf.events import EVENT, PUSH, Row
from zuruf.storage import Storage

NOW_MS = 1_763_750_000_000
TTL_MS = 30 * 24 * 60 * 60 * 1000
ages = st.sampled_from(
    [0, 1, CREDIBLE_MS_MIN - 1, CREDIBLE_MS_MIN, NOW_MS - TTL_MS - 1, NOW_MS - 5]
)
bounds = st.builds(Bounds, st.integers(0, 6), st.integers(0, 600), st.just(TTL_MS))


@st.composite
def queues(draw: st.DrawFn) -> list[Queued]:
    """Rows in the order of the calls; a batch holds the oldest events."""
    kinds = draw(
        st.lists(st.tuples(st.integers(0, 200), ages, st.booleans(), st.booleans()), max_size=9)
    )
    in_batch = draw(st.integers(0, 3))
    rows: list[Queued] = []
    events = 0
    for place, (size, created_ms, is_trigger, is_operation) in enumerate(kinds):
        events += not is_operation
        is_fixed = not is_operation and events <= in_batch
        rows.append(Queued(place + 1, size, created_ms, is_trigger, is_fixed, is_operation))
    return rows


@given(queues(), bounds)
def test_operations_and_batches_never_leave(rows: list[Queued], bounds: Bounds) -> None:
    gone = evicted(rows, bounds, NOW_MS)
    kept = {row.position for row in rows if row.is_operation or row.is_fixed}
    assert kept.isdisjoint([*gone.expired, *gone.overflow])


@given(queues(), bounds)
def test_what_stays_fits_as_far_as_it_may(rows: list[Queued], bounds: Bounds) -> None:
    gone = evicted(rows, bounds, NOW_MS)
    left = [
        row
        for row in rows
        if not row.is_operation and row.position not in {*gone.expired, *gone.overflow}
    ]
    movable = [row for row in left if not row.is_fixed]
    fits = len(left) <= bounds.events_max and sum(row.bytes for row in left) <= bounds.bytes_max
    assert fits or not movable
    assert not any(is_expired(row.created_ms, NOW_MS, TTL_MS) for row in movable)


@given(queues(), bounds)
def test_nothing_more_leaves_than_has_to(rows: list[Queued], bounds: Bounds) -> None:
    gone = evicted(rows, bounds, NOW_MS)
    if gone.overflow:
        without_last = {*gone.expired, *gone.overflow[:-1]}
        left = [row for row in rows if not row.is_operation and row.position not in without_last]
        size = sum(row.bytes for row in left)
        assert len(left) > bounds.events_max or size > bounds.bytes_max


@given(queues(), bounds)
def test_trigger_events_leave_after_all_others(rows: list[Queued], bounds: Bounds) -> None:
    overflow = evicted(rows, bounds, NOW_MS).overflow
    is_trigger = {row.position: row.is_trigger for row in rows}
    assert [is_trigger[position] for position in overflow] == sorted(
        is_trigger[position] for position in overflow
    )


@given(queues(), bounds)
def test_the_queue_on_disk_decides_alike(rows: list[Queued], bounds: Bounds) -> None:
    storage = Storage(None)
    storage.open()
    for row in rows:
        name = "urgent" if row.is_trigger else "bulk"
        kind = PUSH if row.is_operation else EVENT
        body = b"x" * row.bytes
        storage.append(Row(kind, f"id {row.position}", name, row.created_ms, body))
        if row.is_fixed:
            # Operations end a batch, so here it is made by hand.
            storage.run("UPDATE queue SET batch_id = 'b' WHERE id = ?", f"id {row.position}")
    storage.drop_expired(NOW_MS - TTL_MS, "expired")
    storage.drop_excess(bounds.events_max, bounds.bytes_max, ["urgent"], "overflow")
    left = {id_ for (id_,) in storage.rows("SELECT id FROM queue")}
    storage.close()
    gone = evicted(rows, bounds, NOW_MS)
    decided = {f"id {row.position}" for row in rows} - {
        f"id {position}" for position in (*gone.expired, *gone.overflow)
    }
    assert left == decided
