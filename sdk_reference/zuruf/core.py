"""One client in one process: its parts, and how they start, end and survive a fork.

The public faces (`client`, `in_app`, `consent` …) are verbs over this.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zuruf.callbacks import Callbacks
from zuruf.clock import SystemClock
from zuruf.diagnostics import Diagnostics, FlushResult
from zuruf.errors import InvalidEventError
from zuruf.events import Uuid7Source
from zuruf.flushes import Flush
from zuruf.handover import Handover
from zuruf.recorder import Recorder
from zuruf.subscriptions import Subscriptions, always
from zuruf.worker import FORK_S_MAX, Worker

if TYPE_CHECKING:
    from zuruf.config import Config
    from zuruf.messages import MessageCallback

log = logging.getLogger("zuruf")

EXIT_BUDGET_S = 1.0
# What shutting down may take beyond its timeout: writing down what came in last.
CLOSING_GRACE_S = 0.5
# What may wait for the worker beyond what the queue holds, when the disk is slow.
MAILBOX_LENGTH_EXTRA = 1_000

_cores: weakref.WeakSet[Core] = weakref.WeakSet()
# An app may let go of a client that still has something to send.
_running: set[Core] = set()
# The threads of these stayed with the parent of a fork; `database` keeps their connections likewise.
_left_to_parents: list[object] = []


class Core:
    """The parts of a client that belong to one process. Safe from any thread; does no I/O."""

    mailbox: queue.SimpleQueue[Any]
    worker: Worker | None
    callbacks: Callbacks
    recorder: Recorder
    handover: Handover

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = config.clock or SystemClock()
        self.subscriptions = Subscriptions()
        self._callback: MessageCallback | None = None
        self._is_over = False
        # A fork found the queue file half-way: what is of it in this process must not be used.
        self._in_memory = False
        self._fork: _Fork | None = None
        self._prepare()
        _cores.add(self)

    def start(self) -> None:
        """Begin work in the background, once."""
        if self.worker is not None or self._is_over:
            return
        with self._start_lock:
            if self.worker is None:
                self.worker = self._started()

    def record(self, kind: str, name: str, props: Mapping[str, Any] | None) -> str:
        """Record an event and give its id, an empty one when it was refused."""
        if self.worker is None:
            self.start()
        try:
            return self.recorder.event(kind, name, props)
        except Exception as error:  # noqa: BLE001 - the app must not fail because of us
            self.complain(f"{kind}({name!r:.60})", error)
            return ""

    def record_made(self, kind: str, name: str, make: Callable[[], Mapping[str, Any]]) -> str:
        """Record an event whose props are put together from what the app gave, which may be anything."""
        try:
            props = make()
        except (TypeError, ValueError, AttributeError) as error:
            self.recorder.count_drop("invalid_event")
            self.complain(f"{kind}({name!r:.60})", InvalidEventError("invalid_event", str(error)))
            return ""
        return self.record(kind, name, props)

    def attempt(self, call: str, change: Callable[[], None]) -> bool:
        """Have the recorder change something, and tell whether it did.

        Mistakes are logged, and raise only when debugging.
        """
        if self._is_over:
            return False
        self.start()
        try:
            change()
        except Exception as error:  # noqa: BLE001 - the app must not fail because of us
            self.complain(call, error)
            return False
        return True

    def post(self, job: Callable[[Worker], None]) -> None:
        """Have the worker do something, after everything that was called before."""
        if not self._is_over:
            self.start()
            self.mailbox.put(job)

    def show_messages_with(self, callback: MessageCallback) -> None:
        """Have messages shown by this function; the latest one counts."""
        self._callback = self.handover.callback = callback
        self.post(lambda worker: worker.receiver.look_again())

    def stop_showing_with(self, callback: MessageCallback) -> None:
        """Have messages wait again, unless another function shows them by now."""
        if self._callback is callback:
            self._callback = self.handover.callback = None
            self.post(lambda worker: worker.receiver.look_again())

    def publish(self, topic: Any, value: object, person: int) -> None:
        """Tell the app that something changed, while `person` was on the device."""
        recorder = self.recorder

        def is_still_theirs() -> bool:
            # After a fork, nobody tells the recorder of the parent who is on the device.
            return recorder is self.recorder and recorder.person == person

        holds = is_still_theirs if topic == "inbox_changed" else always
        self.subscriptions.publish(self.callbacks, topic, value, holds)

    def begin_flush(self, timeout_s: float) -> Flush | None:
        """Have everything sent; None when there is nobody to do it."""
        if self._is_over:
            return None
        self.start()
        if self.worker is None:
            return None
        flush = Flush(self.clock.monotonic_s() + timeout_s)
        self.mailbox.put(flush)
        return flush

    def begin_shutdown(self, timeout_s: float) -> Flush | None:
        """Have everything sent and the worker ended; None when there is none, or no more."""
        if self._is_over:
            return None
        self._is_over = True
        self.recorder.close()
        if self.worker is None:
            return None
        flush = Flush(self.clock.monotonic_s() + timeout_s, closes=True)
        self.mailbox.put(flush)
        return flush

    def end_shutdown(self, flush: Flush | None, timeout_s: float) -> FlushResult:
        """Wait for what `begin_shutdown` began, a little longer than its timeout."""
        worker = self.worker
        if flush is None or worker is None:
            return self.result_now()
        if self._is_on_worker():
            # The worker ends when the plugin that called this lets it go on.
            return self.result_of(flush)
        if not _is_done(flush, timeout_s):
            # With a clock that is moved by hand the worker's deadline may never come.
            flush.deadline_s = float("-inf")
            self.mailbox.put(_look_at_the_clock)
            _is_done(flush, CLOSING_GRACE_S)
        worker.thread.join(CLOSING_GRACE_S)
        self.callbacks.close()
        _running.discard(self)
        return self.result_of(flush)

    def wait_for(self, flush: Flush | None, timeout_s: float) -> FlushResult:
        """Wait for what `begin_flush` began, or tell how things stand after the timeout."""
        if flush is not None and not self._is_on_worker():
            _is_done(flush, timeout_s)
        return self.result_of(flush)

    def _is_on_worker(self) -> bool:
        """Tell whether a plugin or an executor of the app calls on the thread that would be waited for."""
        return self.worker is not None and threading.current_thread() is self.worker.thread

    def result_of(self, flush: Flush | None) -> FlushResult:
        """Give what a flush achieved, or how things stand when it did not end."""
        if flush is not None and flush.done.done() and not flush.done.cancelled():
            return flush.done.result()
        return self.result_now()

    def result_now(self) -> FlushResult:
        """Tell how things stand, as the result of a flush that did nothing."""
        snapshot = self.diagnostics()
        return FlushResult(
            sent=0,
            remaining=snapshot.queue_events + self.mailbox.qsize(),
            last_status=snapshot.last_status,
            last_error=snapshot.last_error,
        )

    def diagnostics(self) -> Diagnostics:
        """Tell how the client is doing."""
        worker = self.worker
        snapshot = Diagnostics() if worker is None else worker.diagnostics
        return replace(snapshot, session_id=self.recorder.session_id)

    def complain(self, call: str, error: Exception) -> None:
        """Say that a call failed, without failing: only `Config(debug=True)` makes it raise."""
        if self.config.debug:
            raise error
        if isinstance(error, InvalidEventError):
            log.warning("%s was ignored: %s", call, error)
        else:
            log.error("%s failed", call, exc_info=error)

    def _started(self) -> Worker | None:
        worker = Worker(
            self.config,
            self.clock,
            self.ids,
            self.recorder,
            self.handover,
            self.mailbox,
            self.publish,
            in_memory=self._in_memory,
        )
        try:
            worker.thread.start()
        except RuntimeError as error:
            # The interpreter is shutting down: nothing can be sent or kept any more.
            log.warning("the client could not start: %s", error)
            return None
        _running.add(self)
        return worker

    def _prepare(self) -> None:
        """Make everything that belongs to one process: locks, mailbox, worker."""
        config = self.config
        self._start_lock = threading.Lock()
        self.ids = config.ids or Uuid7Source()
        self.mailbox = queue.SimpleQueue()
        self.worker = None
        self.callbacks = Callbacks(config.callback_executor)
        self.recorder = Recorder(
            self.clock,
            self.ids,
            self.mailbox,
            mailbox_length_max=config.queue_events_max + MAILBOX_LENGTH_EXTRA,
            session_changed=self._session_changed,
        )
        put: Callable[[object], None] = self.mailbox.put
        self.handover = Handover(self.recorder, self.clock, self.callbacks.run, put)
        self.handover.callback = self._callback

    def _session_changed(self, session_id: str) -> None:
        self.publish("session_changed", session_id, self.recorder.person)

    def before_fork(self) -> None:
        """Have the queue file closed: SQLite must not be copied while it is at work."""
        worker = self.worker
        if worker is None or not worker.thread.is_alive():
            return
        self._fork = fork = _Fork()
        self.mailbox.put(lambda worker: worker.step_aside(fork.has_closed, fork.may_go_on))

    def await_fork(self) -> None:
        """Wait until the queue file is closed; many clients close theirs at the same time."""
        if self._fork is not None and not self._is_on_worker():
            self._fork.has_closed.wait(FORK_S_MAX)

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        fork, self._fork = self._fork, None
        if fork is not None:
            fork.may_go_on.set()

    def after_fork_in_child(self) -> None:
        """Begin anew: the threads stayed with the parent.

        The same file is opened once more, and the device shared. If it could not be closed in time,
        its connection must be neither used nor closed here, so it is kept from being collected, and
        this process works from memory, as a device of its own.
        """
        fork, self._fork = self._fork, None
        self._in_memory = self._in_memory or (fork is not None and not fork.has_closed.is_set())
        _left_to_parents.append((self.worker, self.recorder, self.mailbox, self.callbacks))
        _running.discard(self)
        self._prepare()


class _Fork:
    """How the thread that forks and the worker agree on the queue file."""

    def __init__(self) -> None:
        self.has_closed = threading.Event()
        self.may_go_on = threading.Event()


def _is_done(flush: Flush, timeout_s: float) -> bool:
    try:
        flush.done.result(timeout_s)
    except NotInTime:
        return False
    return True


def _look_at_the_clock(_: Worker) -> None:
    """Nothing to do: the worker looks at its deadlines after every item."""


def _before_fork() -> None:
    cores = list(_cores)
    for core in cores:
        core.before_fork()
    for core in cores:
        core.await_fork()


def _after_fork_in_parent() -> None:
    for core in list(_cores):
        core.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for core in list(_cores):
        core.after_fork_in_child()


def _at_exit() -> None:
    for core in list(_running):
        core.end_shutdown(core.begin_shutdown(EXIT_BUDGET_S), EXIT_BUDGET_S)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
atexit.register(_at_exit)
