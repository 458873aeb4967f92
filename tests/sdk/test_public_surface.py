import re
import tomllib
from pathlib import Path

import zuruf
from tests.sdk.conftest import ClientFactory

SDK = Path(zuruf.__file__).parent.parent


def test_public_names_are_these() -> None:
    assert sorted(zuruf.__all__) == [
        "Button",
        "Clock",
        "Config",
        "ConfigError",
        "Consent",
        "Content",
        "Device",
        "Diagnostics",
        "DisplayDecision",
        "Event",
        "FlushResult",
        "FormFactor",
        "HttpTransport",
        "IdSource",
        "InboxMessage",
        "InvalidEventError",
        "Message",
        "Pause",
        "Platform",
        "PlatformName",
        "Plugin",
        "PushHandling",
        "Question",
        "Random",
        "Request",
        "Response",
        "Screen",
        "Show",
        "Storage",
        "StorageError",
        "Subscription",
        "Survey",
        "SystemClock",
        "SystemPlatform",
        "Topic",
        "Transport",
        "TransportError",
        "Trigger",
        "Zuruf",
        "ZurufError",
        "__version__",
    ]
    assert all(hasattr(zuruf, name) for name in zuruf.__all__)


def test_sdk_needs_nothing_but_python() -> None:
    project = tomllib.loads((SDK / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    imported = {
        name
        for path in (SDK / "zuruf").rglob("*.py")
        for name in re.findall(
            r"^ *(?:from|import) (\w+)(?= import|\.| as|$)", path.read_text(), re.MULTILINE
        )
    }
    assert imported <= {"zuruf", *__import__("sys").stdlib_module_names}


def test_program_of_the_readme_runs(client_of: ClientFactory) -> None:
    program = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)[0]
    compile(program, "README.md", "exec")
    assert "on_message" in program
    for name in re.findall(r"client\.(\w+)\(", program):
        assert hasattr(zuruf.Zuruf, name)
