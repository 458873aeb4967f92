"""Who works on a data folder: one server at a time, and people are told which."""

import fcntl
import os
import shlex
import time
from contextlib import suppress
from pathlib import Path

from gateway.embedded.process import process_lives
from gateway.errors import ZurufError

TICK_S = 0.002


class DataFolderBusy(ZurufError):
    """Another server works on this data folder."""


class DataFolderLock:
    """`<data folder>/lock`, held by this process and by the Valkey it starts.

    Two servers on one folder would silently append to the same file, so the kernel's lock
    decides, not the numbers in the file: those only tell people who it is.
    """

    def __init__(self, data_dir: Path, patience_s: float) -> None:
        """Take the lock, or raise DataFolderBusy at once if its holder lives.

        Waits only for the dying: a server whose supervisor was killed lets go within moments.
        """
        self._file = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_s
        while not self._try():
            supervisor, server = read_holders(data_dir)
            if process_lives(supervisor) or time.monotonic() > deadline:
                os.close(self._file)
                raise DataFolderBusy(_describe_holders(data_dir, supervisor, server))
            time.sleep(TICK_S)

    def name_holders(self, supervisor: int, server: int) -> None:
        """Write who it is."""
        text = f"{supervisor}\n{server}\n".encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def fileno(self) -> int:
        """The descriptor that carries the lock."""
        return self._file

    def release(self) -> None:
        """Let go. The file stays: removing it would let two servers lock two files."""
        os.close(self._file)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def read_holders(data_dir: Path) -> tuple[int, int]:
    """Who took the lock last: supervisor and server; zeros if unknown."""
    with suppress(OSError, ValueError):
        supervisor, server = (data_dir / "lock").read_text().split()
        return int(supervisor), int(server)
    return 0, 0


def folder_is_locked(data_dir: Path) -> bool:
    """Whether a server works on the data folder now."""
    try:
        file = os.open(data_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _describe_holders(data_dir: Path, supervisor: int, server: int) -> str:
    if process_lives(supervisor):
        return (
            f"Zuruf already runs on {data_dir} (process {supervisor}). Stop it first: "
            f"kill {supervisor}; or choose another folder: zuruf up --data-dir …"
        )
    if process_lives(server):
        return (
            f"Process {server}, a Valkey left by an earlier start, still works on {data_dir}. "
            f"Stop it first: kill {server}"
        )
    lock = shlex.quote(str(data_dir / "lock"))
    return f"An unknown process holds {lock}. Find and stop it: fuser -v {lock}"
