"""What is checked in a window: one process for each form factor, since Kivy's window and clock are global.

`python tests/app/session.py FORM_FACTOR` runs every check of that form factor and prints a line of JSON for
each: `{"check": name, "error": null | text}`. `test_windows.py` starts it and reads the lines.
"""

import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client_demo.shop import launch, theme
from client_demo.shop.gallery import prepare, sample, shots_of, shown, stage
from client_demo.shop.i18n import LANGUAGES
from client_demo.shop.layout import FORM_FACTORS, FormFactor
from client_demo.shop.ui import TEXT_SCALES

GOLDEN = Path(__file__).parent / "golden"
DENSITY = 0.5
"""Small windows paint fast; layouts count in dp and do not notice."""
BLOCK = 4
"""Pictures are compared in blocks of so many pixels: how edges are smoothed differs between drivers."""
BLOCK_DIFFERENCE, BLOCKS_MAX, MEAN_MAX = 24, 0.02, 3.0
"""A block (0 to 255) that differs by more counts; so many may, as a share; and the mean of all."""
OVERLAYS = ("banner", "slideup", "modal", "fullscreen", "inline", "survey", "chat")
PICTURES: dict[FormFactor, tuple[tuple[str, str], ...]] = {
    "phone": (("product", "light"), ("basket", "dark")),
    "tablet": (("catalogue", "light"), ("checkout", "dark")),
    "tv": (("product", "light"), ("checkout", "dark")),
}

FROM_OUTSIDE = re.compile(
    "|".join(
        [r"(GET|POST|PUT|DELETE) /"]
        + [
            re.escape(text)
            for language in LANGUAGES
            for layout in OVERLAYS
            for text in (
                sample(layout, language).content.title,
                sample(layout, language).content.body,
            )
        ]
    )
)
"""Texts that are not the app's own may be as long as they like; lists show their beginning."""

Check = Callable[[Any], None]
CHECKS: dict[FormFactor, dict[str, Check]] = {form_factor: {} for form_factor in FORM_FACTORS}


def check(*form_factors: FormFactor) -> Callable[[Check], Check]:
    """Have a function run in the windows of these form factors."""

    def register(function: Check) -> Check:
        for form_factor in form_factors or FORM_FACTORS:
            CHECKS[form_factor][function.__name__] = function
        return function

    return register


# --- what is looked at ---------------------------------------------------------------------------


def descendants(widget: Any) -> Iterator[Any]:
    yield widget
    for child in widget.children:
        yield from descendants(child)


@contextmanager
def staged(app: Any, shot: str) -> Iterator[None]:
    """Bring the app to a screen, and back."""
    undo = stage(app, shot)
    app.frames(6)
    yield
    undo()
    app.frames(2)


def pressable(app: Any, key: str) -> Any:
    """Find the widget of that focus key."""
    found = [widget for widget in app.shop.shell.focus.candidates() if widget.focus_key == key]
    assert found, (
        f"nothing is called {key!r}: {[w.focus_key for w in app.shop.shell.focus.candidates()]}"
    )
    return found[0]


# --- everywhere ----------------------------------------------------------------------------------


@check()
def every_screen_holds_at_the_largest_text_size(app: Any) -> None:
    """One walk, several looks: building screens is what takes the time."""
    problems: list[str] = []
    is_tv = app.shop.ui.layout.is_tv
    # German words are the longest; the small window is the one that is short of room for the others.
    for language in LANGUAGES if app.shop.ui.layout.is_compact else ("de",):
        app.shop.ui.set_appearance(language=language, text_scale=TEXT_SCALES[-1])
        for shot in shots_of(app.shop.ui.layout.form_factor):
            if language == "en" and shot.startswith("overlay-"):
                continue
            with staged(app, shot):
                found = [*_texts_that_do_not_fit(app), *_targets_that_are_no_good(app)]
                if is_tv:
                    found += _unreachable_by_arrows(app)
                problems += [f"{language} {shot}: {problem}" for problem in found]
    app.shop.ui.set_appearance(language="en", text_scale=1.0)
    app.frames(2)
    assert problems == [], "\n".join(dict.fromkeys(problems))


def _texts_that_do_not_fit(app: Any) -> Iterator[str]:
    from client_demo.shop.widgets import Text

    width = app.shop.shell.width
    for widget in descendants(app.shop.shell):
        if not isinstance(widget, Text) or not widget.text:
            continue
        x, _ = widget.to_window(widget.x, widget.y)
        if widget.is_cut and not FROM_OUTSIDE.match(widget.text):
            yield f"{widget.text!r} is cut"
        if widget.texture_size[0] > widget.width + 1:
            yield f"{widget.text!r} is wider than its place"
        if not _scrolls_across(widget) and x + widget.texture_size[0] > width + 1:
            yield f"{widget.text!r} leaves the window"


def _targets_that_are_no_good(app: Any) -> Iterator[str]:
    reach = app.shop.ui.dp(theme.TARGET) / 2 - 1
    for widget in app.shop.shell.focus.candidates():
        x, y = widget.center
        if not (widget.collide_point(x + reach, y) and widget.collide_point(x, y + reach)):
            yield f"{widget.focus_key} is smaller than a finger"
        if not widget.accessible_name:
            yield f"{type(widget).__name__} {widget.focus_key!r} has no name"


def _unreachable_by_arrows(app: Any) -> Iterator[str]:
    """Go in every direction from everything that was reached, as long as there is something new."""
    focus = app.shop.shell.focus
    if focus.current is None:
        focus.first()
    if focus.current is None:
        yield "nothing has the focus"
        return
    reached = {id(focus.current): focus.current}
    waiting = [focus.current]
    while waiting:
        start = waiting.pop()
        for direction in ("left", "right", "up", "down"):
            focus.set(start, reveals=False)
            if focus.move(direction, reveals=False) and id(focus.current) not in reached:
                reached[id(focus.current)] = focus.current
                waiting.append(focus.current)
    for widget in focus.candidates():
        if id(widget) not in reached:
            yield f"no arrow leads to {widget.focus_key}"


def _scrolls_across(widget: Any) -> bool:
    while widget is not None and widget.parent is not widget:
        if getattr(widget, "do_scroll_x", False):
            return True
        widget = widget.parent
    return False


@check()
def a_screen_that_is_built_anew_keeps_focus_and_place(app: Any) -> None:
    app.go("shop://catalogue")
    app.key("down")
    focus = app.shop.shell.focus
    assert focus.set_by_key("found.shore-bowl")
    app.frames(4)
    scrolled = app.shop.shell.screen.scroll.scroll_y
    assert scrolled < 1, "the last product is further down"
    app.shop.ui.set_appearance(dark=True)
    app.frames()
    assert focus.current.focus_key == "found.shore-bowl"
    assert abs(app.shop.shell.screen.scroll.scroll_y - scrolled) < 0.05
    app.shop.ui.set_appearance(dark=False)
    app.frames()


@check()
def deep_links_lead_to_their_screens(app: Any) -> None:
    for url, screen in (
        ("shop://product/tide-vase", "ProductScreen"),
        ("shop://catalogue?category=lamps", "CatalogueScreen"),
        ("shop://basket", "BasketScreen"),
        ("shop://support", "SupportScreen"),
    ):
        app.go(url)
        assert type(app.shop.shell.screen).__name__ == screen
    app.go("shop://nowhere")
    assert type(app.shop.shell.screen).__name__ == "SupportScreen", "a bad link changes nothing"


@check()
def the_basket_of_a_television_comes_along_by_its_link(app: Any) -> None:
    basket = app.shop.store.basket
    before = basket.saved()
    link = basket.link()
    basket.clear()
    app.go(link)
    assert basket.saved() == before
    app.key("back")
    app.go("shop://basket")
    assert basket.saved() == before, "it is taken once"


@check()
def what_is_in_the_basket_survives_a_pause(app: Any) -> None:
    app.go("shop://product/shore-bowl")
    app.shop.store.basket.add(app.shop.store.catalogue.find("shore-bowl"), "slate", 2)
    assert app.app.on_pause() is True, "Kivy may stop the app otherwise"
    kept = json.loads((app.app.options.state_dir / "state.json").read_text())
    app.app.on_resume()
    assert {"product": "shore-bowl", "variant": "slate", "quantity": 2} in kept["basket"]
    assert kept["places"][-1] == "shop://product/shore-bowl"
    app.shop.store.basket.remove("shore-bowl:slate")


@check()
def pictures_are_as_they_were(app: Any) -> None:
    problems = []
    for shot, mode in PICTURES[app.shop.ui.layout.form_factor]:
        app.shop.ui.set_appearance(dark=mode == "dark")
        with staged(app, shot):
            app.shop.shell.focus.on_touch()
            app.frames(4)
            file = GOLDEN / f"{app.shop.ui.layout.form_factor}-{shot}-{mode}.png"
            if os.environ.get("UPDATE_GOLDEN"):
                app.picture(file)
                continue
            seen = Path(tempfile.gettempdir()) / f"seen-{os.getpid()}-{file.name}"
            app.picture(seen)
            if difference := compared(file, seen):
                problems.append(f"{file.name}: {difference}; see {seen}")
            else:
                seen.unlink()
    app.shop.ui.set_appearance(dark=False)
    assert problems == [], "\n".join(problems)


def compared(one: Path, other: Path) -> str:
    """Say how two pictures differ; nothing when they look the same."""
    first, second = blocks(one), blocks(other)
    if len(first) != len(second):
        return "of another size"
    differences = [abs(a - b) for a, b in zip(first, second, strict=True)]
    mean = sum(differences) / len(differences)
    share = sum(difference > BLOCK_DIFFERENCE for difference in differences) / len(differences)
    if mean > MEAN_MAX or share > BLOCKS_MAX:
        return f"{share:.1%} of it differs, {mean:.1f} of 255 on average"
    return ""


def blocks(file: Path) -> list[float]:
    """Give the mean of each colour in each block."""
    from kivy.core.image import Image

    picture = Image(str(file), keep_data=True, nocache=True).image._data[0]
    channels = len(picture.fmt)
    width, height, data = picture.width, picture.height, picture.data
    row = width * channels
    found = []
    for y in range(0, height - BLOCK + 1, BLOCK):
        for x in range(0, width - BLOCK + 1, BLOCK):
            parts = [
                data[(y + dy) * row + x * channels : (y + dy) * row + (x + BLOCK) * channels]
                for dy in range(BLOCK)
            ]
            found += [
                sum(sum(part[channel::channels]) for part in parts) / BLOCK**2
                for channel in range(3)
            ]
    return found


# --- phone and tablet ------------------------------------------------------------------------------


@check("phone", "tablet")
def a_lamp_is_bought_by_finger(app: Any) -> None:
    store = app.shop.store
    store.basket.clear()
    app.go("shop://product/halo-lamp")
    app.touch(pressable(app, "variant.clay"))
    app.frames()
    app.touch(pressable(app, "product.add"))
    assert [position.key for position in store.basket] == ["halo-lamp:clay"]
    app.touch(pressable(app, "menu.basket"))
    app.frames()
    app.touch(pressable(app, "basket.checkout"))
    app.frames()
    app.touch(pressable(app, "checkout.place"))
    app.until(lambda: app.shop.navigator.current.screen == "confirmation")
    assert store.orders[0].products == ("halo-lamp",)
    assert store.orders[0].total == 6400 + 490, "64 € are below what ships for free"
    assert len(store.basket) == 0
    prepare(app)


@check("phone", "tablet")
def the_ring_of_focus_shows_from_the_first_key_to_the_next_touch(app: Any) -> None:
    app.go("shop://home")
    focus = app.shop.shell.focus
    focus.on_touch()
    assert not focus.is_visible
    app.key("down")
    assert focus.is_visible
    assert focus.current.has_focus
    app.touch(pressable(app, "menu.catalogue"))
    assert not focus.is_visible


@check("phone")
def typing_finds_and_leaves_the_field_alone(app: Any) -> None:
    app.go("shop://catalogue")
    field = pressable(app, "catalogue.search")
    field.input.text = "vase"
    app.frames()
    found = [
        w.focus_key for w in app.shop.shell.focus.candidates() if w.focus_key.startswith("found.")
    ]
    assert sorted(found) == ["found.moon-vase", "found.tide-vase"]
    assert pressable(app, "catalogue.search") is field, "whoever types must not lose the field"


# --- television ------------------------------------------------------------------------------------


@check("tv")
def the_screen_starts_in_its_content(app: Any) -> None:
    app.go("shop://product/tide-vase")
    assert app.shop.shell.focus.current.focus_key == "product.add"


@check("tv")
def a_layer_holds_the_focus_and_back_closes_it(app: Any) -> None:
    app.go("shop://home")
    shop, focus = app.shop, app.shop.shell.focus
    assert focus.set_by_key("category.plants")
    message = sample("modal", "en")
    shop.presenter.present(message, shown(message))
    app.frames()
    inside = {id(widget) for widget in focus.candidates()}
    assert id(focus.current) in inside
    assert not any(widget.focus_key.startswith("menu.") for widget in focus.candidates())
    for action in ("up", "left", "down", "right", "up", "up", "left", "left"):
        app.key(action)
        assert id(focus.current) in inside
    app.key("back")
    app.frames()
    assert focus.current.focus_key == "category.plants", "the focus comes back to where it was"


@check("tv")
def a_lamp_is_bought_by_remote_control(app: Any) -> None:
    store = app.shop.store
    store.basket.clear()
    app.go("shop://product/halo-lamp")
    app.key("enter")
    assert [position.key for position in store.basket] == ["halo-lamp:slate"]
    app.go("shop://basket")
    app.key("enter")
    app.frames()
    assert app.shop.navigator.current.screen == "checkout"
    app.key("enter")
    app.until(lambda: app.shop.navigator.current.screen == "confirmation")
    assert store.orders[0].products == ("halo-lamp",)
    prepare(app)


@check("tv")
def a_stepper_is_one_stop_and_turns_left_and_right(app: Any) -> None:
    app.go("shop://product/tide-vase")
    focus = app.shop.shell.focus
    assert focus.set_by_key("product.quantity")
    app.key("right")
    assert focus.current.focus_key == "product.quantity"
    assert focus.current.value == 2
    app.key("left")
    app.key("left")
    assert focus.current is None or focus.current.focus_key != "product.quantity", (
        "at 1, left moves on"
    )


@check("tv")
def what_needs_typing_is_a_code_to_scan(app: Any) -> None:
    from client_demo.shop.widgets import QrCode

    app.go("shop://catalogue")
    assert app.shop.shell.focus.set_by_key("catalogue.search")
    app.key("enter")
    codes = [widget for widget in descendants(app.shop.shell) if isinstance(widget, QrCode)]
    assert [code.content for code in codes] == ["shop://catalogue"]
    app.key("back")
    assert app.shop.shell.focus.current.focus_key == "catalogue.search"


@check("tv")
def nothing_stands_where_a_television_may_cut_it_off(app: Any) -> None:
    from client_demo.shop.widgets import Text

    across, _ = app.shop.ui.layout.overscan
    edge, width = app.shop.ui.dp(across), app.shop.shell.width
    for shot in ("home", "product", "checkout"):
        with staged(app, shot):
            for widget in descendants(app.shop.shell.body):
                if isinstance(widget, Text) and not _scrolls_across(widget):
                    x, _ = widget.to_window(widget.x, widget.y)
                    assert edge - 1 <= x, widget.text
                    assert x + widget.texture_size[0] <= width - edge + 1, widget.text


# --- running them ----------------------------------------------------------------------------------


def main(form_factor: FormFactor) -> int:
    with tempfile.TemporaryDirectory(prefix="moorlind-test-") as folder:
        options = launch.parse(
            [
                "--form-factor", form_factor, "--headless", "0", "--density", str(DENSITY),
                "--language", "en", "--simulate", "--reduced-motion", "--no-dark",
                "--state-dir", folder, "--data-dir", folder,
            ]
        )  # fmt: skip
        os.environ.update(launch.environment(options, os.environ))
        from client_demo.shop.headless import Headless

        app = Headless(options)
        for name, function in CHECKS[form_factor].items():
            began = time.monotonic()
            error = None
            try:
                prepare(app)
                function(app)
            except Exception:
                error = traceback.format_exc()
            print(
                json.dumps({"check": name, "error": error, "s": time.monotonic() - began}),
                flush=True,
            )
        app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))  # type: ignore[arg-type]
