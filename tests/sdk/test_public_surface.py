import re
import tomllib
from pathlib import Path

import pytest

import zuruf
from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import until
from zuruf.errors import InvalidEventError

SDK = Path(zuruf.__file__).parent.parent


def test_public_names_are_these() -> None:
    assert sorted(zuruf.__all__) == [
        "Button",
        "Config",
        "Content",
        "Device",
        "Diagnostics",
        "DisplayDecision",
        "FlushResult",
        "Message",
        "Screen",
        "Show",
        "Zuruf",
        "__version__",
    ]
    assert all(hasattr(zuruf, name) for name in zuruf.__all__)


def test_sdk_needs_nothing_but_python() -> None:
    project = tomllib.loads((SDK / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    imported = {
        name
        for path in (SDK / "zuruf").glob("*.py")
        for name in re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }
    assert imported <= {"zuruf", *__import__("sys").stdlib_module_names}


def test_mistake_is_counted_and_raises_only_in_debug(client_of: ClientFactory) -> None:
    client = client_of()
    assert client.track("") == ""
    assert client.track("sized", {"text": "x" * 5000}) == ""
    assert client.track("typed", 7) == ""  # type: ignore[arg-type]
    client.track("good")
    until(client, lambda now: now.dropped == {"invalid_event": 2, "value_too_long": 1})

    with pytest.raises(InvalidEventError):
        client_of(debug=True).track("")


def test_program_of_the_readme_runs(client_of: ClientFactory) -> None:
    program = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)[0]
    compile(program, "README.md", "exec")
    assert "on_message" in program
    for name in re.findall(r"client\.(\w+)\(", program):
        assert hasattr(zuruf.Zuruf, name)
