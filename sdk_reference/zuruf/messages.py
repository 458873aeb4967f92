"""In-app messages as the app sees them, and what it tells us about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from zuruf.decisions.canonical import mended
from zuruf.decisions.values import INTEGER_MAX, INTEGER_MIN, items, mapping, whole

SHOWN, CLICKED, DISMISSED = "message_shown", "message_clicked", "message_dismissed"
RECEIVED, FAILED = "message_received", "message_failed"
ANSWERED = "survey_answered"
INLINE = "inline"
# A message that names no end is dropped after this: nobody waits for it any more.
LIFE_MS_DEFAULT = 30 * 24 * 60 * 60 * 1000


class DisplayDecision(Enum):
    """What the app does with a message it was given."""

    SHOW = "show"
    """It takes care of the message, which is never handed over again, and reports what becomes of it."""
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
class Question:
    """A question of a survey. `kind` is `rating`, `choice`, `text` or a later one.

    A choice has `options`; a rating goes from 1 to `scale`.
    """

    id: str
    kind: str
    label: str
    options: tuple[str, ...] = ()
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What to ask. The answers go to `Show.answered`."""

    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What to render, natively. `raw` has also what this version of the SDK does not know."""

    layout: str
    title: str = ""
    body: str = ""
    image: str | None = None
    buttons: tuple[Button, ...] = ()
    theme: Mapping[str, Any] = field(default_factory=dict)
    survey: Survey | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A message with a trigger waits on the device until such an event is recorded.

    `where` is a rule over the event's props; None takes every event of that name.
    """

    event: str
    where: Mapping[str, Any] | None = None


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
    trigger: Trigger | None = None

    @property
    def is_overlay(self) -> bool:
        """It covers the screen, so there is one at a time; an inline message has its own place."""
        return self.content.layout != INLINE


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A message as it lies in the inbox."""

    message: Message
    is_read: bool = False


MessageCallback = Callable[["Message", "Show"], DisplayDecision | None]


class Show:
    """What the app reports about one message. Safe from any thread; never waits, never raises.

    The next overlay comes up when this one is gone: after `dismissed`, `clicked` or `failed`.
    """

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

        It was withdrawn, has expired, the person on the device has changed or wants no messages.
        """
        return self._is_current()

    def shown(self) -> None:
        """The person can see the message. Counts once."""
        self._report_once(SHOWN, {})

    def clicked(self, button_id: str) -> None:
        """The person chose a button."""
        self._report(CLICKED, {"message_id": self.message.id, "button": button_id})

    def answered(self, answers: dict[str, Any]) -> None:
        """The person answered the survey: question id → value. Counts once."""
        self._report_once(ANSWERED, {"answers": answers})

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
    if not isinstance(value, dict) or not _text(value.get("id"), ""):
        return None
    created_at = _whole(value.get("created_at"), now_ms)
    return Message(
        id=_text(value["id"], ""),
        content=_content(mapping(value.get("content"))),
        priority=_whole(value.get("priority"), 0),
        created_at=created_at,
        expires_at=_whole(value.get("expires_at"), min(created_at + LIFE_MS_DEFAULT, INTEGER_MAX)),
        channel=_text(value.get("channel"), "in_app"),
        journey_id=_text_or_none(value.get("journey_id")),
        decision_id=_text_or_none(value.get("decision_id")),
        display=mapping(value.get("display")),
        trigger=_trigger(value["trigger"]) if value.get("trigger") is not None else None,
    )


def _trigger(value: Any) -> Trigger:
    """Read a trigger. One that cannot be understood never fires: no event has an empty name."""
    wanted = mapping(value)
    where = wanted.get("where")
    if where is not None and not isinstance(where, dict):
        return Trigger("")
    return Trigger(_text(wanted.get("event"), ""), where)


def _content(value: Mapping[str, Any]) -> Content:
    return Content(
        layout=_text(value.get("layout"), "modal"),
        title=_text(value.get("title"), ""),
        body=_text(value.get("body"), ""),
        image=_text_or_none(value.get("image")),
        buttons=tuple(
            Button(
                id=_text(button.get("id"), ""),
                label=_text(button.get("label"), ""),
                action=mapping(button.get("action")),
            )
            for button in items(value.get("buttons"))
            if isinstance(button, dict)
        ),
        theme=mapping(value.get("theme")),
        survey=_survey(value["survey"]) if isinstance(value.get("survey"), dict) else None,
        raw=value,
    )


def _survey(value: Mapping[str, Any]) -> Survey:
    return Survey(
        tuple(
            Question(
                id=_text(question.get("id"), ""),
                kind=_text(question.get("kind"), "text"),
                label=_text(question.get("label"), ""),
                options=tuple(
                    one for one in items(question.get("options")) if isinstance(one, str)
                ),
                scale=_whole_or_none(question.get("scale")),
            )
            for question in items(value.get("questions"))
            if isinstance(question, dict)
        )
    )


def _text(value: Any, default: str) -> str:
    text = _text_or_none(value)
    return default if text is None else text


def _text_or_none(value: Any) -> str | None:
    """Read a text, one that can be written again: JSON may hold half of a surrogate pair."""
    return mended(value) if isinstance(value, str) else None


def _whole(value: Any, default: int) -> int:
    found = _whole_or_none(value)
    return default if found is None else found


def _whole_or_none(value: Any) -> int | None:
    found = whole(value)
    return found if found is not None and INTEGER_MIN <= found <= INTEGER_MAX else None
