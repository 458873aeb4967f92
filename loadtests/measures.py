"""What is measured and how: throughput of the hot routes, event to message, held polls, reactions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import signal
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from loadtests import client, machine, payloads, wire
from loadtests.client import Caller, Load, Run
from loadtests.latency import Spread, spread
from loadtests.targets import Access

EVENTS_A_BATCH = 50
DEVICES_A_CONNECTION = 8
_TEMPLATES = 8
_REACTION_S_MAX = 30.0
_REACTED = "zuruf_events_reacted_total"
_SETTLED_SHARE = 0.08  # of one core, over a quarter of a second


class MeasureError(Exception):
    """The program answered something that makes the measure meaningless."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard; `quick` runs only show that everything works."""

    seconds: float = 5.0
    warm_up_s: float = 1.0
    connections: int = 64
    samples: int = 400
    held_polls: int = 15_000
    backlog_s: float = 5.0
    seed: int = 20

    @classmethod
    def quick(cls) -> Plan:
        return cls(seconds=1.5, warm_up_s=0.5, samples=60, held_polls=1_000, backlog_s=2.0)


class Fleet:
    """Registered devices of one running program, and the requests they send."""

    def __init__(self, access: Access, plan: Plan) -> None:
        self.access = access
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.tokens: list[str] = []
        self._serials = payloads.serials()

    async def register(self, count: int) -> None:
        """Make sure that at least `count` devices are registered."""
        missing = count - len(self.tokens)
        if missing <= 0:
            return
        bodies = iter(
            [payloads.encode(payloads.registration(self.random, "phone")) for _ in range(missing)]
        )
        callers = await client.connect(self.access.origin, [Caller] * min(32, missing))

        async def work(caller: Caller) -> None:
            for body in bodies:
                answer = await caller.ask(self._registration(body))
                if answer.status != 201:
                    raise MeasureError(f"registration answered {answer.status}: {answer.body!r}")
                self.tokens.append(json.loads(answer.body)["token"])

        try:
            await asyncio.gather(*(work(caller) for caller in callers))
        finally:
            await client.close(callers)

    def uploads(
        self, templates: Sequence[payloads.BatchTemplate], tokens: list[str]
    ) -> Iterator[bytes]:
        """Uploads without end; the devices take turns, no id is used twice."""
        prepared = [
            (self.upload_head(token, template.length), template.render)
            for token in tokens
            for template in templates
        ]
        self.random.shuffle(prepared)
        serials = self._serials
        for head, render in itertools.cycle(prepared):
            yield head + render(next(serials))

    def compressed_uploads(self, bodies: Iterator[bytes], tokens: list[str]) -> Iterator[bytes]:
        heads: dict[tuple[str, int], bytes] = {}
        for token, body in zip(itertools.cycle(tokens), bodies, strict=False):
            key = token, len(body)
            if key not in heads:
                heads[key] = self.upload_head(token, len(body), "gzip")
            yield heads[key] + body

    def upload_head(self, token: str, length: int, encoding: str = "") -> bytes:
        origin = self.access.origin
        return wire.head(
            "POST",
            "/v1/events",
            origin,
            bearer=token,
            content_length=length,
            content_encoding=encoding,
        )

    def upload(self, token: str, body: payloads.Json) -> bytes:
        encoded = payloads.encode(body)
        return self.upload_head(token, len(encoded)) + encoded

    def poll(self, token: str, after: str = "", wait_s: int = 0) -> bytes:
        query = f"after={quote(after)}&wait={wait_s}"
        return wire.head("GET", f"/v1/messages?{query}", self.access.origin, bearer=token)

    def _registration(self, body: bytes) -> bytes:
        origin, key = self.access.origin, self.access.publishable_key
        return wire.head("POST", "/v1/devices", origin, bearer=key, content_length=len(body)) + body


async def upload(fleet: Fleet, *, per_s: float | None = None) -> Run:
    load = await start_uploads(fleet, per_s=per_s)
    return await _measured(load, fleet)


async def start_uploads(fleet: Fleet, *, per_s: float | None = None) -> Load:
    """Uploads that go on until stopped, as fast as they are answered or at a rate."""
    await fleet.register(fleet.plan.connections * DEVICES_A_CONNECTION)
    templates = _templates(fleet)
    requests = [fleet.uploads(templates, tokens) for tokens in _shares(fleet)]
    load = Load(fleet.access.origin, requests)
    await load.start(per_s)
    return load


async def upload_compressed(fleet: Fleet, bodies: Sequence[bytes]) -> Run:
    """A fixed stock of bodies: compressing while measuring would measure the compressing.

    Sent by devices of their own: the ids of one device grow, as those of an SDK do.
    """
    devices = fleet.plan.connections * DEVICES_A_CONNECTION
    await fleet.register(2 * devices)
    # The floor forgets, so it may be asked the same again.
    stock = itertools.cycle(bodies) if fleet.access.name == "floor" else iter(bodies)
    load = Load(
        fleet.access.origin,
        [fleet.compressed_uploads(stock, tokens) for tokens in _shares(fleet, first=devices)],
    )
    await load.start()
    return await _measured(load, fleet, warm_up_s=0.2)


def stock(source: random.Random, count: int) -> list[bytes]:
    templates = [payloads.BatchTemplate(source, events=EVENTS_A_BATCH) for _ in range(_TEMPLATES)]
    now_ms = time.time_ns() // 1_000_000
    return [
        payloads.compress(source.choice(templates).render_random(now_ms + number))
        for number in range(count)
    ]


async def poll(fleet: Fleet) -> Run:
    """Polls that find nothing, with the cursor that the devices were given."""
    await fleet.register(fleet.plan.connections)
    requests = []
    for token in fleet.tokens[: fleet.plan.connections]:
        answer = await client.ask(fleet.access.origin, fleet.poll(token))
        cursor = json.loads(answer.body)["cursor"] if answer.status == 200 else ""
        requests.append(itertools.repeat(fleet.poll(token, cursor)))
    load = Load(fleet.access.origin, requests)
    await load.start()
    return await _measured(load, fleet)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Seen from the device, from sending the event."""

    message: Spread
    acknowledged: Spread
    lost: int


async def event_to_message(fleet: Fleet, samples: int, devices: int = 20) -> Delivery:
    """A device holds a poll; it sends the event that triggers; until the message is there."""
    await fleet.register(devices)
    tokens = fleet.tokens[:devices]
    waiting = await client.connect(fleet.access.origin, [Caller] * devices)
    sending = await client.connect(fleet.access.origin, [Caller] * devices)
    cursors = [""] * devices
    message, acknowledged, lost = array("d"), array("d"), 0
    try:
        # A server may hang up on who connects and then says nothing for long.
        await asyncio.gather(
            *(caller.ask(fleet.poll(token)) for caller, token in zip(sending, tokens, strict=True))
        )
        for number in range(samples + devices):
            at = number % devices
            poll = partial(fleet.poll, tokens[at], wait_s=10)
            cursors[at] = await _drained(waiting[at], fleet, tokens[at], cursors[at])
            held = asyncio.ensure_future(waiting[at].ask(poll(after=cursors[at])))
            # Long enough to be held for certain; of varying length, so as not to beat in time
            # with anything in the server.
            await asyncio.sleep(fleet.random.uniform(0.008, 0.02))
            request = fleet.upload(tokens[at], payloads.trigger(fleet.random))
            began = time.perf_counter()
            answer = await sending[at].ask(request)
            acknowledged_s = sending[at].answered_at - began
            if answer.status != 200:
                raise MeasureError(f"an upload answered {answer.status}: {answer.body!r}")
            received = await held
            if received.status != 200 or not json.loads(received.body)["messages"]:
                lost += 1
                continue
            cursors[at] = json.loads(received.body)["cursor"]
            if number >= devices:  # the first of each device warms up
                acknowledged.append(acknowledged_s)
                message.append(waiting[at].answered_at - began)
    finally:
        await client.close([*waiting, *sending])
    return Delivery(spread(message), spread(acknowledged), lost)


@dataclass(frozen=True, slots=True)
class Held:
    polls: int
    bytes_a_poll: float
    process_bytes: int
    wake_up: Spread
    lost: int


async def held_polls(fleet: Fleet, count: int, wake_ups: int = 50) -> Held:
    """`count` devices hold a poll in one process; then some of them, one by one, get a message."""
    await fleet.register(count)
    process = largest_process(fleet.access, "edge")
    before = machine.rss_bytes(process)
    tokens = fleet.tokens[:count]
    callers: list[Caller] = []
    held: list[asyncio.Future[wire.Answer]] = []
    try:
        for first in range(0, count, 100):
            some = tokens[first : first + 100]
            made = await client.connect(fleet.access.origin, [Caller] * len(some))
            callers += made
            for caller, token in zip(made, some, strict=True):
                held.append(asyncio.ensure_future(caller.ask(fleet.poll(token, wait_s=55))))
            await asyncio.sleep(0.01)
        (sender,) = await client.connect(fleet.access.origin, [Caller])
        await sender.ask(fleet.poll(tokens[0]))
        await settle(fleet.access, 10.0)
        process_bytes = machine.rss_bytes(process)
        still = sum(not future.done() for future in held)
        woken, lost = array("d"), 0
        for at in fleet.random.sample(range(count), min(wake_ups, count)):
            request = fleet.upload(tokens[at], payloads.trigger(fleet.random))
            began = time.perf_counter()
            await sender.ask(request)
            done, _ = await asyncio.wait([held[at]], timeout=2)
            if done:
                woken.append(callers[at].answered_at - began)
            else:
                lost += 1
            await asyncio.sleep(0.01)
        await client.close([sender])
    finally:
        for future in held:
            future.cancel()
        await client.close(callers)
    return Held(still, (process_bytes - before) / count, process_bytes, spread(woken), lost)


@dataclass(frozen=True, slots=True)
class Reactions:
    events: float
    per_s: float
    worker_us_an_event: float


async def reactions(fleet: Fleet) -> Reactions:
    """How fast one worker folds a backlog in the log.

    The worker is stopped while the backlog is made, so that both have the machine to themselves.
    """
    access = fleet.access
    before = sum_of_metric(await metrics(access), _REACTED)
    worker = largest_process(access, "worker")
    with paused(access, "worker"):
        load = await start_uploads(fleet)
        await load.measure(fleet.plan.backlog_s)
        await load.stop()
        await asyncio.sleep(1.2)  # processes publish their counts once a second
        accepted = sum_of_metric(await metrics(access), "zuruf_events_accepted_total")
        used_s = machine.cpu_s([worker])
    resumed_at = time.perf_counter()
    seen = [(resumed_at, before)]
    while seen[-1][1] < accepted and time.perf_counter() < seen[-1][0] + _REACTION_S_MAX:
        await asyncio.sleep(0.05)
        count = sum_of_metric(await metrics(access), _REACTED)
        if count > seen[-1][1]:
            seen.append((time.perf_counter(), count))
    used_s = machine.cpu_s([worker]) - used_s
    events = seen[-1][1] - before
    if seen[-1][1] < accepted:
        raise MeasureError(
            f"the worker stopped at {events:,.0f} of {accepted - before:,.0f} events, "
            f"after {used_s:.0f} s of its CPU time"
        )
    # The counts come once a second: between the first and the last but one, the worker was busy all
    # the time. Too short a backlog for that has a rate that includes resuming.
    inner = seen[1:-1] if len(seen) > 4 else [seen[0], seen[-1]]
    (began, first), (ended, last) = inner[0], inner[-1]
    return Reactions(events, (last - first) / (ended - began), used_s / events * 1e6)


async def metrics(access: Access) -> str:
    answer = await client.ask(access.origin, wire.head("GET", "/metrics", access.origin))
    return answer.body.decode()


def sum_of_metric(text: str, name: str) -> float:
    """The sum over all label values of one metric in Prometheus' text format."""
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)", text, re.MULTILINE)
    return sum(map(float, found))


async def admin(access: Access, method: str, path: str, body: Any = None) -> Any:
    encoded = payloads.encode(body) if body is not None else b""
    head = wire.head(
        method, path, access.origin, bearer=access.secret_key, content_length=len(encoded)
    )
    answer = await client.ask(access.origin, head + encoded)
    if answer.status >= 300:
        raise MeasureError(f"{method} {path} answered {answer.status}: {answer.body!r}")
    return json.loads(answer.body) if answer.body else None


async def create_trigger(access: Access) -> None:
    """The journey that answers the benchmark's own event; short-lived, to stay under the inbox cap."""
    content = {"layout": "banner", "title": "Thank you", "body": "Your order is on its way."}
    journey = {
        "name": "loadtests: answer the trigger",
        "status": "live",
        "entry": {"event": payloads.TRIGGER_EVENT},
        "message": {"content": content, "priority": 60, "ttl_s": 5},
    }
    await admin(access, "POST", "/admin/v1/journeys", journey)


async def create_rules(access: Access, count: int, names: int) -> None:
    """Live rules over events that do happen and values that do not: each has to be looked at.

    They listen to so many event names, the four most frequent first; the fewer names, the more rules
    has an event to pass.
    """
    heard = [*("product_viewed", "add_to_cart", "search", "purchase", "home", "cart", "checkout")]
    heard += [f"rare_event_{number}" for number in range(names)]
    for number in range(count):
        rules = [
            {"prop": "category", "op": "eq", "value": f"category-{number}"},
            {"prop": "price", "op": "gte", "value": 1_000_000 + number},
        ]
        content = {"layout": "banner", "title": "Never", "body": "sent"}
        journey = {
            "name": f"loadtests: rule {number}",
            "status": "live",
            "entry": {"event": heard[number % names], "where": {"all": rules}},
            "message": {"content": content, "ttl_s": 60},
        }
        await admin(access, "POST", "/admin/v1/journeys", journey)


async def settle(access: Access, seconds_max: float = 60.0) -> float:
    """Waits until the program has nothing left to do, so that it takes nothing from the next."""
    began = time.perf_counter()
    give_up = began + seconds_max
    if access.name == "gateway":
        await _caught_up(access, give_up)
    while time.perf_counter() < give_up:
        before = machine.cpu_s(machine.trees(access.roots))
        await asyncio.sleep(0.25)
        if machine.cpu_s(machine.trees(access.roots)) - before <= 0.25 * _SETTLED_SHARE:
            break
    return time.perf_counter() - began


@contextlib.contextmanager
def paused(access: Access, wanted: str) -> Iterator[None]:
    """Stops all processes of a role for a while."""
    pids = [pid for pid in machine.trees(access.roots) if machine.role(pid) == wanted]
    if not pids:
        raise MeasureError(f"no process of the role {wanted!r}")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def largest_process(access: Access, role: str) -> int:
    """The process of a role with the most memory, found by its command line."""
    pids = [pid for pid in machine.trees(access.roots) if machine.role(pid) == role]
    if not pids:
        raise MeasureError(f"no process of the role {role!r}")
    return max(pids, key=machine.rss_bytes)


async def _caught_up(access: Access, give_up: float) -> None:
    """Until every accepted event was reacted to, or nothing moves any more."""
    last, moved_at = -1.0, time.perf_counter()
    while time.perf_counter() < min(give_up, moved_at + 8):
        text = await metrics(access)
        reacted = sum_of_metric(text, _REACTED)
        if reacted >= sum_of_metric(text, "zuruf_events_accepted_total"):
            return
        if reacted != last:
            last, moved_at = reacted, time.perf_counter()
        await asyncio.sleep(0.2)


async def _measured(load: Load, fleet: Fleet, warm_up_s: float | None = None) -> Run:
    await asyncio.sleep(fleet.plan.warm_up_s if warm_up_s is None else warm_up_s)
    run = await load.measure(fleet.plan.seconds, fleet.access.roots)
    await load.stop()
    if run.failure_ratio > 0.001:
        raise MeasureError(f"{fleet.access.name} answered {dict(run.statuses)}")
    return run


async def _drained(caller: Caller, fleet: Fleet, token: str, cursor: str) -> str:
    """The cursor after everything that is there already."""
    while True:
        answer = await caller.ask(fleet.poll(token, cursor))
        if answer.status == 204:
            return cursor
        if answer.status != 200:
            raise MeasureError(f"a poll answered {answer.status}: {answer.body!r}")
        received = json.loads(answer.body)
        if received["cursor"] == cursor and not received["messages"]:
            return cursor
        cursor = received["cursor"]


def _templates(fleet: Fleet) -> list[payloads.BatchTemplate]:
    return [payloads.BatchTemplate(fleet.random, events=EVENTS_A_BATCH) for _ in range(_TEMPLATES)]


def _shares(fleet: Fleet, first: int = 0) -> list[list[str]]:
    """Registered devices, from the first on, dealt to the connections."""
    count = fleet.plan.connections
    tokens = fleet.tokens[first : first + count * DEVICES_A_CONNECTION]
    return [tokens[number::count] for number in range(count)]
