"""Laws of the parser of server-sent events; its cases are the vector `sse_parser`."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuruf.decisions.sse import EventTooLargeError, ServerEvent, SseParser

pieces = st.sampled_from(
    [
        "data: ä😀\n",
        "data:1\r\n",
        "data\r",
        "event: messages\n",
        "id: 7\r\n",
        "id\n",
        "retry: 20\n",
        ": comment\r",
        "\n",
        "\r",
        "\r\n",
        "unknown: x\n",
        "data: half",
        "\ufeff",
    ]
)
streams = st.lists(pieces, max_size=20).map(lambda parts: "".join(parts).encode()) | st.binary(
    max_size=60
)


def read(parts: list[bytes]) -> tuple[list[ServerEvent], str, int | None]:
    parser = SseParser()
    events = [event for part in parts for event in parser.feed(part)]
    return events, parser.last_event_id, parser.retry_ms


@given(streams, st.data())
def test_events_are_the_same_wherever_the_bytes_are_cut(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    places = [0, *cuts, len(stream)]
    parts = [stream[start:end] for start, end in pairwise(places)]
    assert read(parts) == read([stream])


@given(streams)
def test_events_are_the_same_byte_by_byte(stream: bytes) -> None:
    assert read([bytes([byte]) for byte in stream]) == read([stream])


lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)


@given(st.lists(st.tuples(lines.filter(bool), st.lists(lines, min_size=1, max_size=3), lines)))
def test_what_a_gateway_sends_arrives(sent: list[tuple[str, list[str], str]]) -> None:
    text = "".join(
        f"id: {id_}\nevent: {name}\n" + "".join(f"data: {line}\n" for line in data) + "\n"
        for name, data, id_ in sent
    )
    arrived, _, _ = read([text.encode()])
    assert arrived == [(name, "\n".join(data), id_) for name, data, id_ in sent]


@given(st.integers(0, 40), st.integers(1, 40))
def test_memory_of_a_parser_is_bounded(size: int, event_bytes_max: int) -> None:
    parser = SseParser(event_bytes_max=event_bytes_max)
    line = b"x" * size
    if size > event_bytes_max:
        with pytest.raises(EventTooLargeError):
            parser.feed(line)
    else:
        assert parser.feed(line) == []
