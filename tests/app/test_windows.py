"""The app in its windows: what `session.py` checks, reported one by one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_demo.shop.launch import LaunchError, check_machine
from client_demo.shop.layout import FORM_FACTORS, FormFactor
from tests.app.session import CHECKS

ROOT = Path(__file__).parents[2]
SESSION_S = 100

Results = dict[str, str | None]


@pytest.fixture(scope="module")
def sessions() -> Iterator[dict[FormFactor, subprocess.Popen[str]]]:
    """One process for each form factor, side by side."""
    try:
        check_machine()
    except LaunchError as error:
        pytest.skip(str(error))
    # What the machine is set up for (a display, a scale) is not what is tested.
    names = ("KIVY_", "SDL_", "ZURUF_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "sdk_reference")])
    started = {
        form_factor: subprocess.Popen(
            [sys.executable, str(ROOT / "tests/app/session.py"), form_factor],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for form_factor in FORM_FACTORS
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def results(sessions: dict[FormFactor, subprocess.Popen[str]]) -> dict[FormFactor, Results]:
    found: dict[FormFactor, Results] = {}
    for form_factor, process in sessions.items():
        output, errors = process.communicate(timeout=SESSION_S)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert process.returncode == 0, errors[-4000:]
        found[form_factor] = {line["check"]: line["error"] for line in lines}
    return found


@pytest.mark.parametrize(
    "form_factor,name", [(one, name) for one in FORM_FACTORS for name in CHECKS[one]]
)
def test_window(results: dict[FormFactor, Results], form_factor: FormFactor, name: str) -> None:
    error = results[form_factor][name]
    assert error is None, error
