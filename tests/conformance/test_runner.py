"""The runner against the Python SDK: what is wrong is found and said, what is not offered is not passed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.__main__ import main
from tests.conformance.adapter import PYTHON_ADAPTER, AdapterError, an_adapter
from tests.conformance.conftest import RunnerFactory
from tests.conformance.matching import ScriptError
from tests.conformance.runner import Result, Runner
from tests.conformance.scripts import read_vectors, read_wire_scripts

START: dict[str, Any] = {"sdk.start": {"flush_at": 1}}


def write_kit(folder: Path, *steps: dict[str, Any], **case: Any) -> Path:
    """Write a kit with one wire script of one case."""
    (folder / "wire").mkdir(parents=True)
    script = {
        "name": "example",
        "spec": "1.0",
        "about": "…",
        "cases": [{"id": "case", "steps": list(steps), **case}],
    }
    (folder / "wire" / "example.json").write_text(json.dumps(script))
    return folder


def run(runner: Runner, folder: Path) -> Result:
    (script,) = read_wire_scripts(folder)
    (result,) = runner.run_script(script)
    return result


@pytest.fixture
def runner(runner_of: RunnerFactory) -> Runner:
    return runner_of("zuruf-python")


@pytest.mark.parametrize(
    "wrong, why",
    [
        ({"assert.requests": {"expect": []}}, "unexpected"),
        ({"assert.requests": {"expect": ["POST /v1/devices"]}}, "unexpected"),
        ({"assert.no_requests": {"route": "POST /v1/events"}}, "none expected, found a#"),
        ({"assert.events": {"expect": ["b"]}}, "expected 'b', found 'a'"),
        ({"assert.events": {"expect": ["a"], "duplicates": 1}}, "duplicates: expected 1"),
        ({"assert.callbacks": {"expect": ["m1"]}}, "expected 1 items, found 0"),
        ({"assert.state": {"expect": {"queue_events": 7}}}, "expected 7, found 0"),
        ({"sdk.call": {"method": "track", "args": ["b"], "gives": "x"}}, "expected 'x'"),
        ({"sdk.call": ["dance"]}, "raised"),
        ({"server.dance": {}}, "there is no server.dance"),
        ({"server.settings": {"volume": 11}}, "no setting volume"),
        ({"clock.advance": {"fortnights": 1}}, "is no duration"),
        ({"server.stream.send": {"raw": "x"}}, "none is open"),
    ],
)
def test_failing_step_is_named_with_its_reason(
    runner: Runner, tmp_path: Path, wrong: dict[str, Any], why: str
) -> None:
    kit = write_kit(tmp_path, START, {"sdk.call": ["track", "a"]}, wrong)
    result = run(runner, kit)
    assert result.outcome == "failed"
    assert why in result.why
    assert "step 3: " in result.why
    assert "POST /v1/events" in result.why


def test_case_that_needs_more_than_the_port_has_is_not_offered(
    runner: Runner, tmp_path: Path
) -> None:
    result = run(runner, write_kit(tmp_path, START, needs=["telepathy"]))
    assert (result.outcome, result.why) == ("not offered", "needs telepathy")


def test_case_that_kills_is_run_once_for_each_place(runner: Runner, tmp_path: Path) -> None:
    """It fails at the second place only, so both are tried."""
    kit = write_kit(
        tmp_path,
        START,
        {"sdk.call": ["track", "a"]},
        {"server.respond": {"route": "POST /v1/events", "status": 503, "code": "overloaded"}},
        kill_after_each=True,
        **{"finally": [{"sdk.call": ["track", "b"]}, {"assert.events": {"expect": ["a", "b"]}}]},
    )
    result = run(runner, kit)
    assert result.outcome == "failed"
    assert '"process.kill"' not in result.why
    assert "expected 2 items, found 1" in result.why


def test_unknown_member_of_a_case_is_a_mistake_of_the_script(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="no such member"):
        read_wire_scripts(write_kit(tmp_path, START, step=[]))


def test_day_of_virtual_time_takes_no_time(runner: Runner, tmp_path: Path) -> None:
    kit = write_kit(tmp_path, START, {"net.down": {}}, {"clock.advance": {"days": 1}})
    assert run(runner, kit).seconds < 5


def test_two_runs_are_the_same_run(runner: Runner) -> None:
    script = next(one for one in read_wire_scripts() if one.name == "retry_after")
    outcomes = [[one.outcome for one in runner.run_script(script)] for _ in range(2)]
    assert outcomes[0] == outcomes[1]


def test_adapter_that_ends_or_talks_nonsense_is_said_to() -> None:
    for program, why in [
        ("pass", "the adapter ended at hello"),
        ("print('hello')\ninput()", "no JSON"),
        ('print(\'{"id": 9, "result": {}}\')\ninput()', "answer 9 to 1"),
    ]:
        with (
            an_adapter([sys.executable, "-c", program]) as adapter,
            pytest.raises(AdapterError, match=why),
        ):
            adapter.hello()


def test_operation_nobody_knows_is_refused(runner: Runner) -> None:
    with pytest.raises(AdapterError, match="unknown_operation"):
        runner.adapter("a").ask("dance")


def test_command_reports_and_says_by_its_code_whether_anything_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = f"{sys.executable} -m tests.conformance.python_adapter"
    arguments = ["--adapter", python, "--only", "a flush of nothing"]
    assert main([*arguments, "--report", str(tmp_path)]) == 0
    assert "1 of 1" in capsys.readouterr().out
    told = json.loads((tmp_path / "conformance.json").read_text())
    assert told["ports"][0]["totals"] == {"passed": 1}
    assert "a flush of nothing sends nothing | ✓ |" in (tmp_path / "conformance.md").read_text()
    assert main(["--adapter", f"{sys.executable} -c pass"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [["--adapter", "no-such-program"], ["--only", "nothing is called like this"]],
    ids=["adapter that cannot be started", "name that nothing has"],
)
def test_command_that_ran_nothing_says_so(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = [] if "--adapter" in arguments else ["--adapter", shlex.join(PYTHON_ADAPTER)]
    assert main([*adapter, *arguments]) == 2
    assert re.search("cannot be started|nothing has", capsys.readouterr().out)


def test_every_case_of_the_kit_has_a_name_of_its_own() -> None:
    vectors = [(one.name, [case.id for case in one.cases]) for one in read_vectors()]
    scripts = [(one.name, [case.id for case in one.cases]) for one in read_wire_scripts()]
    for file, names in [*vectors, *scripts]:
        assert len(names) == len(set(names)), file
