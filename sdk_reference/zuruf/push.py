"""`client.push`: the push token, and what arrived by push."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from zuruf.core import Core

PushProvider = Literal["fcm", "apns", "hms", "web"]
# Where the gateway puts its own part of a payload, beside whatever the app's other senders use.
PAYLOAD_KEY = "zuruf"


class PushHandling(Enum):
    """What a payload was."""

    OPENED = "opened"
    """The person opened a notification of the gateway; that is recorded."""
    SYNC = "sync"
    """A silent push: messages are being fetched."""
    IGNORED = "ignored"
    """Somebody else's: the app's own code is to look at it."""


class Push:
    """Push notifications. The token and the payloads come from the app's push library."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, token: str, provider: PushProvider = "fcm") -> None:
        """Tell the gateway where to send pushes for this device. Call it whenever the token changes."""
        self._core.attempt(
            "push.register", lambda: self._core.recorder.register_push(token, provider)
        )

    def unregister(self) -> None:
        """Have no more pushes sent to this device."""
        self._core.attempt("push.unregister", self._core.recorder.unregister_push)

    def handle(self, payload: Mapping[str, Any]) -> PushHandling:
        """Look at a payload and do what it asks; tells what it was."""
        ours = _ours(payload)
        if ours is None:
            return PushHandling.IGNORED
        if ours.get("sync") is True:
            self._core.post(lambda worker: worker.receiver.sync())
            return PushHandling.SYNC
        known = {name: ours[name] for name in ("message_id", "journey_id", "url") if name in ours}
        self._core.record("message", "push_opened", known)
        return PushHandling.OPENED


def _ours(payload: object) -> Mapping[str, Any] | None:
    found = payload.get(PAYLOAD_KEY) if isinstance(payload, Mapping) else None
    if isinstance(found, str):
        # FCM carries nothing but texts.
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, Mapping) else None
