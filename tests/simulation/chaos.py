"""What to kill, when: all of it follows from a seed."""

import asyncio
import signal
import time
from collections import Counter
from random import Random

from tests.simulation.fleet import Fleet
from tests.simulation.gateway_process import GatewayProcess

ROLES = ("edge-0", "edge-1", "worker-0", "valkey")
CALM_S = 0.4
"""The longest time between a recovery and the next kill."""


class Chaos:
    """Kills, and waits for the recovery."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.kills: Counter[str] = Counter()
        self.recoveries_s: list[float] = []

    async def round(self, gateway: GatewayProcess, fleet: Fleet) -> None:
        """One blow at a random moment; returns when every device is served from end to end again."""
        await asyncio.sleep(self._random.uniform(0, CALM_S))
        calls, killed_at = fleet.calls(), time.monotonic()
        match self._random.choices(["one", "two", "chase", "all"], [60, 25, 10, 5])[0]:
            case "one":
                self._kill(gateway, self._random.choice(ROLES))
            case "two":
                for role in self._random.sample(ROLES, 2):
                    self._kill(gateway, role)
            case "chase":
                await self._kill_worker_while_valkey_restarts(gateway)
            case _:
                for role in ROLES:
                    self._kill(gateway, role)
        self.recoveries_s.append(await fleet.recovered(calls) - killed_at)

    def _kill(self, gateway: GatewayProcess, role: str) -> int | None:
        pid = gateway.signal(role, signal.SIGKILL)
        if pid is not None:
            self.kills[role.partition("-")[0]] += 1
        return pid

    async def _kill_worker_while_valkey_restarts(self, gateway: GatewayProcess) -> None:
        pid = self._kill(gateway, "valkey")
        if pid is not None:
            await gateway.restarted("valkey", pid)
            await asyncio.sleep(self._random.uniform(0, 0.05))
        self._kill(gateway, "worker-0")
