"""One product, as somebody looks at it."""

from __future__ import annotations

from client_demo.shop.model.basket import QUANTITY_MAX
from client_demo.shop.model.catalogue import Product
from client_demo.shop.model.store import Store
from client_demo.shop.observable import Signal


class ProductModel:
    """The colour and the quantity that were chosen. `changed` fires when the colour or the heart did."""

    def __init__(self, store: Store, product: Product) -> None:
        self._store = store
        self.product = product
        self.variant = product.first_variant
        self.quantity = 1
        self.changed = Signal()

    @property
    def picture(self) -> str:
        return self.product.picture(self.variant)

    @property
    def total(self) -> int:
        return self.product.price * self.quantity

    @property
    def discount(self) -> float:
        """The share by which the price was lowered; 0 when it was not."""
        before = self.product.price_before
        return 0.0 if before is None else 1 - self.product.price / before

    @property
    def is_favourite(self) -> bool:
        return self.product.id in self._store.favourites

    @property
    def related(self) -> list[Product]:
        return self._store.catalogue.related(self.product)

    @property
    def room(self) -> int:
        """How many more fit into the basket."""
        return QUANTITY_MAX - self._store.basket.quantity_of(self.product.id, self.variant)

    def choose(self, variant: str) -> None:
        """Look at another colour; KeyError when there is none of that name."""
        if variant != self.variant:
            self.variant = self.product.variants[variant].id
            self.changed()

    def set_quantity(self, quantity: int) -> None:
        self.quantity = min(QUANTITY_MAX, max(1, quantity))

    def toggle_favourite(self) -> bool:
        is_favourite = self._store.toggle_favourite(self.product.id)
        self.changed()
        return is_favourite

    def add_to_basket(self) -> int:
        """Put the chosen quantity into the basket; gives how many there was room for."""
        return self._store.basket.add(self.product, self.variant, self.quantity)
