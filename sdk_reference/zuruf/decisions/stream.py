"""How messages are received: a stream, held polls where streams fail, short polls where those fail too.

A reducer: `step(state, event, now_ms, chance, tuning)` gives the state after an event and what to do
now; `deadline_ms(state)` says when to come back with `tick` if nothing happens before. Times are
monotonic milliseconds, chance is from 0 up to, not including, 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Mode = Literal["sse", "long_poll", "poll"]
"""From the best to the one that always works."""
Phase = Literal["off", "suspended", "waiting", "connecting", "open"]
"""`suspended`: in the background. `waiting`: for the time of the next request. `connecting`: it is on
its way. `open`: a stream is there."""
Kind = Literal[
    "start",
    "stop",
    "restart",
    "foreground",
    "background",
    "online",
    "opened",
    "heard",
    "answered",
    "cut",
    "drain",
    "failed",
    "refused",
    "tick",
]
Effect = Literal["open", "close"]
"""`open`: send a request of the state's mode. `close`: end the one that is on its way or open."""

MODES: tuple[Mode, ...] = ("sse", "long_poll", "poll")

# A stream is dead after one and a half heartbeats and a little for the network.
DEAD_AFTER_HEARTBEATS = 1.5
DEAD_AFTER_EXTRA_MS = 5_000
# What a request may take beyond the time for which the gateway holds it.
ANSWER_MS_MAX = 30_000
# After a cut that hits everybody (a restart of the gateway), devices must not all come back at once.
HERD_MS = 3_000
RECONNECT_MS_MIN, RECONNECT_MS_MAX = 500, 30_000
RETRY_MS_MIN, RETRY_MS_MAX = 100, 30_000
FAILURES_MAX = 3
# Streams that opened and then stayed silent: something on the way keeps back what it is given.
SILENT_STREAMS_MAX = 2
PROBE_AFTER_MS = 300_000
POLL_INTERVAL_MS_MAX = 600_000
BACKGROUND_GRACE_MS = 10_000
# A held poll that ends empty sooner than this part of its wait was cut by something in between.
HELD_PART_MIN = 0.5
DOUBLINGS_MAX = 20


class Tuning(NamedTuple):
    """What app and gateway can set. `best` is the best mode to use."""

    best: Mode = "sse"
    heartbeat_ms: int = 25_000
    poll_wait_ms: int = 25_000
    poll_interval_ms: int = 60_000

    @property
    def dead_after_ms(self) -> int:
        return int(self.heartbeat_ms * DEAD_AFTER_HEARTBEATS) + DEAD_AFTER_EXTRA_MS


class Event(NamedTuple):
    """Something that happened.

    `start`, `stop`: messages are wanted and may be received, or no longer. `restart`: another token
    or person, begin anew at once. `foreground`, `background`: the app. `online`: an upload was
    answered after others were not. `opened`: the stream is
    there. `heard`: bytes came on it. `answered`: a poll did. `cut`: the stream ended. `drain`: the
    gateway asks to reconnect. `failed`: no answer, or not from the gateway. `refused`: the gateway's
    own word that it cannot be now, which says nothing against the mode. `tick`: look at the clock.
    """

    kind: Kind
    # Of `failed` and `refused`: wait at least so long.
    floor_ms: int = 0
    # Of `heard`: what the stream said about reconnecting.
    retry_ms: int | None = None
    # Of `answered`: how long the poll was held, and whether it brought anything.
    held_ms: int = 0
    is_empty: bool = False


class Stream(NamedTuple):
    """Where receiving stands."""

    phase: Phase = "off"
    mode: Mode = "sse"
    # Waiting: when to open. Connecting, open: when to give it up.
    at_ms: int = 0
    # In a row: attempts that speak against the mode, and those that do not.
    failures: int = 0
    refusals: int = 0
    # The gateway asked not to be asked before.
    floor_at_ms: int = 0
    # Whether anything came on this stream, and how many before it never brought anything.
    is_heard: bool = False
    silent_streams: int = 0
    # When to try a better mode, and whether this is such a try.
    probe_at_ms: int | None = None
    is_probe: bool = False
    # The first wait before a reconnect, which then doubles.
    retry_ms: int = RECONNECT_MS_MIN
    is_background: bool = False
    # In the background, until it is closed: when to close.
    close_at_ms: int | None = None


class Stepped(NamedTuple):
    """The state after an event, and what to do now, in this order."""

    state: Stream
    effects: tuple[Effect, ...] = ()


StreamState = Literal["off", "suspended", "retrying", "sse", "long_poll", "poll"]
"""How messages come: not at all, not in the background, not at the moment, or in which mode."""


def described(state: Stream) -> StreamState:
    """Say in a word how it goes."""
    if state.phase in {"off", "suspended"}:
        return state.phase
    return "retrying" if state.failures or state.refusals else state.mode


def deadline_ms(state: Stream) -> int | None:
    """Give the time at which `tick` changes something; None while off or suspended."""
    if state.phase in {"off", "suspended"}:
        return None
    return state.at_ms if state.close_at_ms is None else min(state.at_ms, state.close_at_ms)


def step(state: Stream, event: Event, now_ms: int, chance: float, tuning: Tuning) -> Stepped:
    """Decide. An event that does not fit the phase (a late one) changes nothing."""
    match event.kind:
        case "start":
            return _started(state, now_ms, tuning)
        case "stop":
            return _ended(state, "off")
        case "background":
            return Stepped(_in_background(state, now_ms))
        case "foreground":
            return _in_foreground(state, now_ms, tuning)
    if state.phase in {"off", "suspended"}:
        return Stepped(state)
    match event.kind:
        case "tick":
            return _ticked(state, now_ms, chance, tuning)
        case "restart":
            return _restarted(state, now_ms, tuning)
        case "online":
            return _online(state, now_ms, tuning)
    if state.phase == "waiting":
        return Stepped(state)
    match event.kind:
        case "opened":
            at_ms = now_ms + tuning.dead_after_ms
            return Stepped(state._replace(phase="open", at_ms=at_ms))
        case "heard":
            return Stepped(_heard(state, event, now_ms, tuning))
        case "answered":
            return _answered(state, event, now_ms, chance, tuning)
        case "drain":
            return Stepped(_waiting(state, now_ms + int(chance * HERD_MS)), ("close",))
        case "cut" if state.is_heard:
            return Stepped(_waiting(state, now_ms + int(chance * HERD_MS)))
        case "refused":
            return Stepped(_refused(state, event.floor_ms, now_ms, chance))
    return Stepped(_failed(state, event.floor_ms, now_ms, chance, tuning))


# What the app and the clock do


def _started(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    if state.phase != "off":
        return Stepped(state)
    if state.is_background:
        return Stepped(state._replace(phase="suspended"))
    return _resumed(state, now_ms, tuning)


def _resumed(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    """Begin at once, unless the gateway has asked to wait."""
    state = state._replace(failures=0, refusals=0)
    if now_ms < state.floor_at_ms:
        return Stepped(_waiting(state, state.floor_at_ms))
    return _begun(state, now_ms, tuning)


def _restarted(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    fresh = _waiting(state, now_ms)._replace(failures=0, refusals=0, floor_at_ms=0)
    begun = _begun(fresh, now_ms, tuning)
    return Stepped(begun.state, (*_closing(state), *begun.effects))


def _online(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    """Begin anew with the best mode: it was the network that failed. An attempt under way goes on."""
    if state.phase != "waiting" or now_ms < state.floor_at_ms:
        return Stepped(state)
    fresh = Stream(mode=tuning.best, retry_ms=state.retry_ms)
    kept = fresh._replace(is_background=state.is_background, close_at_ms=state.close_at_ms)
    return _begun(kept, now_ms, tuning)


def _begun(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    """Send the next request, in a better mode if it is time to try one."""
    climbs = not state.is_probe and _may_climb(state, now_ms, tuning)
    place = max(MODES.index(state.mode) - climbs, MODES.index(tuning.best))
    mode = MODES[place]
    patience_ms = ANSWER_MS_MAX + (tuning.poll_wait_ms if mode == "long_poll" else 0)
    connecting = state._replace(
        phase="connecting",
        mode=mode,
        at_ms=now_ms + patience_ms,
        is_heard=False,
        is_probe=state.is_probe or climbs,
    )
    return Stepped(connecting, ("open",))


def _may_climb(state: Stream, now_ms: int, tuning: Tuning) -> bool:
    """Tell whether it is time to try a better mode; not while not even this one works."""
    return (
        MODES.index(state.mode) > MODES.index(tuning.best)
        and not state.failures
        and state.probe_at_ms is not None
        and now_ms >= state.probe_at_ms
    )


def _in_background(state: Stream, now_ms: int) -> Stream:
    if state.is_background:
        return state
    close_at_ms = None if state.phase == "off" else now_ms + BACKGROUND_GRACE_MS
    return state._replace(is_background=True, close_at_ms=close_at_ms)


def _in_foreground(state: Stream, now_ms: int, tuning: Tuning) -> Stepped:
    state = state._replace(is_background=False, close_at_ms=None)
    if state.phase in {"suspended", "waiting"}:
        # The person is looking now: whatever we were waiting for, this is a new attempt.
        return _resumed(state, now_ms, tuning)
    return Stepped(state)


def _ended(state: Stream, phase: Literal["off", "suspended"]) -> Stepped:
    """Close; what was learnt about the modes stays."""
    return Stepped(state._replace(phase=phase, close_at_ms=None), _closing(state))


def _closing(state: Stream) -> tuple[Effect, ...]:
    return ("close",) if state.phase in {"connecting", "open"} else ()


def _ticked(state: Stream, now_ms: int, chance: float, tuning: Tuning) -> Stepped:
    if state.close_at_ms is not None and now_ms >= state.close_at_ms:
        return _ended(state, "suspended")
    if now_ms < state.at_ms:
        return Stepped(state)
    if state.phase == "waiting":
        return _begun(state, now_ms, tuning)
    if state.is_heard:
        return Stepped(_waiting(state, now_ms + int(chance * HERD_MS)), ("close",))
    if state.phase == "open":
        state = state._replace(silent_streams=state.silent_streams + 1)
    return Stepped(_failed(state, 0, now_ms, chance, tuning), ("close",))


# What the network does


def _heard(state: Stream, event: Event, now_ms: int, tuning: Tuning) -> Stream:
    retry_ms = state.retry_ms
    if event.retry_ms is not None:
        retry_ms = max(RETRY_MS_MIN, min(event.retry_ms, RETRY_MS_MAX))
    return _worked(state, now_ms)._replace(
        phase="open", at_ms=now_ms + tuning.dead_after_ms, is_heard=True, retry_ms=retry_ms
    )


def _answered(state: Stream, event: Event, now_ms: int, chance: float, tuning: Tuning) -> Stepped:
    if state.mode == "long_poll":
        if event.is_empty and event.held_ms < tuning.poll_wait_ms * HELD_PART_MIN:
            return Stepped(_failed(state, 0, now_ms, chance, tuning))
        return _begun(_worked(state, now_ms), now_ms, tuning)
    worked = _worked(state, now_ms)
    if state.failures:
        # Not even this had worked: it was the network, not the better mode.
        worked = worked._replace(probe_at_ms=now_ms)
    if _may_climb(worked, now_ms, tuning):
        return _begun(worked, now_ms, tuning)
    return Stepped(_waiting(worked, now_ms + tuning.poll_interval_ms))


def _worked(state: Stream, now_ms: int) -> Stream:
    """Learn that the mode works; after a probe, the next better one is tried in a while."""
    probe_at_ms = now_ms + PROBE_AFTER_MS if state.is_probe else state.probe_at_ms
    return state._replace(
        failures=0,
        refusals=0,
        silent_streams=0,
        is_probe=False,
        probe_at_ms=None if state.mode == "sse" else probe_at_ms,
    )


def _failed(state: Stream, floor_ms: int, now_ms: int, chance: float, tuning: Tuning) -> Stream:
    """Wait; and go on in a lesser mode if this one has failed too often."""
    failures = state.failures + 1
    wait_ms = max(floor_ms, _wait_ms(state, failures, chance, tuning))
    waiting = _waiting(state, now_ms + wait_ms)._replace(
        failures=failures, floor_at_ms=now_ms + floor_ms
    )
    is_silent = state.silent_streams >= SILENT_STREAMS_MAX
    if state.mode == "poll" or not (state.is_probe or failures >= FAILURES_MAX or is_silent):
        return waiting
    return waiting._replace(
        mode=MODES[MODES.index(state.mode) + 1],
        failures=0,
        silent_streams=0,
        is_probe=False,
        probe_at_ms=now_ms + PROBE_AFTER_MS,
    )


def _refused(state: Stream, floor_ms: int, now_ms: int, chance: float) -> Stream:
    refusals = state.refusals + 1
    wait_ms = max(floor_ms, _reconnect_ms(state, refusals, chance))
    return _waiting(state, now_ms + wait_ms)._replace(
        refusals=refusals, floor_at_ms=now_ms + floor_ms
    )


def _waiting(state: Stream, at_ms: int) -> Stream:
    return state._replace(phase="waiting", at_ms=at_ms)


def _wait_ms(state: Stream, failures: int, chance: float, tuning: Tuning) -> int:
    if state.mode != "poll":
        return _reconnect_ms(state, failures, chance)
    interval_ms = tuning.poll_interval_ms
    longest_ms = min(POLL_INTERVAL_MS_MAX, interval_ms << min(failures, DOUBLINGS_MAX))
    # Never less than the interval: half of the wait is chance, half is not.
    return max(interval_ms, longest_ms // 2 + int(chance * (longest_ms // 2)))


def _reconnect_ms(state: Stream, attempts: int, chance: float) -> int:
    longest_ms = state.retry_ms << min(attempts - 1, DOUBLINGS_MAX)
    return int(chance * min(RECONNECT_MS_MAX, longest_ms))
