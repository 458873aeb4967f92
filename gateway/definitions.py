"""What people define (apps, journeys), held in memory by every process and renewed when it changes."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway import keyspace, tasks
from gateway.errors import Problem, StoreError
from gateway.valkey import Subscription, Valkey

_LOG = structlog.get_logger("definitions")
_CHECK_S = 0.5


class Definitions:
    """Calls the registered loaders whenever the version in Valkey moves.

    A change is announced on a channel, so it is live in milliseconds; the version is also looked at twice
    a second, so a lost announcement costs half a second.
    """

    def __init__(self, valkey: Valkey, url: str) -> None:
        self._valkey = valkey
        self._loaders: list[Callable[[], Awaitable[None]]] = []
        self._version: bytes | None = None
        self._stir = asyncio.Event()
        self._subscription = Subscription(
            url,
            [keyspace.DEFINITIONS_CHANNEL],
            on_message=lambda _channel, _payload: self._stir.set(),
            on_gap=self._stir.set,
        )
        self._task: asyncio.Task[None] | None = None

    def add(self, load: Callable[[], Awaitable[None]]) -> None:
        """Register a loader; it is called at start and after every change."""
        self._loaders.append(load)

    async def start(self) -> None:
        await self._refresh()
        self._subscription.start()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        await self._subscription.close()
        await tasks.end(self._task)

    async def save(self, key: str, field: str, packed: bytes, replacing: bytes) -> None:
        """Save a definition; live in this process when the call returns, in all others within a second.

        `replacing`: what it replaces, empty for a new one. Raises Problem `conflict` when something else
        stands there now: two people edited the same version, or this process had an old one.
        """
        saved = await self._valkey.call(
            "FCALL",
            "define",
            2,
            key,
            keyspace.DEFINITIONS_VERSION,
            field,
            packed,
            replacing,
            keyspace.DEFINITIONS_CHANNEL,
        )
        await self._refresh()
        if not saved:
            raise Problem("conflict", "it has changed meanwhile: read it again, then change it")

    async def _refresh(self) -> None:
        # The version first: what is saved while we load shows as a newer version afterwards.
        version = await self._valkey.call("GET", keyspace.DEFINITIONS_VERSION)
        assert version is None or isinstance(version, bytes)
        for load in self._loaders:
            await load()
        self._version = version

    async def _follow(self) -> None:
        while True:
            await tasks.wait_at_most(self._stir, _CHECK_S)
            self._stir.clear()
            try:
                version = await self._valkey.call("GET", keyspace.DEFINITIONS_VERSION)
                if version != self._version:
                    await self._refresh()
            except StoreError as error:
                _LOG.debug("definitions are kept as they are", error=str(error))
