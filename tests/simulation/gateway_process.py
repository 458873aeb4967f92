"""The gateway under test: the real `zuruf up` on loopback, and the pids of its roles to aim at."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.simulation.wire import Wire

ROOT = Path(__file__).resolve().parents[2]

# The simulation packs years of crashes into a minute, so a life counts as long much earlier:
# otherwise most of the time would pass in the supervisor's pauses before the next start.
UP = """
import sys
from gateway.__main__ import main
from gateway.embedded import supervisor
supervisor.STABLE_S = 0.25
sys.exit(main())
"""
SETTINGS = {
    "device_rate": 1_000_000,
    "device_burst": 1_000_000,
    "decisions_max": 1_000_000,  # all of them are evidence
}


class GatewayProcess:
    """One installation: it may be stopped, killed and started again on the same data folder."""

    host = "127.0.0.1"

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.port, console_port = free_ports(2)
        self.output: list[str] = []
        self.pids: dict[str, int] = {}
        own = {**SETTINGS, **settings, "data_dir": data_dir, "console_port": console_port}
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ZURUF_")
        }
        self._environment["PYTHONPATH"] = str(ROOT)
        self._environment |= {f"ZURUF_{name.upper()}": str(value) for name, value in own.items()}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = False

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        self._ready = False
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UP, "up", "--port", str(self.port)),
            cwd=ROOT,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
        )
        self._reading = asyncio.create_task(self._read())
        await eventually(lambda: self._ready, within_s=60)

    async def end(self, how: signal.Signals) -> int:
        """Signal the supervisor and wait until all is gone; returns its exit code."""
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        status = await self._process.wait()
        # The roles hold the other end of the pipe: its end is theirs.
        await asyncio.wait_for(self._reading, 10)
        return status

    def signal(self, role: str, how: signal.Signals) -> int | None:
        """Signal a role; returns its process, None when it is not running at this moment."""
        pid = self.pids.get(role)
        if pid is None:
            return None
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return None
        return pid

    async def restart(self, role: str) -> None:
        """Kill a role and wait until it runs again."""
        pid = self.signal(role, signal.SIGKILL)
        assert pid is not None, "not running"
        await self.restarted(role, pid)

    async def restarted(self, role: str, before: int) -> None:
        """Wait until a role runs as another process than before."""
        await eventually(lambda: self.pids.get(role, before) != before)

    def credentials(self) -> dict[str, Any]:
        app: dict[str, Any] = json.loads((self.data_dir / "credentials.json").read_text())["app"]
        return app

    def admin(self) -> Wire:
        """A connection with the app's secret key."""
        return Wire(self.host, self.port, self.credentials()["secret_key"])

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.output.append(line)
            if found := re.search(r"(\S+) +started \(process (\d+)\)$", line):
                self.pids[found[1]] = int(found[2])
            elif found := re.search(r"Z (\S+) .*starting again", line):
                self.pids.pop(found[1], None)
            elif "Control-C" in line:
                self._ready = True
        self.pids.clear()


@asynccontextmanager
async def a_gateway(data_dir: Path, **settings: object) -> AsyncIterator[GatewayProcess]:
    """A gateway that runs; what it said is printed, so that pytest shows it when the test fails."""
    gateway = GatewayProcess(data_dir, **settings)
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.end(signal.SIGKILL)
        sys.stdout.write("\n".join(gateway.output))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def eventually(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Return as soon as the condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 (most conditions are other processes' doing)
            await asyncio.sleep(0.005)
