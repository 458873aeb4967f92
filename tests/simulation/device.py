"""A simulated device: it uploads, waits for messages, shows them, and believes nothing."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from tests.simulation.oracle import Oracle
from tests.simulation.wire import Answer, Broken, Wire

CALL = "call"
"""The event that a journey answers with a message, each time."""

LAP_NAMES = 97
"""Laps carry one of so many names, so that a lost one and a doubled one do not cancel out."""

LIVE_MESSAGES_MAX = 30
BATCH_EVENTS = 100
THINK_S = 0.04
RETRY_S = 0.1

Event = dict[str, Any]


@dataclass
class Call:
    """An event that leads to a message, and when what happened to it; monotonic seconds."""

    acknowledged_at: float | None = None
    received_at: float | None = None


class Device:
    """One installation of the app, with a person who is never idle for long."""

    def __init__(self, host: str, port: int, key: str, random: Random, oracle: Oracle) -> None:
        self._host, self._port, self._key = host, port, key
        self._random = random
        self._oracle = oracle
        self._laps = 0
        self._live = 0
        self._unreported: list[str] = []
        self._reported_at: dict[str, int] = {}
        """message id → how many calls there were before it was reported as shown"""
        self._met: set[str] = set()
        self._finishing = False
        self._stir = asyncio.Event()
        self.profile_id = ""
        self.token = ""
        self.calls: list[Call] = []
        self.messages: list[str] = []
        self.acknowledged = 0
        self.retries = 0
        self.faults: list[str] = []

    async def register(self) -> None:
        wire = Wire(self._host, self._port, self._key)
        body = {"install_id": self._uuid(), "platform": "android", "form_factor": "phone"}
        status, answer = await wire.ask("POST", "/v1/devices", body)
        wire.close()
        assert status == 201, answer
        self.profile_id, self.token = answer["profile_id"], answer["token"]

    def finish(self) -> None:
        """Let nothing new happen; `upload` returns when all that happened has had its outcome."""
        self._finishing = True
        self._stir.set()

    # -- uploading ----------------------------------------------------------------------------

    async def upload(self) -> None:
        """Upload one batch at a time, each until it is acknowledged."""
        wire = Wire(self._host, self._port, self.token)
        try:
            while True:
                if not self._finishing:
                    await asyncio.sleep(self._random.uniform(0, THINK_S))
                if events := self._happenings():
                    await self._deliver(wire, events)
                elif len(self.messages) >= len(self.calls):
                    return
                else:
                    self._stir.clear()
                    await self._stir.wait()
        finally:
            wire.close()

    async def _deliver(self, wire: Wire, events: list[tuple[Event, Call | None]]) -> None:
        batch_id = self._uuid()
        while not await self._is_acknowledged(wire, batch_id, [event for event, _ in events]):
            self.retries += 1
            await asyncio.sleep(self._random.uniform(0, RETRY_S))
            if self._random.random() < 0.2 and len(events) < BATCH_EVENTS:
                # The app was started again: another batch, with the same events and perhaps more.
                batch_id = self._uuid()
                events += self._happenings()
        now = time.monotonic()
        for _, call in events:
            if call is not None:
                call.acknowledged_at = now
        self.acknowledged += len(events)
        self._oracle.acknowledged(
            self.profile_id, [(event["id"], event["name"]) for event, _ in events]
        )

    async def _is_acknowledged(self, wire: Wire, batch_id: str, events: list[Event]) -> bool:
        body = {"batch_id": batch_id, "sent_at": _now_ms(), "events": events}
        try:
            status, answer = await wire.ask("POST", "/v1/events", body)
        except Broken:
            return False
        assert status in {200, 503}, answer
        if status == 200:
            assert answer["accepted"] + answer["duplicates"] == len(events), answer
        return status == 200

    def _happenings(self) -> list[tuple[Event, Call | None]]:
        """What happens next, in order: messages are shown, laps are run, a message is called for."""
        random = self._random
        # While messages come fast the person looks at some; in the end at all.
        shown = (
            len(self._unreported) if self._finishing else random.randint(0, len(self._unreported))
        )
        happened: list[tuple[Event, Call | None]] = []
        for message_id in self._unreported[:shown]:
            self._reported_at[message_id] = len(self.calls)
            props = {"message_id": message_id}
            happened.append((self._event("message", "message_shown", props), None))
        del self._unreported[:shown]
        self._live -= shown
        if self._finishing:
            return happened
        for _ in range(random.randint(1, 4)):
            self._laps += 1
            name = f"lap-{self._laps % LAP_NAMES}"
            happened.append((self._event("identify", name, {"laps": self._laps}), None))
        if self._live < LIVE_MESSAGES_MAX and random.random() < 0.6:
            self._live += 1
            self.calls.append(Call())
            happened.append((self._event("track", CALL, {}), self.calls[-1]))
        return happened

    def _event(self, type: str, name: str, props: Mapping[str, object]) -> Event:
        return {"id": self._uuid(), "type": type, "name": name, "ts": _now_ms(), "props": props}

    # -- receiving ----------------------------------------------------------------------------

    async def receive(self) -> None:
        """Long-poll for ever."""
        wire = Wire(self._host, self._port, self.token)
        cursor, held = "", set[str]()
        try:
            while True:
                if self._random.random() < 0.02:
                    cursor, held = "", set()  # the app was started again
                answered = len(self.messages)
                wait_s = self._random.choice([0, 2, 20])
                path = f"/v1/messages?after={cursor}&wait={wait_s}"
                try:
                    answer = await wire.ask("GET", path, patience_s=wait_s + 10)
                except Broken:
                    await asyncio.sleep(self._random.uniform(0, RETRY_S))
                    continue
                assert answer.status in {200, 204, 503}, answer
                if answer.status == 200:
                    self._take(answer.body, held, answered)
                    cursor = answer.body["cursor"]
                elif answer.status == 503 or wait_s == 0:
                    await asyncio.sleep(self._random.uniform(0, RETRY_S))
        finally:
            wire.close()

    def _take(self, page: dict[str, Any], held: set[str], answered: int) -> None:
        """`held`: what came since the cursor was empty; `answered`: messages before the poll began."""
        now = time.monotonic()
        ids = [message["id"] for message in page["messages"]]
        new = [id for id in ids if id not in self._met]
        if page["reset"]:
            self.faults.append("a cursor that was handed out is not known any more")
        self.faults += [f"{id} was handed out twice" for id in ids if id in held]
        # Whoever answered a later call has read the report before it.
        self.faults += [
            f"{id} was handed out after it was shown"
            for id in ids
            if self._reported_at.get(id, answered) < answered
        ]
        self.faults += [
            f"{id} was withdrawn, but never shown"
            for id in page["withdrawn"]
            if id not in self._reported_at
        ]
        held.update(ids)
        for id in new:
            if len(self.messages) == len(self.calls):
                self.faults.append(f"{id} came without having been called for")
                continue
            self.calls[len(self.messages)].received_at = now
            self._met.add(id)
            self.messages.append(id)
            self._unreported.append(id)
        if new:
            self._oracle.received(self.profile_id, new)
            self._stir.set()

    async def look_at_inbox(self) -> Answer:
        """What a new installation would be handed."""
        wire = Wire(self._host, self._port, self.token)
        answer = await wire.ask("GET", "/v1/messages")
        wire.close()
        return answer

    def recovered_at(self, calls: int) -> float | None:
        """When the first call after that many was acknowledged and answered; None: not yet."""
        for call in self.calls[calls:]:
            if call.acknowledged_at is not None and call.received_at is not None:
                return max(call.acknowledged_at, call.received_at)
        return None

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
