"""The README of the kit is what a port is written against: it names all there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tests.conformance import python_adapter
from tests.conformance.conftest import RunnerFactory
from tests.conformance.conversation import Conversation
from tests.conformance.scripts import KIT, UNITS_MS, read_wire_scripts
from zuruf import Topic

TEXT = (KIT / "README.md").read_text()


def chapter(heading: str) -> str:
    """Give the text below a heading, up to the next one of any level."""
    _, _, rest = TEXT.partition(f"# {heading}\n")
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Give what stands in code in the first column of the tables of a text."""
    rows = re.findall(r"^\| (`.+?) \|", text, flags=re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def test_every_step_is_described_and_every_described_step_exists() -> None:
    cells = [
        cell.split(" ")[0]
        for heading in (
            "Steps that drive the device",
            "Steps that drive the network and the gateway",
            "Steps that say what is expected",
        )
        for cell in first_cells(chapter(heading))
    ]
    assert sorted(cells) == sorted(Conversation._ACTIONS)


def test_every_operation_of_an_adapter_is_described() -> None:
    cells = [cell.split(" ")[0] for cell in first_cells(chapter("Operations"))]
    assert set(python_adapter.Adapter._OPERATIONS) <= set(cells)


def test_every_setting_of_start_is_described() -> None:
    cells = set(first_cells(chapter("Operations")))
    known = (
        python_adapter._AS_THEY_ARE | python_adapter._IN_SECONDS.keys() | python_adapter._ELSEWHERE
    )
    assert known <= cells


def test_every_capability_is_described_and_needed_by_some_case() -> None:
    described = set(first_cells(chapter("Capabilities")))
    assert described == set(python_adapter.CAPABILITIES)
    needed = {
        need for script in read_wire_scripts() for case in script.cases for need in case.needs
    }
    assert needed == described


def test_every_topic_is_described() -> None:
    assert set(get_args(Topic)) <= set(first_cells(chapter("Callbacks")))


def test_every_unit_of_a_duration_is_named() -> None:
    assert f"`{' '.join(UNITS_MS)}`" in TEXT


def test_example_of_a_wire_script_is_one(runner_of: RunnerFactory, tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.+?)```", chapter("Wire scripts"), flags=re.DOTALL)
    (tmp_path / "wire").mkdir()
    (tmp_path / "wire" / "retry_after.json").write_text(example)
    (script,) = read_wire_scripts(tmp_path)
    (result,) = runner_of("zuruf-python").run_script(script)
    assert result.outcome == "passed", result.why


def test_every_wire_script_says_what_it_is_about() -> None:
    for script in read_wire_scripts():
        assert script.about.endswith("."), script.name
        for case in script.cases:
            assert case.id[0].islower() or case.id[0].isdigit() or case.id[:5] == "Retry", case.id
