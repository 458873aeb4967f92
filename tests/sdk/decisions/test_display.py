"""Laws of display; its cases are the vectors `display_decision`, `quiet_hours` and `priority_order`."""

from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.display import (
    MINUTES_OF_DAY,
    Candidate,
    Limit,
    QuietHours,
    Ranked,
    Rules,
    Screen,
    day_start_ms,
    decide,
    in_order,
    minute_of_day,
    quiet_until_ms,
)
from zuruf.decisions.values import DAY_MS

times = st.integers(0, 10 * DAY_MS)
offsets = st.integers(-14 * 3600, 14 * 3600)
minutes = st.integers(0, MINUTES_OF_DAY - 1)
hours = st.builds(QuietHours, minutes, minutes)
rules = st.builds(
    Rules,
    gap_ms=st.integers(0, DAY_MS),
    per_session_max=st.none() | st.integers(0, 3),
    per_day_max=st.none() | st.integers(0, 3),
    quiet_hours=st.none() | hours,
)
candidates = st.builds(
    Candidate,
    expires_at=times,
    is_inline=st.booleans(),
    limit=st.builds(Limit, st.integers(0, 3), st.none() | st.integers(1, DAY_MS)),
    ignores_caps=st.booleans(),
    shown_ms=st.lists(times, max_size=3),
)
screens = st.builds(
    Screen,
    is_slot_taken=st.booleans(),
    is_paused=st.booleans(),
    freed_ms=st.none() | times,
    shown_in_session=st.integers(0, 3),
    shown_today=st.integers(0, 3),
)


@given(candidates, screens, rules, times, offsets)
def test_two_messages_are_never_over_each_other(
    message: Candidate, screen: Screen, rules: Rules, now_ms: int, offset_s: int
) -> None:
    taken = screen._replace(is_slot_taken=True)
    decision = decide(message, taken, rules, now_ms, offset_s)
    assert decision.verdict != "show" or message.is_inline


@given(candidates, screens, rules, times, offsets)
def test_a_decision_that_is_not_to_show_has_a_reason_and_only_waiting_has_a_time(
    message: Candidate, screen: Screen, rules: Rules, now_ms: int, offset_s: int
) -> None:
    verdict, reason, until_ms = decide(message, screen, rules, now_ms, offset_s)
    assert (reason is None) is (verdict == "show")
    if until_ms is not None:
        assert verdict == "wait"
        assert until_ms > now_ms


@given(candidates, screens, rules, times, offsets)
def test_after_the_wait_it_is_another_gate_that_stops_it_or_none(
    message: Candidate, screen: Screen, rules: Rules, now_ms: int, offset_s: int
) -> None:
    _, reason, until_ms = decide(message, screen, rules, now_ms, offset_s)
    if until_ms is not None and reason != "day_cap":
        assert decide(message, screen, rules, until_ms, offset_s).reason != reason


@given(candidates, screens, rules, times, offsets)
def test_never_is_for_ever(
    message: Candidate, screen: Screen, rules: Rules, now_ms: int, offset_s: int
) -> None:
    if decide(message, screen, rules, now_ms, offset_s).verdict == "never":
        for later_ms in (now_ms + 1, now_ms + DAY_MS, max(now_ms, message.expires_at)):
            verdict = decide(message, screen, rules, later_ms, offset_s).verdict
            assert verdict == "never"


@given(hours, times, offsets)
def test_quiet_hours_end_at_their_end_and_last_less_than_a_day(
    hours: QuietHours, now_ms: int, offset_s: int
) -> None:
    until_ms = quiet_until_ms(hours, now_ms, offset_s)
    if until_ms is None:
        return
    assert now_ms < until_ms < now_ms + DAY_MS
    assert quiet_until_ms(hours, until_ms, offset_s) is None
    assert quiet_until_ms(hours, until_ms - 1, offset_s) == until_ms
    assert (until_ms + offset_s * 1000) % DAY_MS == hours.to_minute * 60_000


@given(hours, times, offsets)
def test_it_is_quiet_in_the_hours_or_in_those_between_them(
    hours: QuietHours, now_ms: int, offset_s: int
) -> None:
    others = QuietHours(hours.to_minute, hours.from_minute)
    quiet = quiet_until_ms(hours, now_ms, offset_s) is not None
    other = quiet_until_ms(others, now_ms, offset_s) is not None
    if hours.from_minute == hours.to_minute:
        assert not quiet
        assert not other
    else:
        assert quiet is not other


@given(times, offsets)
def test_a_day_begins_at_midnight_and_is_one_day(now_ms: int, offset_s: int) -> None:
    start_ms = day_start_ms(now_ms, offset_s)
    assert start_ms <= now_ms < start_ms + DAY_MS
    assert (start_ms + offset_s * 1000) % DAY_MS == 0


@given(minutes)
def test_every_minute_of_a_day_can_be_said(minute: int) -> None:
    assert minute_of_day(f"{minute // 60:02}:{minute % 60:02}") == minute


@given(st.text(max_size=6))
def test_no_text_breaks_the_reading_of_a_time(text: str) -> None:
    minute = minute_of_day(text)
    assert minute is None or 0 <= minute < MINUTES_OF_DAY


@given(st.lists(st.builds(Ranked, st.integers(0, 2), st.integers(0, 2), st.text(max_size=1))))
def test_the_order_does_not_depend_on_how_messages_came(messages: list[Ranked]) -> None:
    assert in_order(messages) == in_order(reversed(messages))
