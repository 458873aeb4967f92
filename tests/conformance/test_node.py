from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conformance.node import node_command, strips_types


@pytest.mark.parametrize("version", ["v22.18.0", "v22.21.1", "v23.6.0", "v24.0.0", "v25.1.0"])
def test_this_node_runs_typescript_as_it_is(version: str) -> None:
    assert strips_types(version)


@pytest.mark.parametrize(
    "version", ["v20.20.2", "v22.17.1", "v23.5.0", "22.18.0", "", "not a version"]
)
def test_this_one_does_not(version: str) -> None:
    assert not strips_types(version)


def test_the_test_dependencies_bring_a_node_that_does(tmp_path: Path) -> None:
    program = tmp_path / "greeting.ts"
    program.write_text("const words: string[] = ['it', 'runs'];\nconsole.log(words.join(' '));\n")
    node = node_command()

    assert node is not None
    said = subprocess.run(
        [*node, str(program)], capture_output=True, text=True, check=True, timeout=30
    )
    assert said.stdout == "it runs\n"
