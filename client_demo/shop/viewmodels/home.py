"""The shop window."""

from __future__ import annotations

from datetime import datetime

from client_demo.shop.model.catalogue import CATEGORIES, Category, Product
from client_demo.shop.model.store import Store

RECOMMENDED = 6
_FACES: dict[Category, tuple[str, str]] = {
    "lamps": ("dune-lamp", "clay"),
    "ceramics": ("tide-vase", "cobalt"),
    "plants": ("olive-tree", "terracotta"),
    "textiles": ("knit-pouf", "fjord"),
}


class HomeModel:
    """What is put into the window: news, offers, and what may be liked."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store, self._now = store, now

    @property
    def greeting(self) -> tuple[str, dict[str, str]]:
        """Give the key of the greeting for the time of day, and the name if somebody is logged in."""
        hour = self._now.hour
        part = "morning" if 5 <= hour < 12 else "day" if 12 <= hour < 18 else "evening"
        person = self._store.person
        if person is None:
            return f"home.greeting.{part}", {}
        return f"home.greeting.{part}.named", {"name": person.name.split()[0]}

    @property
    def categories(self) -> list[tuple[Category, str]]:
        """Give each category with the picture that stands for it."""
        found = []
        for category in CATEGORIES:
            product_id, variant = _FACES[category]
            product = self._store.catalogue.find(product_id)
            assert product is not None, "the shop sells what it shows"
            found.append((category, product.picture(variant)))
        return found

    @property
    def news(self) -> list[Product]:
        return [product for product in self._store.catalogue if product.is_new]

    @property
    def offers(self) -> list[Product]:
        return [product for product in self._store.catalogue if product.price_before is not None]

    @property
    def recommended(self) -> list[Product]:
        """Give what goes with the favourites and the basket; without either, what is rated best."""
        catalogue = self._store.catalogue
        held = {position.product.id for position in self._store.basket} | self._store.favourites
        liked = {product.category for product in catalogue if product.id in held}
        others = [product for product in catalogue if product.id not in held]
        others.sort(
            key=lambda product: (product.category not in liked, -product.rating, -product.reviews)
        )
        return others[:RECOMMENDED]
