"""What a process of ours asks of the operating system: its end, its files, its memory."""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway.embedded import launch

SUPERVISOR_VARIABLE = "_ZURUF_SUPERVISOR"
"""Names the supervisor to the roles it starts. Not a setting, hence the underscore."""

OPEN_FILES_MAX = 1 << 20

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def die_with_parent() -> None:
    """Bind the life of this process to the supervisor that started it; a role calls this first.

    Does nothing in a role that was started by hand, so it may outlive the shell it came from.
    """
    supervisor = os.environ.pop(SUPERVISOR_VARIABLE, "")
    if supervisor:
        launch.die_with(int(supervisor))


def bound_command(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` bound to this process, for a program that is not ours.

    Off Linux there is no such bond that survives an exec: the program may stay behind.
    """
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *argv]


def raise_open_files_limit() -> int:
    """Raise the soft limit of open files as far as the hard limit allows; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS says "infinity" and refuses more than a kernel constant.
        for limit in (wanted, 10_240):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            except (OSError, ValueError):
                continue
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def memory_bytes() -> int:
    """Memory this process may use: the machine's, or less if a container says so."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits()])


def process_lives(pid: int) -> bool:
    """Whether a process of this number runs, ours or not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # In a container without an init, the dead stay in the table.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def describe_status(status: int) -> str:
    """How a process ended, for people: `exit code 3`, `killed by SIGKILL`."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _cgroup_limits() -> list[int]:
    limits = []
    for path in CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return limits
