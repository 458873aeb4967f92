"""What somebody is about to buy. Amounts are cents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from client_demo.shop.model.catalogue import Catalogue, Product
from client_demo.shop.observable import Signal

QUANTITY_MAX = 9
DIGITS_MAX = 4
"""Of a quantity in a link. Python refuses to read a number of thousands of digits."""
FREE_SHIPPING_FROM = 7_500
SHIPPING = 490


@dataclass(frozen=True, slots=True)
class Position:
    """One line of the basket."""

    product: Product
    variant: str
    quantity: int

    @property
    def key(self) -> str:
        return f"{self.product.id}:{self.variant}"

    @property
    def total(self) -> int:
        return self.product.price * self.quantity


class Basket:
    """Positions in the order in which they were added; `changed` fires after every change."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._positions: dict[str, Position] = {}
        self.changed = Signal()

    def __iter__(self) -> Iterator[Position]:
        return iter(tuple(self._positions.values()))

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def quantity(self) -> int:
        """How many things there are altogether."""
        return sum(position.quantity for position in self)

    @property
    def subtotal(self) -> int:
        return sum(position.total for position in self)

    @property
    def shipping(self) -> int:
        return 0 if not self._positions or self.subtotal >= FREE_SHIPPING_FROM else SHIPPING

    @property
    def total(self) -> int:
        return self.subtotal + self.shipping

    @property
    def missing_for_free_shipping(self) -> int:
        """How many cents more bring free shipping; 0 when it is free."""
        return max(0, FREE_SHIPPING_FROM - self.subtotal)

    def add(self, product: Product, variant: str, quantity: int = 1) -> int:
        """Add things; gives how many were really added, up to nine of a kind."""
        held = self.quantity_of(product.id, variant)
        wanted = min(QUANTITY_MAX, held + quantity)
        self._put(Position(product, variant, wanted))
        return wanted - held

    def quantity_of(self, product_id: str, variant: str) -> int:
        position = self._positions.get(f"{product_id}:{variant}")
        return 0 if position is None else position.quantity

    def set_quantity(self, key: str, quantity: int) -> None:
        """Have that many of a position; 0 removes it."""
        position = self._positions[key]
        self._put(Position(position.product, position.variant, min(QUANTITY_MAX, quantity)))

    def remove(self, key: str) -> Position:
        """Take a position out; KeyError when it is not there."""
        removed = self._positions.pop(key)
        self.changed()
        return removed

    def clear(self) -> None:
        self._positions.clear()
        self.changed()

    def _put(self, position: Position) -> None:
        if position.quantity <= 0:
            self._positions.pop(position.key, None)
        else:
            self._positions[position.key] = position
        self.changed()

    # Passing it on

    def link(self) -> str:
        """Give the deep link that puts the same things into the basket of another device."""
        items = ",".join(f"{position.key}:{position.quantity}" for position in self)
        return f"shop://basket?items={items}"

    def take(self, items: str) -> int:
        """Add what such a link carries; gives how many things that were. Nonsense in it is left out."""
        added = 0
        for item in items.split(","):
            product_id, _, rest = item.partition(":")
            variant, _, quantity = rest.partition(":")
            product = self._catalogue.find(product_id)
            is_number = quantity.isdecimal() and len(quantity) <= DIGITS_MAX
            if product is not None and variant in product.variants and is_number:
                added += self.add(product, variant, min(QUANTITY_MAX, int(quantity)))
        return added

    # Keeping it

    def saved(self) -> list[dict[str, object]]:
        return [
            {
                "product": position.product.id,
                "variant": position.variant,
                "quantity": position.quantity,
            }
            for position in self
        ]

    def restore(self, saved: object) -> None:
        """Take up what was kept. What is no longer sold is left out."""
        self._positions.clear()
        for entry in saved if isinstance(saved, list) else []:
            if not isinstance(entry, dict):
                continue
            product = self._catalogue.find(str(entry.get("product")))
            quantity = entry.get("quantity")
            variant = str(entry.get("variant"))
            if product is None or not isinstance(quantity, int) or variant not in product.variants:
                continue
            self._put(Position(product, variant, min(QUANTITY_MAX, quantity)))
        self.changed()
