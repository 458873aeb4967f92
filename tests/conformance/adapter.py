"""The runner's end of an adapter: a program that is told what to do in JSON lines, and answers likewise."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANSWERS_WITHIN_S = 10.0
ENDS_WITHIN_S = 2.0
# Of what a program wrote to standard error, so much is shown.
STDERR_SHOWN = 2_000

PYTHON_ADAPTER = (sys.executable, "-m", "tests.conformance.python_adapter")


class AdapterError(Exception):
    """The adapter did not answer, or said that it can't."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Port:
    """What an adapter says of itself."""

    name: str
    version: str
    language: str
    spec: str
    capabilities: frozenset[str]
    vectors: frozenset[str]


class Adapter:
    """A running adapter. Raises AdapterError when it cannot be started."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self._number = 0
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd=ROOT,
                env=_environment(),
            )
        except OSError as error:
            self._stderr.close()
            raise AdapterError(f"cannot be started: {error}") from error
        threading.Thread(target=self._read, name="adapter", daemon=True).start()

    def ask(self, operation: str, **arguments: object) -> Any:
        """Have something done; raises AdapterError."""
        self._number += 1
        request = {"id": self._number, "op": operation, **arguments}
        assert self._process.stdin is not None, "the input is a pipe"
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=ANSWERS_WITHIN_S)
        except queue.Empty:
            raise self._failure(f"no answer to {operation} in {ANSWERS_WITHIN_S:g} s") from None
        except OSError as error:
            raise self._failure(f"{operation}: {error}") from error
        if not line:
            raise self._failure(f"the adapter ended at {operation}")
        return self._result_in(line, operation)

    def hello(self) -> Port:
        """Ask who this is."""
        told = self.ask("hello")
        return Port(
            name=told["name"],
            version=told["version"],
            language=told["language"],
            spec=told["spec"],
            capabilities=frozenset(told["capabilities"]),
            vectors=frozenset(told["vectors"]),
        )

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._release()

    def close(self) -> None:
        """End it: its input ends."""
        assert self._process.stdin is not None, "the input is a pipe"
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._release()

    def said(self) -> str:
        """Give the end of what it wrote to standard error."""
        if self._stderr.closed:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        text = os.pread(self._stderr.fileno(), STDERR_SHOWN, max(0, size - STDERR_SHOWN))
        return text.decode(errors="replace").strip()

    def _result_in(self, line: bytes, operation: str) -> Any:
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._failure(f"{operation}: no JSON: {line[:200]!r}") from None
        if answer.get("id") != self._number:
            raise self._failure(f"{operation}: answer {answer.get('id')} to {self._number}")
        if "error" in answer:
            error = answer["error"]
            raise AdapterError(f"{operation}: {error['code']}: {error['message']}", error["code"])
        return answer.get("result")

    def _read(self) -> None:
        assert self._process.stdout is not None, "the output is a pipe"
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(b"")

    def _failure(self, why: str) -> AdapterError:
        return AdapterError(why, "broken")

    def _release(self) -> None:
        assert self._process.stdin is not None, "the input is a pipe"
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._stderr.close()


@contextlib.contextmanager
def an_adapter(command: Sequence[str]) -> Iterator[Adapter]:
    """Give an adapter for the length of a block."""
    adapter = Adapter(command)
    try:
        yield adapter
    finally:
        adapter.close()


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "sdk_reference")])
    return {**os.environ, "PYTHONPATH": path}
