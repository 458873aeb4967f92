import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import EVENT_PROBLEMS, Problem
from gateway.ingest.model import BatchReader, ClockReading, Envelope, time_shift_ms
from gateway.records import Event
from tests.builders import NOW, a_batch, an_event, uuid_of

BATCH_ID = uuid_of(1)
READERS = {
    is_json: BatchReader(Event, is_json=is_json, events_max=500, event_bytes_max=32 * 1024)
    for is_json in (True, False)
}


def encode(batch: Any, *, is_json: bool = True) -> bytes:
    return msgspec.json.encode(batch) if is_json else msgspec.msgpack.encode(batch)


def verdicts(batch: Any, *, is_json: bool = True) -> list[str]:
    """`ok` or the code, for each event of a batch."""
    reading = READERS[is_json].read(encode(batch, is_json=is_json))
    found = ["ok"] * len(batch["events"])
    for rejection in reading.rejected:
        found[rejection.index] = rejection.code
    return found


def verdict(event: Any, *, is_json: bool = True) -> str:
    """The verdict on an event, with a good neighbour, which must not suffer."""
    found, neighbour = verdicts(a_batch(event, an_event()), is_json=is_json)
    assert neighbour == "ok"
    return found


# --- the verdict on an event -----------------------------------------------------------------


def nested(levels: int) -> Any:
    """Objects in objects: the outermost is level 1."""
    return {} if levels == 1 else {"in": nested(levels - 1)}


def in_lists(levels: int) -> Any:
    return [] if levels == 2 else [in_lists(levels - 1)]


LIMITS: dict[str, tuple[str, Callable[[int], dict[str, Any]], int]] = {
    "characters of a name": ("name_too_long", lambda n: an_event("n" * n), 128),
    "wide characters of a name": ("name_too_long", lambda n: an_event("\U0001f600" * n), 128),
    "characters of a type": ("name_too_long", lambda n: an_event(type="t" * n), 128),
    "characters of a session": ("invalid_event", lambda n: an_event(session_id="s" * n), 128),
    "props": ("too_many_props", lambda n: an_event(props={f"p{i}": i for i in range(n)}), 256),
    "keys of an inner object": (
        "too_many_props",
        lambda n: an_event(props={"in": {f"p{i}": i for i in range(n)}}),
        256,
    ),
    "items of a list": ("too_many_props", lambda n: an_event(props={"in": [0] * n}), 256),
    "characters of a key": ("key_too_long", lambda n: an_event(props={"k" * n: 1}), 128),
    "characters of a wide key": ("key_too_long", lambda n: an_event(props={"ä" * n: 1}), 128),
    "characters of an inner key": (
        "key_too_long",
        lambda n: an_event(props={"in": [{"k" * n: 1}]}),
        128,
    ),
    "bytes of a string": ("value_too_long", lambda n: an_event(props={"v": "v" * n}), 4096),
    "bytes of a string of two-byte characters": (
        "value_too_long",
        lambda n: an_event(props={"v": "ä" * 2047 + "v" * (n - 4094)}),
        4096,
    ),
    "bytes of a string of four-byte characters": (
        "value_too_long",
        lambda n: an_event(props={"v": "\U0001f600" * 1023 + "v" * (n - 4092)}),
        4096,
    ),
    "bytes of an inner string": (
        "value_too_long",
        lambda n: an_event(props={"in": [["ä" * 2047 + "v" * (n - 4094)]]}),
        4096,
    ),
    "levels of objects": ("too_deep", lambda n: an_event(props=nested(n)), 5),
    "levels of lists": ("too_deep", lambda n: an_event(props={"in": in_lists(n)}), 5),
    "whole numbers": ("invalid_event", lambda n: an_event(props={"v": n}), 2**63 - 1),
    "negative whole numbers": ("invalid_event", lambda n: an_event(props={"v": -n}), 2**63),
    "time": ("invalid_event", lambda n: an_event(ts=n), 4_102_444_800_000),
    "sequence number": ("invalid_event", lambda n: an_event(seq=n), 2**63 - 1),
    "characters of a group's id": (
        "invalid_event",
        lambda n: an_event("company", type="group", props={"group_id": "ä" * n}),
        256,
    ),
    "characters of an alias": (
        "invalid_event",
        lambda n: an_event("alias", type="alias", props={"alias": "ä" * n}),
        256,
    ),
}


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
@pytest.mark.parametrize("limit", LIMITS)
def test_event_is_accepted_up_to_each_limit_and_not_beyond(limit: str, is_json: bool) -> None:
    code, build, at = LIMITS[limit]
    assert code in EVENT_PROBLEMS
    for number, expected in ((at - 1, "ok"), (at, "ok")):
        assert verdict(build(number), is_json=is_json) == expected
    if is_json or at != 2**63:  # MessagePack has no smaller number
        assert verdict(build(at + 1), is_json=is_json) == code


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
def test_event_may_have_so_many_bytes_as_it_was_sent(is_json: bool) -> None:
    def event_of(size: int) -> dict[str, Any]:
        event = an_event(props={f"p{i:02}": "v" * 4000 for i in range(8)} | {"rest": ""})
        event["props"]["rest"] = "v" * 400
        missing = size - len(encode(event, is_json=is_json))
        event["props"]["rest"] += "v" * missing
        assert len(encode(event, is_json=is_json)) == size
        return event

    limit = 32 * 1024
    assert verdict(event_of(limit - 1), is_json=is_json) == "ok"
    assert verdict(event_of(limit), is_json=is_json) == "ok"
    assert verdict(event_of(limit + 1), is_json=is_json) == "event_too_large"


def test_escapes_do_not_smuggle_in_a_longer_string() -> None:
    """In ASCII, `\\u4e2d` is one character of three bytes."""
    event = an_event(props={"v": "@"})
    for escape, fits in (("\\u4e2d", 1365), ("\\u00e4", 2048), ("\\ud83d\\ude00", 1024)):
        for count, code in ((fits, "ok"), (fits + 1, "value_too_long")):
            body = encode(a_batch(event)).replace(b"@", escape.encode() * count)
            assert body.isascii()
            rejected = READERS[True].read(body).rejected
            assert ([rejection.code for rejection in rejected] or ["ok"]) == [code]


WRONG: dict[str, Any] = {
    "no id": {"type": "track", "name": "n", "ts": NOW},
    "an id that is no UUID": an_event(id="42"),
    "an id that is a number": an_event(id=42),
    "no name": {"id": str(BATCH_ID), "type": "track", "ts": NOW},
    "an empty name": an_event(""),
    "an empty type": an_event(type=""),
    "no time": {"id": str(BATCH_ID), "type": "track", "name": "n"},
    "a time before 1970": an_event(ts=-1),
    "a time in words": an_event(ts="2026-01-01T00:00:00Z"),
    "a broken time": an_event(ts=1.5),
    "a negative sequence number": an_event(seq=-1),
    "a broken sequence number": an_event(seq=1.5),
    "a sequence number in words": an_event(seq="1"),
    "an unknown change of a profile": an_event("multiply", type="profile", props={"n": 2}),
    "an increment by a text": an_event("increment", type="profile", props={"m": 1, "n": "1"}),
    "an increment by true": an_event("increment", type="profile", props={"n": True}),
    "a group without an id": an_event("company", type="group"),
    "a group with an empty id": an_event("company", type="group", props={"group_id": ""}),
    "an alias that is a number": an_event("alias", type="alias", props={"alias": 7}),
    "props that are a list": an_event(props=[1]),
    "props that are null": an_event(props=None),
    "a string": "purchase",
    "a list": [1, 2],
    "null": None,
}


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
@pytest.mark.parametrize("wrong", WRONG)
def test_event_of_a_wrong_shape_is_invalid(wrong: str, is_json: bool) -> None:
    assert verdict(WRONG[wrong], is_json=is_json) == "invalid_event"


def test_rejection_names_the_event_by_place_and_id() -> None:
    long = an_event("n" * 129)
    reading = READERS[True].read(encode(a_batch(an_event(), long, {"id": 42}, an_event())))
    found = [(rejection.index, rejection.id, rejection.code) for rejection in reading.rejected]
    assert found == [(1, long["id"], "name_too_long"), (2, None, "invalid_event")]
    assert all(rejection.detail for rejection in reading.rejected)
    assert len(reading.events) == 2


def test_invalid_utf8_in_one_event_does_not_reject_its_neighbours() -> None:
    bad = an_event(props={"v": "@"})
    body = encode(a_batch(an_event(), bad, an_event())).replace(b"@", b"\xff\xfe")
    reading = READERS[True].read(body)
    assert [rejection.code for rejection in reading.rejected] == ["invalid_event"]
    assert len(reading.events) == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [{"v": 0}, {"v": [0]}, {"v": {"w": {"x": 0}}}])
def test_numbers_in_messagepack_are_finite(number: float, place: Any) -> None:
    def with_number(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: with_number(item) for key, item in value.items()}
        return [with_number(item) for item in value] if isinstance(value, list) else number

    assert verdict(an_event(props=with_number(place)), is_json=False) == "invalid_event"


def test_short_floats_of_messagepack_are_finite_too() -> None:
    body = encode(a_batch(an_event(props={"v": 1234})), is_json=False)
    number = msgspec.msgpack.encode(1234)
    assert body.count(number) == 1
    for short, good in ((b"\xca\x7f\xc0\x00\x00", False), (b"\xca\x3f\x80\x00\x00", True)):
        reading = READERS[False].read(body.replace(number, short))
        assert bool(reading.events) is good


def test_unknown_fields_are_ignored_at_every_level() -> None:
    event = an_event(colour={"deep": [[[[[[[]]]]]]]})
    batch = a_batch(event, clock={"offset_ms": 1, "rtt_ms": 1, "source": "ntp"}, version=7)
    assert verdicts(batch) == ["ok"]


def test_last_of_duplicate_keys_wins() -> None:
    body = encode(a_batch(an_event(props={"v": 1}))).replace(b'"v":1', b'"v":1,"v":2')
    (event,) = READERS[True].read(body).events
    assert event.props == {"v": 2}


def test_event_that_is_twice_in_a_batch_counts_once() -> None:
    event, other = an_event(props={"v": 1}), an_event()
    reading = READERS[True].read(encode(a_batch(event, other, {**event, "props": {"v": 2}})))
    assert [read.props for read in reading.events] == [{"v": 1}, {}]
    assert (reading.repeated, reading.rejected) == (1, [])


# --- the envelope ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch, code",
    [
        (a_batch(), "empty_batch"),
        (a_batch(*[{}] * 501), "too_many_events"),
        ({"events": [an_event()], "sent_at": NOW}, "invalid_body"),
        (a_batch(an_event(), batch_id="not a uuid"), "invalid_body"),
        (a_batch(an_event(), sent_at="now"), "invalid_body"),
        (a_batch(an_event(), sent_at=-1), "invalid_body"),
        (a_batch(an_event(), clock={"offset_ms": 1}), "invalid_body"),
        (a_batch(an_event(), client_report=[{"reason": "", "quantity": 1}]), "invalid_body"),
        (a_batch(an_event(), client_report=[{"reason": "r", "quantity": -1}]), "invalid_body"),
        (a_batch(an_event()) | {"events": {}}, "invalid_body"),
        ([], "invalid_body"),
        (None, "invalid_body"),
    ],
)
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
def test_batch_with_a_faulty_envelope_is_refused(batch: Any, code: str, is_json: bool) -> None:
    with pytest.raises(Problem) as refused:
        READERS[is_json].read(encode(batch, is_json=is_json))
    assert refused.value.code == code


def test_batch_of_as_many_events_as_allowed_is_read() -> None:
    for count in (499, 500):
        assert verdicts(a_batch(*[an_event() for _ in range(count)])) == ["ok"] * count


@pytest.mark.parametrize("is_json", [True, False], ids=["json", "msgpack"])
def test_sequence_number_is_kept(is_json: bool) -> None:
    batch = a_batch(an_event(seq=0), an_event(seq=7), an_event(seq=None), an_event())
    reading = READERS[is_json].read(encode(batch, is_json=is_json))
    assert [event.seq for event in reading.events] == [0, 7, None, None]


def test_rejected_change_says_what_is_wrong_with_it() -> None:
    event = an_event("increment", type="profile", props={"visits": "two"})
    (rejection,) = READERS[True].read(encode(a_batch(an_event(), event))).rejected
    assert rejection.detail == "props.visits: increment takes finite numbers"


# --- laws ------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["v" * 4096, "v" * 4097, "ä" * 2048, "ä" * 2049, "\U0001f600" * 1025])
)
keys = st.text(max_size=8) | st.sampled_from(["k" * 128, "k" * 129, "ä" * 128, "ä" * 129])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {
        "id": st.uuids().map(str) | st.sampled_from(["", "x", 1, None]),
        "type": st.sampled_from(["track", "identify", "profile", "group", "", "t" * 129, 5]),
        "name": st.sampled_from(["purchase", "set", "increment", "", "n" * 128, "n" * 129, None]),
        "ts": st.sampled_from([NOW, 0, -1, 4_102_444_800_001, "1", 1.0, 1.5]),
    },
    optional={
        "props": st.dictionaries(keys, values, max_size=4)
        | values
        | st.dictionaries(keys, st.integers(0, 3), max_size=2)
        | st.builds(lambda id: {"group_id": id}, st.text(max_size=2)),
        "seq": st.sampled_from([0, 7, 2**63 - 1, 2**63, -1, None, "1"]),
        "session_id": st.sampled_from(["s", "", "s" * 129, None, 3]),
        "unknown": values,
    },
)


def is_sendable(value: Any) -> bool:
    """Whether JSON can express it: it has no NaN, and we leave surrogates to the tests of bytes."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(is_sendable(part) for pair in value.items() for part in pair)
    return not isinstance(value, list) or all(map(is_sendable, value))


@given(st.lists(events.filter(is_sendable), min_size=1, max_size=4))
def test_decoding_in_one_go_accepts_exactly_what_the_judge_of_single_events_accepts(
    batch: list[Any],
) -> None:
    for is_json, reader in READERS.items():
        body = encode(a_batch(*batch), is_json=is_json)
        in_one_go, apart = reader.read(body), reader._read_apart(body)
        assert in_one_go.events == apart.events
        assert in_one_go.rejected == apart.rejected
        assert (in_one_go.marks, in_one_go.repeated) == (apart.marks, apart.repeated)


@given(events.filter(is_sendable))
def test_json_and_messagepack_get_the_same_verdict(event: Any) -> None:
    assert verdict(event, is_json=True) == verdict(event, is_json=False)


@given(st.lists(events.filter(is_sendable), min_size=1, max_size=4))
def test_accepted_repeated_and_rejected_add_up_to_the_batch(batch: list[Any]) -> None:
    reading = READERS[True].read(encode(a_batch(*batch)))
    assert len(reading.events) + reading.repeated + len(reading.rejected) == len(batch)


OUTCOMES = {"read", "malformed_body", "invalid_body", "empty_batch"}


def outcome(body: bytes, *, is_json: bool) -> str:
    """`read`, or the code of the problem."""
    try:
        READERS[is_json].read(body)
    except Problem as refused:
        return refused.code
    return "read"


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_reader(body: bytes, is_json: bool) -> None:
    assert outcome(body, is_json=is_json) in OUTCOMES


@given(st.data(), st.booleans())
def test_no_flipped_byte_breaks_the_reader(data: st.DataObject, is_json: bool) -> None:
    event = an_event(id=str(uuid_of(2)), props={"a": [1, 2.5, {"b": "ä"}], "c": None})
    body = bytearray(encode(a_batch(event, batch_id=str(BATCH_ID)), is_json=is_json))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(body), is_json=is_json) in OUTCOMES


# --- times -----------------------------------------------------------------------------------


def envelope(sent_at: int = NOW, clock: ClockReading | None = None) -> Envelope:
    return Envelope(batch_id=str(BATCH_ID), sent_at=sent_at, clock=clock)


@pytest.mark.parametrize(
    "late_ms, shift",
    [
        (0, 0),
        (60_000, 0),
        (60_001, 60_001),
        (-60_000, 0),
        (-60_001, -60_001),
        (86_400_000, 86_400_000),
    ],
)
def test_without_a_clock_reading_only_more_than_a_minute_is_the_clocks_error(
    late_ms: int, shift: int
) -> None:
    assert time_shift_ms(envelope(), NOW + late_ms) == shift


@pytest.mark.parametrize(
    "offset_ms, rtt_ms, shift",
    [
        (2_000, 0, 0),
        (2_001, 0, 2_001),
        (-2_001, 0, -2_001),
        (2_100, 100, 0),
        (-2_101, 100, -2_101),
    ],
)
def test_clock_reading_corrects_what_exceeds_its_doubt(
    offset_ms: int, rtt_ms: int, shift: int
) -> None:
    reading = ClockReading(offset_ms, rtt_ms)
    hours_later = NOW + 7_200_000
    assert time_shift_ms(envelope(clock=reading), hours_later) == shift
