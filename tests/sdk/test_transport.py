"""HTTP as the SDK speaks it, over real sockets."""

import queue
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sdk.scripted_gateway import (
    DEADLINE_S,
    STREAM,
    Answer,
    ScriptedGateway,
    a_gateway,
    problem,
    stream_event,
)
from zuruf.clock import SystemClock
from zuruf.errors import TransportError
from zuruf.transport import Answered, Chunk, HttpTransport, Lane
from zuruf.wire import ANSWER_BYTES_MAX, Request

TLS = Path(__file__).parent / "tls"
CONFIG = "GET /v1/config"


def a_transport(url: str, ca_file: Path | None = None) -> HttpTransport:
    return HttpTransport(
        url, connect_timeout_s=DEADLINE_S, read_timeout_s=DEADLINE_S, ca_file=ca_file
    )


def a_request(path: str = "/v1/config", *, streams: bool = False) -> Request:
    return Request("receive", "GET", path, streams=streams)


@pytest.fixture
def transport(gateway: ScriptedGateway) -> Iterator[HttpTransport]:
    transport = a_transport(gateway.url)
    yield transport
    transport.close()


class Waiting:
    """A lane, and what it has told."""

    def __init__(self, transport: HttpTransport) -> None:
        self.told: queue.SimpleQueue[Answered | Chunk] = queue.SimpleQueue()
        self.lane = Lane("receive", transport, SystemClock(), self.told.put)

    def chunk(self) -> bytes:
        item = self.told.get(timeout=DEADLINE_S)
        assert isinstance(item, Chunk), item
        return item.data

    def end(self) -> Answered:
        item = self.told.get(timeout=DEADLINE_S)
        assert isinstance(item, Answered), item
        return item


@pytest.fixture
def waiting(transport: HttpTransport) -> Iterator[Waiting]:
    waiting = Waiting(transport)
    yield waiting
    waiting.lane.close()


@pytest.fixture
def secure_gateway() -> Iterator[ScriptedGateway]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem")
    with a_gateway(context) as gateway:
        yield gateway


# Streams


def test_stream_is_passed_on_as_it_arrives(gateway: ScriptedGateway, waiting: Waiting) -> None:
    waiting.lane.send(a_request("/v1/messages/stream", streams=True))
    assert waiting.chunk() == b""
    gateway.wait_for_stream()
    gateway.push_to_streams(b": still here\n\n")
    assert waiting.chunk() == b": still here\n\n"
    gateway.deliver({"id": "m1"})
    page = {"cursor": "1", "messages": [{"id": "m1"}], "withdrawn": []}
    assert waiting.chunk() == stream_event(page, "1")


def test_end_of_a_stream_is_told(gateway: ScriptedGateway, waiting: Waiting) -> None:
    waiting.lane.send(a_request("/v1/messages/stream", streams=True))
    assert waiting.chunk() == b""
    gateway.wait_for_stream()
    gateway.cut_streams()
    assert waiting.end().response is None


def test_stream_that_is_refused_is_an_answer_as_any_other(
    gateway: ScriptedGateway, waiting: Waiting
) -> None:
    gateway.will(STREAM, problem(503, "overloaded", retry_after=5))
    waiting.lane.send(a_request("/v1/messages/stream", streams=True))
    response = waiting.end().response
    assert response is not None
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert b"overloaded" in response.body


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"data: hello\n\n", {"Content-Type": "text/event-stream"}, foreign=True),
        Answer(200, b"data: hello\n\n", {"Content-Type": "text/html"}),
        Answer(404, b"data: hello\n\n", {"Content-Type": "text/event-stream"}),
    ],
)
def test_only_the_gateways_own_event_stream_is_a_stream(
    gateway: ScriptedGateway, waiting: Waiting, answer: Answer
) -> None:
    gateway.will(STREAM, answer)
    waiting.lane.send(a_request("/v1/messages/stream", streams=True))
    response = waiting.end().response
    assert response is not None
    assert response.body == b"data: hello\n\n"


def test_open_stream_is_ended_from_another_thread_at_once(
    gateway: ScriptedGateway, waiting: Waiting
) -> None:
    request = a_request("/v1/messages/stream", streams=True)
    waiting.lane.send(request)
    assert waiting.chunk() == b""
    waiting.lane.interrupt(request)
    assert waiting.end().error == "interrupted"
    gateway.wait_for(lambda: gateway.open_streams == 0)
    waiting.lane.send(a_request())
    assert waiting.end().response is not None


# Answers


def test_request_that_waits_is_ended_from_another_thread_at_once(
    gateway: ScriptedGateway, waiting: Waiting
) -> None:
    gateway.will(CONFIG, Answer(after=threading.Event()))
    request = a_request()
    waiting.lane.send(request)
    gateway.wait_for_requests(CONFIG, 1)
    waiting.lane.interrupt(request)
    assert waiting.end().error == "interrupted"


def test_request_that_was_interrupted_before_it_was_sent_is_not_sent(
    gateway: ScriptedGateway, transport: HttpTransport
) -> None:
    request = a_request()
    transport.interrupt(request)
    with pytest.raises(TransportError, match="interrupted"):
        transport.request(request)
    assert gateway.requests(CONFIG) == []


def test_idle_connection_that_the_other_side_closed_costs_no_request(
    gateway: ScriptedGateway, transport: HttpTransport
) -> None:
    gateway.will(CONFIG, Answer(hangs_up=True))
    assert transport.request(a_request()).status == 200
    assert transport.request(a_request()).status == 200
    assert len(gateway.requests(CONFIG)) == 2


@pytest.mark.parametrize("excess", [0, 1])
def test_answer_has_a_limit(
    gateway: ScriptedGateway, transport: HttpTransport, excess: int
) -> None:
    gateway.will(CONFIG, Answer(200, b"x" * (ANSWER_BYTES_MAX + excess)))
    if excess:
        with pytest.raises(TransportError, match="too large"):
            transport.request(a_request())
    else:
        assert len(transport.request(a_request()).body) == ANSWER_BYTES_MAX


def test_closed_transport_sends_nothing(gateway: ScriptedGateway, transport: HttpTransport) -> None:
    transport.close()
    with pytest.raises(TransportError, match="closed"):
        transport.request(a_request())
    assert gateway.requests(CONFIG) == []


def test_closing_ends_what_is_under_way(
    gateway: ScriptedGateway, transport: HttpTransport, waiting: Waiting
) -> None:
    waiting.lane.send(a_request("/v1/messages/stream", streams=True))
    assert waiting.chunk() == b""
    transport.close()
    assert waiting.end().response is None


# TLS


def test_certificate_of_the_apps_own_authority_is_trusted(
    secure_gateway: ScriptedGateway,
) -> None:
    transport = a_transport(secure_gateway.url, TLS / "authority.pem")
    assert transport.request(a_request()).status == 200
    transport.close()


def test_certificate_that_nobody_vouches_for_is_not_trusted(
    secure_gateway: ScriptedGateway,
) -> None:
    transport = a_transport(secure_gateway.url)
    with pytest.raises(TransportError, match="SSLCertVerificationError"):
        transport.request(a_request())
    assert secure_gateway.requests(CONFIG) == []


def test_certificate_of_another_host_is_not_trusted(secure_gateway: ScriptedGateway) -> None:
    address = secure_gateway.url.replace("localhost", "127.0.0.1")
    transport = a_transport(address, TLS / "authority.pem")
    with pytest.raises(TransportError, match="SSLCertVerificationError"):
        transport.request(a_request())


def test_secure_stream_is_ended_from_another_thread_at_once(
    secure_gateway: ScriptedGateway,
) -> None:
    transport = a_transport(secure_gateway.url, TLS / "authority.pem")
    waiting = Waiting(transport)
    request = a_request("/v1/messages/stream", streams=True)
    waiting.lane.send(request)
    assert waiting.chunk() == b""
    secure_gateway.wait_for_stream()
    secure_gateway.push_to_streams(b": still here\n\n")
    assert waiting.chunk() == b": still here\n\n"
    waiting.lane.interrupt(request)
    assert waiting.end().error == "interrupted"
    transport.close()
    waiting.lane.close()


def test_http_and_tls_are_imported_by_the_first_request_only() -> None:
    program = "import sys, zuruf; print({'ssl', 'http.client'} & set(sys.modules))"
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    path = str(Path(__file__).parents[2] / "sdk_reference")
    ended = run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "set()"
