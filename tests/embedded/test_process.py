import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.embedded import launch
from gateway.embedded.process import (
    SUPERVISOR_VARIABLE,
    bound_command,
    die_with_parent,
    memory_bytes,
    process_lives,
    raise_open_files_limit,
)

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the bond to the parent is Linux's")


@LINUX
def test_a_bound_program_runs_as_the_process_that_was_started(tmp_path: Path) -> None:
    script = "import os; print(os.getpid(), os.getcwd())"
    with subprocess.Popen(
        bound_command([sys.executable, "-c", script]), cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        output = process.communicate()[0].decode()
    assert output.split() == [str(process.pid), str(tmp_path)]


@LINUX
def test_a_program_whose_parent_died_before_the_bond_does_not_run() -> None:
    somebody_else = "1"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__, somebody_else, "/bin/echo", "I run"],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == b""


def test_a_role_started_by_hand_has_no_bond() -> None:
    assert SUPERVISOR_VARIABLE not in os.environ
    die_with_parent()


def test_open_files_are_raised_as_far_as_allowed() -> None:
    _, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raise_open_files_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_memory_is_no_more_than_the_machine_has() -> None:
    assert 0 < memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_processes_are_told_apart_from_none() -> None:
    assert process_lives(os.getpid())
    assert not process_lives(0)
    assert not process_lives(-1)
