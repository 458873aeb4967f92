"""From basket to order."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Literal, get_args

from client_demo.shop.model.store import Order, Store
from client_demo.shop.observable import Signal

Field = Literal["name", "email", "street", "city"]
FIELDS: tuple[Field, ...] = get_args(Field)
Payment = Literal["card", "invoice", "transfer"]
PAYMENTS: tuple[Payment, ...] = get_args(Payment)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]{2,}")


class CheckoutModel:
    """What was typed, what is wrong with it, and the order that comes of it."""

    def __init__(
        self, store: Store, new_number: Callable[[], str], today: Callable[[], date]
    ) -> None:
        self._store, self._new_number, self._today = store, new_number, today
        person = store.person
        self.values: dict[Field, str] = {
            "name": person.name if person else "",
            "email": person.email if person else "",
            "street": person.street if person else "",
            "city": person.city if person else "",
        }
        self.payment: Payment = "card"
        self.errors: dict[Field, str] = {}
        self.is_placing = False
        self.changed = Signal()

    def set(self, field: Field, value: str) -> None:
        """Take what was typed. Complaints wait until somebody wants to order."""
        self.values[field] = value

    def choose_payment(self, payment: Payment) -> None:
        self.payment = payment
        self.changed()

    def check(self) -> bool:
        """Find what is missing; `errors` has the key of a text for each field."""
        self.errors = {
            field: "checkout.error.missing" for field in FIELDS if not self.values[field].strip()
        }
        email = self.values["email"].strip()
        if email and not _EMAIL.fullmatch(email):
            self.errors["email"] = "checkout.error.email"
        self.changed()
        return not self.errors

    def begin(self) -> bool:
        """Start to order: False when something is missing, there is nothing to buy, or it runs already."""
        if self.is_placing or not len(self._store.basket) or not self.check():
            return False
        self.is_placing = True
        self.changed()
        return True

    def finish(self) -> Order:
        """Place the order that was begun."""
        assert self.is_placing, "an order is begun before it is finished"
        self.is_placing = False
        return self._store.place_order(self._new_number(), self._today())
