"""`client.inbox`: every live message of the person on the device, to be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuruf.errors import InvalidEventError

if TYPE_CHECKING:
    from zuruf.core import Core
    from zuruf.messages import InboxMessage


class Inbox:
    """The messages that were handed over and have neither ended nor been removed."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def messages(self) -> tuple[InboxMessage, ...]:
        """Give them, the newest first, as of the worker's last turn."""
        found: tuple[InboxMessage, ...] = self._core.subscriptions.latest("inbox_changed") or ()
        return found

    @property
    def unread(self) -> int:
        """How many were not read yet."""
        return sum(not one.is_read for one in self.messages())

    def mark_read(self, message_id: str) -> None:
        """Note that the person has read a message."""
        self._core.attempt("inbox.mark_read", lambda: self._mark_read(_text(message_id)))

    def remove(self, message_id: str) -> None:
        """Take a message out of the inbox for good."""
        self._core.attempt("inbox.remove", lambda: self._remove(_text(message_id)))

    def _mark_read(self, message_id: str) -> None:
        self._core.post(lambda worker: worker.receiver.inbox.mark_read(message_id))

    def _remove(self, message_id: str) -> None:
        self._core.post(lambda worker: worker.receiver.inbox.remove(message_id))


def _text(message_id: object) -> str:
    if not isinstance(message_id, str):
        raise InvalidEventError("invalid_event", "the id of a message is a text")
    return message_id
