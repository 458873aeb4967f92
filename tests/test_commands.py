"""`zuruf app`: what its arguments may be, and what it prints."""

import pytest
from msgspec.structs import replace

from gateway.__main__ import _parser, _print_keys
from gateway.apps.model import new_app
from tests.builders import NOW


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", ""),
        ("create", "x" * 101),
        ("create", "\udcff\udcfe"),  # bytes of the command line that are no UTF-8
        ("create", "clear\x1b[2J"),
        ("rotate", "a", "--grace", "-1"),
        ("rotate", "a", "--grace", str(10**30)),
        ("rotate", "a", "--grace", "soon"),
        ("rotate", "a", "--kind", "master"),
    ],
)
def test_odd_arguments_are_refused_with_the_usage(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _parser().parse_args(["app", *arguments])
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, printed",
    [
        ("[/x]", "[/x]"),
        ("[bold]shop", "[bold]shop"),
        ("clear\x1b[2J", "clear\N{REPLACEMENT CHARACTER}[2J"),
        ("two\nlines", "two\N{REPLACEMENT CHARACTER}lines"),
    ],
)
def test_name_of_an_app_is_printed_as_it_is_and_moves_no_cursor(
    capsys: pytest.CaptureFixture[str], name: str, printed: str
) -> None:
    app, _, _ = new_app("shop", NOW)
    _print_keys([replace(app, name=name)], NOW)
    out = capsys.readouterr().out
    assert printed in out
    assert "\x1b" not in out
