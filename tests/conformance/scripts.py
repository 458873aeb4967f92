"""The kit as it lies on disk: vector files and wire scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.matching import ScriptError

KIT = Path(__file__).parents[2] / "sdk_reference" / "conformance"
UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000}


@dataclass(frozen=True)
class VectorCase:
    """One decision and what it must be."""

    id: str
    given: Any
    input: Any
    expect: Any


@dataclass(frozen=True)
class Vector:
    """One file of `vectors/`."""

    name: str
    about: str
    cases: tuple[VectorCase, ...]


@dataclass(frozen=True)
class Step:
    """One line of a script; `on`: which client; `settles`: whether everything comes to rest after it."""

    operation: str
    arguments: Any
    on: str = "a"
    settles: bool = True

    def __str__(self) -> str:
        return json.dumps({self.operation: self.arguments}, ensure_ascii=False)


@dataclass(frozen=True)
class WireCase:
    """One conversation. `kill_after_each`: repeated, with a crash after another step each time."""

    id: str
    needs: frozenset[str]
    config: Mapping[str, Any]
    steps: tuple[Step, ...]
    finally_steps: tuple[Step, ...]
    kill_after_each: bool


@dataclass(frozen=True)
class WireScript:
    """One file of `wire/`."""

    name: str
    about: str
    cases: tuple[WireCase, ...]


def read_vectors(folder: Path = KIT) -> list[Vector]:
    """Read `vectors/`, by name."""
    return [_vector(path) for path in sorted((folder / "vectors").glob("*.json"))]


def read_wire_scripts(folder: Path = KIT) -> list[WireScript]:
    """Read `wire/`, by name; raises ScriptError."""
    return [_wire_script(path) for path in sorted((folder / "wire").glob("*.json"))]


def spec_version(folder: Path = KIT) -> str:
    """Give the version of the kit."""
    return (folder / "SPEC_VERSION").read_text().strip()


def milliseconds(duration: Any) -> int:
    """Read `{"min": 5, "s": 30}`; raises ScriptError."""
    if not isinstance(duration, dict) or not duration or duration.keys() - UNITS_MS.keys():
        raise ScriptError(f"{duration!r} is no duration: {', '.join(UNITS_MS)}")
    return sum(round(UNITS_MS[unit] * number) for unit, number in duration.items())


def _vector(path: Path) -> Vector:
    told = _read(path)
    cases = (
        VectorCase(_.get("id"), _.get("given"), _["input"], _["expect"]) for _ in told["cases"]
    )
    return Vector(told["name"], told["about"], tuple(cases))


def _wire_script(path: Path) -> WireScript:
    told = _read(path)
    if told["name"] != path.stem:
        raise ScriptError(f"{path.name} calls itself {told['name']}")
    before = list(_steps(told.get("before", [])))
    cases = []
    for case in told["cases"]:
        unknown = case.keys() - _CASE_MEMBERS
        if unknown:
            raise ScriptError(f"{path.name}: {case.get('id')}: no such member: {unknown}")
        cases.append(
            WireCase(
                id=case["id"],
                needs=frozenset({"virtual_clock", *told.get("needs", []), *case.get("needs", [])}),
                config={**told.get("config", {}), **case.get("config", {})},
                steps=(*before, *_steps(case["steps"])),
                finally_steps=tuple(_steps(case.get("finally", []))),
                kill_after_each=case.get("kill_after_each", False),
            )
        )
    return WireScript(told["name"], told["about"], tuple(cases))


_CASE_MEMBERS = frozenset({"id", "about", "needs", "config", "steps", "finally", "kill_after_each"})


def _steps(told: list[dict[str, Any]]) -> Iterator[Step]:
    for line in told:
        operations = line.keys() - {"on", "settle", "why"}
        if len(operations) != 1:
            raise ScriptError(f"a step is one operation, not {sorted(operations)}")
        (operation,) = operations
        yield Step(operation, line[operation], line.get("on", "a"), line.get("settle", True))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ScriptError(f"{path.name}: {error}") from error
