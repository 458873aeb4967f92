"""`docs/conformance.md` tells what there is. What passes is the business of `test_ports.py`."""

from __future__ import annotations

import re

import pytest

from tests.conformance.__main__ import PAGE
from tests.conformance.report import BEGIN, END
from tests.conformance.scripts import read_vectors, read_wire_scripts

TEXT = PAGE.read_text()
ROWS = [
    [cell.strip(" *`") for cell in line.strip("|").split("|")]
    for line in TEXT.split(BEGIN)[1].split(END)[0].strip().splitlines()
]
PORTS = ROWS[0][3:]
FILES = {(tier, file): (int(cases), results) for tier, file, cases, *results in ROWS[2:-1]}
KIT = {
    **{("vectors", one.name): len(one.cases) for one in read_vectors()},
    **{("wire", one.name): len(one.cases) for one in read_wire_scripts()},
}


def test_page_has_every_file_with_its_number_of_cases() -> None:
    assert {name: cases for name, (cases, _) in FILES.items()} == KIT, (
        "python -m tests.conformance --page"
    )
    assert ROWS[-1][2] == str(sum(KIT.values()))


def test_page_says_how_many_files_there_are() -> None:
    told = re.findall(r"\| (\d+) (?:files|scripts) \|", TEXT)
    assert told == [str(len(read_vectors())), str(len(read_wire_scripts()))]


def test_page_has_the_results_of_both_ports() -> None:
    assert PORTS == ["zuruf-python", "zuruf-typescript"]


@pytest.mark.parametrize("port", [0, 1], ids=["python", "typescript"])
def test_no_case_on_the_page_has_failed(port: int) -> None:
    for name, (cases, results) in FILES.items():
        found = results[port]
        passed = re.match(r"(\d+) of", found)
        not_offered = re.search(r"(\d+) not offered", found)
        counted = int(passed[1]) if passed else 0
        counted += int(not_offered[1]) if not_offered else 0
        assert found == "not offered" or counted == cases, (name, found)
