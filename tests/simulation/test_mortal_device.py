"""Devices that are killed at any step of writing down, against the real gateway: each event counts once."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.gateway_process import ROOT, GatewayProcess, a_gateway
from tests.simulation.wire import Wire

# Every change is tried against the scripted gateway (tests/sdk/test_kill.py); here a few do.
STEP = 9

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


async def deaths(gateway: GatewayProcess, directory: Path) -> list[dict[str, Any]]:
    url = f"http://{gateway.host}:{gateway.port}"
    key = gateway.credentials()["publishable_key"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sdk.mortal", url, key, str(directory), "1", str(STEP)),
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk_reference'}"},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return [json.loads(line) for line in output.splitlines()]


async def counts_of(admin: Wire, user_id: str, expected: set[str]) -> dict[str, int]:
    """What the profile of a person has counted, once all that is expected is there."""
    counts: dict[str, int] = {}
    async with asyncio.timeout(10):
        while not expected <= counts.keys():
            answer = await admin.ask("GET", f"/admin/v1/profiles?user_id={user_id}")
            counts = answer.body["counts"] if answer.status == 200 else {}
            await asyncio.sleep(0.01)
    return counts


async def test_what_was_on_the_disk_of_a_killed_device_counts_exactly_once(tmp_path: Path) -> None:
    async with a_gateway(tmp_path / "gateway") as gateway:
        results = await deaths(gateway, tmp_path)
        admin = gateway.admin()
        assert len(results) > 5
        for one in results:
            assert one["again"] == 0, one
            user_id = f"u_{one['number']}"
            saved = {line.removeprefix("saved ") for line in one["said"]}
            if f"of {user_id}" not in saved:
                continue
            expected = saved & {"anonymous", f"of {user_id}"}
            counts = await counts_of(admin, user_id, expected)
            assert {name: counts[name] for name in expected} == dict.fromkeys(expected, 1)
        admin.close()
