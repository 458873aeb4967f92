"""The vectors of the conformance kit, and that this SDK decides as they say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.decide import DECISIONS, decide, expanded

KIT = Path(__file__).resolve().parents[3] / "sdk_reference/conformance"
FILES = sorted((KIT / "vectors").glob("*.json"))
VECTORS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}
CASES = [
    pytest.param(name, case, id=f"{name}: {case['id']}")
    for name, vector in VECTORS.items()
    for case in vector["cases"]
]


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 is 1.0, true is not 1."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
        case list() | tuple(), list() | tuple():
            return len(one) == len(other) and all(map(is_same, one, other))
        case bool(), _:
            return one is other
        case _, bool():
            return False
    return bool(one == other)


@pytest.mark.parametrize("name, case", CASES)
def test_decision_is_as_the_vector_says(name: str, case: dict[str, Any]) -> None:
    decided = decide(name, case["given"], case["input"])
    assert is_same(decided, expanded(case["expect"])), decided


def test_every_decision_has_its_vector_and_its_line_in_the_readme() -> None:
    assert VECTORS.keys() == DECISIONS.keys()
    _, _, chapter = (KIT / "README.md").read_text().partition("\n## Vectors\n")
    table, _, _ = chapter.partition("\n### ")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == VECTORS.keys()


def test_readme_explains_every_tag_that_is_used() -> None:
    _, _, chapter = (KIT / "README.md").read_text().partition("\n### How to read them\n")
    explained = set(re.findall(r'^\| `\{"(\$\w+)"', chapter, re.MULTILINE))
    used = {tag for path in FILES for tag in re.findall(r'"(\$\w+)":', path.read_text())}
    assert used == explained


@pytest.mark.parametrize("name", VECTORS)
def test_vector_file_says_what_it_is(name: str) -> None:
    vector = VECTORS[name]
    assert vector.keys() == {"name", "spec", "about", "cases"}
    assert vector["name"] == name
    assert vector["spec"] == (KIT / "SPEC_VERSION").read_text().strip()
    assert vector["about"]
    for case in vector["cases"]:
        assert case.keys() == {"id", "given", "input", "expect"}


@pytest.mark.parametrize("name", VECTORS)
def test_cases_of_a_vector_differ(name: str) -> None:
    cases = VECTORS[name]["cases"]
    assert len({case["id"] for case in cases}) == len(cases)
    questions = [json.dumps([case["given"], case["input"]], sort_keys=True) for case in cases]
    twice = {text for text in questions if questions.count(text) > 1}
    assert twice == set()


@pytest.mark.parametrize("name", VECTORS)
def test_vector_has_numbers_that_every_language_reads_alike(name: str) -> None:
    def numbers(value: Any) -> list[int]:
        match value:
            case dict():
                return [number for item in value.values() for number in numbers(item)]
            case list():
                return [number for item in value for number in numbers(item)]
            case int():
                return [value]
        return []

    assert [number for number in numbers(VECTORS[name]["cases"]) if abs(number) > 2**53] == []
