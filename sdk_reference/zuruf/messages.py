"""In-app messages as the app sees them, and what it tells us about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

SHOWN, CLICKED, DISMISSED = "message_shown", "message_clicked", "message_dismissed"
RECEIVED, FAILED = "message_received", "message_failed"
# A message that names no end is dropped after this: nobody waits for it any more.
LIFE_MS_DEFAULT = 30 * 24 * 60 * 60 * 1000


class DisplayDecision(Enum):
    """What the app does with a message it was given."""

    SHOW = "show"
    """It takes care of the message: it is never handed over again."""
    DEFER = "defer"
    """Not now: hand it over again at the next `screen()`, or after half a minute."""
    DISCARD = "discard"
    """Not ever: reported as dismissed."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button. `action["type"]` is `dismiss`, `deep_link`, `open_url`, `event` or a later one."""

    id: str
    label: str
    action: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """What to render, natively. `raw` has also what this version of the SDK does not know."""

    layout: str
    title: str = ""
    body: str = ""
    image: str | None = None
    buttons: tuple[Button, ...] = ()
    theme: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One in-app message. Times are milliseconds since 1970, by the gateway's clock."""

    id: str
    content: Content
    priority: int = 0
    created_at: int = 0
    expires_at: int = 0
    channel: str = "in_app"
    journey_id: str | None = None
    decision_id: str | None = None
    display: Mapping[str, Any] = field(default_factory=dict)


MessageCallback = Callable[["Message", "Show"], DisplayDecision | None]


class Show:
    """What the app reports about one message. Safe from any thread; never waits, never raises."""

    def __init__(
        self,
        message: Message,
        report: Callable[[str, dict[str, Any]], None],
        is_current: Callable[[], bool],
    ) -> None:
        self.message = message
        self._report = report
        self._is_current = is_current
        self._once: set[str] = set()
        self._lock = threading.Lock()

    @property
    def is_current(self) -> bool:
        """False when the message must not be on the screen any more.

        It was withdrawn, has expired, or the person on the device has changed.
        """
        return self._is_current()

    def shown(self) -> None:
        """The person can see the message. Counts once."""
        self._report_once(SHOWN, {})

    def clicked(self, button_id: str) -> None:
        """The person chose a button."""
        self._report(CLICKED, {"message_id": self.message.id, "button": button_id})

    def dismissed(self, reason: str = "closed") -> None:
        """The message is gone from the screen. Counts once."""
        self._report_once(DISMISSED, {"reason": reason})

    def failed(self, reason: object = "failed") -> None:
        """The message could not be rendered. Counts once."""
        self._report_once(FAILED, {"reason": str(reason)[:512]})

    def _report_once(self, name: str, props: dict[str, Any]) -> None:
        with self._lock:
            if name in self._once:
                return
            self._once.add(name)
        self._report(name, {"message_id": self.message.id, **props})


def read_message(value: Any, now_ms: int) -> Message | None:
    """Read a message of the wire as far as it can be understood; None when it has no id."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not value["id"]:
        return None
    created_at = _whole(value.get("created_at"), now_ms)
    return Message(
        id=value["id"],
        content=_content(_mapping(value.get("content"))),
        priority=_whole(value.get("priority"), 0),
        created_at=created_at,
        expires_at=_whole(value.get("expires_at"), created_at + LIFE_MS_DEFAULT),
        channel=_text(value.get("channel"), "in_app"),
        journey_id=_text_or_none(value.get("journey_id")),
        decision_id=_text_or_none(value.get("decision_id")),
        display=_mapping(value.get("display")),
    )


def _content(value: Mapping[str, Any]) -> Content:
    buttons = value.get("buttons")
    return Content(
        layout=_text(value.get("layout"), "modal"),
        title=_text(value.get("title"), ""),
        body=_text(value.get("body"), ""),
        image=_text_or_none(value.get("image")),
        buttons=tuple(
            Button(
                id=_text(button.get("id"), ""),
                label=_text(button.get("label"), ""),
                action=_mapping(button.get("action")),
            )
            for button in (buttons if isinstance(buttons, list) else [])
            if isinstance(button, dict)
        ),
        theme=_mapping(value.get("theme")),
        raw=value,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, default: str) -> str:
    return value if isinstance(value, str) else default


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
