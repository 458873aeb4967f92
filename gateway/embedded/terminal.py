"""What `zuruf up` says: short lines for people on a terminal, plain ones for a log."""

import os
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gateway.embedded.credentials import FILE_NAME, Credentials


class Terminal:
    """Lines on a terminal or in a log. `quiet` keeps warnings and errors only."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.console = _Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
        self._quiet = quiet

    def note(self, subject: str, text: str) -> None:
        """Tell how things go."""
        if not self._quiet:
            self._line(subject, text, "dim")

    def warn(self, subject: str, text: str) -> None:
        """Tell what went wrong and is being dealt with."""
        self._line(subject, text, "yellow")

    def fail(self, text: str) -> None:
        """Tell what went wrong for good, and what to do."""
        self._line("zuruf", text, "bold red")

    def banner(self, credentials: Credentials, data_dir: Path, ready_s: float) -> None:
        """Tell where everything is and how to try it."""
        if self._quiet:
            return
        app = credentials.app
        # A terminal is for eyes; logs are collected and kept.
        secret = app.secret_key if self.console.is_terminal else f"in {FILE_NAME}"
        rows = (
            ("device API", credentials.url, "bold cyan"),
            ("admin API", credentials.console_url, "bold cyan"),
            ("reference", f"{credentials.console_url}/docs", ""),
            ("demo app", app.name, ""),
            ("publishable key", app.publishable_key, "green"),
            ("secret key", secret, "green"),
            ("kept in", str(data_dir / FILE_NAME), ""),
        )
        self.console.print(Text.assemble(("\nZuruf is ready", "bold"), f" after {ready_s:.1f} s\n"))
        for name, value, style in rows:
            self.console.print(Text.assemble((f"{name:<17}", "dim"), (value, style)))
        self.console.print(
            "\nRegister a device (README.md goes on from there to its first message):\n",
            style="dim",
        )
        self.console.print(try_it(credentials), markup=False)
        self.console.print(
            f"\nControl-C here, or kill {os.getpid()}, stops everything.\n", style="dim"
        )

    def _line(self, subject: str, text: str, style: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime())
        stamp = "" if self.console.is_terminal else now
        # The window may have been closed: that is why we stop, and no reason to stop halfway.
        with suppress(OSError):
            self.console.print(Text.assemble(stamp, (f"{subject:<10} ", "cyan"), (text, style)))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on in silence: who reads our output may go, the gateway stays."""
        self.quiet = True


def try_it(credentials: Credentials) -> str:
    """A line to paste into a shell: registers a device."""
    body = f'{{"install_id":"{uuid.uuid4()}","platform":"web","form_factor":"desktop"}}'
    return (
        f"curl -s {credentials.url}/v1/devices "
        f"-H 'Authorization: Bearer {credentials.app.publishable_key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
