"""What the pages say, tried: their routes, tables and commands, and the README from top to bottom."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gateway.__main__ import _parser
from gateway.metrics import HELP, Counts
from gateway.settings import describe_settings
from tests.clients import Gateway
from tests.simulation.gateway_process import free_ports

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()

CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="the conversation is one of curl")


def _blocks(page: str, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def _table(page: str, heading: str) -> list[tuple[str, ...]]:
    """The rows of the table under a heading, without backticks."""
    section = page.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))) for row in rows]


# --- docs/protocol.md ------------------------------------------------------------------------


def _documented_routes() -> tuple[set[tuple[str, str]], set[str]]:
    """(method, path) of every route the page names, and the paths that it names without a method.

    It writes `GET|PUT /a/{id}`, and `GET /a` · `POST` for a second method of the same path.
    """
    routes, bare, last = set(), set(), ""
    for code in re.findall(r"`([^`\n]+)`", PROTOCOL.replace(r"\|", "|")):
        if code in {"GET", "POST", "PUT", "DELETE"}:
            routes.add((code, last))
        elif found := re.fullmatch(r"([A-Z]+(?:\|[A-Z]+)*) (/[^? ]*)(?:\?.*)?", code):
            last = re.sub(r"\{\w+\}", "{}", found[2])
            routes |= {(method, last) for method in found[1].split("|")}
        elif re.fullmatch(r"/[a-z0-9/]+", code):
            bare.add(code)
    return routes, bare


async def test_protocol_page_lists_the_routes_that_there_are_and_all_of_them(
    gateway: Gateway,
) -> None:
    reference = (await gateway.http.get("/docs/openapi.json")).json()
    admin = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in reference["paths"].items()
        for method in methods
    }
    real = admin | set(gateway.application._routes)
    documented, bare = _documented_routes()
    assert documented - real == set()
    # Those for operators are named without their method.
    probes = {("GET", path) for path in ("/healthz", "/readyz", "/metrics")}
    assert real - documented <= probes
    assert {path for _, path in probes} <= bare
    assert bare - {path for _, path in real} == {"/docs"}


# --- docs/operations.md ----------------------------------------------------------------------


def test_operations_page_has_every_setting_with_its_default_and_meaning() -> None:
    settings = [
        (f"`{name}`", f"`{default}`" if default else "", text)
        for name, default, text in describe_settings()
    ]
    assert _table(OPERATIONS, "## Settings") == settings


def test_operations_page_explains_every_metric() -> None:
    exposed = [f"`zuruf_{name}{'_total' * hasattr(Counts(), name)}`" for name in HELP]
    explained = [row[0] for row in _table(OPERATIONS, "## What to watch")]
    assert sorted(explained) == sorted(exposed)


# --- commands --------------------------------------------------------------------------------


def _commands() -> list[str]:
    pages = "\n".join([README, *(path.read_text() for path in (ROOT / "docs").glob("*.md"))])
    inline = re.findall(r"`(?:\.venv/bin/)?zuruf ([^`]+)`", pages)
    lines = "\n".join(_blocks(pages, "sh", "ini", "console")).splitlines()
    in_blocks = [found[1] for line in lines if (found := re.search(r"(?:^|/)zuruf (.+)", line))]
    return sorted({*inline, *in_blocks})


@pytest.mark.parametrize("command", _commands())
def test_commands_on_the_pages_exist_with_their_options(command: str) -> None:
    _parser().parse_args(shlex.split(command, comments=True))


# --- the README, from top to bottom ----------------------------------------------------------


class Reader(Struct):
    """Somebody who does what the README says: `zuruf up` runs in their folder."""

    folder: Path
    banner: str

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout


def _environment(**settings: object) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ZURUF_")}
    own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "sdk_reference")])
    return own | {f"ZURUF_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "README.md").write_text(README)
    port, console_port = free_ports(2)
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "up"],
        cwd=folder,
        env=_environment(port=port, console_port=console_port, edges=1),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        assert up.stdout is not None
        banner = ""
        for line in up.stdout:
            banner += line
            if "Control-C" in line:
                break
        yield Reader(folder, banner)
        up.terminate()
        up.communicate(timeout=30)


@pytest.fixture(scope="module")
def conversation(reader: Reader) -> str:
    """What the README's one line prints."""
    (one_line,) = re.findall(r"``(sed .+ \| bash)``", README)
    return reader.run("bash", "-c", one_line)


def test_banner_is_the_one_in_the_readme(reader: Reader) -> None:
    (shown,) = [block for block in _blocks(README, "console") if "Zuruf is ready" in block]
    labels = re.findall(r"^([\w ]+?)  +\S", shown.partition("is ready")[2], re.MULTILINE)
    assert labels[0] == "device API"
    assert (
        re.findall(r"^([\w ]+?)  +\S", reader.banner.partition("is ready")[2], re.MULTILINE)
        == labels
    )


@CURL
def test_conversation_in_the_readme_prints_what_the_readme_says(conversation: str) -> None:
    shown, _ = _blocks(README, "text")
    printed = "".join(conversation.split())
    at = 0
    for part in "".join(shown.split()).split("…"):
        found = printed.find(part, at)
        assert found >= at, f"not printed: {part!r}\n{conversation}"
        assert found == at or at > 0, "it begins otherwise"
        at = found + len(part)
    assert at == len(printed), conversation


@CURL
def test_message_arrives_in_the_conversation_of_the_readme(conversation: str) -> None:
    answer = conversation.partition("--- the poll is answered\n")[2].partition("\n")[0]
    assert '"title":"Thank you!"' in answer
    assert '"outcome":"sent"' in conversation.partition("--- why")[2]


@CURL
def test_first_program_in_the_readme_shows_the_message(reader: Reader, conversation: str) -> None:
    (program,) = _blocks(README, "python")
    _, shown = _blocks(README, "text")
    (reader.folder / "hello.py").write_text(program)
    assert reader.run(sys.executable, "hello.py") == shown
