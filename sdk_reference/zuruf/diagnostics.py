"""What the SDK says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush achieved: events sent meanwhile, and events that still wait."""

    sent: int
    remaining: int
    last_status: int | None = None
    last_error: str | None = None

    @property
    def is_complete(self) -> bool:
        """Nothing is left."""
        return self.remaining == 0


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """A snapshot, at most one turn of the worker old."""

    queue_events: int = 0
    queue_bytes: int = 0
    sent_events: int = 0
    # By reason, since this process started; also those already reported to the gateway.
    dropped: Mapping[str, int] = field(default_factory=dict)
    storage: str = "unopened"
    last_status: int | None = None
    last_error: str | None = None
    failures_in_a_row: int = 0
    clock_offset_ms: int | None = None
    clock_rtt_ms: int | None = None
    stream_state: str = "off"
    device_id: str | None = None
    profile_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    is_identity_refused: bool = False
    trigger_events: frozenset[str] = frozenset()
