"""What the SDK says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from zuruf.decisions.stream import StreamState

StorageState = Literal["unopened", "disk", "memory"]
"""Where the queue lives. `memory`: the disk cannot be used, and a restart loses what waits."""


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
    """A snapshot, at most one turn of the worker old. None is what is not known, or never happened."""

    queue_events: int = 0
    """Events that are recorded and not yet acknowledged."""
    queue_bytes: int = 0
    """Their size as they go out, in bytes."""
    sent_events: int = 0
    """Events the gateway has acknowledged since this process started."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Events dropped since this process started, by reason; also those already reported to the gateway."""
    truncated: int = 0
    """Texts that were cut because they were too long; nothing was dropped."""
    storage: StorageState = "unopened"
    last_status: int | None = None
    """HTTP status of the last answer to an upload; None when there was no answer."""
    last_error: str | None = None
    """Why the last upload failed: the gateway's code, or what kept it from arriving. None after a success."""
    failures_in_a_row: int = 0
    """Uploads that have failed since the last success."""
    clock_offset_ms: int | None = None
    """What has to be added to the device's clock for the gateway's time, in milliseconds."""
    clock_rtt_ms: int | None = None
    """Round trip of the request the offset was measured with, in milliseconds: it is as exact as that."""
    stream_state: StreamState = "off"
    message_latency_ms: int | None = None
    """From the creation of the last message that waited for nothing until the app was asked to show it."""
    device_id: str | None = None
    profile_id: str | None = None
    user_id: str | None = None
    """Who is logged in as far as the gateway has confirmed it."""
    session_id: str | None = None
    is_identity_refused: bool = False
    """The gateway has refused the login: events wait for one with a valid proof."""
    trigger_events: frozenset[str] = frozenset()
    """Names of events that journeys wait for: they are sent at once."""
