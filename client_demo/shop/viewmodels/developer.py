"""What the developer panel shows, as values: sizes, a time line of the stream, latencies. No window."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zuruf import Diagnostics

TIMELINE_S = 60.0
"""How far back the time line of the stream reaches."""
ID_SHOWN = 8
"""Characters of an id that are shown at each end."""
BATCH_BYTES = 1024

Tone = str
"""The name of a colour of the palette."""
TONES: dict[str, Tone] = {
    "sse": "success",
    "stream": "success",
    "long_poll": "star",
    "poll": "accent",
    "off": "muted",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the time line; 0 is its old end, 1 is now."""

    start: float
    end: float
    tone: Tone


class Timeline:
    """Which state the stream was in during the last minute. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._changes: deque[tuple[float, str]] = deque()

    @property
    def state(self) -> str:
        return self._changes[-1][1] if self._changes else "off"

    def note(self, now: float, state: str) -> None:
        """Say in which state it is."""
        if not self._changes or self._changes[-1][1] != state:
            self._changes.append((now, state))
        while len(self._changes) > 1 and self._changes[1][0] <= now - TIMELINE_S:
            self._changes.popleft()

    def spans(self, now: float) -> list[Span]:
        """Give the pieces from the oldest to now; before the first note there is none."""
        if not self._changes:
            return []
        ends = [at for at, _ in list(self._changes)[1:]] + [now]
        return [
            Span(_place(at, now), _place(end, now), tone_of(state))
            for (at, state), end in zip(self._changes, ends, strict=True)
        ]


def tone_of(state: str) -> Tone:
    """Give the colour for a state of the stream: `sse`, `long_poll:retry` and the like."""
    return TONES.get(state.partition(":")[0].partition(" ")[0], "muted")


def size(count: int) -> str:
    """Write a number of bytes: `812 B`, `4.2 KiB`, `1.3 MiB`."""
    if count < BATCH_BYTES:
        return f"{count} B"
    if count < BATCH_BYTES**2:
        return f"{count / BATCH_BYTES:.1f} KiB"
    return f"{count / BATCH_BYTES**2:.1f} MiB"


def shortened(value: str | None) -> str:
    """Give the beginning and the end of an id: enough to recognise it."""
    if not value:
        return "–"
    if len(value) <= 2 * ID_SHOWN + 1:
        return value
    return f"{value[:ID_SHOWN]}…{value[-ID_SHOWN:]}"


def ids(diagnostics: Diagnostics) -> list[tuple[str, str]]:
    """Name the ids that there are, with their values."""
    found = {
        "device": diagnostics.device_id,
        "profile": diagnostics.profile_id,
        "user": diagnostics.user_id,
        "session": diagnostics.session_id,
    }
    return [(name, value) for name, value in found.items() if value]


def drops(diagnostics: Diagnostics) -> list[tuple[str, int]]:
    """Give what was dropped, the most frequent reason first."""
    return sorted(diagnostics.dropped.items(), key=lambda item: (-item[1], item[0]))


def bars(values: Sequence[int], room: int) -> list[float]:
    """Give the last values as heights from 0 to 1; the highest one is 1."""
    last = list(values)[-room:]
    highest = max(last, default=0)
    return [value / highest if highest else 0.0 for value in last]


def median(values: Sequence[int]) -> int | None:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


def described(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Write the remote configuration down, in the order of the keys."""
    return [(key, _short(str(values[key]))) for key in sorted(values)]


def push_payload(number: int) -> dict[str, object]:
    """Make what a push of the gateway looks like: somebody opened a notification."""
    return {"zuruf": {"message_id": f"simulated-{number}"}, "url": "shop://inbox"}


def _place(at: float, now: float) -> float:
    return min(1.0, max(0.0, 1 - (now - at) / TIMELINE_S))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
