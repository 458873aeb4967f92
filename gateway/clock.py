"""Time and time-ordered ids, injectable."""

import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """Where a component reads the time; tests turn the hands themselves."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000


def new_id() -> str:
    """128 random bits as 32 hexadecimal digits: unguessable, so it may serve as a capability."""
    return secrets.token_hex(16)
