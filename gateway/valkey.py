"""A pipelined connection to Valkey: many callers, one socket, one write per turn of the event loop.

Everything that is called in one turn leaves in one write, and with `appendfsync always` Valkey answers
all of it after one fsync: that is the group commit. Callers await a plain future and never the socket,
so a cancelled caller can't lose a reply or get another's. Why not the client library: `docs/architecture.md`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import libvalkey
import structlog
from valkey.connection import parse_url

from gateway import tasks
from gateway.errors import StoreError, StoreRefused, StoreUnavailable

Word = str | bytes | int | float
Reply = bytes | int | None | list["Reply"]

_LOG = structlog.get_logger("valkey")
_MISSING: Final = object()
_LUA = Path(__file__).parent / "lua"


def function_library() -> str:
    """The Lua files as one Valkey function library, each in a scope of its own."""
    parts = [f"do\n{path.read_text()}\nend\n" for path in sorted(_LUA.glob("*.lua"))]
    return "#!lua name=zuruf\n" + "".join(parts)


class _Connection(asyncio.Protocol):
    """One open socket: requests go out in order, replies come back in order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = libvalkey.Reader(notEnoughData=_MISSING)
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._unsent: list[bytes] = []
        self.on_push: Callable[[list[Reply]], None] | None = None
        self._transport: asyncio.Transport | None = None
        self.replies = 0
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not an isinstance: uvloop's transports are not asyncio.Transport by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._waiting:
            if not future.done():
                future.set_exception(StoreUnavailable(f"connection lost: {exc or 'closed'}"))
        self._waiting.clear()
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        waiting = self._waiting
        while (reply := reader.gets()) is not _MISSING:
            if self.on_push is not None:
                # Without a channel, a PING is answered as on any connection: by no list.
                self.on_push(reply if isinstance(reply, list) else [reply])
                continue
            self.replies += 1
            future = waiting.popleft()
            if future.done():
                continue
            if isinstance(reply, libvalkey.ReplyError):
                future.set_exception(StoreRefused(str(reply)))
            else:
                future.set_result(reply)

    def send(self, packed: bytes) -> asyncio.Future[Reply]:
        future = self._loop.create_future()
        if self._transport is None:
            future.set_exception(StoreUnavailable("not connected"))
            return future
        self._waiting.append(future)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        return future

    def say(self, packed: bytes) -> None:
        """Send a command whose answers arrive as pushes."""
        if self._transport is not None:
            self._transport.write(packed)

    @property
    def awaited(self) -> int:
        return len(self._waiting)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


class Valkey:
    """Connections that come back by themselves.

    What travels in one *lane* is done in order. Several lanes help when much is written: Valkey reads some
    16 KB of a connection before it turns to the next and then writes to disk, so that with one lane four
    times as many fsyncs are needed as with four.

    While a lane is down every call in it fails at once with StoreUnavailable, and so do the calls that were
    under way: what they asked for may or may not have happened.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0, lanes: int = 1) -> None:
        options = parse_url(url)
        self._lanes = [_Lane(options, timeout_s) for _ in range(lanes)]

    async def connect(self, timeout_s: float = 10.0) -> None:
        """Connect and keep connected. Raises StoreUnavailable when that takes longer than the timeout."""
        for lane in self._lanes:
            lane.start()
        try:
            async with asyncio.timeout(timeout_s):
                for lane in self._lanes:
                    await lane.connected.wait()
        except TimeoutError:
            await self.close()
            raise StoreUnavailable(
                "Valkey does not answer: is it running, and is ZURUF_VALKEY_URL right?"
            ) from None

    async def close(self) -> None:
        for lane in self._lanes:
            await lane.close()

    def send(self, *words: Word, lane: int = 0) -> asyncio.Future[Reply]:
        """Queue a command; the future resolves with its reply, StoreRefused or StoreUnavailable."""
        return self._lanes[lane % len(self._lanes)].send(words)

    async def call(self, *words: Word) -> Reply:
        """Send a command and wait for its reply."""
        return await self.send(*words)

    async def call_all(self, commands: Iterable[Sequence[Word]]) -> list[Reply]:
        """Send commands in one pipeline; raises the first error after all have been answered."""
        return await _settled([self.send(*words) for words in commands])

    async def call_each(self, commands: Mapping[int, Sequence[Word]]) -> dict[int, Reply]:
        """Send one command for each partition, in the partition's lane; else as `call_all`."""
        futures = [self.send(*words, lane=p) for p, words in commands.items()]
        return dict(zip(commands, await _settled(futures), strict=True))


def pairs(reply: Reply) -> Iterator[tuple[bytes, bytes]]:
    """A reply of fields and values, or of members and scores, two by two."""
    assert isinstance(reply, list)
    return cast("Iterator[tuple[bytes, bytes]]", zip(reply[::2], reply[1::2], strict=True))


async def _settled(futures: list[asyncio.Future[Reply]]) -> list[Reply]:
    if futures:
        await asyncio.wait(futures)
    # All of them are asked, or asyncio would complain of each whose error nobody saw.
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise errors[0]
    return [future.result() for future in futures]


class _Lane:
    """One connection, kept up by a task."""

    def __init__(self, options: dict[str, object], timeout_s: float) -> None:
        self._options = options
        self._timeout_s = timeout_s
        self._connection: _Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._stay_connected())

    async def close(self) -> None:
        await tasks.end(self._task)
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def send(self, words: tuple[Word, ...]) -> asyncio.Future[Reply]:
        connection = self._connection
        if connection is None:
            future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            future.set_exception(StoreUnavailable("not connected"))
            return future
        return connection.send(libvalkey.pack_command(words))

    async def _stay_connected(self) -> None:
        delay_s = 0.02
        while True:
            try:
                connection = await open_connection(self._options, self._timeout_s, _load_functions)
            except (OSError, StoreError) as error:
                # Jitter, because after an outage it is the clients that keep a server down.
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
                delay_s = min(delay_s * 2, 1.0)
                _LOG.debug("valkey is out of reach", error=str(error))
                continue
            delay_s = 0.02
            self._connection = connection
            self.connected.set()
            await self._watch(connection)
            self._connection = None
            self.connected.clear()
            _LOG.warning("valkey connection lost, connecting again")

    async def _watch(self, connection: _Connection) -> None:
        """Return when the connection is gone; cut it when it has stopped answering."""
        while True:
            awaited, answered = connection.awaited, connection.replies
            done, _ = await asyncio.wait([connection.lost], timeout=self._timeout_s)
            if done:
                return
            if awaited and connection.replies == answered:
                _LOG.error("valkey does not answer, cutting the connection")
                connection.abort()


async def open_connection(
    options: dict[str, object],
    timeout_s: float,
    prepare: Callable[[_Connection], Awaitable[None]] | None = None,
) -> _Connection:
    """Open one socket by the options of a Valkey URL, authenticated and on the right database.

    Raises OSError, also when that takes too long, or StoreError.
    """
    async with asyncio.timeout(timeout_s):
        connection = await _connect(options)
        try:
            await _greet(connection, options)
            if prepare is not None:
                await prepare(connection)
        except BaseException:
            connection.abort()
            raise
    return connection


async def _connect(options: dict[str, object]) -> _Connection:
    loop = asyncio.get_running_loop()
    path = options.get("path")
    if path is not None:
        _, connection = await loop.create_unix_connection(_Connection, str(path))
    else:
        _, connection = await loop.create_connection(
            _Connection,
            str(options.get("host", "localhost")),
            int(str(options.get("port", 6379))),
            ssl=True if "connection_class" in options else None,
        )
    return connection


async def _greet(connection: _Connection, options: dict[str, object]) -> None:
    password, username = options.get("password"), options.get("username")
    if password is not None:
        words = ["AUTH", str(username), str(password)] if username else ["AUTH", str(password)]
        await connection.send(libvalkey.pack_command(tuple(words)))
    if database := options.get("db"):
        await connection.send(libvalkey.pack_command(("SELECT", str(database))))


async def _load_functions(connection: _Connection) -> None:
    """Make the server hold our function library; it keeps it across restarts."""
    code = function_library()
    listed = await connection.send(
        libvalkey.pack_command(("FUNCTION", "LIST", "LIBRARYNAME", "zuruf", "WITHCODE"))
    )
    assert isinstance(listed, list)
    held = listed[0] if listed else []
    if isinstance(held, list) and code.encode() in held:
        return
    await connection.send(libvalkey.pack_command(("FUNCTION", "LOAD", "REPLACE", code)))


class Subscription:
    """Listens to sharded channels on a connection of its own.

    Publish/subscribe may lose messages while the connection is down: `on_gap` is called after every
    (re)connect, once the channels are subscribed, so that the owner can look at what it may have missed.
    """

    def __init__(
        self,
        url: str,
        channels: Iterable[str],
        on_message: Callable[[bytes, bytes], None],
        on_gap: Callable[[], None],
        *,
        timeout_s: float = 5.0,
    ) -> None:
        self._timeout_s = timeout_s
        self._heard = 0
        self._pinged = False
        self._options = parse_url(url)
        self._channels = set(channels)
        self._on_message = on_message
        self._on_gap = on_gap
        self._pending = 0
        self._connection: _Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._stay_subscribed())

    async def close(self) -> None:
        await tasks.end(self._task)
        if self._connection is not None:
            self._connection.abort()

    @property
    def complete(self) -> bool:
        """All channels are subscribed: what is published from now on arrives."""
        return self._connection is not None and self._pending == 0

    def set_channels(self, channels: Iterable[str]) -> None:
        """Listen to exactly these from now on; new ones end in a call of `on_gap`."""
        wanted = set(channels)
        added, removed = wanted - self._channels, self._channels - wanted
        self._channels = wanted
        if self._connection is None:
            return
        self._subscribe(self._connection, added)
        for channel in removed:
            self._connection.say(libvalkey.pack_command(("SUNSUBSCRIBE", channel)))

    def _subscribe(self, connection: _Connection, channels: Iterable[str]) -> None:
        for channel in channels:
            self._pending += 1
            connection.say(libvalkey.pack_command(("SSUBSCRIBE", channel)))

    def _received(self, push: list[Reply]) -> None:
        self._heard += 1
        self._pinged = False
        if push[0] == b"smessage":
            _, channel, payload = push
            assert isinstance(channel, bytes)
            assert isinstance(payload, bytes)
            self._on_message(channel, payload)
        elif push[0] == b"ssubscribe":
            self._pending -= 1
            if self._pending == 0:
                self._on_gap()

    async def _stay_subscribed(self) -> None:
        delay_s = 0.02
        while True:
            try:
                connection = await open_connection(self._options, self._timeout_s)
            except (OSError, StoreError):
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
                delay_s = min(delay_s * 2, 1.0)
                continue
            delay_s = 0.02
            connection.on_push = self._received
            self._pending = 0
            self._connection = connection
            self._subscribe(connection, self._channels)
            if not self._channels:
                self._on_gap()
            await self._watch(connection)
            self._connection = None

    async def _watch(self, connection: _Connection) -> None:
        """Return when the connection is gone; a quiet one is pinged, a mute one is cut."""
        while True:
            heard = self._heard
            done, _ = await asyncio.wait([connection.lost], timeout=self._timeout_s)
            if done:
                return
            if self._heard == heard:
                if self._pinged:
                    connection.abort()
                connection.say(libvalkey.pack_command(("PING",)))
                self._pinged = True
