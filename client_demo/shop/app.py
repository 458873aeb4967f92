"""The app, put together: the only place that wires. `run` needs Kivy's environment to be set."""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kivy.app import App
from kivy.clock import Clock
from kivy.config import Config as KivyConfig

from client_demo.fleet import installation
from client_demo.fleet.errors import DemoError
from client_demo.shop.engagement import Engagement, connect
from client_demo.shop.i18n import LANGUAGES
from client_demo.shop.launch import Options
from client_demo.shop.layout import layout_of
from client_demo.shop.main_thread import MainThread
from client_demo.shop.model import catalogue
from client_demo.shop.model.saved import SavedState
from client_demo.shop.model.store import Store
from client_demo.shop.navigation import Navigator, route, route_of
from client_demo.shop.platform import DevicePlatform
from client_demo.shop.platform.plyer_platform import PlyerPlatform
from client_demo.shop.platform.simulated import SimulatedPlatform
from client_demo.shop.shop import Shop
from client_demo.shop.ui import TEXT_SCALES, Appearance, Ui
from zuruf import ConfigError, Device, Screen, SystemPlatform

log = logging.getLogger("shop")

TITLE = "Moorlind"
COLLECT_AFTER_OBJECTS = 20_000
"""About two screens."""
APP_VERSION = "1.4.0"


def run(options: Options) -> int:
    """Open the window and stay until it is closed; gives the exit code."""
    configure_window(options)
    app = ShopApp(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ctrl-C ends it like closing the window does: basket and settings are kept.
        signal.signal(number, lambda *_: Clock.schedule_once(lambda _: app.stop(), 0))
    app.run()
    return 0


def configure_window(options: Options) -> None:
    """Set what Kivy takes up when the window is made."""
    KivyConfig.set("graphics", "width", str(options.width))
    KivyConfig.set("graphics", "height", str(options.height))
    KivyConfig.set("graphics", "resizable", "1")
    KivyConfig.set("graphics", "multisamples", "0")
    KivyConfig.set("input", "mouse", "mouse,disable_multitouch")
    KivyConfig.set("kivy", "exit_on_escape", "0")


class ShopApp(App):
    """Kivy's app: the window's life, and the state that outlives it."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.title = TITLE
        self._saved = SavedState(options.state_dir)
        self.shop: Shop

    def build(self) -> Any:
        # These need a window.
        from kivy.core.window import Window  # noqa: PLC0415

        from client_demo.shop.overlays.presenter import Presenter  # noqa: PLC0415
        from client_demo.shop.screens import SCREENS  # noqa: PLC0415
        from client_demo.shop.shell import Shell  # noqa: PLC0415

        options, state = self.options, self._saved.read()
        main_thread = MainThread()
        appearance = _appearance(options, state.get("appearance"))
        layout = layout_of(Window.width, Window.height, options.density, options.form_factor)
        store = Store(catalogue.load())
        store.restore(state)
        self.shop = Shop(
            ui=Ui(appearance, layout),
            navigator=Navigator(),
            store=store,
            engagement=_engagement(options, appearance, main_thread),
            platform=_device(options),
        )
        urls = state.get("places")
        if isinstance(urls, list):
            self.shop.navigator.restore([str(url) for url in urls])
        shell = self.shop.shell = Shell(self.shop, SCREENS)
        presenter = self.shop.presenter = Presenter(self.shop)
        self.shop.engagement.message_ended = presenter.message_ended
        self.shop.engagement.start(presenter.present)
        if store.person is not None:
            self.shop.engagement.log_in(store.person, language=self.shop.ui.language)
        shell.open()
        if options.link is not None:
            self.open_link(options.link)
        Window.bind(
            on_key_down=shell.focus.on_key,
            on_joy_hat=shell.focus.on_hat,
            on_touch_down=shell.focus.on_touch,
            size=self._resized,
        )
        return shell

    def on_start(self) -> None:
        collect_less_often()
        seconds = self.options.headless_s
        if seconds is not None:
            # Counted from the first frame on: making it takes longest.
            Clock.schedule_once(
                lambda _: Clock.schedule_once(lambda _: self._end_headless(), seconds), 0
            )

    def open_link(self, url: str) -> None:
        """Go where a deep link leads, and tell the SDK that one opened the app."""
        ui, store = self.shop.ui, self.shop.store
        self.shop.engagement.deep_link(url)
        target = route_of(url)
        if target is None:
            ui.toast(ui.t("error.link"), "danger")
            return
        if target.screen == "basket" and (items := target.params.get("items")):
            # A television passed its basket on. Once: going back must not add everything again.
            store.basket.take(items)
            target = route("basket")
        self.shop.navigator.go(target)

    # The window's life

    def on_pause(self) -> bool:
        """The app leaves the screen. It may never come back, so everything is kept now."""
        self.keep()
        self.shop.engagement.on_background()
        return True

    def on_resume(self) -> None:
        self.shop.engagement.on_foreground()

    def on_stop(self) -> None:
        self.keep()
        self.shop.engagement.shutdown()

    def keep(self) -> None:
        """Write down what has to outlive the process."""
        state = self.shop.store.saved()
        state["appearance"] = asdict(self.shop.ui.appearance)
        state["places"] = self.shop.navigator.urls()
        self._saved.write(state)

    def _resized(self, window: Any, size: tuple[int, int]) -> None:
        self.shop.ui.set_layout(layout_of(*size, self.options.density, self.options.form_factor))

    def _end_headless(self) -> None:
        if self.options.screenshot is not None:
            screenshot(self.options.screenshot)
        self.stop()


def collect_less_often() -> None:
    """Keep the garbage collector from walking through all modules while a screen is built.

    With Python's defaults that takes four fifths of the time of going to a screen with 18 products.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 5, 5)


def screenshot(file: Path) -> None:
    """Write what is in the window as a PNG."""
    from kivy.core.window import Window  # noqa: PLC0415

    file.parent.mkdir(parents=True, exist_ok=True)
    # Kivy numbers its files; the one that was asked for has no number.
    written = Window.screenshot(str(file.resolve()))
    if written is None:
        log.warning("no picture could be taken")
        return
    Path(written).replace(file)


def _appearance(options: Options, saved: object) -> Appearance:
    """Give the person's choice of last time, as far as the command line does not say otherwise."""
    kept = saved if isinstance(saved, dict) else {}
    scale = kept.get("text_scale")

    def chosen(given: bool | None, name: str) -> bool:
        return kept.get(name) is True if given is None else given

    return Appearance(
        language=kept["language"] if kept.get("language") in LANGUAGES else options.language,
        dark=chosen(options.dark, "dark"),
        text_scale=options.text_scale or (scale if scale in TEXT_SCALES else 1.0),
        reduced_motion=chosen(options.reduced_motion, "reduced_motion"),
    )


def _engagement(options: Options, appearance: Appearance, main_thread: MainThread) -> Engagement:
    """Connect to the gateway that was named, or to the one that keeps its data here; else to none."""
    endpoint, key = options.endpoint, options.key
    if endpoint is None or key is None:
        try:
            credentials = (options.data_dir / installation.CREDENTIALS).read_text(encoding="utf-8")
            found = installation.parse_credentials(credentials)
        except (OSError, ValueError, DemoError) as error:
            log.warning("no gateway: %s", error)
            return Engagement(None)
        endpoint, key = found.url, found.publishable_key
    device = Device(
        manufacturer="Zuruf",
        model=f"Moorlind {options.form_factor}",
        app_version=APP_VERSION,
        locale="de-DE" if appearance.language == "de" else "en-GB",
        timezone=time.tzname[0],
        screen=Screen(options.width, options.height, options.density),
    )
    platform = SystemPlatform(
        name="androidtv" if options.form_factor == "tv" else "android",
        form_factor=options.form_factor,
        described=device,
    )
    try:
        return connect(endpoint, key, options.state_dir / "zuruf", platform, main_thread.run)
    except ConfigError as error:
        log.warning("no gateway: %s", error)
        return Engagement(None)


def _device(options: Options) -> DevicePlatform:
    def after(seconds: float, job: Callable[[], None]) -> Callable[[], None]:
        event = Clock.schedule_once(lambda _: job(), seconds)
        cancel: Callable[[], None] = event.cancel
        return cancel

    simulated = SimulatedPlatform(name=f"Moorlind {options.form_factor}", after=after)
    return simulated if options.simulate else PlyerPlatform(simulated)
