"""The app in processes of its own, one for each form factor: Kivy has one window in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from client_demo.shop.launch import LaunchError, check_machine
from client_demo.shop.layout import FORM_FACTORS, FormFactor

ROOT = Path(__file__).parents[2]

Running = Mapping[FormFactor, "subprocess.Popen[str]"]


@contextmanager
def one_for_each_form_factor(module: str) -> Iterator[Running]:
    """Run a module of the tests for all form factors, side by side; skips where nothing can be drawn."""
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
            [sys.executable, "-m", module, form_factor],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for form_factor in FORM_FACTORS
    }
    try:
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


def errors_by(
    key: str, running: Running, within_s: float
) -> dict[FormFactor, dict[str, str | None]]:
    """Wait for the end of all; what each found wrong, by the name that stands under `key`."""
    found = {}
    for form_factor, process in running.items():
        output, complaints = process.communicate(timeout=within_s)
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert process.returncode == 0, complaints[-4000:]
        found[form_factor] = {line[key]: line["error"] for line in lines}
    return found
