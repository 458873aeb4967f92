"""The app in its windows: what `session.py` checks, reported one by one."""

from collections.abc import Iterator

import pytest

from client_demo.shop.layout import FORM_FACTORS, FormFactor
from tests.app.processes import Running, errors_by, one_for_each_form_factor
from tests.app.session import CHECKS

SESSION_S = 100


@pytest.fixture(scope="module")
def sessions() -> Iterator[Running]:
    with one_for_each_form_factor("tests.app.session") as running:
        yield running


@pytest.fixture(scope="module")
def errors(sessions: Running) -> dict[FormFactor, dict[str, str | None]]:
    return errors_by("check", sessions, SESSION_S)


@pytest.mark.parametrize(
    "form_factor,name", [(one, name) for one in FORM_FACTORS for name in CHECKS[one]]
)
def test_window(
    errors: dict[FormFactor, dict[str, str | None]], form_factor: FormFactor, name: str
) -> None:
    error = errors[form_factor][name]
    assert error is None, error
