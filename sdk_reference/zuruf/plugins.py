"""Code of the app that sees every event before it is kept, and may change or drop it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from zuruf.decisions.canonical import checked_name, checked_props, event_body
from zuruf.errors import InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuruf.events import Row

log = logging.getLogger("zuruf")

DROPPED = "plugin"


@dataclass(frozen=True, slots=True)
class Event:
    """An event as a plugin sees it.

    What a plugin gives for `name` and `props` counts; the other fields are what they are.
    """

    id: str
    type: str
    name: str
    ts: int
    session_id: str | None = None
    props: Mapping[str, Any] = field(default_factory=dict)

    def replace(self, **changes: Any) -> Event:
        """Give the event with another `name` or other `props`."""
        return replace(self, **changes)


class Plugin(Protocol):
    """One plugin. Mistakes in it are logged once and cost no event."""

    @property
    def name(self) -> str:
        """What to call it in the log."""

    def setup(self, client: Any) -> None:
        """Learn which client (`Zuruf`) it works for, before the first event."""

    def on_event(self, event: Event) -> Event | None:
        """Give the event, a changed one, or None to drop it. Runs on the worker's thread."""

    def shutdown(self) -> None:
        """The client has ended."""


class Plugins:
    """All plugins of a client, in the order of the configuration."""

    def __init__(self, plugins: Sequence[Plugin], count_drop: Callable[[str], None]) -> None:
        self._plugins = tuple(plugins)
        self._count_drop = count_drop
        self._failed: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._plugins)

    def passed(self, row: Row) -> Row | None:
        """Show an event to all plugins; give what they made of it, or None, which is counted."""
        before = event = _event_of(row)
        for plugin in self._plugins:
            result = self._result(plugin, event)
            if result is None:
                self._count_drop(DROPPED)
                return None
            event = result
        if event is before:
            return row
        return self._checked(row, event)

    def shutdown(self) -> None:
        """Tell all plugins that the client has ended."""
        for plugin in self._plugins:
            try:
                plugin.shutdown()
            except Exception:
                log.exception("the plugin %s failed to shut down", _name_of(plugin))

    def _result(self, plugin: Plugin, event: Event) -> Event | None:
        try:
            result = plugin.on_event(event)
            if result is not None and not isinstance(result, Event):
                raise TypeError(f"on_event gave a {type(result).__name__}, not an Event or None")
        except Exception:
            if id(plugin) not in self._failed:
                self._failed.add(id(plugin))
                log.exception("the plugin %s failed; its events go on", _name_of(plugin))
            return event
        return result

    def _checked(self, row: Row, event: Event) -> Row | None:
        """Hold what plugins made to the limits of the protocol, as every call is."""
        stamped = json.loads(row.body)
        try:
            body = event_body(
                row.id,
                row.type,
                checked_name(event.name),
                stamped["ts"],
                stamped.get("session_id"),
                stamped.get("seq"),
                checked_props(event.props).json,
            )
        except InvalidEventError as error:
            log.warning("a plugin made an event that cannot be sent: %s", error)
            self._count_drop(error.code)
            return None
        return replace(row, name=event.name, body=body)


def setup(plugin: Plugin, client: object) -> None:
    """Tell a plugin its client. One that fails stays in use: its events are still its business."""
    try:
        plugin.setup(client)
    except Exception:
        log.exception("the plugin %s failed to set up", _name_of(plugin))


def _event_of(row: Row) -> Event:
    body = json.loads(row.body)
    return Event(row.id, row.type, row.name, body["ts"], body.get("session_id"), body["props"])


def _name_of(plugin: Plugin) -> str:
    return str(getattr(plugin, "name", type(plugin).__name__))
