"""Start a program that cannot outlive its parent: `launch.py <parent pid> <program> <argument>…`.

Run as a file by `python -I -S` (17 ms), so it imports the standard library only. This is what
`preexec_fn` would do, without running Python between fork and exec of a process with threads.
"""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
WATCH_S = 0.5


def die_with(parent_pid: int) -> None:
    """Let the kernel SIGKILL this process when its parent is gone, however that ended.

    Linux: the bond survives exec, and the kernel ties it to the *thread* that started this
    process, so start children from a thread that lives as long as the process. Elsewhere a
    thread watches the parent, which an exec ends.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        number = ctypes.c_ulong(signal.SIGKILL)
        if libc.prctl(PR_SET_PDEATHSIG, number, *[ctypes.c_ulong(0)] * 3) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent_pid,), name="parent", daemon=True).start()
    # The parent may have died before the bond was made; then somebody else has adopted us.
    if os.getppid() != parent_pid:
        os._exit(1)


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(WATCH_S)
    os._exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program is the supervisor's
