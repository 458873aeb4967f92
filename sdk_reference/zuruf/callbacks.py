"""Where the app's functions run: on the executor it named, else one after another on a thread of ours."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor

log = logging.getLogger("zuruf")

CallbackExecutor = Executor | Callable[[Callable[[], None]], object]


class Callbacks:
    """Runs functions of the app, in order, never on the worker's thread."""

    def __init__(self, executor: CallbackExecutor | None) -> None:
        self._own_thread = _OwnThread()
        self._submit: Callable[[Callable[[], None]], object]
        if executor is None:
            self._submit = self._own_thread.run
        elif isinstance(executor, Executor):
            self._submit = executor.submit
        else:
            self._submit = executor

    def run(self, job: Callable[[], None]) -> None:
        """Have a function run soon; raises what the app's executor raises when it takes nothing."""
        self._submit(job)

    def close(self) -> None:
        """Run nothing that is given from now on, if the thread is ours."""
        self._own_thread.stop()


class _OwnThread:
    """One thread, started with the first function: most clients never need it."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_started = False
        # The app's threads and the worker may come here at once.
        self._starting = threading.Lock()

    def run(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        with self._starting:
            if self._is_started:
                return
            self._is_started = True
        threading.Thread(target=self._work, name="zuruf-callbacks", daemon=True).start()

    def stop(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("a callback failed")
