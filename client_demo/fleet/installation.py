"""The gateway that the fleet talks to: the one that runs, or one that is started for the demo."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_demo.fleet.errors import DemoError

CREDENTIALS = "credentials.json"
READY_TIMEOUT_S = 70.0
STOP_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 2.0
TICK_S = 0.05
LOG_LINES = 15

# Like the SDK: a proxy of the environment is not for a gateway on this machine.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that answers, and the keys of its demo app."""

    url: str
    console_url: str
    app_name: str
    publishable_key: str
    secret_key: str
    is_ours: bool = False


def parse_credentials(text: str, *, is_ours: bool = False) -> Gateway:
    """Read `credentials.json`; raises ValueError when it is not one."""
    value: Any = json.loads(text)
    try:
        app = value["app"]
        return Gateway(
            url=str(value["url"]),
            console_url=str(value["console_url"]),
            app_name=str(app["name"]),
            publishable_key=str(app["publishable_key"]),
            secret_key=str(app["secret_key"]),
            is_ours=is_ours,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"it has no {error}") from None


def running(data_dir: Path) -> Gateway | None:
    """Give the gateway of a data folder when it answers."""
    file = data_dir / CREDENTIALS
    try:
        gateway = parse_credentials(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError:
        raise DemoError(
            f"{file} belongs to somebody else. Run the demo as the user who runs the gateway, or "
            "with `--own` to start a gateway just for the demo."
        ) from None
    except (OSError, ValueError) as error:
        raise DemoError(
            f"{file} cannot be read ({error}). Starting the gateway writes it anew: `make run`."
        ) from None
    return gateway if is_ready(gateway.url) else None


def is_ready(url: str) -> bool:
    """Tell whether a gateway answers there and can store."""
    try:
        with _direct.open(f"{url}/readyz", timeout=PROBE_TIMEOUT_S) as answer:
            return answer.status == 200 and "X-Zuruf" in answer.headers
    except (OSError, urllib.error.URLError, ValueError):
        return False


@contextlib.contextmanager
def started() -> Iterator[Gateway]:
    """Start a gateway in a folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="zuruf-demo-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder, "data")
        log = Path(folder, "gateway.log")
        port, console_port = free_ports(2)
        command = [sys.executable, "-m", "gateway", "up"]
        command += ["--port", str(port), "--data-dir", str(data_dir)]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ZURUF_")
        }
        environment["ZURUF_CONSOLE_PORT"] = str(console_port)
        with log.open("wb") as output:
            # A session of its own: Control-C is for the demo, which stops the gateway last.
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield _await(process, data_dir, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(data_dir, ignore_errors=True)


def free_ports(number: int) -> list[int]:
    """Find ports that nobody listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _await(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> Gateway:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(
                f"the gateway ended while it started. It said:\n{_tail(log)}\n"
                "`zuruf doctor` says what is wrong with this machine."
            )
        with contextlib.suppress(OSError, ValueError):
            gateway = parse_credentials(
                (data_dir / CREDENTIALS).read_text(encoding="utf-8"), is_ours=True
            )
            if is_ready(gateway.url):
                return gateway
        time.sleep(TICK_S)
    raise DemoError(
        f"the gateway was not ready after {READY_TIMEOUT_S:.0f} s. It said:\n{_tail(log)}\n"
        "`zuruf doctor` says what is wrong with this machine."
    )


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join(f"  {line}" for line in lines) or "  nothing"
