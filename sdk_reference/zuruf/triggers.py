"""Messages that wait on the device for an event, and the events that come. On the worker's thread."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zuruf.decisions.display import limit_of
from zuruf.decisions.rule import fits
from zuruf.events import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zuruf.events import Row
    from zuruf.message_store import MessageStore
    from zuruf.messages import Message
    from zuruf.workspace import Workspace


class Triggers:
    """Fires messages, in the transaction that keeps their event: neither is there without the other."""

    def __init__(self, work: Workspace, store: MessageStore) -> None:
        self._work = work
        self._store = store
        self._armed: dict[str, list[Message]] | None = None
        self._just_saved: list[Row] = []

    def changed(self) -> None:
        """Other messages may be armed now."""
        self._armed = None

    def saw(self, rows: Iterable[Row]) -> bool:
        """Look at events that are being saved; True when one fired a message."""
        events = [row for row in rows if row.kind == EVENT]
        self._just_saved += events
        return self._fire(events, self._by_name())

    def armed(self, messages: Iterable[Message]) -> bool:
        """Arm messages that have just come; True when an event of this turn fires one already.

        It may have happened after the message left the gateway.
        """
        self.changed()
        by_name: dict[str, list[Message]] = {}
        for message in messages:
            if message.trigger is not None:
                by_name.setdefault(message.trigger.event, []).append(message)
        return self._fire(self._just_saved, by_name)

    def turn_ended(self) -> None:
        """What happened until now has fired what it could."""
        self._just_saved.clear()

    def _by_name(self) -> Mapping[str, list[Message]]:
        if self._armed is None:
            self._armed = self._store.triggers()
        return self._armed

    def _fire(self, rows: Iterable[Row], armed: Mapping[str, list[Message]]) -> bool:
        has_fired = False
        for row in rows:
            for message in armed.get(row.name, ()):
                event, trigger = _event_of(row), message.trigger
                if trigger is None or not fits(trigger.where, event):
                    continue
                if not self._is_used_up(message):
                    fired = self._store.fire(message.id, event, self._work.server_ms())
                    has_fired = fired or has_fired
        return has_fired

    def _is_used_up(self, message: Message) -> bool:
        """Tell whether a message will never be shown again, so that nothing of it changes any more."""
        limit = limit_of(message.display)
        shown = sum(one.message_id == message.id for one in self._store.impressions())
        return limit.period_ms is None and shown >= limit.times


def _event_of(row: Row) -> dict[str, Any]:
    props = json.loads(row.body).get("props")
    return props if isinstance(props, dict) else {}
