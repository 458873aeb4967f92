import secrets

import pytest

ROUNDS = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kill-rounds", type=int, default=ROUNDS, help=f"rounds of the kill test ({ROUNDS})"
    )
    parser.addoption("--kill-seed", type=int, help="seed of the simulation (a new one each time)")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    # Without this folder on the command line, pytest has not read the options above.
    rounds: int = request.config.getoption("--kill-rounds", ROUNDS)
    return rounds


@pytest.fixture
def seed(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> int:
    given: int | None = request.config.getoption("--kill-seed", None)
    seed = secrets.randbelow(1_000_000) if given is None else given
    with capsys.disabled():
        print(f"\nagain with --kill-seed {seed}")  # noqa: T201
    return seed
