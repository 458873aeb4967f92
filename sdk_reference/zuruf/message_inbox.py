"""The inbox: every live message of the person on the device. On the worker's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.message_store import MessageStore
    from zuruf.messages import InboxMessage
    from zuruf.workspace import Workspace


class MessageInbox:
    """Keeps what the app is told of the inbox in step with the file."""

    def __init__(
        self, work: Workspace, store: MessageStore, removed: Callable[[str], None]
    ) -> None:
        self._work = work
        self._store = store
        self._removed = removed
        # What the app was told, and for whom: it forgets what was told for somebody else.
        self._published: tuple[int, tuple[InboxMessage, ...]] | None = None
        self._may_have_changed = True

    def mark_read(self, message_id: str) -> None:
        """Note that the person has read a message; one that is gone is left alone."""
        if self._store.mark_read(message_id):
            self.changed()

    def remove(self, message_id: str) -> None:
        """Take a message out for good. It is not shown any more either."""
        if self._store.end(message_id):
            self._removed(message_id)
            self.changed()

    def changed(self) -> None:
        """Look at the file again before the turn ends."""
        self._may_have_changed = True

    def publish(self) -> None:
        """Tell the app what lies in the inbox, if that has changed."""
        person = self._work.person
        is_same_person = self._published is not None and self._published[0] == person
        if is_same_person and not self._may_have_changed:
            return
        messages = tuple(self._store.inbox(self._work.server_ms()))
        self._may_have_changed = False
        if (person, messages) != self._published:
            self._published = (person, messages)
            self._work.publish("inbox_changed", messages)
