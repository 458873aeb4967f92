"""The public face: what an app calls. Every call returns at once and none of them raises."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from zuruf.clock import SystemClock
from zuruf.diagnostics import Diagnostics, FlushResult
from zuruf.errors import InvalidEventError
from zuruf.events import Uuid7Source
from zuruf.handover import Handover
from zuruf.messages import MessageCallback
from zuruf.recorder import Recorder
from zuruf.worker import Flush, LookAgain, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.config import Config

log = logging.getLogger("zuruf")

EXIT_BUDGET_S = 1.0
# What closing may take beyond its timeout: writing down what came in last.
CLOSING_GRACE_S = 0.5
# What may wait for the worker beyond what the queue holds, when the disk is slow.
INBOX_LENGTH_EXTRA = 1_000

_clients: weakref.WeakSet[Zuruf] = weakref.WeakSet()
# An app may let go of a client that still has something to send.
_running: set[Zuruf] = set()


class Zuruf:
    """A client of one gateway, for one app on one device.

    Calls are safe from any thread and do no I/O: they check, stamp and hand over. With
    `Config(debug=True)` a mistake raises where it is made; without it is logged and counted.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = config.clock or SystemClock()
        self._callback: MessageCallback | None = None
        self._is_closed = False
        self._worker: Worker | None = None
        self._prepare()
        _clients.add(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin work in the background. The first call of anything does that too."""
        if self._worker is not None or self._is_closed:
            return
        with self._start_lock:
            self._worker = self._started()

    def track(self, name: str, props: Mapping[str, Any] | None = None) -> str:
        """Record that something happened, and give the id of the event.

        The id is empty when the event breaks a limit of the protocol or the client is closed; the
        drop is counted (see `diagnostics`).
        """
        return self._record("track", name, props)

    def screen(self, name: str, props: Mapping[str, Any] | None = None) -> str:
        """Record that a screen came up. Deferred messages are offered again."""
        event_id = self._record("screen", name, props)
        self._inbox.put(LookAgain())
        return event_id

    def identify(
        self, user_id: str, traits: Mapping[str, Any] | None = None, *, proof: str | None = None
    ) -> None:
        """Log a person in: events recorded from here on are theirs.

        `traits` become attributes of the profile; None removes one. `proof` is the JWT of apps that
        verify identities. May be called at every start: the same person again changes nothing.
        """
        if self._is_closed:
            return
        self.start()
        try:
            self._recorder.identify(user_id, proof)
        except Exception as error:  # noqa: BLE001 - the app must not fail because of us
            self._complain("identify", error)
            return
        if traits:
            self._record("identify", "identify", traits)

    def reset(self) -> None:
        """Log out. From here on the app is given nothing of the person before."""
        if self._is_closed:
            return
        self.start()
        try:
            self._recorder.reset()
        except Exception as error:  # noqa: BLE001 - the app must not fail because of us
            self._complain("reset", error)

    def on_message(self, callback: MessageCallback) -> MessageCallback:
        """Have messages shown by this function; the latest one counts. Works as a decorator.

        It runs on `Config.callback_executor`. Without a callback no messages are fetched.
        """
        self._callback = self._handover.callback = callback
        self.start()
        self._inbox.put(LookAgain())
        return callback

    def flush(self, timeout_s: float = 10.0) -> FlushResult:
        """Send what has been recorded so far; wait until that is done, or cannot be in time."""
        if self._is_closed:
            return self._result_of(None)
        self.start()
        flush = Flush(self._clock.monotonic_s() + timeout_s)
        if self._worker is not None:
            self._inbox.put(flush)
            flush.done.wait(timeout_s)
        return self._result_of(flush)

    def close(self, timeout_s: float = 2.0) -> FlushResult:
        """Send what can be sent in time, keep the rest for the next start, and end."""
        if self._is_closed:
            return self._result_of(None)
        self._is_closed = True
        self._recorder.close()
        worker = self._worker
        if worker is None:
            return FlushResult(sent=0, remaining=0)
        flush = Flush(self._clock.monotonic_s() + timeout_s, closes=True)
        self._inbox.put(flush)
        if not flush.done.wait(timeout_s):
            # With a clock that is moved by hand the worker's deadline may never come.
            flush.deadline_s = float("-inf")
            self._inbox.put(LookAgain())
            flush.done.wait(CLOSING_GRACE_S)
        worker.thread.join(CLOSING_GRACE_S)
        _running.discard(self)
        return self._result_of(flush)

    def diagnostics(self) -> Diagnostics:
        """Tell how the client is doing."""
        worker = self._worker
        snapshot = Diagnostics() if worker is None else worker.diagnostics
        return replace(snapshot, session_id=self._recorder.session_id)

    def _started(self) -> Worker | None:
        if self._worker is not None:
            return self._worker
        worker = Worker(
            self._config, self._clock, self._ids, self._recorder, self._handover, self._inbox
        )
        try:
            worker.thread.start()
        except RuntimeError as error:
            # The interpreter is shutting down: nothing can be sent or kept any more.
            log.warning("the client could not start: %s", error)
            return None
        _running.add(self)
        return worker

    def _record(self, kind: str, name: str, props: Mapping[str, Any] | None) -> str:
        if self._worker is None:
            self.start()
        try:
            return self._recorder.event(kind, name, props)
        except Exception as error:  # noqa: BLE001 - the app must not fail because of us
            self._complain(f"{kind}({name!r:.60})", error)
            return ""

    def _complain(self, call: str, error: Exception) -> None:
        if self._config.debug:
            raise error
        if isinstance(error, InvalidEventError):
            log.warning("%s was ignored: %s", call, error)
        else:
            log.error("%s failed", call, exc_info=error)

    def _result_of(self, flush: Flush | None) -> FlushResult:
        if flush is not None and flush.result is not None:
            return flush.result
        snapshot = self.diagnostics()
        return FlushResult(
            sent=0,
            remaining=snapshot.queue_events + self._inbox.qsize(),
            last_status=snapshot.last_status,
            last_error=snapshot.last_error,
        )

    def _prepare(self) -> None:
        """Make everything that belongs to one process: locks, inbox, worker."""
        config = self._config
        self._start_lock = threading.Lock()
        self._ids = config.ids or Uuid7Source()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._worker = None
        self._recorder = Recorder(
            self._clock,
            self._ids,
            self._inbox,
            inbox_length_max=config.queue_events_max + INBOX_LENGTH_EXTRA,
        )
        put: Callable[[object], None] = self._inbox.put
        self._handover = Handover(self._recorder, self._clock, config.callback_executor, put)
        self._handover.callback = self._callback

    def _after_fork_in_child(self) -> None:
        # The threads stayed with the parent, and so did the queue file: its connection must be
        # neither used nor closed here, so it is kept from being collected.
        _left_to_parents.append((self._worker, self._recorder, self._inbox))
        _running.discard(self)
        self._prepare()


_left_to_parents: list[object] = []


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._after_fork_in_child()  # noqa: SLF001


def _at_exit() -> None:
    for client in list(_running):
        client.close(EXIT_BUDGET_S)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
