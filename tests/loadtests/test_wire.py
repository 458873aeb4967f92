import pytest

from loadtests.wire import Answer, Origin, UnreadableAnswerError, head, read_answer

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def test_an_answer_is_read_with_its_body() -> None:
    assert read_answer(OK) == (Answer(200, b"{}", keep_alive=True), len(OK))


def test_every_cut_of_an_answer_is_incomplete() -> None:
    assert [read_answer(OK[:size]) for size in range(len(OK))] == [None] * len(OK)


def test_what_follows_an_answer_is_left() -> None:
    found = read_answer(OK + b"HTTP/1.1 204")
    assert found is not None
    assert found[1] == len(OK)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_with_their_head(status: int) -> None:
    data = b"HTTP/1.1 %d Whatever\r\nX-Zuruf: 1\r\n\r\n" % status
    assert read_answer(data) == (Answer(status, b"", keep_alive=True), len(data))


def test_field_names_may_be_written_in_any_case() -> None:
    data = b"HTTP/1.1 201 Created\r\nCONTENT-LENGTH: 1\r\nConnection: Close\r\n\r\nx"
    assert read_answer(data) == (Answer(201, b"x", keep_alive=False), len(data))


def test_an_answer_of_unknown_length_is_refused() -> None:
    with pytest.raises(UnreadableAnswerError, match="Content-Length"):
        read_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_something_else_than_http_is_refused() -> None:
    with pytest.raises(UnreadableAnswerError, match="not an HTTP answer"):
        read_answer(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_a_head_says_what_follows() -> None:
    origin = Origin.of("http://127.0.0.1:8080")
    packed = head(
        "POST", "/v1/events", origin, bearer="t", content_length=3, content_encoding="gzip"
    )
    lines = packed.decode().split("\r\n")
    assert lines[0] == "POST /v1/events HTTP/1.1"
    assert lines[-2:] == ["", ""]
    assert {"Authorization: Bearer t", "Content-Length: 3", "Content-Encoding: gzip"} <= set(lines)
