"""The promise behind the product: whatever dies, whenever, nothing is lost and nothing is doubled."""

import asyncio
import signal
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from tests.simulation.chaos import Chaos
from tests.simulation.fleet import Fleet, a_busy_fleet
from tests.simulation.gateway_process import GatewayProcess, a_gateway, eventually
from tests.simulation.verdict import Verdict, examine

pytestmark = pytest.mark.timeout(3600)  # every wait in here has a limit of its own

Ordeal = Callable[[GatewayProcess, Fleet], Awaitable[None]]


async def survive(
    ordeal: Ordeal, folder: Path, random: Random, *, workers: int = 1, **settings: object
) -> tuple[Fleet, Verdict]:
    """Put a busy gateway through an ordeal, let it calm down, and look what is left."""
    async with a_gateway(folder / "data", workers=workers, **settings) as gateway:
        async with a_busy_fleet(gateway, folder, random, workers) as fleet:
            await ordeal(gateway, fleet)
        return fleet, await examine(gateway, fleet)


def test_kills_at_random_moments_lose_nothing_and_double_nothing(
    tmp_path: Path, rounds: int, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(seed)
    chaos = Chaos(random)

    async def ordeal(gateway: GatewayProcess, fleet: Fleet) -> None:
        for _ in range(rounds):
            await chaos.round(gateway, fleet)

    fleet, verdict = asyncio.run(survive(ordeal, tmp_path, random))
    with capsys.disabled():
        print(table(seed, chaos, fleet, verdict))  # noqa: T201
    assert verdict.broken() == {}


def test_a_start_after_everything_died_at_once_finds_all_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)

    async def ordeal(gateway: GatewayProcess, fleet: Fleet) -> None:
        for _ in range(3):
            await asyncio.sleep(random.uniform(0, 0.3))
            calls = fleet.calls()
            assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
            await gateway.start()
            await fleet.recovered(calls)

    _, verdict = asyncio.run(survive(ordeal, tmp_path, random))
    assert verdict.broken() == {}


def test_a_stop_under_load_is_clean_and_keeps_all_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)

    async def ordeal(gateway: GatewayProcess, fleet: Fleet) -> None:
        for _ in range(3):
            await asyncio.sleep(random.uniform(0, 0.3))
            calls = fleet.calls()
            gateway.output.clear()
            assert await gateway.end(signal.SIGTERM) == 0
            assert [line for line in gateway.output if "killed" in line or "error" in line] == []
            await gateway.start()
            await fleet.recovered(calls)

    _, verdict = asyncio.run(survive(ordeal, tmp_path, random))
    assert verdict.broken() == {}


def test_a_worker_that_was_thought_dead_comes_back_and_changes_nothing(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)

    async def ordeal(gateway: GatewayProcess, fleet: Fleet) -> None:
        for slot in (0, 1, 0, 1):
            await asyncio.sleep(random.uniform(0, 0.3))
            calls = fleet.calls()
            gateway.output.clear()
            gateway.signal(f"worker-{slot}", signal.SIGSTOP)
            # Devices alone don't show the takeover: by chance all of them may be the other one's.
            await took_partitions(gateway, 1 - slot)
            await fleet.recovered(calls)
            calls = fleet.calls()
            gateway.output.clear()
            gateway.signal(f"worker-{slot}", signal.SIGCONT)
            await took_partitions(gateway, slot)
            await fleet.recovered(calls)

    _, verdict = asyncio.run(survive(ordeal, tmp_path, random, workers=2, lease_s=0.5))
    assert verdict.broken() == {}


async def took_partitions(gateway: GatewayProcess, slot: int) -> None:
    """Wait until a worker says that partitions became its own."""
    await eventually(
        lambda: any(
            "took partitions" in line and f":worker-{slot}" in line for line in gateway.output
        )
    )


def table(seed: int, chaos: Chaos, fleet: Fleet, verdict: Verdict) -> str:
    """The outcome, for people."""
    recoveries = chaos.recoveries_s
    rows: dict[str, object] = {
        "seed": seed,
        "rounds": len(recoveries),
        "kills": ", ".join(f"{role} {count}" for role, count in sorted(chaos.kills.items())),
        "events acknowledged": sum(device.acknowledged for device in fleet.devices),
        "uploads retried": sum(device.retries for device in fleet.devices),
        "messages received": sum(len(device.messages) for device in fleet.devices),
        "people logged in": len(fleet.people),
        "lost": verdict.lost + verdict.messages_missing,
        "duplicates": verdict.duplicates + verdict.messages_doubled,
        "out of order": verdict.reordered,
        "recovery of all devices": (
            f"p50 {statistics.median(recoveries):.2f} s, max {max(recoveries):.2f} s"
        ),
    }
    return "\n" + "\n".join(f"{name:<25}{value}" for name, value in rows.items())
