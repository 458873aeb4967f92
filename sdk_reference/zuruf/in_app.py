"""`client.in_app`: who shows in-app messages, and when not to."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from zuruf.core import Core
    from zuruf.messages import MessageCallback

log = logging.getLogger("zuruf")


class Pause:
    """No message is handed to the app until this is resumed. Works as a context manager."""

    def __init__(self, core: Core, reason: str) -> None:
        self._reason = reason
        self._core = core
        log.debug("messages are paused: %s", reason)

    def resume(self) -> None:
        """End this pause. Messages are handed over again when no other one is left."""
        log.debug("a pause has ended: %s", self._reason)
        self._core.handover.resume(self)
        self._core.post(lambda worker: worker.receiver.look_again())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.resume()


class InApp:
    """In-app messages."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def on_message(self, callback: MessageCallback) -> MessageCallback:
        """Have messages shown by this function; the latest one counts. Works as a decorator.

        It runs on `Config.callback_executor`. Without a callback no messages are fetched.
        """
        self._core.show_messages_with(callback)
        return callback

    def pause(self, reason: str = "paused") -> Pause:
        """Hold messages back from this moment on, as during a checkout. They wait, none is lost.

        `reason` is for the debug log.
        """
        pause = Pause(self._core, reason)
        self._core.handover.pause(pause)
        return pause

    @property
    def is_paused(self) -> bool:
        """Whether any pause is in force."""
        return self._core.handover.is_paused
