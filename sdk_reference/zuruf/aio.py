"""`client.aio`: the calls that wait, for asyncio. The same client, the same threads, no second way."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zuruf.messages import DisplayDecision

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from zuruf.core import Core
    from zuruf.diagnostics import FlushResult
    from zuruf.flushes import Flush
    from zuruf.messages import Message, Show


class Aio:
    """Everything of a client that takes time, as coroutines. `async with client.aio:` starts and ends it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __aenter__(self) -> Self:
        self._core.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()

    async def flush(self, timeout_s: float = 10.0) -> FlushResult:
        """Send what has been recorded so far; wait until that is done, or cannot be in time."""
        flush = self._core.begin_flush(timeout_s)
        await _done(flush, timeout_s)
        return self._core.result_of(flush)

    async def shutdown(self, timeout_s: float = 2.0) -> FlushResult:
        """Send what can be sent in time, keep the rest for the next start, and end."""
        import asyncio  # noqa: PLC0415 - 40 ms that only apps with asyncio pay, and have paid

        flush = self._core.begin_shutdown(timeout_s)
        await _done(flush, timeout_s)
        # A disk that hangs can make the worker late, and the loop must not wait for it.
        return await asyncio.to_thread(self._core.end_shutdown, flush, 0.0)

    async def messages(self) -> AsyncIterator[tuple[Message, Show]]:
        """Give messages as they come, each with what to report about it. Takes the place of `on_message`.

        A message is taken while somebody waits for the next one; the others wait in the queue file,
        also those that come after the loop has ended. Report `show.dismissed()` when a message is gone
        from the screen, so that the next one may come.
        """
        import asyncio  # noqa: PLC0415 - as above

        desk = _Desk(asyncio.get_running_loop())
        self._core.show_messages_with(desk.take)
        try:
            while True:
                waiting = desk.open()
                self._core.post(lambda worker: worker.receiver.look_again())
                try:
                    taken = await waiting
                except asyncio.CancelledError:
                    desk.give_up(waiting)
                    raise
                yield taken
        finally:
            self._core.stop_showing_with(desk.take)


class _Desk:
    """Where a message changes from the thread of the callbacks to the loop, one at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: asyncio.Future[tuple[Message, Show]] | None = None

    def open(self) -> asyncio.Future[tuple[Message, Show]]:
        """Wait for one message."""
        waiting: asyncio.Future[tuple[Message, Show]] = self._loop.create_future()
        with self._lock:
            self._waiting = waiting
        return waiting

    def take(self, message: Message, show: Show) -> DisplayDecision:
        """Pass a message to the loop, if somebody waits there. The app's callback."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return DisplayDecision.DEFER
        try:
            self._loop.call_soon_threadsafe(_pass, waiting, (message, show))
        except RuntimeError:
            # The loop is closed.
            return DisplayDecision.DEFER
        return DisplayDecision.SHOW

    def give_up(self, waiting: asyncio.Future[tuple[Message, Show]]) -> None:
        """Stop waiting. A message that was taken in this very moment is reported as failed."""
        with self._lock:
            self._waiting = None
        if waiting.done() and not waiting.cancelled():
            waiting.result()[1].failed("nobody waited for it any more")


def _pass(waiting: asyncio.Future[tuple[Message, Show]], taken: tuple[Message, Show]) -> None:
    if waiting.done():
        taken[1].failed("nobody waited for it any more")
    else:
        waiting.set_result(taken)


async def _done(flush: Flush | None, timeout_s: float) -> None:
    import asyncio  # noqa: PLC0415 - as above

    if flush is not None:
        waiting = asyncio.wrap_future(flush.done)
        # Not `wait_for`: giving up must not cancel what the worker is about to set.
        await asyncio.wait([waiting], timeout=timeout_s)
