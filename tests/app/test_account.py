"""The account side of the shop: inbox, people, help, developer panel, without a window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from client_demo.shop.i18n import Translator
from client_demo.shop.traffic import ANSWERS_KEPT, Traffic
from client_demo.shop.viewmodels import developer, support
from client_demo.shop.viewmodels.account import account_of, initials
from client_demo.shop.viewmodels.inbox import age_of, entries
from zuruf import Content, Diagnostics, InboxMessage, Message, Request, Response, TransportError

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=timezone(timedelta(hours=1)))
ENGLISH = Translator("en")


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# Inbox


@pytest.mark.parametrize(
    "ago, said",
    [
        (timedelta(seconds=59), "now"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(minutes=60), "11:00"),
        (timedelta(hours=12), "00:00"),
        (timedelta(hours=12, minutes=1), "yesterday"),
        (timedelta(hours=37), "19 Nov 2026"),
    ],
)
def test_the_age_of_a_message_is_said_as_one_would(ago: timedelta, said: str) -> None:
    assert age_of(ms(NOON - ago), NOON, ENGLISH) == said


def test_the_inbox_has_the_newest_message_on_top_and_knows_which_are_read() -> None:
    old = Message(
        "old", Content("banner", "Old", "one\n two"), created_at=ms(NOON - timedelta(days=3))
    )
    new = Message("new", Content("hologram", "", theme={"icon": "gift"}), created_at=ms(NOON))
    found = entries((InboxMessage(old, is_read=True), InboxMessage(new)), NOON, ENGLISH)
    assert [(one.id, one.is_read, one.icon) for one in found] == [
        ("new", False, "gift"),
        ("old", True, "megaphone"),
    ]
    assert found[0].title, "a message without a title has a name all the same"
    assert found[1].text == "one two"


# People


def test_an_account_is_found_by_address_or_id_however_it_is_typed() -> None:
    for typed in ("mara@example.org", "  MARA@Example.org ", "u_mara"):
        found = account_of(typed)
        assert found is not None
        assert found.user_id == "u_mara"
    assert account_of("nobody@example.org") is None
    assert account_of("") is None


def test_initials_stand_for_a_person() -> None:
    assert initials("Mara Lindqvist") == "ML"
    assert initials("Ana Maria de Souza") == "AS"
    assert initials("Cher") == "C"
    assert initials("") == ""


# Help


def test_a_request_is_recorded_once_with_topic_and_text() -> None:
    sent: list[tuple[str, object]] = []
    request = support.Request(lambda name, props: sent.append((name, dict(props))), "return")
    request.write("  The lamp does not glow  ")
    assert request.send()
    assert not request.send()
    assert sent == [("support_requested", {"topic": "return", "text": "The lamp does not glow"})]
    request.again()
    assert not request.can_send


@pytest.mark.parametrize("length, goes", [(2, False), (3, True), (4, True)])
def test_a_request_has_to_say_something(length: int, *, goes: bool) -> None:
    request = support.Request(lambda name, props: None)
    request.write("x" * length)
    assert request.send() is goes


@pytest.mark.parametrize("length", [support.TEXT_MAX - 1, support.TEXT_MAX, support.TEXT_MAX + 1])
def test_a_request_is_kept_up_to_its_limit(length: int) -> None:
    request = support.Request(lambda name, props: None)
    request.write("x" * length)
    assert len(request.text) == min(length, support.TEXT_MAX)


def test_a_topic_that_does_not_exist_becomes_the_first_one() -> None:
    assert support.Request(lambda name, props: None, "nonsense").topic == support.TOPICS[0]


# Developer panel


def test_the_time_line_shows_which_state_held_how_long_within_the_last_minute() -> None:
    line = developer.Timeline()
    assert line.spans(0.0) == []
    line.note(100.0, "off")
    line.note(130.0, "sse")
    line.note(145.0, "sse")
    assert line.spans(160.0) == [
        developer.Span(0.0, 0.5, "muted"),
        developer.Span(0.5, 1.0, "success"),
    ]
    line.note(200.0, "sse")
    assert line.spans(200.0) == [developer.Span(0.0, 1.0, "success")], "the minute has passed"


@pytest.mark.parametrize(
    "state, tone",
    [
        ("sse", "success"),
        ("long_poll", "star"),
        ("poll", "accent"),
        ("off", "muted"),
        ("?", "muted"),
    ],
)
def test_each_state_of_the_stream_has_its_colour(state: str, tone: str) -> None:
    assert developer.tone_of(state) == tone


@pytest.mark.parametrize(
    "count, written",
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**2, "1.0 MiB")],
)
def test_sizes_are_written_for_people(count: int, written: str) -> None:
    assert developer.size(count) == written


def test_ids_are_shortened_so_that_they_can_be_told_apart() -> None:
    assert developer.shortened("12345678-abcd-abcd-abcd-87654321") == "12345678…87654321"
    assert developer.shortened("x" * 17) == "x" * 17
    assert developer.shortened(None) == "–"
    assert developer.ids(Diagnostics(device_id="d", user_id="u")) == [
        ("device", "d"),
        ("user", "u"),
    ]


def test_drops_come_with_the_most_frequent_reason_first() -> None:
    dropped = {"consent": 2, "too_large": 9, "age": 2}
    found = developer.drops(Diagnostics(dropped=dropped))
    assert found == [("too_large", 9), ("age", 2), ("consent", 2)]


def test_latencies_become_bars_of_which_the_highest_is_full() -> None:
    assert developer.bars([4, 8, 2], 2) == [1.0, 0.25]
    assert developer.bars([], 5) == []
    assert developer.bars([0, 0], 5) == [0.0, 0.0]
    assert developer.median([9, 1, 5]) == 5
    assert developer.median([]) is None


# The switch on the way to the gateway


class Line:
    """A transport that answers what it is told."""

    def __init__(self) -> None:
        self.interrupted: list[Request] = []
        self.during: Callable[[], None] = lambda: None

    def request(self, request: Request) -> Response:
        self.during()
        if request.cancelled:
            raise TransportError("interrupted")
        return Response(200)

    def stream(self, request: Request, take: Callable[[bytes], None]) -> Response:
        take(b"")
        take(b"data: {}")
        return Response(200)

    def interrupt(self, request: Request) -> None:
        request.cancelled = True
        self.interrupted.append(request)

    def close(self) -> None: ...


def asked(path: str = "/v1/events?x=1") -> Request:
    return Request("upload", "POST", path)


def test_switched_off_nothing_gets_through_and_it_is_noted() -> None:
    traffic = Traffic(Line())
    assert traffic.request(asked()).status == 200
    traffic.switch(on=False)
    with pytest.raises(TransportError):
        traffic.request(asked())
    traffic.switch(on=True)
    assert traffic.request(asked()).status == 200
    assert [answer.status for answer in traffic.answers()] == [200, None, 200]
    assert traffic.answers()[0].path == "/v1/events"


def test_what_is_under_way_ends_when_the_plug_is_pulled() -> None:
    line = Line()
    traffic = Traffic(line)
    line.during = lambda: traffic.switch(on=False)
    request = asked()
    with pytest.raises(TransportError):
        traffic.request(request)
    assert line.interrupted == [request]


def test_a_stream_is_noted_when_it_opens() -> None:
    traffic = Traffic(Line())
    pieces: list[bytes] = []
    traffic.stream(asked("/v1/messages/stream"), pieces.append)
    assert pieces == [b"", b"data: {}"]
    assert [answer.path for answer in traffic.answers()] == ["/v1/messages/stream"]


def test_only_the_last_answers_are_kept() -> None:
    traffic = Traffic(Line())
    for number in range(ANSWERS_KEPT + 1):
        traffic.request(asked(f"/{number}"))
    assert len(traffic.answers()) == ANSWERS_KEPT
    assert traffic.answers()[-1].path == "/1"
