"""Search, filter, order."""

from __future__ import annotations

import unicodedata
from typing import Literal, get_args

from client_demo.shop.i18n import Language
from client_demo.shop.model.catalogue import CATEGORIES, Product
from client_demo.shop.model.store import Store
from client_demo.shop.observable import Signal

Sorting = Literal["recommended", "price_up", "price_down", "rating"]
SORTINGS: tuple[Sorting, ...] = get_args(Sorting)
Flag = Literal["new", "offers", "favourites"]
FLAGS: tuple[Flag, ...] = get_args(Flag)


def folded(text: str) -> str:
    """Make a text comparable: case and accents do not matter to somebody who searches."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


class CatalogueModel:
    """What is found. `changed` fires after every change of query, category, flag or order."""

    def __init__(
        self, store: Store, language: Language, *, category: str = "", query: str = ""
    ) -> None:
        self._store, self._language = store, language
        self.category: str = category if category in CATEGORIES else ""
        self.query = query
        self.flag: Flag | None = None
        self.sorting: Sorting = "recommended"
        self.changed = Signal()

    def set_query(self, query: str) -> None:
        if query != self.query:
            self.query = query
            self.changed()

    def toggle_category(self, category: str) -> None:
        """Show that category only; once more, show all again."""
        self.category = "" if category == self.category else category
        self.changed()

    def toggle_flag(self, flag: Flag) -> None:
        self.flag = None if flag == self.flag else flag
        self.changed()

    def next_sorting(self) -> None:
        """Go on to the next order."""
        self.sorting = SORTINGS[(SORTINGS.index(self.sorting) + 1) % len(SORTINGS)]
        self.changed()

    def reset(self) -> None:
        """Show everything again."""
        self.query, self.category, self.flag = "", "", None
        self.changed()

    @property
    def is_narrowed(self) -> bool:
        return bool(self.query.strip() or self.category or self.flag)

    @property
    def results(self) -> list[Product]:
        """Give what fits; every word of the query has to occur somewhere."""
        words = folded(self.query).split()
        found = [
            product
            for product in self._store.catalogue
            if (not self.category or product.category == self.category)
            and self._has_flag(product)
            and all(word in self._searched(product) for word in words)
        ]
        if self.sorting == "price_up":
            found.sort(key=lambda product: product.price)
        elif self.sorting == "price_down":
            found.sort(key=lambda product: -product.price)
        elif self.sorting == "rating":
            found.sort(key=lambda product: (-product.rating, -product.reviews))
        return found

    def _has_flag(self, product: Product) -> bool:
        if self.flag == "new":
            return product.is_new
        if self.flag == "offers":
            return product.price_before is not None
        return self.flag is None or product.id in self._store.favourites

    def _searched(self, product: Product) -> str:
        language = self._language
        colours = " ".join(variant.name[language] for variant in product.variants.values())
        return folded(
            f"{product.name[language]} {product.text[language]} {colours} {product.category}"
        )
