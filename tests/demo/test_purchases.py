import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_demo.fleet.errors import DemoError
from client_demo.fleet.purchases import Customer, Purchase, draw, parse, read

HISTORY = """\
 customer_id  date number_of_cds  dollar_value
 00002 19970112  1   12.00
 00001 19970101  1   11.77
 00002 19970112  5   77.00
 00003 19980528  1   16.99
 00003 19970102  2   20.76
"""

CUSTOMERS = [
    Customer("00001", (Purchase(date(1997, 1, 1), 1, 11.77),)),
    Customer("00002", (Purchase(date(1997, 1, 12), 1, 12.0), Purchase(date(1997, 1, 12), 5, 77.0))),
    Customer(
        "00003", (Purchase(date(1997, 1, 2), 2, 20.76), Purchase(date(1998, 5, 28), 1, 16.99))
    ),
]


def test_a_history_is_read_by_customer_and_in_order() -> None:
    assert parse(HISTORY.splitlines()) == CUSTOMERS


@pytest.mark.parametrize(
    "line", ["00004 19970101 1", "00004 19971341 1 9.99", "00004 19970101 one 9.99", "x"]
)
def test_a_line_that_cannot_be_read_is_named_with_the_way_out(line: str) -> None:
    with pytest.raises(DemoError, match=r"line 2 .*Install the package `lifetimes` again"):
        parse(["customer_id date number_of_cds dollar_value", line])


def test_a_history_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.txt"
    file.write_text(HISTORY)
    with pytest.raises(DemoError, match=r"5 purchases of 3 customers instead of 69,659 of 23,570"):
        read(file)


@given(st.integers(1, 5), st.integers())
def test_nobody_is_drawn_twice_and_the_same_seed_draws_the_same(number: int, seed: int) -> None:
    drawn = draw(CUSTOMERS, number, random.Random(seed))
    assert len(drawn) == min(number, len(CUSTOMERS))
    assert drawn == sorted(set(drawn), key=lambda customer: customer.id)
    assert drawn == draw(CUSTOMERS, number, random.Random(seed))
