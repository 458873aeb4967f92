"""What people define (apps, journeys, …), held in memory by every process and renewed when it changes."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog

from gateway import keyspace, tasks
from gateway.errors import Problem, StoreError
from gateway.valkey import Subscription, Valkey, pairs

T = TypeVar("T")

_LOG = structlog.get_logger("definitions")
_CHECK_S = 0.5
_CHANGED = "it has changed meanwhile: read it again, then change it"


class Definitions:
    """Renews its tables whenever the version in Valkey moves.

    A change is announced on a channel, so it is live in milliseconds; the version is also looked at twice
    a second, so a lost announcement costs half a second.
    """

    def __init__(self, valkey: Valkey, url: str) -> None:
        self._valkey = valkey
        self._tables: list[Table[Any]] = []
        self._version: bytes | None = None
        self._stir = asyncio.Event()
        self._subscription = Subscription(
            url,
            [keyspace.DEFINITIONS_CHANNEL],
            on_message=lambda _channel, _payload: self._stir.set(),
            on_gap=self._stir.set,
        )
        self._task: asyncio.Task[None] | None = None

    def table(
        self,
        key: str,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        on_load: Callable[[], None],
    ) -> "Table[T]":
        """The definitions of one kind, loaded at start and after every change; then `on_load` is called."""
        table = Table(self._valkey, self, key, encode, decode, on_load)
        self._tables.append(table)
        return table

    async def start(self) -> None:
        await self.refresh()
        self._subscription.start()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        await self._subscription.close()
        await tasks.end(self._task)

    async def refresh(self) -> None:
        """Load all tables as they are now."""
        # The version first: what is saved while we load shows as a newer version afterwards.
        version = await self._valkey.call("GET", keyspace.DEFINITIONS_VERSION)
        assert version is None or isinstance(version, bytes)
        for table in self._tables:
            await table.load()
        self._version = version

    async def _follow(self) -> None:
        while True:
            await tasks.wait_at_most(self._stir, _CHECK_S)
            self._stir.clear()
            try:
                version = await self._valkey.call("GET", keyspace.DEFINITIONS_VERSION)
                if version != self._version:
                    await self.refresh()
            except StoreError as error:
                _LOG.debug("definitions are kept as they are", error=str(error))


class Table(Generic[T]):
    """Definitions of one kind: a Valkey hash, and the copy of it in memory."""

    def __init__(
        self,
        valkey: Valkey,
        definitions: Definitions,
        key: str,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        on_load: Callable[[], None],
    ) -> None:
        self._valkey = valkey
        self._definitions = definitions
        self._key = key
        self._encode = encode
        self._decode = decode
        self._on_load = on_load
        self.values: dict[str, T] = {}
        # As stored: an older version may have packed the same value otherwise.
        self._packed: dict[str, bytes] = {}

    async def load(self) -> None:
        """Read everything anew."""
        reply = await self._valkey.call("HGETALL", self._key)
        self._packed = {field.decode(): packed for field, packed in pairs(reply)}
        self.values = {field: self._decode(packed) for field, packed in self._packed.items()}
        self._on_load()

    async def save(self, field: str, value: T, replacing: T | None) -> None:
        """Save a definition; live in this process when the call returns, in all others within a second.

        `replacing`: what it replaces, None for a new one. Raises Problem `conflict` when something else
        stands there now: two people edited the same version, or this process had an old one.
        """
        if replacing is not None and self.values.get(field) != replacing:
            raise Problem("conflict", _CHANGED)
        saved = await self._valkey.call(
            "FCALL",
            "define",
            2,
            self._key,
            keyspace.DEFINITIONS_VERSION,
            field,
            self._encode(value),
            b"" if replacing is None else self._packed[field],
            keyspace.DEFINITIONS_CHANNEL,
        )
        await self._definitions.refresh()
        if not saved:
            raise Problem("conflict", _CHANGED)
