"""The inbox as a list: what is in it, how old it is, and which icon tells its kind. No window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from client_demo.shop.i18n import Translator
from zuruf import InboxMessage, Message

ICONS: dict[str, str] = {
    "banner": "megaphone",
    "slideup": "sparkle",
    "modal": "envelope-simple",
    "fullscreen": "image",
    "inline": "tag",
    "survey": "smiley",
    "chat": "chat-circle-dots",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the inbox."""

    message: Message
    title: str
    text: str
    age: str
    icon: str
    is_read: bool

    @property
    def id(self) -> str:
        return self.message.id


def entries(
    inbox: Iterable[InboxMessage], now: datetime, translator: Translator
) -> tuple[Entry, ...]:
    """Make the rows, the newest first."""
    newest_first = sorted(inbox, key=lambda one: one.message.created_at, reverse=True)
    return tuple(_entry(one, now, translator) for one in newest_first)


def age_of(at_ms: int, now: datetime, translator: Translator) -> str:
    """Say when something was: `now`, `5 min`, the time of today, `yesterday`, the day."""
    at = datetime.fromtimestamp(at_ms / 1000, now.tzinfo)
    passed = now - at
    if passed < timedelta(minutes=1):
        return translator.text("inbox.age.now")
    if passed < timedelta(hours=1):
        return translator.text("inbox.age.minutes", n=int(passed.total_seconds() // 60))
    if at.date() == now.date():
        return translator.time(at)
    if at.date() == now.date() - timedelta(days=1):
        return translator.text("inbox.age.yesterday")
    return translator.date(at.date())


def _entry(one: InboxMessage, now: datetime, translator: Translator) -> Entry:
    content = one.message.content
    icon = content.theme.get("icon")
    return Entry(
        message=one.message,
        title=content.title.strip() or translator.text("inbox.untitled"),
        text=" ".join(content.body.split()),
        age=age_of(one.message.created_at, now, translator),
        icon=icon if isinstance(icon, str) else ICONS.get(content.layout, "envelope-simple"),
        is_read=one.is_read,
    )
