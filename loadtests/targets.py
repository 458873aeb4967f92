"""The programs under measurement, as processes of their own: gateway, twin, floor."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests import machine
from loadtests.engine import Engine, die_with_parent
from loadtests.wire import Origin

_READY_S_MAX = 60.0
_STOP_S_MAX = 20.0

# A benchmark asks far more of one device and one address than anybody in the field.
_UNLIMITED = {
    "ZURUF_DEVICE_RATE": "1e9",
    "ZURUF_DEVICE_BURST": "1000000000",
    "ZURUF_APP_RATE": "1e9",
    "ZURUF_APP_BURST": "1000000000",
    "ZURUF_REGISTRATION_RATE": "1e9",
    "ZURUF_REGISTRATION_BURST": "1000000000",
    "ZURUF_LOG_LEVEL": "warning",
}


class TargetError(Exception):
    """A program did not start, or stopped by itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a running program is and the keys it takes."""

    url: str
    publishable_key: str
    secret_key: str = ""
    name: str = "gateway"
    roots: tuple[int, ...] = ()

    @property
    def origin(self) -> Origin:
        return Origin.of(self.url)


class Target:
    """One started program, and what it needs, until `stop`."""

    def __init__(
        self,
        access: Access,
        process: subprocess.Popen[bytes],
        log: Path,
        engine: Engine | None = None,
    ) -> None:
        self.access = access
        self._process = process
        self._log = log
        self._engine = engine

    @property
    def pids(self) -> list[int]:
        return machine.trees(self.access.roots)

    @property
    def last_words(self) -> str:
        """The end of its log, for when something went wrong."""
        return _end_of(self._log)

    def stop(self) -> None:
        pids = machine.trees([self._process.pid])
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            for pid in pids:
                _kill(pid)
            self._process.wait()
        if self._engine:
            self._engine.stop()


def start_floor(directory: Path, *, server: str = "uvicorn", processes: int = 2) -> Target:
    return _serve("floor", directory, server, processes, {}, None)


def start_twin(directory: Path, *, processes: int = 2) -> Target:
    engine = Engine(directory / "twin-valkey")
    return _serve(
        "twin", directory, "uvicorn", processes, {"TWIN_VALKEY_SOCKET": str(engine.socket)}, engine
    )


def start_gateway(
    directory: Path,
    *,
    edges: int = 2,
    workers: int = 1,
) -> Target:
    port = free_port()
    data = directory / f"gateway-{port}"
    log = directory / f"gateway-{port}.log"
    command = [sys.executable, "-m", "gateway", "up", "--port", str(port), "--data-dir", str(data)]
    command += ["--edges", str(edges), "--workers", str(workers)]
    process = _spawn(command, log, _UNLIMITED)
    access = Access(f"http://127.0.0.1:{port}", "")
    _wait_until_ready(access, process, log)
    return Target(read_credentials(data / "credentials.json", process.pid), process, log)


def read_credentials(path: Path, *roots: int) -> Access:
    known = json.loads(path.read_text())
    app = known["app"]
    return Access(known["url"], app["publishable_key"], app["secret_key"], roots=roots)


def free_port() -> int:
    """A free port whose successor is free too: the gateway's console takes it."""
    while True:
        with socket.socket() as probe, socket.socket() as neighbour:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                neighbour.bind(("127.0.0.1", port + 1))
                return port


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - http only
            return bool(answer.status < 300)
    except (OSError, urllib.error.URLError):
        return False


def _serve(
    name: str,
    directory: Path,
    server: str,
    processes: int,
    environment: Mapping[str, str],
    engine: Engine | None,
) -> Target:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "loadtests.serve",
        f"loadtests.{name}:app",
        "--port",
        str(port),
    ]
    command += ["--processes", str(processes), "--server", server]
    log = directory / f"{name}-{server}.log"
    process = _spawn(command, log, environment)
    key = "pk_twin" if name == "twin" else "pk_floor"
    roots = (process.pid, engine.pid) if engine else (process.pid,)
    access = Access(f"http://127.0.0.1:{port}", key, name=name, roots=roots)
    try:
        _wait_until_ready(access, process, log)
    except TargetError:
        if engine:
            engine.stop()
        raise
    return Target(access, process, log, engine)


def _spawn(
    command: list[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads here
        )


def _wait_until_ready(access: Access, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _READY_S_MAX
    while time.monotonic() < give_up and process.poll() is None:
        if is_ready(access.url):
            return
        time.sleep(0.1)
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    if process.poll() is None:
        process.terminate()
        process.wait(_STOP_S_MAX)
    raise TargetError(f"{access.name} {state}; the end of its log:\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
