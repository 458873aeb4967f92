"""Help: the questions that many ask, and a request on its way to the shop. No window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from client_demo.shop.observable import Signal

Topic = Literal["order", "delivery", "return", "chat", "other"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
QUESTIONS: tuple[str, ...] = ("delivery", "return", "care", "payment", "messages")
"""Names of the questions; their texts are `support.faq.<name>.question` and `….answer`."""
TEXT_MIN, TEXT_MAX = 3, 1000
"""Characters of a request. The protocol takes 4,096 bytes a value."""
EVENT = "support_requested"

Send = Callable[[str, Mapping[str, object]], object]


class Request:
    """What somebody is writing to the shop."""

    def __init__(self, send: Send, topic: str = "") -> None:
        self.topic: Topic = next((known for known in TOPICS if known == topic), "order")
        self.text = ""
        self.is_sent = False
        self.changed = Signal()
        self._send = send

    @property
    def can_send(self) -> bool:
        return not self.is_sent and len(self.text.strip()) >= TEXT_MIN

    def choose(self, topic: Topic) -> None:
        if topic != self.topic:
            self.topic = topic
            self.changed()

    def write(self, text: str) -> None:
        self.text = text[:TEXT_MAX]

    def send(self) -> bool:
        """Record it as an event; False when there is nothing to send, or it was sent already."""
        if not self.can_send:
            return False
        self._send(EVENT, {"topic": self.topic, "text": self.text.strip()})
        self.is_sent = True
        self.changed()
        return True

    def again(self) -> None:
        """Begin another one."""
        self.text, self.is_sent = "", False
        self.changed()
