"""Inboxes in Valkey, and the watch over those that devices wait for."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

import msgspec

from gateway import keyspace
from gateway.clock import Clock
from gateway.inbox.model import (
    Changes,
    Page,
    Shelf,
    cursor_at,
    encode_shelved,
    page_for,
    read_shelf,
)
from gateway.settings import Settings
from gateway.valkey import Subscription, Valkey, Word, pairs

_KNOWN_MAX = 100_000

Wakes = list[str]
"""What is said on the wake channel, packed: `app:profile` of each inbox that changed."""

_encode_wakes = msgspec.msgpack.Encoder().encode
_decode_wakes = msgspec.msgpack.Decoder(Wakes).decode


class Known(msgspec.Struct, frozen=True):
    """What this process knows of an inbox without asking."""

    cursor: str
    gone: dict[str, int]
    is_empty: bool

    def refuses(self, device_id: str, issued_at: int) -> bool:
        """As Shelf.refuses."""
        return issued_at < self.gone.get(device_id, 0)

    def has_news_for(self, after: str) -> bool:
        """Whether a device at the cursor `after` may be missing something."""
        return after != self.cursor and not (self.is_empty and not after)


class Reader(Protocol):
    """Who reads: what a device token says."""

    @property
    def app_id(self) -> str: ...
    @property
    def profile_id(self) -> str: ...
    @property
    def device_id(self) -> str: ...
    @property
    def issued_at(self) -> int: ...


class Watch:
    """Reads inboxes and tells waiters when one changed.

    One subscription serves the process. What it knows stays true as long as that is alive: a commit
    announces each inbox it changes, and after a gap everything is forgotten and every waiter looks again.
    """

    def __init__(self, valkey: Valkey, url: str, settings: Settings, clock: Clock) -> None:
        self._valkey = valkey
        self._clock = clock
        self._partitions = settings.partitions
        self._ttl_ms = settings.inbox_ttl_s * 1000
        self._token_life_ms = settings.token_ttl_s * 1000
        self._known: dict[str, Known] = {}
        self._reading: dict[str, set[object]] = {}
        self._waiters: dict[str, set[Waiting]] = {}
        self._subscription = Subscription(
            url,
            [keyspace.wake_channel(p) for p in range(settings.partitions)],
            on_message=self._on_wake,
            on_gap=self._on_gap,
        )

    def start(self) -> None:
        self._subscription.start()

    async def close(self) -> None:
        await self._subscription.close()

    def known(self, app_id: str, profile_id: str) -> Known | None:
        """What is known of an inbox without I/O."""
        return self._known.get(f"{app_id}:{profile_id}")

    async def page(self, reader: Reader, after: str) -> Page | None:
        """What is new to a device; None when its token is from before it moved to another profile."""
        shelf = await self.shelf(reader.app_id, reader.profile_id)
        if shelf.refuses(reader.device_id, reader.issued_at):
            return None
        now = self._clock.now_ms()
        return page_for(shelf, reader.profile_id, reader.device_id, after, now)

    async def shelf(self, app_id: str, profile_id: str) -> Shelf:
        """The inbox as it is in Valkey now."""
        key = f"{app_id}:{profile_id}"
        partition = keyspace.partition_of(profile_id, self._partitions)
        # A change that is announced while we read may or may not be in what we get: `_on_wake` takes the
        # mark away, and nothing is remembered.
        mark = object()
        self._reading.setdefault(key, set()).add(mark)
        try:
            reply = await self._valkey.send(
                "HGETALL", keyspace.inbox(partition, app_id, profile_id)
            )
        finally:
            undisturbed = mark in self._reading.get(key, ())
            self._unmark(key, mark)
        shelf = read_shelf(dict(pairs(reply)))
        if undisturbed and self._subscription.complete:
            if len(self._known) >= _KNOWN_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[key] = Known(
                cursor_at(profile_id, shelf.version), shelf.gone, not shelf.messages
            )
        return shelf

    async def shelved(self, app_id: str, profile_id: str) -> list[bytes]:
        """The messages of an inbox as they are stored, to move them elsewhere."""
        shelf = await self.shelf(app_id, profile_id)
        return [encode_shelved(shelved) for shelved in shelf.messages.values()]

    async def depart(self, app_id: str, profile_id: str, device_id: str, before: int) -> None:
        """From now on tokens of this device issued before this time (ms) read nothing of this profile."""
        partition = keyspace.partition_of(profile_id, self._partitions)
        await self._valkey.call(
            "FCALL",
            "depart",
            1,
            keyspace.inbox(partition, app_id, profile_id),
            device_id,
            before,
            self._clock.now_ms() - self._token_life_ms,
            self._ttl_ms,
            keyspace.wake_channel(partition),
            _encode_wakes([f"{app_id}:{profile_id}"]),
        )
        # The announcement comes on another connection, maybe later than the answer to the device.
        self._on_change(f"{app_id}:{profile_id}")

    def wait(self, app_id: str, profile_id: str) -> "Waiting":
        """Wait for the next change of an inbox; register before reading it."""
        return Waiting(self._waiters, f"{app_id}:{profile_id}")

    def release_all(self) -> None:
        """Wake everybody: the process is about to stop."""
        for key in list(self._waiters):
            self._wake(key)

    def _on_wake(self, _channel: bytes, payload: bytes) -> None:
        for key in _decode_wakes(payload):
            self._on_change(key)

    def _on_change(self, key: str) -> None:
        self._known.pop(key, None)
        self._reading.pop(key, None)
        self._wake(key)

    def _on_gap(self) -> None:
        self._known.clear()
        self._reading.clear()
        self.release_all()

    def _wake(self, key: str) -> None:
        for waiting in self._waiters.get(key, ()):
            waiting.wake()

    def _unmark(self, key: str, mark: object) -> None:
        marks = self._reading.get(key)
        if marks is not None:
            marks.discard(mark)
            if not marks:
                del self._reading[key]


class Waiting:
    """A place in the queue of those who wait for one inbox, from its making until `leave`.

    A change between two sleeps is not lost: the next sleep ends at once.
    """

    __slots__ = ("_future", "_key", "_queue", "abandoned")

    def __init__(self, queue: dict[str, set["Waiting"]], key: str) -> None:
        self._queue = queue
        self._key = key
        self.abandoned = False
        self._future = asyncio.get_running_loop().create_future()
        queue.setdefault(key, set()).add(self)

    async def sleep(self, seconds: float) -> bool:
        """Sleep until the inbox changes; False when the time is over first."""
        loop = asyncio.get_running_loop()
        future = self._future
        timer = loop.call_later(seconds, _end, future, False)
        try:
            woken: bool = await future
        finally:
            timer.cancel()
        self._future = loop.create_future()
        return woken

    def wake(self) -> None:
        """The inbox has changed."""
        _end(self._future, True)

    def abandon(self) -> None:
        """The client has hung up."""
        self.abandoned = True
        self.wake()

    def leave(self) -> None:
        """Stop waiting."""
        waiting = self._queue.get(self._key)
        if waiting is not None:
            waiting.discard(self)
            if not waiting:
                del self._queue[self._key]


def _end(future: asyncio.Future[bool], woken: bool) -> None:
    if not future.done():
        future.set_result(woken)


def changes_as_commands(
    partition: int, app_id: str, profile_id: str, version: int, changes: Changes, ttl_ms: int
) -> Iterator[tuple[Word, ...]]:
    """The commands that bring a shelf up to date, and renew how long it is kept."""
    key = keyspace.inbox(partition, app_id, profile_id)
    words: list[Word] = ["HSET", key, "v", version]
    for name, value in changes.put.items():
        words += (name, value)
    yield tuple(words)
    if changes.drop:
        yield ("HDEL", key, *sorted(changes.drop))
    yield ("PEXPIRE", key, ttl_ms)


def wake_command(partition: int, wakes: Wakes) -> tuple[Word, ...]:
    """The command that tells all edges which inboxes of a partition changed."""
    return ("SPUBLISH", keyspace.wake_channel(partition), _encode_wakes(wakes))
