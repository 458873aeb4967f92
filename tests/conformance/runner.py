"""Runs the kit against an adapter: each case passes, fails with a reason, or is not offered by the port."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tests.conformance.adapter import Adapter, AdapterError, Port
from tests.conformance.conversation import CaseFailedError, Conversation
from tests.conformance.decide import expanded
from tests.conformance.gateway import a_gateway
from tests.conformance.matching import MismatchError, ScriptError, check_same
from tests.conformance.scripts import Step, Vector, VectorCase, WireCase, WireScript

Outcome = Literal["passed", "failed", "not offered"]
Tier = Literal["vectors", "wire"]

# 2025-11-21T18:33:20Z: where every script begins.
START_MS = 1_763_750_000_000


@dataclass(frozen=True)
class Result:
    """What came of one case."""

    tier: Tier
    file: str
    case: str
    outcome: Outcome
    seconds: float = 0.0
    why: str = ""


class Runner:
    """Runs cases; keeps the adapter's processes and replaces those that were killed or got lost."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._adapters: dict[str, Adapter] = {}
        try:
            self.port: Port = self._adapter("a").hello()
        except AdapterError:
            self.close()
            raise

    def close(self) -> None:
        """End all processes."""
        for adapter in self._adapters.values():
            adapter.close()
        self._adapters.clear()

    def run_vector(self, vector: Vector, only: str | None = None) -> Iterator[Result]:
        """Run the cases of a vector file, or those with a text in their name or the file's."""
        for case in vector.cases:
            if not _is_wanted(only, vector.name, case.id):
                continue
            if vector.name not in self.port.vectors:
                yield Result("vectors", vector.name, case.id, "not offered")
            else:
                run = partial(self._decide, vector, case)
                yield self._timed("vectors", vector.name, case.id, run)

    def run_script(self, script: WireScript, only: str | None = None) -> Iterator[Result]:
        """Run the cases of a wire script, or those with a text in their name or the file's."""
        for case in script.cases:
            if not _is_wanted(only, script.name, case.id):
                continue
            lacks = ", ".join(sorted(case.needs - self.port.capabilities))
            if lacks:
                yield Result("wire", script.name, case.id, "not offered", why=f"needs {lacks}")
            else:
                yield self._timed("wire", script.name, case.id, partial(self._converse, case))

    def _timed(self, tier: Tier, file: str, case: str, run: Callable[[], None]) -> Result:
        begun_s = time.perf_counter()
        try:
            run()
        except (MismatchError, ScriptError, AdapterError, CaseFailedError) as error:
            why = f"{error}{self._said()}"
            self._discard()
            return Result(tier, file, case, "failed", time.perf_counter() - begun_s, why)
        return Result(tier, file, case, "passed", time.perf_counter() - begun_s)

    def _decide(self, vector: Vector, case: VectorCase) -> None:
        found = self._adapter("a").ask(
            "decide", vector=vector.name, given=case.given, input=case.input
        )
        check_same(expanded(case.expect), found)

    def _converse(self, case: WireCase) -> None:
        for steps in _variants(case):
            with (
                tempfile.TemporaryDirectory(prefix="zuruf-conformance-") as folder,
                a_gateway(START_MS) as gateway,
            ):
                talk = Conversation(gateway, Path(folder) / "store", case.config, self)
                with self._stopping():
                    talk.run(steps)

    # The processes

    def adapter(self, client: str) -> Adapter:
        """Give the process that holds a client, a new one if there is none."""
        return self._adapter(client)

    def kill(self, client: str) -> None:
        """Crash a client."""
        if client in self._adapters:
            self._adapters.pop(client).kill()

    def _adapter(self, client: str) -> Adapter:
        if client not in self._adapters:
            self._adapters[client] = Adapter(self._command)
        return self._adapters[client]

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """Leave no client running behind; one that failed has its process discarded anyway."""
        yield
        for adapter in self._adapters.values():
            adapter.ask("stop")

    def _discard(self) -> None:
        """After a failure nothing is known about the processes."""
        for client in list(self._adapters):
            self.kill(client)

    def _said(self) -> str:
        told = [(client, adapter.said()) for client, adapter in self._adapters.items()]
        return "".join(f"\n--- standard error of {client}\n{text}" for client, text in told if text)


def _is_wanted(only: str | None, file: str, case: str) -> bool:
    return only is None or only in file or only in case


def _variants(case: WireCase) -> Iterator[tuple[Step, ...]]:
    """Give the steps of a case; of one that kills, once for each place to kill at."""
    if not case.kill_after_each:
        yield case.steps + case.finally_steps
        return
    for index, step in enumerate(case.steps):
        if step.operation.startswith("sdk.start"):
            continue
        crash = (Step("process.kill", {}, step.on), Step("sdk.start", {}, step.on))
        head, tail = case.steps[: index + 1], case.steps[index + 1 :]
        yield head + crash + tail + case.finally_steps
