"""What the kit cannot see of the TypeScript port: what it is made of, and a clock that really runs."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.clients import eventually
from tests.conformance.node import node_command
from tests.conformance.ports import TYPESCRIPT_ADAPTER
from tests.simulation.gateway_process import GatewayProcess, a_gateway
from tests.simulation.wire import Wire

PORT = TYPESCRIPT_ADAPTER.parent
FILES = sorted(PORT.rglob("*.ts"))
IMPORT = re.compile(r'^(?:import|export)\b[^"]*? from "([^"]+)";$', re.MULTILINE)


@pytest.fixture(scope="module")
def node() -> str:
    command = node_command()
    assert command is not None
    return command[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PORT)))
def test_port_needs_nothing_but_node_and_itself(file: Path) -> None:
    for name in IMPORT.findall(file.read_text()):
        assert name.startswith("node:") or (file.parent / name).is_file(), name


def test_first_program_is_typescript_that_node_runs_as_it_is(node: str) -> None:
    subprocess.run([node, "--check", str(PORT / "example.ts")], check=True, timeout=30)


async def test_first_program_tells_a_real_gateway_and_shows_its_message(
    node: str, tmp_path: Path
) -> None:
    async with a_gateway(tmp_path / "gateway") as gateway:
        with closing(gateway.admin()) as admin:
            async with running(node, gateway) as lines:
                assert await lines.readline() == b"{ sent: 2, remaining: 0 }\n"
                assert await lines.readline() == b"Waiting for messages; Ctrl+C ends.\n"
                person = await eventually(lambda: profile(admin))
                assert person["attributes"] == {"plan": "pro"}
                assert person["counts"] == {"identify": 1, "purchase": 1}

                content = {"layout": "modal", "title": "Hello", "body": "…"}
                message = {"to": {"user_id": "u_42"}, "content": content, "ttl_s": 3600}
                assert (await admin.ask("POST", "/admin/v1/messages", message)).status == 202
                assert await lines.readline() == b"[modal] Hello\n"


@asynccontextmanager
async def running(node: str, gateway: GatewayProcess) -> AsyncIterator[asyncio.StreamReader]:
    """Run the first program of the port against a gateway; gives what it prints."""
    program = await asyncio.create_subprocess_exec(
        node,
        str(PORT / "example.ts"),
        f"http://{gateway.host}:{gateway.port}",
        gateway.credentials()["publishable_key"],
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    try:
        yield program.stdout
    finally:
        program.kill()
        await program.wait()


async def profile(admin: Wire) -> dict[str, Any] | None:
    """Give the person of the first program, once the gateway has followed both events."""
    answer = await admin.ask("GET", "/admin/v1/profiles?user_id=u_42")
    return answer.body if answer.status == 200 and answer.body["events"] == 2 else None
