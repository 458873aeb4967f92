"""The decisions, without threads, sockets or files."""

import dataclasses
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuruf import delivery
from zuruf.clock import ClockOffset, better, measured
from zuruf.config import Config
from zuruf.delivery import (
    POLL_FAILURES_MAX,
    PROBE_AFTER_S,
    BatchSize,
    Receiving,
    Situation,
    Step,
    after_failed_poll,
    after_poll,
    backoff_s,
    next_step,
    outcome,
    retry_after_s,
)
from zuruf.errors import ConfigError, InvalidEventError
from zuruf.events import Uuid7Source, checked_name, checked_props
from zuruf.session import IDLE_MS, LENGTH_MS_MAX, Session, continued
from zuruf.settings import merged
from zuruf.transport import Response

OURS = {"x-zuruf": "1"}
IDLE = Situation(
    now_s=100.0,
    retry_at_s=0.0,
    has_token=True,
    has_open_batch=False,
    head=None,
    head_is_due=False,
    is_identity_refused=False,
    config_is_stale=False,
)


@pytest.mark.parametrize(
    "changes, step",
    [
        ({}, Step.WAIT),
        ({"has_token": False}, Step.REGISTER),
        ({"has_token": False, "has_open_batch": True}, Step.REGISTER),
        ({"has_open_batch": True, "head": "operation"}, Step.SEND_BATCH),
        ({"head": "operation"}, Step.CHANGE_IDENTITY),
        ({"head": "operation", "is_identity_refused": True}, Step.WAIT),
        ({"head": "event"}, Step.WAIT),
        ({"head": "event", "config_is_stale": True}, Step.REFRESH_CONFIG),
        ({"head": "event", "head_is_due": True, "config_is_stale": True}, Step.MAKE_BATCH),
        ({"has_token": False, "retry_at_s": 100.1}, Step.WAIT),
    ],
)
def test_next_step_follows_the_order_of_the_calls(changes: dict[str, object], step: Step) -> None:
    assert next_step(dataclasses.replace(IDLE, **changes)) is step  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 413, 503])
def test_answer_without_our_header_never_costs_an_event(status: int) -> None:
    foreign = Response(status, {"content-type": "text/html"}, b'{"rejected": [{"id": "e1"}]}')
    assert outcome(foreign, "") == delivery.Retry("foreign_answer")


@pytest.mark.parametrize(
    "response, expected",
    [
        (Response(200, OURS, b"garbage"), delivery.Accepted({}, {})),
        (Response(204, OURS), delivery.Accepted({}, {})),
        (Response(401, OURS, b'{"code": "token_expired"}'), delivery.Unauthorized("token_expired")),
        (Response(413, OURS), delivery.TooLarge()),
        (Response(415, OURS, b'{"code": "unsupported_encoding"}'), delivery.Uncompressed()),
        (Response(400, OURS, b'{"code": "invalid_body"}'), delivery.Refused("invalid_body")),
        (Response(422, OURS), delivery.Refused("http_422")),
        (Response(404, OURS), delivery.Retry("http_404", delivery.SLOW_RETRY_S)),
        (Response(503, {**OURS, "retry-after": "7"}), delivery.Retry("http_503", 7.0)),
        (Response(500, OURS, b'{"code": "internal"}'), delivery.Retry("internal")),
        (None, delivery.Retry("timed out")),
    ],
)
def test_answers_mean_what_the_protocol_says(
    response: Response | None, expected: delivery.Outcome
) -> None:
    assert outcome(response, "timed out") == expected


@given(st.integers(1, 10_000), st.floats(0, 900), st.floats(0, 1, exclude_max=True))
def test_back_off_is_jittered_bounded_and_never_shorter_than_asked(
    failures: int, floor_s: float, chance: float
) -> None:
    wait_s = backoff_s(failures, floor_s, chance)
    assert floor_s <= wait_s <= max(delivery.BACKOFF_S_MAX, floor_s)
    assert backoff_s(failures, 0.0, 0.0) == 0.0


def test_back_off_doubles_until_its_limit() -> None:
    assert [backoff_s(n, 0.0, 1.0) for n in (1, 2, 3, 9, 10, 11)] == [1, 2, 4, 256, 300, 300]


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("7", 7.0),
        ("0", 0.0),
        ("100000", 900.0),
        ("-1", 0.0),
        ("soon", 0.0),
        (None, 0.0),
        ("²", 0.0),
    ],
)
def test_retry_after_is_read_within_reason(value: str | None, seconds: float) -> None:
    assert retry_after_s(value) == seconds


def test_batch_size_shrinks_at_once_and_grows_slowly() -> None:
    size = BatchSize().halved(100)
    assert size.within(500) == 50
    assert BatchSize().halved(1).within(500) == 1
    sizes = []
    while size.limit is not None:
        sizes.append(size.limit)
        size = size.after_success(500)
    assert sizes == sorted(sizes)
    assert len(sizes) == delivery.GROW_AFTER * 4


def test_held_polls_give_way_after_three_failures_and_come_back_after_a_while() -> None:
    state = Receiving("long_poll")
    for _ in range(POLL_FAILURES_MAX):
        state = after_failed_poll(state, 10.0, floor_s=0.0, chance=0.0)
    assert state.mode == "poll"
    state = after_poll(state, 20.0, interval_s=60.0)
    assert (state.mode, state.next_at_s) == ("poll", 80.0)
    probing = after_poll(state, 10.0 + PROBE_AFTER_S, interval_s=60.0)
    assert probing.is_probing
    assert after_failed_poll(probing, 400.0, floor_s=0.0, chance=0.0).mode == "poll"
    assert after_poll(probing, 400.0, interval_s=60.0) == Receiving("long_poll", next_at_s=400.0)


def test_session_lasts_while_there_is_activity_but_no_longer_than_a_day() -> None:
    session = continued(None, 1_000, "first")
    assert continued(session, 1_000 + IDLE_MS - 1, "next").id == "first"
    assert continued(session, 1_000 + IDLE_MS, "next").id == "next"
    assert continued(session, 999, "next").id == "next"
    long = Session("first", started_ms=0, active_ms=LENGTH_MS_MAX - 1)
    assert continued(long, LENGTH_MS_MAX - 1, "next").id == "first"
    assert continued(long, LENGTH_MS_MAX, "next").id == "next"


def test_clock_offset_prefers_short_round_trips_until_they_are_old_or_the_clock_was_set() -> None:
    fast = measured(1_000_500, sent_s=10.0, answered_s=10.1, wall_ms=1_000_050)
    assert (fast.offset_ms, fast.rtt_ms) == (500, 100)
    slow = ClockOffset(900, 400, fast.measured_s + 5, fast.base_ms)
    assert better(None, slow) is slow
    assert better(fast, slow) is fast
    assert better(slow, fast) is fast
    assert better(fast, dataclasses.replace(slow, measured_s=fast.measured_s + 1_801)) != fast
    assert better(fast, dataclasses.replace(slow, base_ms=fast.base_ms + 60_000)) != fast


@pytest.mark.parametrize(
    "props, code",
    [
        ({"text": "x" * 4097}, "value_too_long"),
        ({"text": "ä" * 2049}, "value_too_long"),
        ({"k" * 129: 1}, "key_too_long"),
        ({str(number): number for number in range(257)}, "too_many_props"),
        ({"list": list(range(257))}, "too_many_props"),
        ({"to 2": {"to 3": {"to 4": {"to 5": {"to 6": {}}}}}}, "too_deep"),
        ({"nan": float("nan")}, "invalid_event"),
        ({"huge": 2**63}, "invalid_event"),
        ({"object": object()}, "invalid_event"),
        ({1: "key"}, "invalid_event"),
        ({"lone": "\ud800"}, "invalid_event"),
        ({str(number): "x" * 4000 for number in range(9)}, "event_too_large"),
    ],
)
def test_props_over_a_limit_are_refused_with_the_code_of_the_gateway(
    props: dict[str, object], code: str
) -> None:
    with pytest.raises(InvalidEventError) as caught:
        checked_props(props)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "props",
    [
        {"text": "x" * 4096},
        {"text": "ä" * 2048},
        {"k" * 128: 1},
        {str(number): number for number in range(256)},
        {"to 2": {"to 3": {"to 4": {"to 5": {"scalar": 1}}}}},
        {"least": -(2**63), "most": 2**63 - 1},
        {"tuple": (1, 2)},
    ],
)
def test_props_at_a_limit_pass(props: dict[str, object]) -> None:
    assert checked_props(props)


@pytest.mark.parametrize(
    "name, code",
    [("", "invalid_event"), (7, "invalid_event"), ("x" * 129, "name_too_long")],
)
def test_name_over_a_limit_is_refused(name: object, code: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        checked_name(name)
    assert caught.value.code == code


def test_ids_are_version_7_and_sort_by_the_call_even_when_the_clock_runs_backwards() -> None:
    source = Uuid7Source()
    made = [source.new_id(1_763_750_000_000 - number // 100) for number in range(5_000)]
    assert made == sorted(set(made))
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}


def a_config(**settings: object) -> Config:
    return Config(
        **{  # type: ignore[arg-type]
            "endpoint": "https://gateway.example",
            "publishable_key": "pk",
            "storage_dir": "zuruf",
            **settings,
        }
    )


def test_gateway_recommends_and_the_app_has_the_last_word() -> None:
    recommended = {"flush_at": 5, "flush_interval_ms": 1_000, "batch_events_max": 100}
    settings = merged(a_config(flush_interval_s=7.0, batch_events_max=50), recommended)
    assert (settings.flush_at, settings.flush_interval_s, settings.batch_events_max) == (5, 7.0, 50)


@pytest.mark.parametrize("nonsense", [None, True, "20", 1.5, [], {}])
def test_recommendation_that_cannot_be_meant_is_ignored(nonsense: object) -> None:
    names = ("flush_at", "flush_interval_ms", "poll_wait_s", "trigger_events", "batch_events_max")
    assert merged(a_config(), dict.fromkeys(names, nonsense)) == merged(a_config(), {})


def test_recommendation_out_of_bounds_is_brought_within() -> None:
    settings = merged(a_config(), {"flush_interval_ms": 0, "poll_wait_s": 10_000, "flush_at": -3})
    assert (settings.flush_interval_s, settings.poll_wait_s, settings.flush_at) == (0.1, 55.0, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "gateway.example"},
        {"endpoint": "ftp://gateway.example"},
        {"publishable_key": ""},
        {"platform": "toaster"},
        {"form_factor": "wall"},
        {"stream": "carrier pigeon"},
        {"flush_at": 0},
        {"poll_wait_s": -1},
    ],
)
def test_configuration_that_cannot_work_is_refused_where_it_is_made(
    settings: dict[str, object],
) -> None:
    with pytest.raises(ConfigError):
        a_config(**settings)


def test_key_does_not_show_in_the_configuration() -> None:
    assert "pk_secret" not in repr(a_config(publishable_key="pk_secret"))
