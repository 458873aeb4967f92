"""People who come unknown, look around, log in and stay for a while: one after the other."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tests.simulation.device import CALL, RETRY_S
from tests.simulation.wire import Broken, Wire

LOOKS = 3
PAUSE_S = 0.1


@dataclass
class Person:
    """Somebody who has logged in, and all that was acknowledged before and after."""

    profile_id: str
    events: Counter[str] = field(default_factory=Counter)


class Visitor:
    """Insists on every step until it has had its answer."""

    def __init__(self, host: str, port: int, key: str, random: Random) -> None:
        self._host, self._port, self._key = host, port, key
        self._random = random
        self._finishing = False
        self.people: list[Person] = []

    def finish(self) -> None:
        self._finishing = True

    async def visit(self) -> None:
        while not self._finishing:
            await self._one_visit(f"user-{len(self.people)}")
            await asyncio.sleep(self._random.uniform(0, PAUSE_S))

    async def _one_visit(self, user_id: str) -> None:
        body = {"install_id": self._uuid(), "platform": "ios", "form_factor": "tablet"}
        device = await self._insist(self._key, "POST", "/v1/devices", body)
        events = await self._look_around(device["token"])
        known = await self._insist(device["token"], "POST", "/v1/identity", {"user_id": user_id})
        events += await self._look_around(known["token"])
        self.people.append(Person(known["profile_id"], events))

    async def _look_around(self, token: str) -> Counter[str]:
        names = [f"look-{number}" for number in range(LOOKS)] + [CALL]
        now = 1_700_000_000_000
        events = [{"id": self._uuid(), "type": "track", "name": name, "ts": now} for name in names]
        body = {"batch_id": self._uuid(), "sent_at": now, "events": events}
        await self._insist(token, "POST", "/v1/events", body)
        return Counter(names)

    async def _insist(self, bearer: str, method: str, path: str, body: object) -> Any:
        wire = Wire(self._host, self._port, bearer)
        try:
            while True:
                try:
                    status, answer = await wire.ask(method, path, body)
                except Broken:
                    pass
                else:
                    if status != 503:
                        assert status in {200, 201}, answer
                        return answer
                await asyncio.sleep(self._random.uniform(0, RETRY_S))
        finally:
            wire.close()

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
