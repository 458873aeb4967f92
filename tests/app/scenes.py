"""The shop in a window that nobody sees, played scene by scene.

`python -m tests.app.scenes FORM_FACTOR` plays every scene and writes a line of JSON for each:
`{"scene": name, "error": null | text, "s": seconds}`. One process for each form factor, since Kivy's window
and clock are global. `test_scenes.py` starts it and reads the lines. German at the largest text size, because
that is the tightest.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from client_demo.shop import launch
from client_demo.shop.focus import Action
from client_demo.shop.model.store import Person
from client_demo.shop.navigation import Route
from zuruf import Button, Content, DisplayDecision, Message, Question, Survey

WAIT_S = 20.0
"""How long a condition may take on a machine that is busy."""
DENSITY = 0.5
"""Small windows paint fast; layouts count in dp and do not notice."""

GO = Button("go", "To the catalogue", {"type": "deep_link", "url": "shop://catalogue"})
NO = Button("no", "Not now", {"type": "dismiss"})
QUESTIONS = Survey(
    (
        Question("stars", "rating", "How do you like your lamp?"),
        Question("why", "choice", "What made you choose it?", ("The look", "The price")),
        Question("words", "text", "What should we do better?"),
    )
)
PICTURE = "https://pictures.invalid/lamp.png"
LONG = (
    "Bis Sonntagabend kommt jede Bestellung ab 40 Euro versandkostenfrei zu dir nach Hause, "
    "ganz ohne Gutscheincode und Mindestabnahmemenge."
)


def content(layout: str, *, image: str | None = None) -> Content:
    """Make a message of a layout, with texts as long as people write them."""
    return Content(
        layout,
        "Versandkostenfreies Wochenende für alle Stammkundinnen",
        LONG,
        image=image,
        buttons=() if layout in {"survey", "chat"} else (GO, NO),
        theme={} if image else {"icon": "truck"},
        survey=QUESTIONS if layout == "survey" else None,
    )


class Told:
    """What the SDK was told about a message."""

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.is_current = True

    def shown(self) -> None:
        self.reports.append("shown")

    def clicked(self, button_id: str) -> None:
        self.reports.append(("clicked", button_id))

    def answered(self, answers: dict[str, object]) -> None:
        self.reports.append(("answered", answers))

    def dismissed(self, reason: str = "closed") -> None:
        self.reports.append(("dismissed", reason))

    def failed(self, reason: object = "failed") -> None:
        self.reports.append(("failed", reason))


class Play:
    """The app, and a hand at its keys and its glass."""

    def __init__(self, form_factor: str, folder: Path) -> None:
        options = launch.parse(
            [
                *("--form-factor", form_factor, "--headless", "0", "--density", str(DENSITY)),
                *("--endpoint", "http://127.0.0.1:1", "--key", "pk_test", "--simulate"),
                *("--state-dir", str(folder), "--data-dir", str(folder), "--no-dark"),
                *("--language", "de", "--text-scale", "1.3", "--reduced-motion"),
            ]
        )
        os.environ.update(launch.environment(options, os.environ))
        from client_demo.shop.headless import Headless
        from client_demo.shop.overlays.pictures import Pictures

        self.app = Headless(options)
        self.shop = self.app.shop
        self.shell, self.presenter, self.ui = self.shop.shell, self.shop.presenter, self.shop.ui
        self.presenter.pictures = Pictures(_no_network)
        self.opened: list[str] = []
        self.presenter.browser = self._browse
        self.is_tv = form_factor == "tv"

    def _browse(self, url: str) -> bool:
        self.opened.append(url)
        return True

    def frames(self, count: int = 4) -> None:
        self.app.frames(count)

    def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            self.app.until(condition, WAIT_S)
        except TimeoutError as error:
            raise AssertionError(f"never: {what}") from error

    def key(self, *names: Action) -> None:
        for name in names:
            self.app.key(name)

    def person(self) -> Person | None:
        return self.shop.store.person

    def language(self) -> str:
        return self.ui.language

    def look_for_the_ring(self) -> None:
        """Press a key, as one does who takes up the keyboard, if the ring is not there yet."""
        if not self.shell.focus.is_visible:
            self.key("down")

    def show(self, one: Content, id: str = "m1") -> Told:
        """Hand a message over, as the SDK does, and wait until it is on the screen."""
        told = Told()
        now = round(time.time() * 1000)
        message = Message(id=id, content=one, created_at=now, expires_at=now + 60_000)
        assert self.presenter.present(message, told) is DisplayDecision.SHOW
        if message.is_overlay:
            self.until(lambda: told.reports, f"{one.layout} is visible")
            assert told.reports == ["shown"], told.reports
        return told

    def gone(self) -> None:
        self.until(
            lambda: self.presenter.view is None and self.presenter.stage.is_free, "it is gone"
        )

    def go(self, screen: str, **params: str) -> Any:
        """Go to a screen and wait until it stands."""
        self.shop.navigator.go(Route(screen, params))
        self.frames(4)
        return self.shell.screen

    def home(self) -> None:
        """Be where every scene begins."""
        if self.presenter.view is not None:
            self.presenter.stage.clear()
            self.gone()
        self.go("home")

    def touch(self, start: tuple[float, float], end: tuple[float, float] | None = None) -> None:
        """Put a finger down, by choice drag it, and lift it."""
        from kivy.tests.common import UnitTestTouch

        touch = UnitTestTouch(*start)
        touch.touch_down()
        self.frames(1)
        if end is not None:
            for step in range(1, 6):
                touch.touch_move(
                    start[0] + (end[0] - start[0]) * step / 5,
                    start[1] + (end[1] - start[1]) * step / 5,
                )
                self.frames(1)
        touch.touch_up()
        self.frames(2)

    def press(self, key: str) -> None:
        """Press the widget of a focus key."""
        widget = self.find(key)
        widget.activate()
        self.frames(3)

    def find(self, key: str) -> Any:
        for widget in walk(self.shell):
            if getattr(widget, "focus_key", "") == key:
                return widget
        raise AssertionError(f"no {key} on the screen")

    def has(self, key: str) -> bool:
        return any(getattr(widget, "focus_key", "") == key for widget in walk(self.shell))


def walk(widget: Any) -> Iterator[Any]:
    yield widget
    for child in widget.children:
        yield from walk(child)


def is_inside(widget: Any, root: Any) -> bool:
    return any(one is widget for one in walk(root))


def sound(root: Any, ui: Any) -> None:
    """Check what holds for everything on the screen: no text cut off sideways, every target large enough."""
    from client_demo.shop.widgets import Text
    from client_demo.shop.widgets.controls import Pressable

    least = ui.dp(48)
    for widget in walk(root):
        if isinstance(widget, Text) and widget.text and not getattr(widget, "max_lines", 0):
            assert widget.texture_size[0] <= widget.width + 1, (
                f"{widget.text!r} is wider than its place"
            )
            assert widget.texture_size[1] <= widget.height + 1, (
                f"{widget.text!r} is higher than its place"
            )
        if isinstance(widget, Pressable) and getattr(widget, "is_focusable", False):
            (x, y), reach = widget.center, least / 2 - 1
            name = widget.focus_key or widget.accessible_name
            assert widget.collide_point(x + reach, y), f"{name} is narrower than a finger"
            assert widget.collide_point(x, y + reach), f"{name} is lower than a finger"


def _no_network(url: str) -> bytes:
    raise OSError(f"{url} cannot be reached")


# Overlays

LAYOUTS = ("banner", "slideup", "modal", "fullscreen", "survey", "chat")
COVERING = tuple(layout for layout in LAYOUTS if layout != "banner")


def each(p: Play, layouts: tuple[str, ...], scene: Callable[[Play, str], None]) -> None:
    for layout in layouts:
        scene(p, layout)
        p.home()


def scene_every_layout_is_on_the_screen_inside_the_window_and_nothing_of_it_is_cut(p: Play) -> None:
    def play(p: Play, layout: str) -> None:
        for image in (None, PICTURE):
            p.show(content(layout, image=image))
            view = p.presenter.view
            assert view is not None
            p.frames(4)
            panel = view.panel
            assert panel.opacity == 1
            assert panel.x >= -1, f"{layout}: left"
            assert panel.right <= p.shell.width + 1, f"{layout}: right"
            assert panel.top <= p.shell.height + 1, f"{layout}: top {panel.top} of {p.shell.height}"
            sound(panel, p.ui)
            assert p.shell.back() if view.presentation.covers else p.presenter.back()
            p.gone()

    each(p, LAYOUTS, play)


def scene_what_covers_the_app_keeps_the_focus_and_gives_it_back(p: Play) -> None:
    def play(p: Play, layout: str) -> None:
        focus = p.shell.focus
        p.key("down", "down")
        before = focus.current
        assert before is not None
        p.show(content(layout))
        p.frames(4)
        ways: tuple[Action, ...] = (
            "down",
            "right",
            "up",
            "left",
            "down",
            "down",
            "down",
            "right",
            "up",
        )
        for name in ways:
            p.key(name)
            assert is_inside(focus.current, p.presenter.view), (
                f"{layout}: the focus got out by {name}"
            )
        p.key("back")
        p.gone()
        assert focus.current is before, f"{layout}: the focus did not come back"

    each(p, COVERING, play)


def scene_a_banner_leaves_the_focus_where_it_is(p: Play) -> None:
    p.key("down")
    before = p.shell.focus.current
    p.show(content("banner"))
    assert p.shell.focus.current is before
    p.home()


def scene_a_banner_can_be_reached_by_arrows_and_gives_the_focus_back(p: Play) -> None:
    p.look_for_the_ring()
    focus = p.shell.focus
    before = focus.current.focus_key
    told = p.show(content("banner"))
    for _ in range(12):
        if is_inside(focus.current, p.presenter.view):
            break
        p.key("up")
    assert is_inside(focus.current, p.presenter.view), "the banner cannot be reached"
    assert focus.set_by_key("overlay.no")
    p.key("enter")
    p.gone()
    assert told.reports == ["shown", ("clicked", "no"), ("dismissed", "closed")]
    assert focus.current is not None
    assert not focus.current.focus_key.startswith("overlay."), before


def scene_back_closes_every_layout_and_is_reported(p: Play) -> None:
    def play(p: Play, layout: str) -> None:
        told = p.show(content(layout))
        p.key("back")
        p.gone()
        assert told.reports == ["shown", ("dismissed", "back")], told.reports
        assert p.shop.navigator.current.screen == "home"

    each(p, LAYOUTS, play)


def scene_the_first_button_has_the_focus_and_enter_presses_it(p: Play) -> None:
    def play(p: Play, layout: str) -> None:
        told = p.show(content(layout))
        p.frames(4)
        p.look_for_the_ring()
        assert p.shell.focus.current.focus_key == "overlay.go", p.shell.focus.current.focus_key
        p.key("enter")
        p.gone()
        assert told.reports == ["shown", ("clicked", "go"), ("dismissed", "closed")], told.reports
        assert p.shop.navigator.current.screen == "catalogue"

    each(p, ("slideup", "modal", "fullscreen"), play)


def scene_a_chat_leads_to_support(p: Play) -> None:
    told = p.show(content("chat"))
    p.press("overlay.open_support")
    p.gone()
    assert told.reports == ["shown", ("clicked", "open_support"), ("dismissed", "closed")]
    assert p.shop.navigator.current.screen == "support"
    p.home()


def scene_a_withdrawn_message_leaves_the_screen(p: Play) -> None:
    def play(p: Play, layout: str) -> None:
        told = p.show(content(layout), id="taken-back")
        told.is_current = False
        p.presenter.message_ended("taken-back")
        p.gone()
        assert "failed" not in str(told.reports)

    each(p, LAYOUTS, play)


def scene_a_banner_goes_by_itself_when_its_time_is_over(p: Play) -> None:
    told = p.show(content("banner"))
    assert p.presenter.view is not None
    p.presenter.view.elapsed_s = 1000.0
    p.gone()
    assert told.reports == ["shown", ("dismissed", "timeout")], told.reports


def scene_a_banner_is_swiped_up_and_a_sheet_down(p: Play) -> None:
    for layout, by in (("banner", 1), ("slideup", -1)):
        told = p.show(content(layout))
        assert p.presenter.view is not None
        panel = p.presenter.view.panel
        x, y = panel.center_x, panel.top - p.ui.dp(20)
        p.touch((x, y), (x, y + by * panel.height * 0.8))
        p.gone()
        assert told.reports == ["shown", ("dismissed", "swiped")], (layout, told.reports)


def scene_a_short_drag_lets_the_panel_fall_back(p: Play) -> None:
    told = p.show(content("slideup"))
    view = p.presenter.view
    assert view is not None
    x, y = view.panel.center_x, view.panel.top - p.ui.dp(20)
    p.touch((x, y), (x, y - view.panel.height * 0.15))
    assert view.offset == 0
    assert told.reports == ["shown"]
    p.home()


def scene_touching_beside_a_modal_closes_it_and_nothing_below_is_pressed(p: Play) -> None:
    told = p.show(content("modal"))
    p.touch((5, 5))
    p.gone()
    assert told.reports == ["shown", ("dismissed", "scrim")], told.reports
    assert p.shop.navigator.current.screen == "home"


def scene_a_survey_is_answered_by_arrows_and_enter_alone(p: Play) -> None:
    told = p.show(content("survey"))
    p.frames(4)
    focus = p.shell.focus
    p.look_for_the_ring()
    reach(p, "survey.4", "right")
    p.key("enter")
    p.frames(3)
    assert focus.current.focus_key == "survey.next", "with the answer given, Enter goes on"
    p.key("enter")
    p.frames(3)
    reach(p, "survey.1", "down")
    p.key("enter")
    p.frames(3)
    p.key("enter")
    p.frames(3)
    reach(p, "survey.next", "down")
    p.key("enter")
    assert told.reports == ["shown", ("answered", {"stars": 4, "why": "The price"})], told.reports
    p.frames(3)
    assert focus.current.focus_key == "survey.close", focus.current.focus_key
    p.key("enter")
    p.gone()
    assert told.reports[-1] == ("dismissed", "closed")


def reach(p: Play, key: str, direction: Action) -> None:
    for _ in range(8):
        current = p.shell.focus.current
        if current is not None and current.focus_key == key:
            return
        p.key(direction)
    raise AssertionError(
        f"{key} cannot be reached; the focus is on {p.shell.focus.current.focus_key}"
    )


def scene_an_address_is_opened_on_a_phone_and_shown_as_a_code_on_television(p: Play) -> None:
    p.opened.clear()
    url = "https://moorlind.example/workshop"
    button = Button("open", "Mehr dazu", {"type": "open_url", "url": url})
    p.show(Content("modal", "Werkstatt", "Ein Abend", buttons=(button,)))
    p.press("overlay.open")
    p.gone()
    if p.is_tv:
        assert p.opened == []
        from client_demo.shop.widgets import QrCode

        codes = [one.content for one in walk(p.shell) if isinstance(one, QrCode)]
        assert codes == [url]
        p.frames(4)
        assert p.shell.focus.current.focus_key == "dialog.close"
        p.key("back")
        p.until(lambda: not p.has("dialog.close"), "the code is closed")
    else:
        assert p.opened == [url]


def scene_another_theme_redraws_the_overlay_and_reports_nothing_twice(p: Play) -> None:
    told = p.show(content("modal"))
    before = p.presenter.view
    p.ui.set_appearance(dark=True)
    p.frames(4)
    assert p.presenter.view is not None
    assert p.presenter.view is not before
    assert told.reports == ["shown"]
    p.ui.set_appearance(dark=False)
    p.frames(4)
    p.key("back")
    p.gone()
    assert told.reports == ["shown", ("dismissed", "back")]


def scene_a_picture_that_does_not_come_leaves_the_message_without_one(p: Play) -> None:
    from client_demo.shop.overlays.picture import Picture

    def has_placeholder() -> bool:
        return any(isinstance(one, Picture) for one in walk(p.presenter.view))

    for layout in ("slideup", "modal", "fullscreen", "banner"):
        p.show(content(layout, image=PICTURE))
        p.until(lambda: not has_placeholder(), f"{layout}: no placeholder")
        p.presenter.back()
        p.gone()


def scene_the_app_has_pictures_of_its_own(p: Play) -> None:
    from client_demo.shop.overlays.picture import Picture

    p.show(content("modal", image="shop://art/hero"))
    pictures = [one for one in walk(p.presenter.view) if isinstance(one, Picture)]
    assert [one.is_loaded for one in pictures] == [True]
    p.home()


def scene_an_inline_message_is_a_card_on_the_home_screen_and_is_reported_when_seen(p: Play) -> None:
    told = p.show(content("inline"), id="card")
    p.frames(6)
    card = p.find("inline.card")
    if not told.reports:
        screen: Any = p.shell.screen
        screen.scroll.scroll_to(card, animate=False)
    p.until(lambda: told.reports, "the card was seen")
    assert told.reports == ["shown"]
    sound(card, p.ui)
    p.press("inline.close")
    p.until(lambda: not p.has("inline.card"), "the card is gone")
    assert told.reports == ["shown", ("dismissed", "closed")]


def scene_while_one_overlay_is_there_the_next_one_is_put_off(p: Play) -> None:
    p.show(content("modal"))
    message = Message(id="second", content=content("modal"))
    assert p.presenter.present(message, Told()) is DisplayDecision.DEFER
    p.home()


def scene_the_focus_returns_although_the_screen_below_was_built_anew(p: Play) -> None:
    p.go("settings")
    p.look_for_the_ring()
    assert p.shell.focus.set_by_key("device.battery")
    p.show(content("modal"))
    p.shell.screen.rebuild()  # type: ignore[union-attr]
    p.frames(3)
    p.key("back")
    p.gone()
    assert p.shell.focus.current.focus_key == "device.battery"


# The account side

SCREENS = ("inbox", "profile", "consent", "settings", "support", "developer")


def scene_every_screen_of_the_account_fits_with_large_german_text(p: Play) -> None:
    for screen in SCREENS:
        p.go(screen)
        sound(p.shell.screen, p.ui)
        p.home()


def scene_one_logs_in_with_an_address_and_out_again(p: Play) -> None:
    screen = p.go("profile")
    if p.is_tv:
        p.press("profile.u_mara")
    else:
        screen._type("nobody@example.org")
        p.press("profile.in")
        assert p.person() is None
        screen._type("mara@example.org")
        p.press("profile.in")
    assert p.person() is not None
    p.until(lambda: p.shop.engagement.diagnostics().user_id in {"u_mara", None}, "the SDK knows")
    p.press("profile.out")
    assert p.person() is None
    p.home()


def scene_consent_is_given_and_taken_by_a_switch(p: Play) -> None:
    p.go("consent")
    for purpose in ("analytics", "messaging", "push"):
        p.press(f"consent.{purpose}")
        assert p.shop.engagement.consent[purpose] is False
        p.press(f"consent.{purpose}")
        assert p.shop.engagement.consent[purpose] is True
    p.press("consent.opt_out")
    denied = p.shop.engagement.is_opted_out
    assert p.find("consent.push").disabled, "nothing to choose while everything is denied"
    p.press("consent.opt_out")
    assert (denied, p.shop.engagement.is_opted_out) == (True, False)
    p.home()


def scene_deleting_asks_first_and_the_focus_is_on_the_way_out(p: Play) -> None:
    p.shop.store.log_in("u_mara")
    p.go("consent")
    p.press("consent.delete")
    p.frames(4)
    p.look_for_the_ring()
    assert p.shell.focus.current.focus_key == "dialog.no"
    p.key("enter")
    p.until(lambda: not p.has("dialog.no"), "the question is closed")
    assert p.person() is not None
    p.press("consent.delete")
    p.press("dialog.yes")
    p.until(lambda: not p.has("dialog.no"), "the question is closed")
    assert p.person() is None
    assert p.shop.navigator.current.screen == "home"


def scene_settings_change_at_once_and_everything_is_drawn_anew(p: Play) -> None:
    p.go("settings")
    p.press("settings.language.0")
    assert p.language() == "en"
    p.press("settings.language.1")
    assert p.language() == "de"
    p.press("settings.colours.1")
    assert p.ui.appearance.dark
    p.press("settings.colours.0")
    p.press("settings.push")
    assert p.presenter.push_token
    p.press("settings.push")
    assert not p.presenter.push_token
    for name in ("notification", "battery", "device_name", "gps", "vibration"):
        p.press(f"device.{name}")
        screen: Any = p.shell.screen
        assert screen._readings[name], name
    p.home()


def scene_a_request_for_help_is_recorded(p: Play) -> None:
    screen = p.go("support")
    if p.is_tv:
        p.press("support.call")
    else:
        p.press("support.send")
        assert not screen._request.is_sent, "there is nothing to send"
        screen._request.write("Die Lampe leuchtet nicht")
        p.press("support.send")
    assert screen._request.is_sent
    p.frames(3)
    assert p.has("support.again")
    p.home()


def scene_the_developer_panel_moves_and_its_buttons_work(p: Play) -> None:
    screen = p.go("developer")
    traffic = p.shop.engagement.traffic
    assert traffic is not None
    p.until(
        lambda: (screen.update(), p.shop.engagement.diagnostics().queue_events)[1] > 0,
        "events wait",
    )
    p.press("developer.button.1")
    seen = []
    for key in ("developer.button.3", "developer.button.3"):
        p.press(key)
        seen.append(traffic.is_on)
    assert seen == [False, True]
    p.press("developer.button.4")
    p.press("developer.button.4")
    client = p.shop.engagement.client
    p.press("developer.button.5")
    assert p.shop.engagement.client is not client
    p.home()


SCENES: dict[str, Callable[[Play], None]] = {
    name.removeprefix("scene_"): function
    for name, function in list(globals().items())
    if name.startswith("scene_")
}


def main() -> None:
    """Play all scenes, or those whose names contain the second argument."""
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory(prefix="moorlind-scenes-") as folder:
        play = Play(sys.argv[1], Path(folder))
        for name, scene in SCENES.items():
            if wanted not in name:
                continue
            error = None
            began = time.monotonic()
            try:
                play.home()
                scene(play)
            except Exception:
                error = traceback.format_exc()
            line = {"scene": name, "error": error, "s": round(time.monotonic() - began, 2)}
            print(json.dumps(line), flush=True)
        play.app.close()


if __name__ == "__main__":
    main()
