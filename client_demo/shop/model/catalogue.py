"""What the shop sells. Texts and prices are in `products.json`, pictures in `assets/products/`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from client_demo.shop.i18n import Language

Category = Literal["lamps", "ceramics", "plants", "textiles"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

_HERE = Path(__file__).parent
PICTURES = _HERE.parent / "assets" / "products"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the colours a product comes in."""

    id: str
    name: Mapping[Language, str]
    colour: str
    """#rrggbb, for the swatch."""


@dataclass(frozen=True, slots=True)
class Product:
    """A thing to buy. `price` and `price_before` are cents with VAT."""

    id: str
    category: Category
    name: Mapping[Language, str]
    text: Mapping[Language, str]
    details: Mapping[Language, tuple[str, ...]]
    """Size, material, care: one short line each."""
    price: int
    price_before: int | None
    rating: float
    """0 to 5."""
    reviews: int
    variants: Mapping[str, Variant]
    is_new: bool

    @property
    def first_variant(self) -> str:
        return next(iter(self.variants))

    def picture(self, variant: str | None = None) -> str:
        """Give the path of the picture of a variant; the first one by default."""
        return str(PICTURES / f"{self.id}-{variant or self.first_variant}.png")


class Catalogue:
    """All products, in the order in which the shop wants them seen."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._products = {product.id: product for product in products}

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def __len__(self) -> int:
        return len(self._products)

    def find(self, product_id: str) -> Product | None:
        return self._products.get(product_id)

    def of(self, category: str) -> list[Product]:
        return [product for product in self if product.category == category]

    def related(self, product: Product, number: int = 4) -> list[Product]:
        """Give things that go with it: of its kind first, then the best of the rest."""
        others = [other for other in self if other is not product]
        others.sort(key=lambda other: (other.category != product.category, -other.rating))
        return others[:number]


def load() -> Catalogue:
    """Read the catalogue that comes with the app."""
    return Catalogue(
        map(_product, json.loads((_HERE / "products.json").read_text(encoding="utf-8")))
    )


def _product(value: dict[str, object]) -> Product:
    raw: dict[str, dict[str, object]] = value["variants"]  # type: ignore[assignment]
    details: dict[Language, list[str]] = value["details"]  # type: ignore[assignment]
    return Product(
        id=value["id"],  # type: ignore[arg-type]
        category=value["category"],  # type: ignore[arg-type]
        name=value["name"],  # type: ignore[arg-type]
        text=value["text"],  # type: ignore[arg-type]
        details={language: tuple(lines) for language, lines in details.items()},
        price=value["price"],  # type: ignore[arg-type]
        price_before=value.get("price_before"),  # type: ignore[arg-type]
        rating=value["rating"],  # type: ignore[arg-type]
        reviews=value["reviews"],  # type: ignore[arg-type]
        variants=MappingProxyType(
            {
                id: Variant(id, entry["name"], entry["colour"])  # type: ignore[arg-type]
                for id, entry in raw.items()
            }
        ),
        is_new=bool(value.get("new")),
    )
