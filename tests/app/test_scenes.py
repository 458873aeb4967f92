"""The overlays and the account side in their windows: what `scenes.py` plays, reported one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from client_demo.shop.layout import FORM_FACTORS, FormFactor
from tests.app.processes import Running, errors_by, one_for_each_form_factor
from tests.app.scenes import SCENES

PLAY_S = 600
"""How long the scenes of one form factor may take on a machine that is busy."""


@pytest.fixture(scope="module")
def plays() -> Iterator[Running]:
    with one_for_each_form_factor("tests.app.scenes") as running:
        yield running


@pytest.fixture(scope="module")
def errors(plays: Running) -> dict[FormFactor, dict[str, str | None]]:
    return errors_by("scene", plays, PLAY_S)


@pytest.mark.timeout(PLAY_S)
@pytest.mark.parametrize("form_factor", FORM_FACTORS)
@pytest.mark.parametrize("scene", SCENES)
def test_scene(
    errors: dict[FormFactor, dict[str, str | None]], form_factor: FormFactor, scene: str
) -> None:
    error = errors[form_factor][scene]
    assert error is None, error
