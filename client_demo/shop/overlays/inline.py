"""The place of inline messages among the content of a screen."""

from __future__ import annotations

import weakref
from typing import Any

from kivy.clock import Clock
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop.overlays.cards import InlineCard, Parts
from client_demo.shop.overlays.content import present
from client_demo.shop.overlays.pictures import Pictures
from client_demo.shop.overlays.stage import Showing, Stage
from client_demo.shop.ui import Ui

LOOK_EVERY_S = 0.25
"""How often a card that was not seen yet is looked for: it may be further down the screen."""
SEEN_SHARE = 0.5
"""The share of the card's height that has to be in the window for it to count as shown."""


class InlineSlot(RelativeLayout):
    """Shows the most important inline message, and is of no height while there is none."""

    def __init__(self, ui: Ui, stage: Stage, pictures: Pictures) -> None:
        super().__init__(size_hint_y=None, height=0)
        self.ui, self._stage, self._pictures = ui, stage, pictures
        self.showing: Showing | None = None
        self._looking: Any = None
        self._disconnect: Any = None
        self.fit_soon = Clock.create_trigger(self._fit, 0)
        self.bind(parent=self._attach, width=self.fit_soon)

    def _attach(self, *_: Any) -> None:
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        if self.parent is None:
            self._look_no_more()
            return
        # A screen that is left goes as a whole, without a word to its parts: the stage, which stays, must not
        # keep it alive.
        slot = weakref.ref(self)

        def follow() -> None:
            if (found := slot()) is not None:
                found.fit_soon()

        self._disconnect = self._stage.changed.connect(follow)
        weakref.finalize(self, self._disconnect)
        self.fit_soon()

    def _fit(self, *_: Any) -> None:
        """Build the card of the message that is to be here now."""
        showing = self._stage.inline
        self.clear_widgets()
        self._look_no_more()
        self.showing = showing
        if showing is None or self.get_root_window() is None:
            self.height = 0
            return
        parts = Parts(
            ui=self.ui,
            pictures=self._pictures,
            presentation=present(showing.message, self.ui.palette),
            on_button=showing.choose,
            on_close=lambda: showing.close("closed"),
        )
        card = InlineCard(parts, self.width / self.ui.layout.scale)
        card.bind(height=self.setter("height"))
        self.add_widget(card)
        self.height = card.height
        if showing.state == "arriving":
            self._looking = Clock.schedule_interval(self._look, LOOK_EVERY_S)

    def _look(self, _: float) -> None:
        if self.showing is None or not self._is_seen():
            return
        self._look_no_more()
        self.showing.became_visible()

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _is_seen(self) -> bool:
        """Tell whether at least half of the card is in the window."""
        root = self.get_root_window()
        if root is None or self.height <= 0:
            return False
        _, bottom = self.to_window(*self.pos)
        low, high = max(0.0, bottom), min(float(root.height), bottom + self.height)
        return high - low >= SEEN_SHARE * self.height and not _is_hidden(self)


def _is_hidden(widget: Widget) -> bool:
    while widget is not None and widget.parent is not widget:
        if widget.opacity == 0:
            return True
        widget = widget.parent
    return False
