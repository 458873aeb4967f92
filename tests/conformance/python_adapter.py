"""The adapter of the Python SDK: `python -m tests.conformance.python_adapter`.

It uses what any port has: the public surface of the SDK and its ports for time, chance, network and
platform. The operations are described in `sdk_reference/conformance/README.md`.
"""

from __future__ import annotations

import json
import math
import platform
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

from tests.conformance.decide import DECISIONS, decide
from zuruf import (
    Config,
    Device,
    DisplayDecision,
    FlushResult,
    FormFactor,
    HttpTransport,
    InboxMessage,
    Message,
    Pause,
    PlatformName,
    Request,
    Response,
    Screen,
    Show,
    Topic,
    Zuruf,
    __version__,
)
from zuruf.transport import Answered, Chunk
from zuruf.worker import Worker

Item = TypeVar("Item")

NUMBER = "X-Conformance-Request"
IDLES_WITHIN_S = 8.0
LOOK_AGAIN_S = 0.02
DAY_MS = 24 * 60 * 60 * 1000

CAPABILITIES = [
    "virtual_clock",
    "batch",
    "gzip",
    "persistence",
    "multi_process",
    "consent",
    "push",
    "remote_config",
    "in_app",
    "long_poll",
    "sse",
    "triggers",
    "inbox",
]


class RaisedError(Exception):
    """A call of the SDK raised, which none may."""


class Probe:
    """Asks whether the worker waits. It is taken from the mailbox in the order of everything else."""

    def __init__(self, *, for_worker: bool = False) -> None:
        self.for_worker = for_worker
        self.answered = threading.Event()
        self.is_waiting = False
        self.next_ms: int | None = None
        self.worker: Worker | None = None

    def __call__(self, worker: Worker) -> None:
        """Be found by a worker that works, or that this was meant for."""
        self.worker = worker
        self.answered.set()

    def found_waiting(self, next_ms: int | None) -> None:
        """Be found by one that waits so long, or for ever; whose time is over has something to do."""
        self.is_waiting, self.next_ms = next_ms is None or next_ms > 0, next_ms
        self.answered.set()


class VirtualClock:
    """Time that stands still until the runner moves it; every item of the worker passes here."""

    def __init__(self, wall_ms: int, took: Callable[[object], None]) -> None:
        self._took = took
        self._monotonic_ms = 1_000_000
        self._base_ms = wall_ms - self._monotonic_ms
        self._has_mailbox = threading.Event()
        self._mailbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def wall_ms(self) -> int:
        return self._base_ms + self._monotonic_ms

    def monotonic_s(self) -> float:
        return self._monotonic_ms / 1000

    def wait(self, mailbox: queue.SimpleQueue[Item], timeout_s: float | None) -> Item:
        self._mailbox = mailbox
        self._has_mailbox.set()
        until_ms = None if timeout_s is None else self._monotonic_ms + _whole_ms(timeout_s)
        while True:
            is_over = until_ms is not None and self._monotonic_ms >= until_ms
            item = mailbox.get_nowait() if is_over else mailbox.get()
            if isinstance(item, Probe) and not item.for_worker and not is_over:
                item.found_waiting(None if until_ms is None else until_ms - self._monotonic_ms)
                continue
            self._took(item)
            return item

    def move(self, ms: int) -> None:
        self._monotonic_ms += ms
        self.probe()

    def set_wall(self, wall_ms: int) -> None:
        self._base_ms = wall_ms - self._monotonic_ms

    def probe(self, *, for_worker: bool = False) -> Probe:
        """Ask the worker; also makes it look at the time."""
        if not self._has_mailbox.wait(IDLES_WITHIN_S):
            raise TimeoutError("the worker has not started")
        probe = Probe(for_worker=for_worker)
        self._mailbox.put(probe)
        return probe


class CountingTransport:
    """HTTP as always; numbers the requests and knows which of them are under way."""

    def __init__(self, inner: HttpTransport, numbers: Callable[[], str]) -> None:
        self._inner = inner
        self._numbers = numbers
        self._lock = threading.Lock()
        self._under_way: dict[Request, tuple[str, int | None]] = {}

    def request(self, request: Request) -> Response:
        self._begin(request)
        return self._inner.request(request)

    def stream(self, request: Request, take: Callable[[bytes], None]) -> Response:
        self._begin(request)
        return self._inner.stream(request, take)

    def interrupt(self, request: Request) -> None:
        self._inner.interrupt(request)

    def close(self) -> None:
        self._inner.close()

    def took(self, item: object) -> None:
        """See what the worker takes from its mailbox."""
        with self._lock:
            match item:
                case Answered(request=request):
                    self._under_way.pop(request, None)
                case Chunk(request=request, data=data) if request in self._under_way:
                    number, taken = self._under_way[request]
                    self._under_way[request] = (number, (taken or 0) + len(data))

    def in_flight(self) -> dict[str, int | None]:
        with self._lock:
            return dict(self._under_way.values())

    def wanted(self) -> int:
        """Count the requests that were not given up."""
        with self._lock:
            return sum(not request.cancelled for request in self._under_way)

    def _begin(self, request: Request) -> None:
        number = self._numbers()
        request.headers = {**request.headers, NUMBER: number}
        with self._lock:
            self._under_way[request] = (number, None)


@dataclass(frozen=True)
class ScriptedPlatform:
    """A device as the runner describes it."""

    name: PlatformName
    form_factor: FormFactor
    described: Device
    offset_s: int

    def device(self) -> Device:
        return self.described

    def utc_offset_s(self, wall_ms: int) -> int:
        return self.offset_s


@dataclass(frozen=True)
class Chance:
    """Random numbers that are always the same one."""

    value: float

    def random(self) -> float:
        return self.value


@dataclass
class Told:
    """What the app was told, and what it will answer."""

    callbacks: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    shows: dict[str, Show] = field(default_factory=dict)

    def message(self, message: Message, show: Show) -> DisplayDecision:
        self.shows[message.id] = show
        content = message.content
        told = {"layout": content.layout, "title": content.title, "body": content.body}
        self.callbacks.append({"kind": "message", "message_id": message.id, **told})
        decision = self.decisions.pop(0) if self.decisions else "SHOW"
        if decision == "RAISE":
            raise RuntimeError("as the script wants it")
        return DisplayDecision[decision]

    def topic(self, topic: str, value: object) -> None:
        self.callbacks.append({"kind": topic, **_TOPICS[topic](value)})

    def flushed(self, kind: str, result: FlushResult) -> None:
        told = {"sent": result.sent, "remaining": result.remaining}
        self.callbacks.append({"kind": kind, **told})


class Held:
    """One running client and everything around it."""

    def __init__(
        self, settings: Mapping[str, Any], wall_ms: int, chance: float, numbers: Callable[[], str]
    ) -> None:
        config = Config(
            **_config(settings),
            callback_executor=self._run_later,
            random=Chance(chance),
        )
        self.transport = CountingTransport(
            HttpTransport(
                config.endpoint,
                connect_timeout_s=config.connect_timeout_s,
                read_timeout_s=config.read_timeout_s,
            ),
            numbers,
        )
        self._clock = VirtualClock(wall_ms, self._took)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._taken = 0
        self._worker: Worker | None = None
        self._pauses: dict[str, Pause] = {}
        self.told = Told()
        self.client = Zuruf(_with_ports(config, self._clock, self.transport))
        for topic in get_args(Topic):
            self.client.subscribe(topic, partial(self.told.topic, topic))
        if settings.get("in_app", False):
            self.client.in_app.on_message(self.told.message)
        self.client.start()

    def settle(self) -> dict[str, Any]:
        """Wait until there is nothing to do at this moment."""
        while True:
            before = self.transport.in_flight()
            next_ms = self._idle()
            # What arrived meanwhile may still be worked on.
            if self._jobs.empty() and self.transport.in_flight() == before:
                return {"in_flight": before, "next_ms": next_ms}
            while not self._jobs.empty():
                self._jobs.get()()

    def advance(self, ms: int) -> None:
        self._clock.move(ms)

    def set_wall(self, wall_ms: int) -> None:
        self._clock.set_wall(wall_ms)

    def begin(self, kind: str, call: Callable[[], FlushResult]) -> None:
        """Have a call run that waits for the network; return when the worker knows of it."""

        def run() -> None:
            result = call()
            self._run_later(partial(self.told.flushed, kind, result))

        taken = self._taken
        waiting = threading.Thread(target=run, daemon=True)
        waiting.start()
        while self._taken == taken and waiting.is_alive():
            waiting.join(0.001)

    def pause(self, name: str) -> None:
        if name not in self._pauses:
            self._pauses[name] = self.client.in_app.pause(name)

    def resume(self, name: str) -> None:
        if name in self._pauses:
            self._pauses.pop(name).resume()

    def _idle(self) -> int | None:
        """Wait until the worker has nothing to do and its requests are under way; give the time left."""
        while True:
            probe = self._clock.probe(for_worker=self._worker is None)
            while not probe.answered.wait(LOOK_AGAIN_S):
                if self._worker is not None and not self._worker.thread.is_alive():
                    return None
            if probe.worker is not None:
                self._worker = probe.worker
            elif (
                self._worker is not None
                and probe.is_waiting
                and self.transport.wanted() == self._worker.requests_under_way
            ):
                return probe.next_ms

    def _took(self, item: object) -> None:
        self._taken += not isinstance(item, Probe)
        self.transport.took(item)

    def _run_later(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)


class Adapter:
    """The operations."""

    def __init__(self) -> None:
        self._held: Held | None = None
        self._requests = 0

    def answer(self, line: str) -> dict[str, Any]:
        """Follow one request of the runner."""
        request = json.loads(line)
        try:
            operation = self._OPERATIONS.get(request["op"])
            if operation is None:
                return _error(request["id"], "unknown_operation", request["op"])
            return {"id": request["id"], "result": operation(self, request)}
        except RaisedError as error:
            return _error(request["id"], "raised", str(error))
        except Exception as error:  # noqa: BLE001 - the runner shows it
            return _error(request["id"], "failed", f"{type(error).__name__}: {error}")

    @property
    def _now(self) -> Held:
        if self._held is None:
            raise RuntimeError("there is no client")
        return self._held

    def _hello(self, _: Mapping[str, Any]) -> object:
        return {
            "name": "zuruf-python",
            "version": __version__,
            "language": f"Python {'.'.join(platform.python_version_tuple()[:2])}",
            "spec": "1.0",
            "capabilities": CAPABILITIES,
            "vectors": sorted(DECISIONS),
        }

    def _decide(self, request: Mapping[str, Any]) -> object:
        return decide(request["vector"], request["given"], request["input"])

    def _start(self, request: Mapping[str, Any]) -> object:
        self._stop({})
        self._held = Held(
            request["config"], request["wall_ms"], request["chance"], self._next_number
        )
        return {}

    def _call(self, request: Mapping[str, Any]) -> object:
        method, args = request["method"], request.get("args", [])
        call = _CALLS.get(method)
        try:
            if call is not None:
                return call(self._now, *args)
            found: object = self._now.client
            for name in method.split("."):
                found = getattr(found, name)
            return found(*args, **request.get("named", {})) if callable(found) else found
        except Exception as error:
            raise RaisedError(f"{method}: {type(error).__name__}: {error}") from error

    def _settle(self, _: Mapping[str, Any]) -> object:
        return self._now.settle()

    def _advance(self, request: Mapping[str, Any]) -> object:
        self._now.advance(request["ms"])
        return self._now.settle()

    def _set_wall(self, request: Mapping[str, Any]) -> object:
        self._now.set_wall(request["wall_ms"])
        return self._now.settle()

    def _callbacks(self, _: Mapping[str, Any]) -> object:
        told = self._now.told
        found, told.callbacks = told.callbacks, []
        return found

    def _will_decide(self, request: Mapping[str, Any]) -> object:
        self._now.told.decisions += request["decisions"]
        return {}

    def _show(self, request: Mapping[str, Any]) -> object:
        show, value = self._now.told.shows[request["message_id"]], request["value"]
        match request["report"]:
            case "is_current":
                return show.is_current
            case "shown":
                show.shown()
            case "clicked":
                show.clicked(value)
            case "answered":
                show.answered(value)
            case "dismissed":
                show.dismissed(*([] if value is None else [value]))
            case "failed":
                show.failed(*([] if value is None else [value]))
            case other:
                raise ValueError(other)
        return {}

    def _state(self, _: Mapping[str, Any]) -> object:
        client = self._now.client
        now = client.diagnostics()
        return {
            "queue_events": now.queue_events,
            "sent_events": now.sent_events,
            "dropped": dict(now.dropped),
            "stream_state": now.stream_state,
            "device_id": now.device_id,
            "profile_id": now.profile_id,
            "user_id": now.user_id,
            "session_id": now.session_id,
            "consent": dict(client.consent.status),
            "is_opted_out": client.is_opted_out,
            "inbox_unread": client.inbox.unread,
            "remote_config": dict(client.remote_config.all()),
        }

    def _stop(self, _: Mapping[str, Any]) -> object:
        if self._held is not None:
            self._held.client.shutdown(timeout_s=0)
            self._held = None
        return {}

    def _next_number(self) -> str:
        self._requests += 1
        return str(self._requests)

    _OPERATIONS: Mapping[str, Callable[[Adapter, Mapping[str, Any]], object]] = {
        "hello": _hello,
        "decide": _decide,
        "start": _start,
        "call": _call,
        "settle": _settle,
        "advance": _advance,
        "set_wall": _set_wall,
        "callbacks": _callbacks,
        "will_decide": _will_decide,
        "show": _show,
        "state": _state,
        "stop": _stop,
    }


def _flush(held: Held, timeout_ms: int = 10_000) -> None:
    held.begin("flushed", lambda: held.client.flush(timeout_ms / 1000))


def _shutdown(held: Held, timeout_ms: int = 2_000) -> None:
    held.begin("shut_down", lambda: held.client.shutdown(timeout_ms / 1000))


_CALLS: Mapping[str, Callable[..., object]] = {
    "flush": _flush,
    "shutdown": _shutdown,
    "in_app.pause": Held.pause,
    "in_app.resume": Held.resume,
    "consent.status": lambda held: dict(held.client.consent.status),
    "inbox.messages": lambda held: _inbox(held.client.inbox.messages()),
    "push.handle": lambda held, payload: held.client.push.handle(payload).name,
    "remote_config.all": lambda held: dict(held.client.remote_config.all()),
}

_TOPICS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "session_changed": lambda value: {"session_id": value},
    "identity_changed": lambda value: {"user_id": value},
    "delivered": lambda value: {"event_ids": list(value)},
    "dropped": lambda value: {"reasons": dict(value)},
    "stream_state": lambda value: {"state": value},
    "config_changed": lambda value: {"values": dict(value)},
    "inbox_changed": lambda value: {"messages": _inbox(value)},
    "message_ended": lambda value: {"message_id": value},
}


def _inbox(messages: tuple[InboxMessage, ...]) -> list[dict[str, Any]]:
    return [
        {
            "message_id": one.message.id,
            "title": one.message.content.title,
            "is_read": one.is_read,
        }
        for one in messages
    ]


def _config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of the SDK for those of the runner, whose times are milliseconds."""
    told: dict[str, Any] = {
        "storage_dir": Path(settings["storage_dir"]),
        "platform": _platform(settings),
    }
    for name, value in settings.items():
        if name in _AS_THEY_ARE:
            told[name] = value
        elif name in _IN_SECONDS:
            told[_IN_SECONDS[name]] = value / 1000
    if "queue_ttl_ms" in settings:
        told["queue_ttl_days"] = settings["queue_ttl_ms"] / DAY_MS
    unknown = settings.keys() - _AS_THEY_ARE - _IN_SECONDS.keys() - _ELSEWHERE
    if unknown:
        raise ValueError(f"no such settings: {unknown}")
    return told


_AS_THEY_ARE = frozenset(
    {
        "endpoint",
        "publishable_key",
        "flush_at",
        "batch_events_max",
        "batch_bytes_max",
        "queue_events_max",
        "queue_bytes_max",
        "stream",
        "consent_required",
    }
)
_IN_SECONDS = {
    "flush_interval_ms": "flush_interval_s",
    "poll_wait_ms": "poll_wait_s",
    "session_idle_ms": "session_idle_s",
    "session_max_ms": "session_max_s",
    "display_gap_ms": "display_gap_s",
}
_ELSEWHERE = frozenset(
    {
        "storage_dir",
        "platform",
        "form_factor",
        "device",
        "utc_offset_ms",
        "queue_ttl_ms",
        "in_app",
    }
)


def _platform(settings: Mapping[str, Any]) -> ScriptedPlatform:
    described = dict(settings.get("device", {}))
    if "screen" in described:
        described["screen"] = Screen(**described["screen"])
    return ScriptedPlatform(
        name=settings.get("platform", "android"),
        form_factor=settings.get("form_factor", "phone"),
        described=Device(**described),
        offset_s=settings.get("utc_offset_ms", 0) // 1000,
    )


def _with_ports(config: Config, clock: VirtualClock, transport: CountingTransport) -> Config:
    return replace(config, clock=clock, transport=transport)


def _whole_ms(timeout_s: float) -> int:
    """Give a timeout in whole milliseconds; one that is not over yet has at least one left."""
    return max(1, math.ceil(round(timeout_s * 1000, 3))) if timeout_s > 0 else 0


def _error(number: int, code: str, message: str) -> dict[str, Any]:
    return {"id": number, "error": {"code": code, "message": message}}


def main() -> None:
    """Answer until the input ends."""
    adapter = Adapter()
    for line in sys.stdin:
        if line.strip():
            sys.stdout.write(json.dumps(adapter.answer(line)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
