import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import valkey

import gateway
from gateway.embedded.lock import folder_is_locked, read_holders
from gateway.embedded.process import process_lives
from gateway.embedded.supervisor import (
    ECHO_S,
    count_deaths,
    restart_delay_s,
    roles_of,
    settings_environment,
)
from gateway.embedded.valkey import EmbeddedValkey
from gateway.settings import Settings, read_settings
from tests.embedded.waiting import eventually

ROOT = Path(gateway.__file__).parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the bond to the parent is Linux's")

EDGE = """
import http.server
started()
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer((settings.host, settings.port), Ready).serve_forever()
"""
SLEEPER = "started(); time.sleep(120)"
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
started()
time.sleep(120)
"""
MORTAL = "started(); sys.exit(3)"


class Up:
    """A running `up.py`."""

    def __init__(self, settings: Settings, **roles: str) -> None:
        self.settings = settings
        self.roles = roles
        scripts = [f"{name}={script}" for name, script in roles.items()]
        self.process = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("up.py"),
                msgspec.json.encode(settings),
                *scripts,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
        )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout
        self.output = ""

    def await_ready(self) -> None:
        """Wait for the banner, and for the roles that it does not wait for."""
        self.read_until("Control-C")
        eventually(lambda: all(self.starts(role) for role in self.roles))

    def read_until(self, pattern: str) -> str:
        """Read lines until one matches."""
        for line in self.stdout:
            self.output += line
            if re.search(pattern, line):
                return line
        raise AssertionError(f"ended without {pattern!r}:\n{self.output}")

    def starts(self, role: str) -> list[tuple[int, float]]:
        """(process, monotonic time) of each start of a role."""
        journal = self.settings.data_path / role
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [(int(pid), float(at)) for pid, at in map(str.split, lines)]

    def pids(self) -> list[int]:
        """All processes but the supervisor."""
        _, valkey = read_holders(self.settings.data_path)
        return [valkey, *(self.starts(role)[-1][0] for role in self.roles)]

    def kill(self, role: str) -> str:
        """Kill a role and wait for its next start; returns what is said about it."""
        starts = self.starts(role)
        os.kill(starts[-1][0], signal.SIGKILL)
        said = self.read_until(f"{role} .*SIGKILL").strip()
        eventually(lambda: len(self.starts(role)) > len(starts))
        return said

    def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and all output."""
        self.output += self.stdout.read()
        return self.process.wait(), self.output


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({}, data_dir=str(tmp_path / "data"), port=free_port())


@pytest.fixture
def running() -> Iterator[list[Up]]:
    """Where a test leaves what it started, to be ended whatever happens."""
    started: list[Up] = []
    yield started
    for up in started:
        with up.process, up.stdout:
            up.process.kill()


@pytest.fixture
def up(settings: Settings, running: list[Up]) -> Up:
    up = Up(settings, edge=EDGE, worker=SLEEPER)
    running.append(up)
    up.await_ready()
    return up


def test_restarts_come_at_once_then_ever_later() -> None:
    delays = [restart_delay_s(deaths) for deaths in range(1, 10)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert restart_delay_s(10**6) == 5.0


def test_ten_seconds_of_life_end_a_row_of_deaths() -> None:
    assert count_deaths(before=0, lived_s=0.1) == 1
    assert count_deaths(before=7, lived_s=9.9) == 8
    assert count_deaths(before=7, lived_s=10.0) == 1


def test_roles_are_the_commands_of_the_program() -> None:
    roles = {role.name: role for role in roles_of(Settings(edges=2, workers=1))}
    assert list(roles) == ["edge-0", "edge-1", "worker-0", "console-0"]
    assert roles["edge-1"].argv == (sys.executable, "-m", "gateway", "edge", "--slot", "1")


def test_roles_get_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), port=81, serve_admin=False, drain_s=0.5, secret="s")
    assert read_settings(settings_environment(settings)) == settings
    assert settings_environment(Settings())["ZURUF_DATA_DIR"] == str(Path("data").resolve())


def test_it_tells_where_everything_is(up: Up) -> None:
    url = f"unix://{up.settings.data_path / 'valkey.sock'}"
    assert url in up.output
    assert "curl -s" in up.output
    assert "pk" in up.output
    assert "sk-secret" not in up.output, "logs are collected and kept"
    kept = up.settings.data_path / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_bytes()) == {
        "url": url,
        "console_url": "http://console",
        "app": {"id": "a1", "name": "Demo", "publishable_key": "pk", "secret_key": "sk-secret"},
    }


def test_it_restarts_what_dies_at_once_then_later(up: Up) -> None:
    said = [up.kill("worker").partition("starting again ")[2] for _ in range(4)]
    assert said == ["at once", "in 0.1 s", "in 0.2 s", "in 0.4 s"]
    times = [at for _, at in up.starts("worker")]
    assert times[4] - times[3] > 0.4
    assert len(up.starts("edge")) == 1, "the others live on"


def test_valkey_comes_back_with_its_data_while_the_roles_live_on(up: Up) -> None:
    before = up.pids()
    os.kill(before[0], signal.SIGKILL)
    up.read_until("valkey .*SIGKILL")
    up.read_until("valkey .*started")
    after = up.pids()
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_stopping_leaves_nothing_behind(up: Up) -> None:
    pids = up.pids()
    assert all(process_lives(pid) for pid in pids)
    up.process.terminate()
    status, output = up.end()
    assert status == 0
    assert "stopped" in output
    assert not any(process_lives(pid) for pid in pids)
    assert not folder_is_locked(up.settings.data_path)
    assert not (up.settings.data_path / "valkey.sock").exists()


def test_roles_stop_before_valkey_so_that_they_can_still_commit(
    settings: Settings, running: list[Up]
) -> None:
    committer = """
import valkey
def commit(*_):
    time.sleep(0.2)
    valkey.Valkey.from_url(settings.valkey_url).set("last", "word")
    sys.exit()
signal.signal(signal.SIGTERM, commit)
started()
time.sleep(120)
"""
    up = Up(settings, edge=EDGE, worker=committer)
    running.append(up)
    up.await_ready()
    up.process.send_signal(signal.SIGINT)
    assert up.end()[0] == 0
    with EmbeddedValkey(settings.data_path) as server:
        assert server.is_ready()
        with valkey.Valkey.from_url(server.url) as client:
            assert client.get("last") == b"word"


def test_a_role_that_does_not_stop_is_killed(settings: Settings, running: list[Up]) -> None:
    settings = msgspec.structs.replace(settings, drain_s=0.001)
    up = Up(settings, edge=EDGE, worker=STUBBORN)
    running.append(up)
    up.await_ready()
    pids = up.pids()
    up.process.terminate()
    status, output = up.end()
    assert status == 0
    assert "does not stop; killed" in output
    assert not any(process_lives(pid) for pid in pids)


def test_a_second_signal_stops_at_once(settings: Settings, running: list[Up]) -> None:
    settings = msgspec.structs.replace(settings, drain_s=600.0)
    up = Up(settings, edge=EDGE, worker=STUBBORN)
    running.append(up)
    up.await_ready()
    up.process.send_signal(signal.SIGINT)
    up.read_until("once more")
    told_at = time.monotonic()
    eventually(lambda: time.monotonic() > told_at + ECHO_S)
    up.process.send_signal(signal.SIGINT)
    assert up.end()[0] == 0


@LINUX
def test_a_killed_supervisor_leaves_no_orphan(up: Up, running: list[Up]) -> None:
    pids = up.pids()
    up.process.kill()
    eventually(lambda: not any(process_lives(pid) for pid in pids))
    again = Up(up.settings, edge=EDGE, worker=SLEEPER)
    running.append(again)
    again.await_ready()


def test_a_second_one_on_the_same_folder_is_refused_by_name(up: Up, running: list[Up]) -> None:
    other = Up(msgspec.structs.replace(up.settings, port=free_port()), edge=EDGE)
    running.append(other)
    status, output = other.end()
    assert status == 1
    assert f"already runs on {up.settings.data_path} (process {up.process.pid})" in output
    assert all(process_lives(pid) for pid in up.pids())


def test_a_busy_port_is_told_with_the_way_out(settings: Settings, running: list[Up]) -> None:
    with socket.create_server((settings.host, settings.port), reuse_port=True):
        up = Up(settings, edge=EDGE)
        running.append(up)
        status, output = up.end()
    assert status == 1
    assert re.search(rf"Port {settings.port} .* in use .*--port \d+", output)
    assert not settings.data_path.exists()


def test_a_role_that_cannot_start_ends_everything(settings: Settings, running: list[Up]) -> None:
    up = Up(settings, edge=MORTAL, worker=SLEEPER)
    running.append(up)
    status, output = up.end()
    assert status == 1
    assert "exit code 3" in output
    assert "edge ends whenever it is started" in output
    assert not folder_is_locked(settings.data_path)


def test_damaged_data_is_told_instead_of_tried_forever(
    settings: Settings, running: list[Up]
) -> None:
    with EmbeddedValkey(settings.data_path):
        pass
    (settings.data_path / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish")
    up = Up(settings, edge=EDGE)
    running.append(up)
    status, output = up.end()
    assert status == 1
    assert "is damaged" in output


def test_a_valkey_of_ones_own_is_left_alone(
    settings: Settings, running: list[Up], tmp_path: Path
) -> None:
    with EmbeddedValkey(tmp_path / "own") as own:
        up = Up(msgspec.structs.replace(settings, valkey_url=own.url), edge=EDGE)
        running.append(up)
        up.await_ready()
        assert own.url in up.output
        up.process.terminate()
        assert up.end()[0] == 0
        assert own.is_ready()
        assert not (settings.data_path / "appendonlydir").exists()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
