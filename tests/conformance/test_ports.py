"""The ports kept here, held to the kit: one test for each file and port."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.conformance.conftest import RunnerFactory
from tests.conformance.runner import Result
from tests.conformance.scripts import (
    Vector,
    WireScript,
    read_vectors,
    read_wire_scripts,
    spec_version,
)

PORTS = ("zuruf-python", "zuruf-typescript")


@pytest.mark.parametrize("vector", read_vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("port", PORTS)
def test_port_decides_as_the_vectors_say(
    runner_of: RunnerFactory, port: str, vector: Vector
) -> None:
    judge(runner_of(port).run_vector(vector))


@pytest.mark.parametrize("script", read_wire_scripts(), ids=lambda script: script.name)
@pytest.mark.parametrize("port", PORTS)
def test_port_talks_as_the_wire_scripts_say(
    runner_of: RunnerFactory, port: str, script: WireScript
) -> None:
    judge(runner_of(port).run_script(script))


@pytest.mark.parametrize("port", PORTS)
def test_port_is_written_for_this_version_of_the_kit(runner_of: RunnerFactory, port: str) -> None:
    assert runner_of(port).port.spec == spec_version()


def test_reference_sdk_offers_all_there_is(runner_of: RunnerFactory) -> None:
    port = runner_of("zuruf-python").port
    assert {vector.name for vector in read_vectors()} <= port.vectors
    needed = {
        need for script in read_wire_scripts() for case in script.cases for need in case.needs
    }
    assert needed <= port.capabilities


def judge(results: Iterable[Result]) -> None:
    """Fail with every case that failed; a file of which nothing is offered is skipped, not passed."""
    found = list(results)
    failed = [one for one in found if one.outcome == "failed"]
    assert not failed, "\n\n".join(f"{one.case}\n{one.why}" for one in failed)
    if all(one.outcome == "not offered" for one in found):
        pytest.skip("not offered")
