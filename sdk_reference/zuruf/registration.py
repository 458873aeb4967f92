"""How the device becomes known to the gateway, and what it does when it no longer is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zuruf.decisions.identity import clears_cursor, logs_in_again
from zuruf.events import IDENTIFY, Row
from zuruf.operations import IDENTITY_KINDS, names_profile
from zuruf.version import __version__
from zuruf.wire import json_bytes
from zuruf.workspace import CURSOR, PUSH_TOLD

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")


class Registration:
    """Registers the device, and follows the answers."""

    def __init__(self, work: Workspace, forget_messages: Callable[[], None]) -> None:
        self._work = work
        self._forget_messages = forget_messages

    def body(self) -> bytes:
        """Say what this device is, and what its person allows."""
        work, platform = self._work, self._work.config.platform
        body: dict[str, Any] = {
            "install_id": work.identity.install_id,
            "platform": platform.name,
            "form_factor": platform.form_factor,
            "device": _without_none(asdict(platform.device())),
            "sdk": {"name": "zuruf-python", "version": __version__},
        }
        consent = work.consent
        if consent.purposes:
            body["consent"] = {purpose: consent.allows(purpose) for purpose in consent.purposes}
        return json_bytes(body)

    def headers(self) -> dict[str, str]:
        """Say by what right: the app's key, and the token of the device if it has one."""
        headers = {"Authorization": f"Bearer {self._work.config.publishable_key}"}
        if self._work.identity.token is not None:
            headers["X-Device-Token"] = self._work.identity.token
        return headers

    def follow(self, body: Mapping[str, Any]) -> None:
        """Be the device that the gateway says; whoever calls holds the transaction."""
        work, before = self._work, self._work.identity
        identity = before.registered(body)
        work.keep(identity)
        work.keep_token_life(body.get("expires_at"), work.server_ms())
        if clears_cursor(before, identity):
            work.storage.put(CURSOR, "")
        if identity.device_id != before.device_id:
            work.storage.put(PUSH_TOLD, None)
        user_id = logs_in_again(before, identity)
        if user_id is not None:
            work.storage.put_first(self._login(user_id))

    def forget_device(self, code: str) -> None:
        """Give the token up: only a new device is left."""
        log.warning("the gateway does not know this device any more (%s)", code)
        work, before = self._work, self._work.identity
        identity = before.without_token(code)
        with work.storage.transaction():
            if identity.user_id != before.user_id:
                self._forget_messages()
                if not any(one.kind in IDENTITY_KINDS for one in work.storage.operations()):
                    work.keep_user(None)
            work.keep(identity)

    def _login(self, user_id: str) -> Row:
        """A new device, but the same person on it: log in again before anything else."""
        now_ms = self._work.clock.wall_ms()
        body = json_bytes({"user_id": user_id})
        return Row(IDENTIFY, self._work.ids.new_id(now_ms), user_id, now_ms, body)


def names_device(body: Mapping[str, Any]) -> bool:
    """Tell whether an answer says which device this is."""
    return isinstance(body.get("device_id"), str) and names_profile(body)


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(item) if isinstance(item, dict) else item
        for name, item in value.items()
        if item is not None
    }
