"""The mock gateway: real sockets on loopback, virtual time, and answers as a script wants them.

It lives on an event loop of its own in a thread; the runner's calls are run there, so nothing is shared.
Time moves only when the runner moves it: held polls end, delayed answers leave and heartbeats beat by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from tests.conformance import contract, seen
from tests.conformance.behaviour import Behaviour, Reply, problem
from tests.conformance.seen import Seen

Result = TypeVar("Result")
Network = Literal["up", "down", "portal"]
Streams = Literal["sse", "buffered", "missing"]

HEARTBEAT_MS = 25_000
ANSWER_WITHIN_S = 5.0
TURNS_TO_CLOSE = 20
PORTAL = Reply(200, b"<html>Please accept our terms</html>", {"Content-Type": "text/html"}, True)
REASONS = {200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request"}


@dataclass
class Plan:
    """What to do with the next request on a route instead of behaving.

    `reply` None: behave; `after_ms` keeps the answer back, None for ever; `cut`: close the connection
    before or after the request has had its effect.
    """

    reply: Reply | None = None
    after_ms: int | None = 0
    cut: Literal["no", "before", "after"] = "no"
    always: bool = False


@dataclass(eq=False)
class Exchange:
    """One request and the connection that waits for its answer."""

    request: Seen
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Bytes of the body sent; None before the head.
    sent: int | None = None
    # When it is answered by itself, and with what; a plan that behaves decides then.
    due_ms: int | None = None
    reply: Reply | None = None
    is_poll: bool = False
    is_stream: bool = False
    cursor: str = ""
    beats_at_ms: int | None = None

    def write(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    def end(self) -> None:
        self.ended.set()


class MockGateway:
    """A gateway for one case."""

    def __init__(self, now_ms: int) -> None:
        self.behaviour = Behaviour(now_ms)
        self.requests: list[Seen] = []
        self.faults: list[str] = []
        self.network: Network = "up"
        self.streams: Streams = "sse"
        self.heartbeat_ms: int | None = HEARTBEAT_MS
        self._memory = contract.Memory()
        self._plans: dict[str, deque[Plan]] = defaultdict(deque)
        self._cut_numbers: set[tuple[str, str]] = set()
        self._open: list[Exchange] = []
        self._ports: dict[str, int] = {}
        self._listeners: dict[socket.socket, asyncio.Task[None]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._writers: dict[asyncio.StreamWriter, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mock-gateway")
        self._thread.start()

    def close(self) -> None:
        """End all connections and the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What the runner asks; each call runs on the loop

    def url_of(self, client: str) -> str:
        """Give the address of a client: each has a port of its own, so that requests tell whose they are."""
        if client not in self._ports:
            self._ports[client] = self._run(self._listen(client))
        return f"http://127.0.0.1:{self._ports[client]}"

    def open_requests(self, client: str) -> dict[str, int | None]:
        """Give the unanswered requests of a client: number → bytes of the body sent, None before the head."""
        return self._call(
            lambda: {
                one.request.number: one.sent for one in self._open if one.request.client == client
            }
        )

    def plan(self, route: str, plan: Plan, times: int = 1) -> None:
        """Have the next requests on a route treated so."""
        self._call(lambda: self._plans[route].extend(replace(plan) for _ in range(times)))

    def behave(self, route: str | None = None) -> None:
        """Forget what was planned, for a route or for all."""

        def forget() -> None:
            for name in [route] if route else list(self._plans):
                self._plans.pop(name, None)

        self._call(forget)

    def release(self, route: str) -> None:
        """Answer the requests on a route that are kept back."""

        def answer() -> None:
            for one in self._kept(route):
                self._answer_now(one)

        self._call(answer)

    def cut(self, route: str) -> None:
        """Close the connections of the requests on a route that wait for an answer."""

        def break_off() -> None:
            for one in self._waiting(route):
                self._hang_up(one)

        self._call(break_off)

    def hang_up_on(self, client: str) -> None:
        """Forget a client that was killed."""

        def forget() -> None:
            for one in [one for one in self._open if one.request.client == client]:
                self._hang_up(one)
            for writer, whose in list(self._writers.items()):
                if whose == client:
                    _reset(writer)

        self._call(forget)

    def deliver(self, messages: list[dict[str, Any]], gone: list[str], to: str | None) -> None:
        """Put messages into an inbox and wake who waits for them."""

        def put() -> None:
            self.behaviour.deliver(to or self.behaviour.newest_profile, messages, gone)
            self._wake()

        self._call(put)

    def change_config(self, changes: dict[str, Any]) -> None:
        self._call(lambda: self.behaviour.change_config(changes))

    def send_on_streams(self, data: bytes) -> int:
        """Write to all open streams; give how many there are."""

        def send() -> int:
            streams = [one for one in self._open if one.is_stream and one.sent is not None]
            for one in streams:
                self._send_chunk(one, data)
            return len(streams)

        return self._call(send)

    def set_network(self, network: Network) -> None:
        def change() -> None:
            self.network = network
            if network != "up":
                for one in list(self._open):
                    self._hang_up(one)
                for writer in list(self._writers):
                    _reset(writer)

        self._call(change)

    def next_ms(self) -> int | None:
        """Give the milliseconds until something happens here by itself."""
        now_ms = self.behaviour.now_ms
        times = self._call(
            lambda: [
                at_ms
                for one in self._open
                for at_ms in (one.due_ms, one.beats_at_ms)
                if at_ms is not None
            ]
        )
        return max(0, min(times) - now_ms) if times else None

    def move_to(self, now_ms: int) -> None:
        """Let time go by; what is due happens with `fire`, after the devices had their turn."""

        def move() -> None:
            self.behaviour.now_ms = now_ms

        self._call(move)

    def fire(self) -> None:
        """Do what is due."""
        self._call(self._fire)

    # Serving

    async def _listen(self, client: str) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        accepting = asyncio.create_task(self._accept(client, listener))
        self._listeners[listener] = accepting
        port: int = listener.getsockname()[1]
        return port

    async def _accept(self, client: str, listener: socket.socket) -> None:
        # asyncio's own server loses connections that come in while it closes.
        while not self._is_closing:
            connection, _ = await self._loop.sock_accept(listener)
            reader, writer = await asyncio.open_connection(sock=connection)
            serving = asyncio.create_task(self._serve(client, reader, writer))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(
        self, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers[writer] = client
        coming = asyncio.create_task(_read(client, reader))
        try:
            while self.network != "down" and (request := await coming):
                coming = asyncio.create_task(_read(client, reader))
                await self._follow(request, writer, coming)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone, or the case is over
        finally:
            coming.cancel()
            del self._writers[writer]
            _reset(writer)

    async def _follow(
        self, request: Seen, writer: asyncio.StreamWriter, coming: asyncio.Task[Seen | None]
    ) -> None:
        """See one request to its end: the answer, or the client's, which ends `coming` without a request."""
        exchange = Exchange(replace(request, at_ms=self.behaviour.now_ms), writer)
        self._arrived(exchange)
        ended = asyncio.create_task(exchange.ended.wait())
        await asyncio.wait([coming, ended], return_when=asyncio.FIRST_COMPLETED)
        if coming.done() and (coming.exception() is not None or coming.result() is None):
            self._close_exchange(exchange)
        await ended

    def _arrived(self, exchange: Exchange) -> None:
        request = exchange.request
        again = (request.client, request.number) in self._cut_numbers
        if self.network == "portal":
            self._open.append(exchange)
            self._answer(exchange, PORTAL)
            return
        if again:
            # The transport repeats by itself what was cut: it is still the same request.
            self._hang_up(exchange)
            return
        under_way = [one.request for one in self._open]
        misshapen = list(contract.shape_faults(request))
        self.faults += [
            f"{request.client}#{request.number} {request.route}: {fault}"
            for fault in [*misshapen, *self._memory.faults(request, under_way)]
        ]
        self.requests.append(request)
        self._open.append(exchange)
        if misshapen:
            self._answer(exchange, problem(400, "invalid_body"))
            return
        plans = self._plans[request.route]
        plan = Plan() if not plans else plans[0] if plans[0].always else plans.popleft()
        self._carry_out(exchange, plan)

    def _carry_out(self, exchange: Exchange, plan: Plan) -> None:
        exchange.reply = plan.reply
        if plan.reply is not None:
            self.behaviour.learn(plan.reply.body)
        if plan.cut != "no":
            if plan.cut == "after":
                self.behaviour.answer(exchange.request)
            self._cut_numbers.add((exchange.request.client, exchange.request.number))
            self._hang_up(exchange)
        elif plan.after_ms is None:
            pass
        elif plan.after_ms:
            exchange.due_ms = self.behaviour.now_ms + plan.after_ms
        else:
            self._answer_now(exchange)

    def _answer_now(self, exchange: Exchange) -> None:
        """Answer as planned or as a gateway does, or hold what a gateway holds."""
        request = exchange.request
        exchange.due_ms = None
        if exchange.reply is not None:
            self._answer(exchange, exchange.reply)
        elif request.route == seen.STREAM and self.streams == "missing":
            self._answer(exchange, Reply(404, {"code": "not_found"}))
        elif request.route == seen.STREAM and self.streams == "buffered":
            pass
        elif request.route == seen.STREAM and self._may_stream(request):
            self._open_stream(exchange)
        else:
            reply = self.behaviour.answer(request)
            if reply is None and request.route == seen.POLL:
                exchange.is_poll = True
                exchange.due_ms = self.behaviour.now_ms + int(request.query["wait"]) * 1000
            elif reply is not None:
                self._answer(exchange, reply)
            self._wake()

    def _may_stream(self, request: Seen) -> bool:
        token = self.behaviour.tokens.get(request.token)
        return token is not None and not token.is_superseded

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        content = reply.content
        head = {**self._own_headers(reply), **reply.headers}
        if reply.status not in {204, 304}:
            head["Content-Length"] = str(len(content))
        if reply.status >= 400 or reply.body is not None:
            head.setdefault("Content-Type", "application/json")
        exchange.write(_head(reply.status, head) + content)
        self._close_exchange(exchange)

    def _own_headers(self, reply: Reply) -> dict[str, str]:
        if reply.foreign:
            return {}
        return {"X-Zuruf": "1", "X-Server-Time": str(self.behaviour.now_ms)}

    # Holding

    def _open_stream(self, exchange: Exchange) -> None:
        request = exchange.request
        exchange.is_stream = True
        exchange.cursor = request.headers.get("last-event-id", request.query.get("after", ""))
        head = {
            **self._own_headers(Reply(200)),
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Transfer-Encoding": "chunked",
        }
        exchange.write(_head(200, head))
        exchange.sent = 0
        if self.heartbeat_ms is not None:
            exchange.beats_at_ms = self.behaviour.now_ms + self.heartbeat_ms
        self._send_page(exchange, is_first=True)

    def _send_page(self, exchange: Exchange, *, is_first: bool = False) -> None:
        token = self.behaviour.tokens[exchange.request.token]
        if token.is_superseded:
            self._send_chunk(exchange, b"event: superseded\ndata: {}\n\n")
            self._end_stream(exchange)
            return
        page = self.behaviour.page(token, exchange.cursor)
        if is_first or page["cursor"] != exchange.cursor:
            exchange.cursor = page["cursor"]
            data = Reply(200, page).content
            told = b"id: %b\nevent: messages\ndata: %b\n\n" % (exchange.cursor.encode(), data)
            self._send_chunk(exchange, told)

    def _send_chunk(self, exchange: Exchange, data: bytes) -> None:
        exchange.write(b"%x\r\n%b\r\n" % (len(data), data))
        exchange.sent = (exchange.sent or 0) + len(data)

    def _end_stream(self, exchange: Exchange) -> None:
        exchange.write(b"0\r\n\r\n")
        self._close_exchange(exchange)

    def _wake(self) -> None:
        """Give the news to polls and streams that wait for them."""
        for one in list(self._open):
            if one.is_stream and one.sent is not None:
                self._send_page(one)
            elif one.is_poll and (reply := self.behaviour.page_or_nothing(one.request)):
                self._answer(one, reply)

    def _fire(self) -> None:
        now_ms = self.behaviour.now_ms
        for one in list(self._open):
            if one.due_ms is not None and one.due_ms <= now_ms:
                if one.is_poll:
                    self._answer(one, Reply(204))
                else:
                    self._answer_now(one)
            elif one.beats_at_ms is not None and one.beats_at_ms <= now_ms:
                one.beats_at_ms = None
                if self.heartbeat_ms is not None:
                    self._send_chunk(one, b": still here\n\n")
                    one.beats_at_ms = now_ms + self.heartbeat_ms

    def _kept(self, route: str) -> list[Exchange]:
        return [one for one in self._waiting(route) if not one.is_poll and not one.is_stream]

    def _waiting(self, route: str) -> list[Exchange]:
        return [one for one in self._open if one.request.route == route]

    def _hang_up(self, exchange: Exchange) -> None:
        _reset(exchange.writer)
        self._close_exchange(exchange)

    def _close_exchange(self, exchange: Exchange) -> None:
        if exchange in self._open:
            self._open.remove(exchange)
        exchange.end()

    # The thread

    def _call(self, function: Callable[[], Result]) -> Result:
        async def run() -> Result:
            return function()

        return self._run(run())

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_WITHIN_S)

    async def _close(self) -> None:
        self._is_closing = True
        for listener, accepting in self._listeners.items():
            # Wakes who accepts; cancelling it could lose a connection that is half in.
            with socket.create_connection(listener.getsockname()):
                await accepting
            listener.close()
        # A connection is known a turn after it came in, and gives its socket back a turn after it ends.
        for _ in range(TURNS_TO_CLOSE):
            for one in list(self._open):
                self._hang_up(one)
            for writer in list(self._writers):
                _reset(writer)
            await asyncio.sleep(0)


@contextlib.contextmanager
def a_gateway(now_ms: int) -> Iterator[MockGateway]:
    """Give a gateway for the length of a block."""
    gateway = MockGateway(now_ms)
    try:
        yield gateway
    finally:
        gateway.close()


async def _read(client: str, reader: asyncio.StreamReader) -> Seen | None:
    """Read one request of HTTP/1.1; None when the connection is over."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    faults = []
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            faults.append(f"Content-Length is {length!r}")
            length = "0"
        body = await reader.readexactly(int(length))
    return Seen(client, method, target, headers, body, faults=faults)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a goodbye, as a network does that goes away."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
