"""What the screens stand on: colours, room, languages, focus, places, the command line."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from client_demo.shop import launch
from client_demo.shop.focus import Box, Direction, nearest
from client_demo.shop.i18n import LANGUAGES, Language, Translator, language_of, texts
from client_demo.shop.layout import guess_form_factor, layout_of
from client_demo.shop.navigation import SCREENS, Navigator, route, route_of
from client_demo.shop.theme import (
    CONTRAST_MIN,
    CONTRAST_SHAPE_MIN,
    DARK,
    LIGHT,
    TEXT_ON,
    Palette,
    contrast,
    rgba,
)
from client_demo.shop.ui import Appearance, Ui

SHOP = Path(launch.__file__).parent
PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])

# --- colours -------------------------------------------------------------------------------------


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(rgba("#000000"), rgba("#ffffff")) == pytest.approx(21)
    assert contrast(rgba("#777777"), rgba("#ffffff")) == pytest.approx(4.48, abs=0.01)


@PALETTES
@pytest.mark.parametrize("text,ground", TEXT_ON)
def test_text_can_be_read(palette: Palette, text: str, ground: str) -> None:
    assert contrast(getattr(palette, text), getattr(palette, ground)) >= CONTRAST_MIN


@PALETTES
@pytest.mark.parametrize("ground", ["background", "surface", "sunken", "tile", "primary_soft"])
def test_ring_of_focus_can_be_seen(palette: Palette, ground: str) -> None:
    assert contrast(palette.focus, getattr(palette, ground)) >= CONTRAST_SHAPE_MIN


@PALETTES
def test_ring_has_a_seam_for_grounds_of_its_own_darkness(palette: Palette) -> None:
    assert contrast(palette.focus, palette.surface) >= CONTRAST_SHAPE_MIN


# --- room ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "width,size_class,menu",
    [
        (599, "compact", "bottom"),
        (600, "medium", "rail"),
        (839, "medium", "rail"),
        (840, "expanded", "rail"),
    ],
)
def test_size_classes_begin_where_they_should(width: int, size_class: str, menu: str) -> None:
    layout = layout_of(width * 2, 1600, 2.0, "tablet")
    assert (layout.size_class, layout.menu) == (size_class, menu)


def test_television_is_seen_from_afar_and_cuts_its_edges() -> None:
    layout = layout_of(1920, 1080, 1.0, "tv")
    assert (layout.width, layout.height, layout.scale) == (1280, 720, 1.5)
    assert (layout.overscan, layout.menu) == ((64, 36), "side")
    assert layout_of(1280, 800, 1.0, "tablet").overscan == (0, 0)


@pytest.mark.parametrize("room,columns", [(100, 2), (395, 2), (396, 2), (603, 3), (1000, 4)])
def test_a_phone_always_has_two_columns(room: float, columns: int) -> None:
    assert layout_of(390, 844, 1.0, "phone").columns(190, room, 16) == columns


def test_shorter_side_tells_a_phone_from_a_tablet() -> None:
    assert guess_form_factor(599, 2000, 1.0) == "phone"
    assert guess_form_factor(2000, 600, 1.0) == "tablet"


def test_reduced_motion_takes_no_time() -> None:
    layout = layout_of(390, 844, 1.0, "phone")
    assert Ui(Appearance(), layout).seconds(0.2) == 0.2
    assert Ui(Appearance(reduced_motion=True), layout).seconds(0.2) == 0


def test_change_is_told_once_and_only_when_there_is_one() -> None:
    ui = Ui(Appearance(), layout_of(390, 844, 1.0, "phone"))
    told = []
    ui.changed.connect(lambda: told.append(1))
    ui.set_appearance(dark=True, language="de")
    ui.set_appearance(dark=True)
    assert (len(told), ui.t("action.back")) == (1, "Zurück")


# --- languages -----------------------------------------------------------------------------------


def test_all_languages_have_the_same_texts_with_the_same_gaps() -> None:
    first = {key: _gaps(value) for key, value in texts("en").items()}
    for language in LANGUAGES:
        assert {key: _gaps(value) for key, value in texts(language).items()} == first


def test_no_text_is_empty_or_left_in_english() -> None:
    english, german = texts("en"), texts("de")
    assert all(german.values())
    same = {key for key, value in english.items() if value == german[key] and len(str(value)) > 16}
    assert same <= {"checkout.payment.card.text"}


def test_no_key_is_in_two_files() -> None:
    for language in LANGUAGES:
        keys = [
            key
            for file in (SHOP / "locales").glob(f"*.{language}.json")
            for key in json.loads(file.read_text())
        ]
        assert len(keys) == len(set(keys))


def test_every_key_that_the_code_names_exists() -> None:
    code = "\n".join(file.read_text() for file in SHOP.rglob("*.py"))
    named = set(re.findall(r"""\bt\(\s*"([a-z_.]+)"[,)]""", code))
    assert named
    assert named - set(texts("en")) == set()


def _gaps(value: str | dict[str, str]) -> list[str]:
    forms = [value] if isinstance(value, str) else list(value.values())
    return sorted({gap for form in forms for gap in re.findall(r"\{\w+\}", form)})


@pytest.mark.parametrize(
    "language,cents,written",
    [
        ("en", 129_900, "€1,299.00"),
        ("de", 129_900, "1.299,00\u00a0€"),
        ("en", 5, "€0.05"),
        ("de", -490, "−4,90\u00a0€"),
    ],
)
def test_prices_are_written_as_the_language_does(
    language: Language, cents: int, written: str
) -> None:
    assert Translator(language).price(cents) == written


def test_dates_numbers_and_plurals() -> None:
    english, german = Translator("en"), Translator("de")
    assert english.date(date(2026, 3, 1)) == "1 Mar 2026"
    assert german.date(date(2026, 3, 1)) == "1. März 2026"
    assert german.number(12345.678, 1) == "12.345,7"
    assert (english.percent(0.2), german.percent(0.2)) == ("20%", "20\u00a0%")
    assert english.text("catalogue.results", n=1) == "1 thing"
    assert english.text("catalogue.results", n=0) == "0 things"


@pytest.mark.parametrize(
    "locale,language",
    [("de_AT.UTF-8", "de"), ("DE", "de"), ("en_GB", "en"), ("fr_FR", "en"), (None, "en")],
)
def test_language_follows_the_system(locale: str | None, language: str) -> None:
    assert language_of(locale) == language


# --- focus -----------------------------------------------------------------------------------------

START = Box(100, 100, 50, 50)


@pytest.mark.parametrize("direction,expected", [("right", 0), ("left", 1), ("up", 2), ("down", 3)])
def test_arrows_go_to_the_neighbour(direction: Direction, expected: int) -> None:
    boxes = [Box(200, 100, 50, 50), Box(0, 100, 50, 50), Box(100, 200, 50, 50), Box(100, 0, 50, 50)]
    assert nearest(START, direction, enumerate(boxes)) == expected


def test_straight_ahead_beats_near_but_aside() -> None:
    assert nearest(START, "right", enumerate([Box(160, 300, 50, 50), Box(300, 110, 50, 50)])) == 1


def test_nothing_lies_behind() -> None:
    assert nearest(START, "right", enumerate([Box(0, 100, 50, 50), Box(100, 200, 50, 50)])) is None


def test_of_two_below_the_better_aligned_is_next() -> None:
    assert nearest(START, "down", enumerate([Box(140, 0, 50, 50), Box(98, 0, 50, 50)])) == 1


def test_button_on_a_card_is_reached_from_the_card_and_back() -> None:
    card, button = Box(0, 0, 600, 100), Box(560, 60, 36, 36)
    above = Box(0, 200, 600, 100)
    assert nearest(card, "right", enumerate([button, above])) == 0
    assert nearest(card, "up", enumerate([button, above])) == 1
    assert nearest(button, "left", enumerate([card, above])) == 0


# --- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url,screen,params",
    [
        ("shop://product/tide-vase", "product", {"id": "tide-vase"}),
        ("shop://catalogue?category=lamps", "catalogue", {"category": "lamps"}),
        ("shop://catalogue/lamps", "catalogue", {"category": "lamps"}),
        ("shop://basket", "basket", {}),
        ("shop://support?topic=chat", "support", {"topic": "chat"}),
    ],
)
def test_links_lead_to_places(url: str, screen: str, params: dict[str, str]) -> None:
    found = route_of(url)
    assert found is not None
    assert (found.screen, dict(found.params)) == (screen, params)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop://",
        "shop://nowhere",
        "https://product/x",
        "shop://product",
        "shop://product/a/b",
        "shop://[",
        "javascript:1",
    ],
)
def test_links_from_outside_may_lead_nowhere(url: str) -> None:
    assert route_of(url) is None


@pytest.mark.parametrize("screen", SCREENS)
def test_every_place_can_be_written_as_a_link(screen: str) -> None:
    place = route(screen, id="tide-vase") if screen == "product" else route(screen)
    assert route_of(place.url()) == place


def test_back_goes_through_the_stack_then_home_then_out() -> None:
    navigator = Navigator()
    navigator.go(route("catalogue"))
    navigator.go(route("product", id="tide-vase"))
    assert (navigator.tab, navigator.depth) == ("catalogue", 2)
    assert navigator.back()
    assert navigator.back()
    assert navigator.current == route("home")
    assert not navigator.back()


def test_there_is_no_way_back_into_a_finished_checkout() -> None:
    navigator = Navigator()
    navigator.go(route("basket"))
    navigator.go(route("checkout"))
    navigator.replace(route("confirmation", order="ML-1"))
    navigator.back()
    assert navigator.current == route("basket")


def test_places_survive_a_restart_and_forget_what_is_gone() -> None:
    navigator = Navigator()
    navigator.go(route("product", id="tide-vase"))
    other = Navigator()
    other.restore(navigator.urls())
    assert other.current == navigator.current
    other.restore(["shop://gone"])
    assert other.current == navigator.current


# --- command line ------------------------------------------------------------------------------------


def test_headless_needs_no_display_and_is_as_fine_as_the_device() -> None:
    options = launch.parse(["--headless", "1", "--screenshot", "x.png"])
    assert (options.width, options.height, options.density) == (780, 1688, 2.0)
    assert launch.environment(options, {})["SDL_VIDEODRIVER"] == "offscreen"
    assert "SDL_VIDEODRIVER" not in launch.environment(options, {"SDL_VIDEODRIVER": "x11"})


def test_window_on_a_desktop_is_as_the_desktop_says() -> None:
    options = launch.parse(["--form-factor", "tablet"])
    assert (options.width, options.height, options.density) == (1280, 800, 1.0)
    assert "SDL_VIDEODRIVER" not in launch.environment(options, {})


@pytest.mark.parametrize(
    "arguments",
    [
        ["--screenshot", "x.png"],
        ["--endpoint", "http://127.0.0.1:1"],
        ["--key", "pk"],
        ["--form-factor", "watch"],
        ["--text-scale", "0.84"],
        ["--text-scale", "1.31"],
        ["--size", "big"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        launch.parse(arguments)
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["0.85", "1.3"])
def test_text_scale_reaches_to_its_limits(scale: str) -> None:
    assert launch.parse(["--text-scale", scale]).text_scale == float(scale)
