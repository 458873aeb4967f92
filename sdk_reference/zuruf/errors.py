"""What can go wrong inside the SDK. The host app meets these only with `Config(debug=True)`.

ZurufError
├── ConfigError         the configuration cannot work; raised where it is built
├── InvalidEventError   an event breaks the protocol's limits; dropped and counted under `code`
├── TransportError      no complete answer arrived; the outcome is unknown, a repeat is harmless
└── StorageError        the queue on disk cannot be opened
"""

from __future__ import annotations


class ZurufError(Exception):
    """Anything this SDK raises."""


class ConfigError(ZurufError, ValueError):
    """The configuration cannot work."""


class InvalidEventError(ZurufError, ValueError):
    """An event the gateway would reject; `code` is the gateway's word for it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class TransportError(ZurufError, OSError):
    """No complete answer arrived."""


class StorageError(ZurufError):
    """The queue on disk cannot be opened."""
