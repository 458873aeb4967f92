"""The overlays and the account side in their windows: what `scenes.py` plays, reported one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_demo.shop.launch import LaunchError, check_machine
from client_demo.shop.layout import FORM_FACTORS, FormFactor
from tests.app.scenes import SCENES

ROOT = Path(__file__).parents[2]
PLAY_S = 600
"""How long the scenes of one form factor may take on a machine that is busy."""

Errors = dict[str, str | None]


@pytest.fixture(scope="module")
def plays() -> Iterator[dict[FormFactor, subprocess.Popen[str]]]:
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
            [sys.executable, "-m", "tests.app.scenes", form_factor],
            cwd=ROOT,
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
def errors(plays: dict[FormFactor, subprocess.Popen[str]]) -> dict[FormFactor, Errors]:
    found: dict[FormFactor, Errors] = {}
    for form_factor, process in plays.items():
        output, complaints = process.communicate(timeout=PLAY_S)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert process.returncode == 0, complaints[-4000:]
        found[form_factor] = {line["scene"]: line["error"] for line in lines}
    return found


@pytest.mark.timeout(PLAY_S)
@pytest.mark.parametrize("form_factor", FORM_FACTORS)
@pytest.mark.parametrize("scene", SCENES)
def test_scene(errors: dict[FormFactor, Errors], form_factor: FormFactor, scene: str) -> None:
    error = errors[form_factor][scene]
    assert error is None, error
