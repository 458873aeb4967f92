"""Shows in-app messages: the stage says what is on the screen, this puts it there and takes it off."""

from __future__ import annotations

import logging
import time
import webbrowser
from collections import deque
from collections.abc import Callable, Mapping

from kivy.clock import Clock
from kivy.uix.widget import Widget

from client_demo.shop.overlays.actions import carry_out, deed_of
from client_demo.shop.overlays.dialog import show_code
from client_demo.shop.overlays.inline import InlineSlot
from client_demo.shop.overlays.overlay import Overlay, make_overlay
from client_demo.shop.overlays.pictures import Pictures
from client_demo.shop.overlays.stage import Report, Showing, Stage
from client_demo.shop.overlays.survey import Survey, questions_of
from client_demo.shop.shop import Shop
from client_demo.shop.widgets.focus import Layer
from zuruf import Button, DisplayDecision, Message

log = logging.getLogger("shop")

LATENCIES_KEPT = 40


class Presenter:
    """Decides where a message is shown, and shows it."""

    def __init__(
        self,
        shop: Shop,
        *,
        pictures: Pictures | None = None,
        open_url: Callable[[str], bool] = webbrowser.open,
    ) -> None:
        self.shop = shop
        self.pictures = pictures or Pictures()
        self.stage = Stage(self._do)
        self.latencies: deque[int] = deque(maxlen=LATENCIES_KEPT)
        """From the making of a message at the gateway until it was here, in ms; the newest is the last."""
        self.push_token = ""
        """What this device is registered for push with; empty while it is not."""
        self.browser = open_url
        """Opens an address outside of the app; False when nothing does."""
        self._view: Overlay | None = None
        self._layer: Layer | None = None
        self._survey: Survey | None = None
        self._showing: Showing | None = None
        self.stage.changed.connect(self._follow)
        shop.ui.changed.connect(self._renew)

    # From the SDK

    def present(self, message: Message, show: Report) -> DisplayDecision:
        """Take a message from the SDK (on the UI thread)."""
        offset = self.shop.engagement.diagnostics().clock_offset_ms or 0
        decision = self.stage.offer(message, show)
        if decision is DisplayDecision.SHOW:
            self.latencies.append(max(0, round(time.time() * 1000) + offset - message.created_at))
        return decision

    def message_ended(self, message_id: str) -> None:
        """Take a message off the screen: withdrawn, expired, or another person is there."""
        self.stage.ended(message_id)

    # From the app

    def inline_slot(self, name: str) -> Widget:
        """Give the widget that shows the inline message of a place; of no height while there is none.

        The protocol has one kind of inline message, so every place shows the same one.
        """
        del name
        return InlineSlot(self.shop.ui, self.stage, self.pictures)

    def read_again(self, message: Message) -> bool:
        """Open a message of the inbox; False while another one is on the screen."""
        return self.stage.read_again(message)

    def back(self) -> bool:
        """Close what is on the screen; False when there is nothing to close."""
        return self.stage.back()

    @property
    def view(self) -> Overlay | None:
        """What is on the screen."""
        return self._view

    @property
    def is_settled(self) -> bool:
        """Nothing is on its way in or out."""
        showing = self.stage.inline or self.stage.overlay
        return showing is None or showing.state in {"visible", "gone"}

    # What a button asks for

    def follow(self, url: str) -> bool:
        if self.shop.navigator.follow(url):
            return True
        self.shop.ui.toast(self.shop.ui.t("error.link"), "danger")
        return False

    def open_url(self, url: str) -> bool:
        try:
            return self.browser(url)
        except (OSError, ValueError, webbrowser.Error) as error:
            log.info("nothing opens %s: %s", url, error)
            return False

    def track(self, name: str, props: Mapping[str, object]) -> object:
        return self.shop.engagement.track(name, props)

    def show_code(self, url: str) -> None:
        show_code(self.shop, url)

    def _do(self, button: Button) -> None:
        carry_out(deed_of(button.action), self, is_tv=self.shop.ui.layout.is_tv)

    # On the screen

    def _follow(self) -> None:
        """Put the overlay of the stage on the screen, if it is not there."""
        showing = self.stage.overlay
        if showing is None or showing is self._showing:
            return
        self._showing = showing
        questions = questions_of(showing.message.content)
        self._survey = Survey(questions) if questions else None
        showing.changed.connect(lambda: self._change(showing))
        try:
            self._put(showing)
        except Exception as error:
            # A message must never take the app with it, whatever it asks for.
            log.exception("the message %s cannot be drawn", showing.message.id)
            self._take_off()
            showing.fail(f"{type(error).__name__}: {error}")
            return
        assert self._view is not None
        self._view.enter(showing.became_visible)

    def _put(self, showing: Showing) -> None:
        shell = self.shop.shell
        self._view = make_overlay(
            self.shop, showing, self.pictures, self._survey, self._focus_first
        )
        covers = self._view.presentation.covers
        self._layer = shell.open_layer(
            self._view, close=(lambda: showing.close("back")) if covers else None, traps=covers
        )

    def _focus_first(self) -> None:
        """Put the focus where it belongs after the overlay was built anew."""
        Clock.schedule_once(lambda _: self._focus_now(), 0)

    def _focus_now(self) -> None:
        focus = self.shop.shell.focus
        if self._layer is not None and focus.layer is self._layer and focus.is_visible:
            focus.first()

    def _change(self, showing: Showing) -> None:
        if showing.state != "leaving" or self._view is None or showing is not self._showing:
            return
        if showing.was_read:
            self.shop.engagement.mark_read(showing.message.id)

        def gone() -> None:
            self._take_off()
            showing.left()

        if self._layer is not None:
            # Whoever closed it goes on at once, while it fades.
            self.shop.shell.focus.pop(self._layer)
        self._view.leave(gone)

    def _take_off(self) -> None:
        if self._layer is not None:
            self.shop.shell.close_layer(self._layer)
        self._view = self._layer = None

    def _renew(self) -> None:
        """Draw it anew: another theme, language or size. It does not come in a second time."""
        showing = self._showing
        if self._view is None or showing is None or showing.state not in {"arriving", "visible"}:
            return
        elapsed = self._view.elapsed_s
        self._view.stop()
        self._take_off()
        self._put(showing)
        self._view.elapsed_s = elapsed
        self._view.stay(showing.became_visible)
