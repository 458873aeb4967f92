"""Laws of sessions; their cases are the vector `session_machine`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.session import IDLE_MS, LENGTH_MS_MAX, Session, continued, in_background

LIMITS = IDLE_MS, LENGTH_MS_MAX
steps = st.lists(
    st.tuples(st.booleans(), st.integers(-1_000, IDLE_MS + 1_000)), min_size=1, max_size=40
)


@given(steps)
def test_events_of_a_session_are_numbered_without_a_gap(steps: list[tuple[bool, int]]) -> None:
    session: Session | None = None
    now_ms, numbers = 0, dict[str, list[int]]()
    for place, (is_background, after_ms) in enumerate(steps):
        now_ms += after_ms
        found = (
            in_background(session, now_ms, *LIMITS)
            if is_background
            else continued(session, now_ms, f"s{place}", *LIMITS)
        )
        if found is not None:
            session = found
            numbers.setdefault(found.id, []).append(found.seq)
    for seqs in numbers.values():
        assert seqs == list(range(len(seqs)))


@given(steps)
def test_no_session_is_longer_than_a_day_or_has_a_pause(steps: list[tuple[bool, int]]) -> None:
    session: Session | None = None
    now_ms = 0
    for place, (_, after_ms) in enumerate(steps):
        now_ms += after_ms
        before = session
        session = continued(session, now_ms, f"s{place}", *LIMITS)
        assert session.active_ms - session.started_ms < LENGTH_MS_MAX
        if before is not None and session.id == before.id:
            assert 0 <= now_ms - before.active_ms < IDLE_MS


@given(st.integers(0, IDLE_MS - 1))
def test_the_background_never_extends_a_session(after_ms: int) -> None:
    session = Session("s", 0, 0)
    found = in_background(session, after_ms, *LIMITS)
    assert found is not None
    assert (found.started_ms, found.active_ms) == (session.started_ms, session.active_ms)
