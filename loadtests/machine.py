"""What the machine is and what our processes take of it, read from /proc."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def describe() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory_kib() / 1024**2, 1),
    }


def trees(roots: Iterable[int]) -> list[int]:
    """The `roots` and all their living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU time the processes have used so far, user and system."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    try:
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def command_line(pid: int) -> list[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def busy_s() -> float:
    """CPU time the whole machine has used so far, hypervisor steal included."""
    try:
        fields = [int(field) for field in _line("stat", "cpu ").split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Usage:
    """Who used the CPU during a window; `other` is everybody who is no part of the benchmark."""

    seconds: float
    by_role: dict[str, float]
    client_s: float
    other_s: float

    @property
    def target_s(self) -> float:
        return sum(self.by_role.values())

    @property
    def other_share(self) -> float:
        return self.other_s / (self.seconds * (os.cpu_count() or 1)) if self.seconds else 0.0


class Window:
    """Measures CPU use between its making and `close`."""

    def __init__(self, roots: Iterable[int], now: float) -> None:
        self._roots = tuple(roots)
        self._began = now
        self._busy = busy_s()
        self._before = self._used()
        self._client = _own_cpu_s()

    def close(self, now: float) -> Usage:
        by_role: dict[str, float] = {}
        for pid, used in self._used().items():
            name = role(pid)
            by_role[name] = by_role.get(name, 0.0) + used - self._before.get(pid, 0.0)
        client = _own_cpu_s() - self._client
        other = max(busy_s() - self._busy - sum(by_role.values()) - client, 0.0)
        return Usage(now - self._began, by_role, client, other)

    def _used(self) -> dict[int, float]:
        return {pid: cpu_s([pid]) for pid in trees(self._roots)}


def role(pid: int) -> str:
    """What a process of a program under measurement does: `valkey`, `edge`, `worker`, … or `app`."""
    words = command_line(pid)
    if words and "valkey-server" in words[0]:
        return "valkey"
    if "gateway" in words[:-1]:
        return words[words.index("gateway") + 1]
    return "app"


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _stat(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return []
    # The command, in parentheses, may contain anything; the state follows the last one.
    return text[text.rfind(")") + 2 :].split()


def _line(name: str, start: str) -> str:
    with (_PROC / name).open() as lines:
        return next((line for line in lines if line.startswith(start)), "")


def _processor() -> str:
    try:
        return _line("cpuinfo", "model name").partition(":")[2].strip() or platform.machine()
    except OSError:
        return platform.machine()


def _memory_kib() -> int:
    try:
        return int(_line("meminfo", "MemTotal").split()[1])
    except (OSError, IndexError):
        return 0
