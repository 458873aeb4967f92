"""`zuruf up`: starts Valkey and all roles on this machine, keeps them alive, stops them together.

One thread that sleeps until a signal arrives (a child ended, somebody wants us to stop) or a
restart is due. Nothing here is on the path of a request.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.embedded.credentials import Credentials, write_credentials
from gateway.embedded.ports import check_port, console_port, probe
from gateway.embedded.process import SUPERVISOR_VARIABLE, describe_status
from gateway.embedded.terminal import Terminal
from gateway.embedded.valkey import EmbeddedValkey
from gateway.errors import ZurufError
from gateway.settings import PREFIX, Settings

STABLE_S = 10.0
"""A child that lived this long starts over with the shortest delay."""

RESTART_FIRST_S, RESTART_LAST_S = 0.1, 5.0
START_DEATHS_MAX = 3
START_TICK_S, VALKEY_TICK_S = 0.02, 0.002
LOADING_S = 1.0
IDLE_TICK_S = 5.0
DRAIN_MARGIN_S = 2.0
ECHO_S = 0.5
"""A signal to the whole process group arrives here twice: not a wish to hurry."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Role(Struct, frozen=True):
    """A process to keep alive."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = {}


class StartFailed(ZurufError):
    """The roles did not become ready."""


def roles_of(settings: Settings) -> list[Role]:
    """All roles of one machine: `edge-0`, …, `worker-0`, …, `console-0`."""
    numbers = {"edge": settings.edges, "worker": settings.workers, "console": 1}
    env = settings_environment(settings)
    return [
        Role(f"{kind}-{slot}", (sys.executable, "-m", "gateway", kind, "--slot", str(slot)), env)
        for kind, number in numbers.items()
        for slot in range(number)
    ]


def settings_environment(settings: Settings) -> dict[str, str]:
    """All settings as `ZURUF_*` variables: `read_settings` of them gives the same settings."""
    values = msgspec.structs.asdict(settings) | {"data_dir": settings.data_path}
    return {f"{PREFIX}{name.upper()}": _as_text(value) for name, value in values.items()}


def count_deaths(before: int, lived_s: float) -> int:
    """Deaths in a row, this one included; a long life ends the row."""
    return 1 if lived_s >= STABLE_S else before + 1


def restart_delay_s(deaths: int) -> float:
    """How long to wait after the n-th death in a row: 0, 0.1, 0.2, 0.4, … 5."""
    if deaths <= 1:
        return 0.0
    # The exponent is bounded as well: 2.0**1024 would overflow after an hour and a half.
    return min(RESTART_FIRST_S * 2.0 ** min(deaths - 2, 16), RESTART_LAST_S)


class Supervisor:
    """Runs Valkey (unless the settings name another) and the roles until told to stop.

    `prepare(valkey_url)` runs once Valkey answers and before any role: it makes the demo app, or
    finds it again, and returns what the banner shows and the credentials file keeps.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[Role],
        prepare: Callable[[str], Credentials],
        *,
        terminal: Terminal | None = None,
        ready_timeout_s: float = 60.0,
    ) -> None:
        self._settings = settings
        self._prepare = prepare
        self._terminal = terminal or Terminal()
        self._ready_timeout_s = ready_timeout_s
        self._began = time.monotonic()
        self._valkey = (
            EmbeddedValkey(settings.data_path, store_bytes_max=settings.store_bytes_max)
            if not settings.valkey_url
            else None
        )
        self._valkey_url = self._valkey.url if self._valkey else settings.valkey_url
        self._roles = roles
        self._watches: list[_Watch] = []

    def run(self) -> int:
        """Run until SIGTERM, SIGINT or SIGHUP; returns the exit code. Main thread only."""
        with _listening() as signals:
            try:
                if self._start(signals):
                    while not self._wait(signals, self._keep_alive()):
                        pass
            except ZurufError as error:
                self._terminal.fail(str(error))
                return 1
            finally:
                self._stop(signals)
        return 0

    def _start(self, signals: "_Signals") -> bool:
        """Bring everything up; False if told to stop meanwhile."""
        self._check_ports()
        if self._valkey is not None:
            self._watch("valkey", self._valkey)
            if not self._await_valkey(self._valkey, signals):
                return False
        data_dir = self._settings.data_path
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        credentials = self._prepare(self._valkey_url)
        write_credentials(data_dir, credentials)
        for role in self._roles:
            self._watch(role.name, _RoleProcess(role, self._valkey_url))
        deadline = time.monotonic() + self._ready_timeout_s
        while probe(self._settings.host, self._settings.port) != 200:
            self._keep_alive()
            self._give_up_if_hopeless(deadline)
            if self._wait(signals, START_TICK_S):
                return False
        self._terminal.banner(credentials, data_dir, time.monotonic() - self._began)
        return True

    def _await_valkey(self, server: EmbeddedValkey, signals: "_Signals") -> bool:
        patience_ends = time.monotonic() + LOADING_S
        while not server.is_ready():
            if time.monotonic() > patience_ends:
                self._terminal.note("valkey", "is loading its data …")
                patience_ends += 10 * LOADING_S
            if self._wait(signals, VALKEY_TICK_S):
                return False
        return True

    def _keep_alive(self) -> float:
        """Start what is due; returns for how long there is nothing to do."""
        now = time.monotonic()
        for watch in self._watches:
            if watch.running and watch.child.poll() is not None:
                watch.deaths = count_deaths(watch.deaths, now - watch.started_at)
                self._postpone(watch, watch.child.describe_end(), now)
            if not watch.running and now >= watch.due_at:
                self._launch(watch)
        dues = [watch.due_at for watch in self._watches if not watch.running]
        return max(0.0, min([IDLE_TICK_S, *(due - now for due in dues)]))

    def _launch(self, watch: "_Watch") -> None:
        now = time.monotonic()
        try:
            watch.child.launch()
        except (ZurufError, OSError) as error:
            watch.deaths += 1
            self._postpone(watch, str(error), now)
            return
        watch.running, watch.started_at = True, now
        self._terminal.note(watch.name, f"started (process {watch.child.pid})")

    def _postpone(self, watch: "_Watch", reason: str, now: float) -> None:
        delay_s = restart_delay_s(watch.deaths)
        watch.running, watch.due_at = False, now + delay_s
        when = f"in {delay_s:g} s" if delay_s else "at once"
        self._terminal.warn(watch.name, f"{reason}; starting again {when}")

    def _watch(self, name: str, child: "_Child") -> None:
        """Start a child for the first time; an error here is the caller's."""
        child.launch()
        watch = _Watch(name, child)
        self._watches.append(watch)
        self._terminal.note(name, f"started (process {child.pid})")

    def _check_ports(self) -> None:
        check_port(self._settings.host, self._settings.port)
        if any(role.name.startswith("console") for role in self._roles):
            port = console_port(self._settings)
            check_port(self._settings.host, port, "ZURUF_CONSOLE_PORT=")

    def _give_up_if_hopeless(self, deadline: float) -> None:
        for watch in self._watches:
            if watch.deaths >= START_DEATHS_MAX:
                raise StartFailed(f"{watch.name} ends whenever it is started; its output is above")
        if time.monotonic() > deadline:
            raise StartFailed(
                f"Not ready after {self._ready_timeout_s:g} s: GET /readyz on port "
                f"{self._settings.port} does not answer 200. Try: zuruf doctor"
            )

    def _wait(self, signals: "_Signals", timeout_s: float) -> bool:
        """Sleep until a signal or the time; True if told to stop."""
        return any(number in STOP_SIGNALS for number in signals.wait(timeout_s))

    def _stop(self, signals: "_Signals") -> None:
        """Roles first, so that they can still commit; Valkey last. A second signal hurries."""
        roles = [
            watch.child
            for watch in self._watches
            if watch.running and isinstance(watch.child, _RoleProcess)
        ]
        if roles:
            self._terminal.note("zuruf", "stopping; once more stops at once")
        for role in roles:
            role.terminate()
        began = time.monotonic()
        deadline = began + self._settings.drain_s + DRAIN_MARGIN_S
        while any(role.poll() is None for role in roles):
            left_s = deadline - time.monotonic()
            told = left_s > 0 and self._wait(signals, min(left_s, IDLE_TICK_S))
            if left_s <= 0 or (told and time.monotonic() > began + ECHO_S):
                break
        for watch in self._watches:
            if isinstance(watch.child, _RoleProcess) and watch.running:
                if watch.child.poll() is None:
                    self._terminal.warn(watch.name, "does not stop; killed")
                watch.child.kill()
        if self._valkey is not None:
            self._valkey.stop()
        if roles:
            self._terminal.note("zuruf", "stopped")


class _Child(Protocol):
    """What the supervisor keeps alive: a role or Valkey."""

    @property
    def pid(self) -> int: ...
    def launch(self) -> None: ...
    def poll(self) -> int | None: ...
    def describe_end(self) -> str: ...


class _Watch:
    """A child and its recent history."""

    def __init__(self, name: str, child: _Child) -> None:
        self.name = name
        self.child = child
        self.running = True
        self.deaths = 0
        self.started_at = time.monotonic()
        self.due_at = 0.0


class _RoleProcess:
    """One role; it calls `die_with_parent` at start."""

    def __init__(self, role: Role, valkey_url: str) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
        }
        self._env = {
            **inherited,
            **role.env,
            f"{PREFIX}VALKEY_URL": valkey_url,
            SUPERVISOR_VARIABLE: str(os.getpid()),
        }
        self._argv = role.argv
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    def launch(self) -> None:
        # Its own session: Control-C is for us, and we stop roles before Valkey.
        self._process = subprocess.Popen(
            self._argv, env=self._env, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def poll(self) -> int | None:
        return self._running().poll()

    def describe_end(self) -> str:
        return f"ended ({describe_status(self._running().returncode)})"

    def terminate(self) -> None:
        self._running().terminate()

    def kill(self) -> None:
        """End it and what it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._running().kill()
        self._running().wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process


class _Signals:
    """Signals as something to wait for."""

    def __init__(self, reader: int) -> None:
        self._reader = reader

    def wait(self, timeout_s: float) -> bytes:
        """Numbers of the signals that have arrived, at the latest after the timeout."""
        ready, _, _ = select.select([self._reader], [], [], timeout_s)
        return os.read(self._reader, 4096) if ready else b""


@contextmanager
def _listening() -> Iterator[_Signals]:
    """Turn SIGCHLD and the stop signals into something to wait for."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    previous_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    previous = {}
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        # `nohup zuruf up` ignores SIGHUP, and so do we then.
        if number is signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, lambda *_: None)
    try:
        yield _Signals(reader)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(reader)
        os.close(writer)


def _as_text(value: str | float | bool | Path) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
