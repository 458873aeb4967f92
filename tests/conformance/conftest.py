from collections.abc import Callable, Iterator

import pytest

from tests.conformance.ports import known_ports
from tests.conformance.runner import Runner

RunnerFactory = Callable[[str], Runner]


@pytest.fixture(scope="session")
def runner_of() -> Iterator[RunnerFactory]:
    """Give the runner of a port; its processes are kept for all tests."""
    ports = known_ports()
    runners: dict[str, Runner] = {}

    def find(port: str) -> Runner:
        if port not in ports:
            pytest.skip(f"{port} cannot run on this machine")
        if port not in runners:
            runners[port] = Runner(ports[port])
        return runners[port]

    yield find
    for runner in runners.values():
        runner.close()
