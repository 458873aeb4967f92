"""How long a device token is good for, and when to have a new one before it has to be. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

RENEWAL_PARTS = 5
# Of a token whose life is not known.
RENEWAL_MS = 3 * 24 * 60 * 60 * 1000


class TokenLife(NamedTuple):
    """When a token was given out and when it ends, by the gateway's clock; None where nobody said."""

    issued_ms: int | None = None
    expires_ms: int | None = None

    def is_renewal_due(self, now_ms: int) -> bool:
        """Tell whether less than a fifth of its life is left, or three days if that is not known."""
        if self.expires_ms is None:
            return False
        left_ms = self.expires_ms - now_ms
        if self.issued_ms is None or self.issued_ms >= self.expires_ms:
            return left_ms < RENEWAL_MS
        return left_ms * RENEWAL_PARTS < self.expires_ms - self.issued_ms


def told(expires_at: Any, server_ms: int) -> TokenLife:
    """Read `expires_at` of an answer that came at `server_ms`; what cannot be a time says nothing."""
    if isinstance(expires_at, bool) or not isinstance(expires_at, int) or expires_at <= 0:
        return TokenLife()
    return TokenLife(server_ms, expires_at)


def kept(value: Any) -> TokenLife:
    """Read what went into the queue file as a list of both times."""
    match value:
        case [int(issued_ms), int(expires_ms)]:
            return TokenLife(issued_ms, expires_ms)
        case _:
            return TokenLife()
