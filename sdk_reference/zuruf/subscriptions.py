"""Who wants to know what: functions of the app that are told when something of the SDK changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from zuruf.callbacks import Callbacks

log = logging.getLogger("zuruf")

Topic = Literal[
    "session_changed",
    "identity_changed",
    "delivered",
    "dropped",
    "stream_state",
    "config_changed",
    "inbox_changed",
    "message_ended",
]
"""What can be subscribed to, and what a listener is called with.

`session_changed`: the id of the new session · `identity_changed`: the user id, or None after a logout ·
`delivered`: a tuple of the ids of events that are on the gateway's disk · `dropped`: reason → number of
events · `stream_state`: a word, see `Diagnostics` · `config_changed`: key → value · `inbox_changed`: a
tuple of `InboxMessage` · `message_ended`: the id of a message that must leave the screen.
"""
TOPICS: tuple[str, ...] = get_args(Topic)

Listener = Callable[[Any], object]


Holds = Callable[[], bool]


def always() -> bool:
    """Holds for values that are nobody's in particular."""
    return True


class Subscription:
    """One function that is told about one topic, until it is cancelled."""

    def __init__(self, topic: Topic, listener: Listener) -> None:
        self.topic = topic
        self._listener = listener
        self._is_cancelled = False

    def cancel(self) -> None:
        """Be told nothing more, not even what is already on its way."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        return self._is_cancelled

    def tell(self, value: object, holds: Holds) -> None:
        """Call the function, unless cancelled meanwhile. What it raises is logged, nobody else hears it."""
        if self._is_cancelled or not holds():
            return
        try:
            self._listener(value)
        except Exception:
            log.exception("a listener of %s failed", self.topic)


class Subscriptions:
    """All subscriptions of a client, and the latest value of each topic. Safe from any thread.

    A value may hold only for a while: what belongs to a person must reach nobody after the logout.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: tuple[Subscription, ...] = ()
        self._latest: dict[str, tuple[object, Holds]] = {}

    def add(self, topic: Topic, listener: Listener) -> Subscription:
        subscription = Subscription(topic, listener)
        with self._lock:
            kept = [one for one in self._active if not one.is_cancelled]
            self._active = (*kept, subscription)
        return subscription

    def latest(self, topic: Topic) -> Any:
        """Give what was published last under a topic; None when there is nothing, or nothing holds."""
        value, holds = self._latest.get(topic, (None, always))
        return value if holds() else None

    def publish(
        self, callbacks: Callbacks, topic: Topic, value: object, holds: Holds = always
    ) -> None:
        """Remember a value and tell everybody who asked, where callbacks run."""
        self._latest[topic] = (value, holds)
        for subscription in self._active:
            if subscription.topic == topic and not subscription.is_cancelled:
                try:
                    callbacks.run(partial(subscription.tell, value, holds))
                except Exception:
                    log.exception("the callback executor did not take %s", topic)
