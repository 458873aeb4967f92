"""Several devices that keep a gateway busy until they are told to finish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from tests.simulation.device import CALL, Device
from tests.simulation.gateway_process import GatewayProcess, eventually
from tests.simulation.oracle import Oracle
from tests.simulation.visitor import Person, Visitor

DEVICES = 8
JOURNEY = {
    "name": "Answer each call",
    "entry": {"event": CALL},
    "message": {"content": {"layout": "banner", "title": "Here I am"}},
}


class Fleet:
    """The devices of one test."""

    def __init__(
        self,
        devices: list[Device],
        visitor: Visitor,
        oracle: Oracle,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.devices = devices
        self._visitor = visitor
        self.oracle = oracle
        self._uploads = [tasks.create_task(device.upload()) for device in devices]
        self._uploads.append(tasks.create_task(visitor.visit()))
        self._polls = [tasks.create_task(device.receive()) for device in devices]

    def calls(self) -> list[int]:
        """How often each device has called until now: a mark for `recovery_s`."""
        return [len(device.calls) for device in self.devices]

    async def recovered(self, calls: list[int]) -> float:
        """Wait until every device was served from end to end again; returns when that was."""
        pairs = list(zip(self.devices, calls, strict=True))
        await eventually(lambda: all(device.recovered_at(mark) for device, mark in pairs))
        return max(device.recovered_at(mark) or 0.0 for device, mark in pairs)

    async def finish(self) -> None:
        """Wait until every event is acknowledged, every message received and reported as shown."""
        for device in self.devices:
            device.finish()
        self._visitor.finish()
        async with asyncio.timeout(60):
            await asyncio.gather(*self._uploads)
        for poll in self._polls:
            poll.cancel()

    @property
    def people(self) -> list[Person]:
        """Who has logged in."""
        return self._visitor.people


@asynccontextmanager
async def a_busy_fleet(
    gateway: GatewayProcess, folder: Path, random: Random, workers: int = 1
) -> AsyncIterator[Fleet]:
    """Devices that call for messages, on a gateway where a journey answers each call."""
    admin = gateway.admin()
    status, answer = await admin.ask("POST", "/admin/v1/journeys", JOURNEY)
    assert status == 201, answer
    admin.close()
    # A new worker knows the journey from its first event on; the old ones may take a moment.
    for slot in range(workers):
        await gateway.restart(f"worker-{slot}")
    key = gateway.credentials()["publishable_key"]
    oracle = Oracle(folder / "oracle.jsonl")
    devices = [
        Device(gateway.host, gateway.port, key, Random(random.random()), oracle)
        for _ in range(DEVICES)
    ]
    for device in devices:
        await device.register()
    visitor = Visitor(gateway.host, gateway.port, key, Random(random.random()))
    try:
        async with asyncio.TaskGroup() as tasks:
            fleet = Fleet(devices, visitor, oracle, tasks)
            await fleet.recovered(fleet.calls())
            yield fleet
            await fleet.finish()
    finally:
        oracle.close()
