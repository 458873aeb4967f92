"""Everything the app knows of itself: products, basket, favourites, orders, and who is logged in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from client_demo.shop.model.basket import Basket
from client_demo.shop.model.catalogue import Catalogue
from client_demo.shop.observable import Signal

DELIVERY_DAYS = 3
ORDERS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account. There is no server for accounts: these two live in the app."""

    user_id: str
    name: str
    email: str
    street: str
    city: str


PEOPLE: tuple[Person, ...] = (
    Person("u_mara", "Mara Lindqvist", "mara@example.org", "Lindenweg 4", "20357 Hamburg"),
    Person("u_jonas", "Jonas Okafor", "jonas@example.org", "12 Harbour Row", "Bristol BS1 4RN"),
)


@dataclass(frozen=True, slots=True)
class Order:
    """What was bought. Amounts are cents."""

    number: str
    placed_on: date
    total: int
    quantity: int
    products: tuple[str, ...]

    @property
    def arrives_on(self) -> date:
        return self.placed_on + timedelta(days=DELIVERY_DAYS)


class Store:
    """The models, and what is kept of them between two starts."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.basket = Basket(catalogue)
        self.favourites: set[str] = set()
        self.favourites_changed = Signal()
        self.orders: list[Order] = []
        self.person: Person | None = None
        self.person_changed = Signal()

    def toggle_favourite(self, product_id: str) -> bool:
        """Add it to the favourites or take it out; gives whether it is one now."""
        self.favourites ^= {product_id}
        self.favourites_changed()
        return product_id in self.favourites

    def log_in(self, user_id: str) -> Person:
        """Log one of `PEOPLE` in; StopIteration never happens: KeyError when there is nobody of that id."""
        for person in PEOPLE:
            if person.user_id == user_id:
                self.person = person
                self.person_changed()
                return person
        raise KeyError(user_id)

    def log_out(self) -> None:
        """Forget who it was, and what was theirs: basket, favourites, orders."""
        self.person = None
        self.basket.clear()
        self.favourites.clear()
        self.orders.clear()
        self.favourites_changed()
        self.person_changed()

    def place_order(self, number: str, today: date) -> Order:
        """Turn the basket into an order."""
        order = Order(
            number=number,
            placed_on=today,
            total=self.basket.total,
            quantity=self.basket.quantity,
            products=tuple(position.product.id for position in self.basket),
        )
        self.orders = [order, *self.orders][:ORDERS_KEPT]
        self.basket.clear()
        return order

    def saved(self) -> dict[str, Any]:
        """Write everything down as JSON values."""
        return {
            "basket": self.basket.saved(),
            "favourites": sorted(self.favourites),
            "orders": [
                asdict(order) | {"placed_on": order.placed_on.isoformat()} for order in self.orders
            ],
            "person": None if self.person is None else self.person.user_id,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what was written down; what cannot be read is left out."""
        self.basket.restore(saved.get("basket"))
        favourites = saved.get("favourites")
        if isinstance(favourites, list):
            self.favourites = {id for id in favourites if self.catalogue.find(str(id)) is not None}
        orders = saved.get("orders")
        self.orders = [
            order
            for value in (orders if isinstance(orders, list) else [])
            if (order := _order(value)) is not None
        ]
        self.person = next(
            (person for person in PEOPLE if person.user_id == saved.get("person")), None
        )


def _order(value: Any) -> Order | None:
    try:
        return Order(
            number=str(value["number"]),
            placed_on=date.fromisoformat(value["placed_on"]),
            total=int(value["total"]),
            quantity=int(value["quantity"]),
            products=tuple(map(str, value["products"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
