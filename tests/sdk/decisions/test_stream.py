"""Laws of the stream machine; its cases are the vector `stream_machine`."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zuruf.decisions.stream import (
    BACKGROUND_GRACE_MS,
    MODES,
    POLL_INTERVAL_MS_MAX,
    Event,
    Kind,
    Stream,
    Tuning,
    deadline_ms,
    described,
    step,
)

WAIT_MS_MAX = 900_000
kinds: list[Kind] = [
    "start",
    "stop",
    "restart",
    "foreground",
    "background",
    "opened",
    "heard",
    "answered",
    "cut",
    "drain",
    "failed",
    "refused",
    "tick",
]
happenings = st.builds(
    Event,
    st.sampled_from(kinds),
    floor_ms=st.sampled_from([0, 1_000, WAIT_MS_MAX]),
    retry_ms=st.sampled_from([None, 0, 2_000, 10**15]),
    held_ms=st.integers(0, 25_000),
    is_empty=st.booleans(),
)
chances = st.floats(0, 1, exclude_max=True)
tunings = st.builds(Tuning, st.sampled_from(MODES))


class Receiver(RuleBasedStateMachine):
    """A receiver that obeys, and any network, app and clock around it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Stream()
        self.tuning = Tuning()
        self.now_ms = 0
        self.requests = 0

    def happens(self, event: Event, chance: float) -> None:
        self.state, effects = step(self.state, event, self.now_ms, chance, self.tuning)
        if event.kind in {"answered", "cut", "failed", "refused"} and self.requests:
            # Whatever was on its way has ended by itself.
            self.requests = 0
        for effect in effects:
            self.requests += 1 if effect == "open" else -1
            assert self.requests in {0, 1}, "one request at a time"

    @rule(kind=st.sampled_from(["start", "stop", "restart", "foreground", "background"]))
    def the_app_acts(self, kind: Kind) -> None:
        self.happens(Event(kind), 0.5)

    @rule(event=happenings, chance=chances, after_ms=st.integers(0, 60_000))
    def the_network_acts(self, event: Event, chance: float, after_ms: int) -> None:
        if self.requests and event.kind in {
            "opened",
            "heard",
            "answered",
            "cut",
            "drain",
            "failed",
            "refused",
        }:
            self.now_ms = min(self.now_ms + after_ms, deadline_ms(self.state) or self.now_ms)
            self.happens(event, chance)

    @rule(chance=chances)
    def time_passes_to_the_deadline(self, chance: float) -> None:
        at_ms = deadline_ms(self.state)
        if at_ms is not None:
            self.now_ms = max(self.now_ms, at_ms)
            self.happens(Event("tick"), chance)

    @invariant()
    def is_off_suspended_or_has_a_deadline(self) -> None:
        has_deadline = deadline_ms(self.state) is not None
        assert has_deadline is (described(self.state) not in {"off", "suspended"})

    @invariant()
    def no_deadline_is_beyond_the_longest_wait(self) -> None:
        at_ms = deadline_ms(self.state)
        assert at_ms is None or at_ms - self.now_ms <= max(WAIT_MS_MAX, POLL_INTERVAL_MS_MAX)

    @invariant()
    def a_request_is_open_exactly_when_the_state_says_so(self) -> None:
        assert (self.requests == 1) is (self.state.phase in {"connecting", "open"})

    @invariant()
    def background_is_quiet_soon(self) -> None:
        if self.state.is_background and self.requests:
            assert self.state.close_at_ms is not None
            assert self.state.close_at_ms <= self.now_ms + BACKGROUND_GRACE_MS


TestReceiver = Receiver.TestCase


@given(st.lists(st.tuples(happenings, st.integers(0, 100_000), chances), max_size=30), tunings)
def test_no_mode_is_better_than_the_best_allowed(
    history: list[tuple[Event, int, float]], tuning: Tuning
) -> None:
    state, now_ms = Stream(), 0
    for event, after_ms, chance in history:
        now_ms += after_ms
        state, effects = step(state, event, now_ms, chance, tuning)
        if "open" in effects:
            assert MODES.index(state.mode) >= MODES.index(tuning.best)


@given(st.lists(st.tuples(happenings, st.integers(0, 100_000), chances), max_size=30))
def test_a_tick_before_the_deadline_changes_nothing(
    history: list[tuple[Event, int, float]],
) -> None:
    state, now_ms, tuning = Stream(), 0, Tuning()
    for event, after_ms, chance in history:
        now_ms += after_ms
        state, _ = step(state, event, now_ms, chance, tuning)
        at_ms = deadline_ms(state)
        if at_ms is not None and at_ms > now_ms:
            assert step(state, Event("tick"), at_ms - 1, chance, tuning) == (state, ())


@given(st.sampled_from(MODES), chances)
def test_a_network_that_works_again_leads_back_to_the_best_mode(mode: str, chance: float) -> None:
    """Whatever went before, with a network that works everything is as it was within minutes."""
    tuning, now_ms = Tuning(), 0
    state, _ = step(Stream(), Event("start"), now_ms, chance, tuning)
    while state.mode != mode:
        state, _ = step(state, Event("failed"), now_ms, chance, tuning)
        now_ms = deadline_ms(state) or now_ms
        state, _ = step(state, Event("tick"), now_ms, chance, tuning)
    for _ in range(50):
        kind: Kind = "heard" if state.mode == "sse" else "answered"
        if state.phase == "waiting":
            kind = "tick"
        now_ms = max(now_ms + 25_000, deadline_ms(state) or 0 if kind == "tick" else 0)
        state, _ = step(state, Event(kind, held_ms=25_000), now_ms, chance, tuning)
    assert described(state) == "sse"
