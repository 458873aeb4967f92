"""The way to the gateway with a switch in it, and a list of what was answered: for the developer panel."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from zuruf import Request, Response, Transport, TransportError

ANSWERS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request."""

    at: float
    """Seconds since 1970."""
    method: str
    path: str
    status: int | None
    """None when there was no answer; then `error` says why."""
    took_ms: int
    error: str = ""

    @property
    def is_fine(self) -> bool:
        return self.status is not None and self.status < 400


class Traffic:
    """A transport around another one. Safe from any thread."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._answers: deque[Answer] = deque(maxlen=ANSWERS_KEPT)
        self._open: set[Request] = set()
        self._is_on = True

    @property
    def is_on(self) -> bool:
        return self._is_on

    def switch(self, *, on: bool) -> None:
        """Pull the plug, or put it back. What is under way ends at once."""
        with self._lock:
            self._is_on = on
            cut = () if on else tuple(self._open)
        for request in cut:
            self._inner.interrupt(request)

    def replace(self, inner: Transport) -> None:
        """Go on over another transport: the one before was closed by a client that ended."""
        self._inner = inner

    def answers(self) -> tuple[Answer, ...]:
        """Give the last answers, the newest first."""
        with self._lock:
            return tuple(reversed(self._answers))

    # The transport

    def request(self, request: Request) -> Response:
        began = time.monotonic()
        response = self._exchange(request, lambda: self._inner.request(request))
        self._note(request, response.status, began)
        return response

    def stream(self, request: Request, take: Callable[[bytes], None]) -> Response:
        began = time.monotonic()
        is_open = False

        def taken(data: bytes) -> None:
            nonlocal is_open
            if not is_open:
                # Worth a line now: the end of it may be hours away.
                is_open = True
                self._note(request, 200, began)
            take(data)

        response = self._exchange(request, lambda: self._inner.stream(request, taken))
        if not is_open:
            self._note(request, response.status, began)
        return response

    def interrupt(self, request: Request) -> None:
        self._inner.interrupt(request)

    def close(self) -> None:
        self._inner.close()

    def _exchange(self, request: Request, run: Callable[[], Response]) -> Response:
        began = time.monotonic()
        with self._lock:
            is_on = self._is_on
            if is_on:
                self._open.add(request)
        try:
            if not is_on:
                raise TransportError("switched off in the developer panel")
            return run()
        except TransportError as error:
            self._note(request, None, began, str(error))
            raise
        finally:
            with self._lock:
                self._open.discard(request)

    def _note(self, request: Request, status: int | None, began: float, error: str = "") -> None:
        took_ms = round((time.monotonic() - began) * 1000)
        path = request.path.partition("?")[0]
        answer = Answer(time.time(), request.method, path, status, took_ms, error)
        with self._lock:
            self._answers.append(answer)
