"""The shop without a window: basket, orders, search, checkout."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from client_demo.shop.i18n import LANGUAGES
from client_demo.shop.model import catalogue
from client_demo.shop.model.basket import FREE_SHIPPING_FROM, QUANTITY_MAX, SHIPPING
from client_demo.shop.model.catalogue import CATEGORIES, Product
from client_demo.shop.model.saved import SavedState
from client_demo.shop.model.store import ORDERS_KEPT, PEOPLE, Store
from client_demo.shop.viewmodels.catalogue import SORTINGS, CatalogueModel
from client_demo.shop.viewmodels.checkout import CheckoutModel, Field
from client_demo.shop.viewmodels.home import HomeModel
from client_demo.shop.viewmodels.product import ProductModel

TODAY = date(2026, 11, 20)


@pytest.fixture
def store() -> Store:
    return Store(catalogue.load())


def product(store: Store, product_id: str) -> Product:
    found = store.catalogue.find(product_id)
    assert found is not None
    return found


def counting() -> tuple[list[int], Callable[[], None]]:
    calls: list[int] = []
    return calls, lambda: calls.append(1)


# --- catalogue -----------------------------------------------------------------------------------


def test_every_product_has_texts_in_all_languages_and_a_picture_of_every_colour(
    store: Store,
) -> None:
    assert 16 <= len(store.catalogue) <= 24
    for one in store.catalogue:
        for language in LANGUAGES:
            assert one.name[language]
            assert len(one.text[language]) > 40
            assert one.details[language]
        assert 0 < one.rating <= 5
        assert one.price_before is None or one.price_before > one.price
        for variant in one.variants:
            assert Path(one.picture(variant)).is_file(), one.picture(variant)


def test_every_category_has_something_to_choose_from(store: Store) -> None:
    assert all(len(store.catalogue.of(category)) >= 4 for category in CATEGORIES)


def test_pictures_are_small() -> None:
    files = list(catalogue.PICTURES.glob("*.png"))
    assert sum(file.stat().st_size for file in files) < 2 * 1024 * 1024


def test_related_products_are_others_and_of_the_same_kind_first(store: Store) -> None:
    lamp = product(store, "dune-lamp")
    related = store.catalogue.related(lamp)
    assert lamp not in related
    assert related[0].category == "lamps"


@pytest.mark.parametrize(
    "query,found",
    [
        ("", 18),
        ("VASE", 2),
        ("vase mond", 1),
        ("leuchte", 4),
        ("könnte-es-das-geben", 0),
        ("salbei", 2),
        ("  ", 18),
    ],
)
def test_search_needs_every_word_somewhere(store: Store, query: str, found: int) -> None:
    assert len(CatalogueModel(store, "de", query=query).results) == found


def test_accents_do_not_matter_to_somebody_who_searches(store: Store) -> None:
    with_accent = CatalogueModel(store, "de", query="düne").results
    without = CatalogueModel(store, "de", query="dune").results
    assert [one.id for one in with_accent] == [one.id for one in without] == ["dune-lamp"]


def test_filters_narrow_together_and_toggle(store: Store) -> None:
    model = CatalogueModel(store, "en")
    calls, listener = counting()
    model.changed.connect(listener)
    model.toggle_category("lamps")
    assert {one.category for one in model.results} == {"lamps"}
    model.toggle_flag("offers")
    assert all(one.price_before for one in model.results)
    model.toggle_flag("offers")
    model.toggle_category("lamps")
    assert not model.is_narrowed
    assert len(model.results) == 18
    assert len(calls) == 4


def test_favourites_can_be_shown_alone(store: Store) -> None:
    store.toggle_favourite("tide-vase")
    model = CatalogueModel(store, "en")
    model.toggle_flag("favourites")
    assert [one.id for one in model.results] == ["tide-vase"]


def test_orders_of_the_catalogue_go_round(store: Store) -> None:
    model = CatalogueModel(store, "en")
    seen = []
    for _ in SORTINGS:
        seen.append(model.sorting)
        model.next_sorting()
    assert tuple(seen) == SORTINGS
    assert model.sorting == SORTINGS[0]
    model.sorting = "price_up"
    prices = [one.price for one in model.results]
    assert prices == sorted(prices)
    model.sorting = "price_down"
    assert [one.price for one in model.results] == sorted(prices, reverse=True)
    model.sorting = "rating"
    assert model.results[0].rating == max(one.rating for one in store.catalogue)


def test_an_unknown_category_of_a_link_shows_everything(store: Store) -> None:
    assert len(CatalogueModel(store, "en", category="spaceships").results) == 18


# --- home ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hour,part",
    [(4, "evening"), (5, "morning"), (11, "morning"), (12, "day"), (17, "day"), (18, "evening")],
)
def test_greeting_follows_the_time_of_day(store: Store, hour: int, part: str) -> None:
    model = HomeModel(store, datetime(2026, 11, 20, hour))  # noqa: DTZ001 - local time
    assert model.greeting == (f"home.greeting.{part}", {})
    store.log_in("u_mara")
    assert model.greeting == (f"home.greeting.{part}.named", {"name": "Mara"})


def test_recommendations_go_with_what_is_liked_and_leave_it_out(store: Store) -> None:
    store.toggle_favourite("snake-plant")
    recommended = HomeModel(store, datetime(2026, 11, 20)).recommended  # noqa: DTZ001 - local time
    assert recommended[0].category == "plants"
    assert "snake-plant" not in {one.id for one in recommended}


# --- basket ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held,added",
    [(QUANTITY_MAX - 1, 1), (QUANTITY_MAX, 0), (0, QUANTITY_MAX), (1, QUANTITY_MAX - 1)],
)
def test_basket_takes_nine_of_a_kind(store: Store, held: int, added: int) -> None:
    mug = product(store, "morning-mug")
    if held:
        store.basket.add(mug, "rust", held)
    assert store.basket.add(mug, "rust", QUANTITY_MAX) == added
    assert store.basket.quantity_of("morning-mug", "rust") == QUANTITY_MAX


def test_colours_are_positions_of_their_own(store: Store) -> None:
    mug = product(store, "morning-mug")
    store.basket.add(mug, "rust")
    store.basket.add(mug, "sage", 2)
    assert len(store.basket) == 2
    assert store.basket.quantity == 3
    assert store.basket.subtotal == 3 * mug.price


def test_quantity_nothing_removes_a_position(store: Store) -> None:
    store.basket.add(product(store, "morning-mug"), "rust")
    store.basket.set_quantity("morning-mug:rust", 0)
    assert len(store.basket) == 0


def test_shipping_is_free_from_75_euros_on(store: Store) -> None:
    basket = store.basket
    assert basket.shipping == 0, "nothing costs nothing"
    basket.add(product(store, "olive-tree"), "white")  # 69.00
    assert (basket.shipping, basket.missing_for_free_shipping) == (SHIPPING, 600)
    assert basket.total == 6900 + SHIPPING
    basket.add(product(store, "morning-mug"), "rust")  # 19.00
    assert basket.subtotal >= FREE_SHIPPING_FROM
    assert (basket.shipping, basket.missing_for_free_shipping) == (0, 0)


def test_basket_passes_by_link(store: Store) -> None:
    store.basket.add(product(store, "morning-mug"), "rust", 2)
    store.basket.add(product(store, "olive-tree"), "white")
    link = store.basket.link()
    assert link == "shop://basket?items=morning-mug:rust:2,olive-tree:white:1"
    other = Store(catalogue.load())
    assert other.basket.take(link.partition("items=")[2]) == 3
    assert other.basket.saved() == store.basket.saved()


@pytest.mark.parametrize(
    "items", ["", "x", "morning-mug:pink:1", "morning-mug:rust:-1", "a:b:c:d", ",,"]
)
def test_nonsense_in_a_link_adds_nothing(store: Store, items: str) -> None:
    assert store.basket.take(items) == 0
    assert len(store.basket) == 0


# --- product ---------------------------------------------------------------------------------------


def test_another_colour_is_another_picture(store: Store) -> None:
    model = ProductModel(store, product(store, "tide-vase"))
    calls, listener = counting()
    model.changed.connect(listener)
    first = model.picture
    model.choose("rust")
    assert model.picture != first
    model.choose("rust")
    assert len(calls) == 1, "the same again is no change"
    with pytest.raises(KeyError):
        model.choose("neon")


def test_product_adds_what_there_is_room_for(store: Store) -> None:
    model = ProductModel(store, product(store, "tide-vase"))
    model.set_quantity(99)
    assert model.quantity == QUANTITY_MAX
    assert model.add_to_basket() == QUANTITY_MAX
    assert model.room == 0
    assert model.add_to_basket() == 0


def test_discount_is_the_share_that_was_taken_off(store: Store) -> None:
    assert ProductModel(store, product(store, "wool-throw")).discount == pytest.approx(
        0.202, abs=0.001
    )
    assert ProductModel(store, product(store, "tide-vase")).discount == 0


# --- checkout --------------------------------------------------------------------------------------


def checkout(store: Store) -> CheckoutModel:
    return CheckoutModel(store, lambda: "ML-TEST01", lambda: TODAY)


def test_checkout_knows_the_address_of_who_is_logged_in(store: Store) -> None:
    store.log_in(PEOPLE[0].user_id)
    assert checkout(store).values["street"] == PEOPLE[0].street


def test_checkout_says_what_is_missing(store: Store) -> None:
    store.basket.add(product(store, "tide-vase"), "rust")
    model = checkout(store)
    assert not model.begin()
    assert set(model.errors) == {"name", "email", "street", "city"}
    fields: tuple[Field, ...] = ("name", "street", "city")
    for field in fields:
        model.set(field, "x")
    model.set("email", "mara@example")
    assert not model.begin()
    assert model.errors == {"email": "checkout.error.email"}
    model.set("email", "mara@example.org")
    assert model.begin()
    assert not model.begin(), "an order is placed once"


def test_an_order_empties_the_basket_and_is_remembered(store: Store) -> None:
    store.log_in("u_jonas")
    store.basket.add(product(store, "tide-vase"), "rust", 2)
    model = checkout(store)
    assert model.begin()
    order = model.finish()
    assert (order.number, order.total, order.quantity) == ("ML-TEST01", 10_800, 2)
    assert order.arrives_on == date(2026, 11, 23)
    assert len(store.basket) == 0
    assert store.orders == [order]


def test_an_empty_basket_is_not_ordered(store: Store) -> None:
    store.log_in("u_jonas")
    assert not checkout(store).begin()


# --- who it is, and what is kept ---------------------------------------------------------------------


def test_log_out_leaves_nothing_of_the_person_before(store: Store) -> None:
    store.log_in("u_mara")
    store.basket.add(product(store, "tide-vase"), "rust")
    store.toggle_favourite("tide-vase")
    store.place_order("ML-1", TODAY)
    store.basket.add(product(store, "tide-vase"), "rust")
    store.log_out()
    assert store.saved() == Store(catalogue.load()).saved()


def test_only_people_of_the_shop_can_log_in(store: Store) -> None:
    with pytest.raises(KeyError):
        store.log_in("u_nobody")


def test_everything_is_kept_between_two_starts(store: Store, tmp_path: Path) -> None:
    store.log_in("u_mara")
    store.toggle_favourite("olive-tree")
    store.basket.add(product(store, "tide-vase"), "rust", 2)
    store.place_order("ML-1", TODAY)
    store.basket.add(product(store, "morning-mug"), "sage")
    assert SavedState(tmp_path).write(store.saved())
    restored = Store(catalogue.load())
    restored.restore(SavedState(tmp_path).read())
    assert restored.saved() == store.saved()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}', "null"])
def test_a_file_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert SavedState(tmp_path).read() == {}


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"basket": [{"product": "gone", "variant": "x", "quantity": 1}]},
        {"basket": [{"product": "tide-vase", "variant": "gone", "quantity": 1}]},
        {"basket": "x", "favourites": 1, "orders": [{"number": 1}], "person": "u_gone"},
        {"basket": [7], "favourites": ["gone"], "orders": [None]},
    ],
)
def test_what_is_no_longer_there_is_left_out(store: Store, saved: dict[str, Any]) -> None:
    store.restore(saved)
    assert store.saved() == Store(catalogue.load()).saved()


def test_the_last_orders_are_kept(store: Store) -> None:
    for number in range(ORDERS_KEPT + 1):
        store.basket.add(product(store, "tide-vase"), "rust")
        store.place_order(f"ML-{number}", TODAY)
    assert len(store.orders) == ORDERS_KEPT
    assert store.orders[0].number == f"ML-{ORDERS_KEPT}"
