"""`client.remote_config`: values that the app reads here and somebody sets at the gateway."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuruf.core import Core


class RemoteConfig:
    """Values for this device: kept across starts, refreshed while the radio is on anyway."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value, or the default while there is none. Never waits.

        Before the queue file is read, in the first milliseconds, there are only defaults:
        subscribe to `config_changed` to hear of values.
        """
        return self.all().get(key, default)

    def all(self) -> Mapping[str, Any]:
        """Give all values."""
        found: Mapping[str, Any] = self._core.subscriptions.latest("config_changed") or {}
        return MappingProxyType(dict(found))
