"""One message on the screen as an overlay: its panel, its way in and out, and the time of a banner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kivy.clock import Clock
from kivy.uix.widget import Widget

from client_demo.shop.overlays.cards import Banner, Dialog, FullScreen, Parts, Sheet, TimeLine
from client_demo.shop.overlays.content import Presentation, banner_seconds, present
from client_demo.shop.overlays.floating import Edge, Floating
from client_demo.shop.overlays.pictures import Pictures
from client_demo.shop.overlays.stage import Showing
from client_demo.shop.overlays.survey import Survey
from client_demo.shop.overlays.survey_panel import SurveyPanel
from client_demo.shop.shop import Shop
from client_demo.shop.ui import Ui

BANNER_WIDTH, SHEET_WIDTH, DIALOG_WIDTH, SURVEY_WIDTH = 560, 600, 400, 460
WIDE_SHEET, WIDE_DIALOG = 860, 760
"""With a picture beside the text, where there is room for that."""
TICK_S = 1 / 30
TICK_REDUCED_S = 1.0
"""How often the line of a banner gets shorter."""
TICK_MAX_S = 0.5
"""A longer pause between two ticks was no time on the screen: the app was in the background."""


class Overlay(Floating):
    """What `make_overlay` gives. A banner counts its time down and then closes itself."""

    def __init__(
        self,
        ui: Ui,
        panel: Widget,
        presentation: Presentation,
        showing: Showing,
        *,
        time: TimeLine | None = None,
        on_stop: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> None:
        super().__init__(ui, panel, **options)
        self.presentation = presentation
        self.elapsed_s = 0.0
        self._showing = showing
        self._time = time
        self._lasts_s = banner_seconds(presentation, is_tv=ui.layout.is_tv)
        self._ticking: Any = None
        self._on_stop = on_stop

    def enter(self, done: Callable[[], object]) -> None:
        super().enter(lambda: self._entered(done))

    def stay(self, done: Callable[[], object]) -> None:
        """Be there at once."""
        self._entered(done)

    def leave(self, done: Callable[[], object]) -> None:
        self.stop()
        super().leave(done)

    def stop(self) -> None:
        """Count no further, and move no further: it goes, or another one takes its place."""
        self.halt()
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._on_stop()

    def _entered(self, done: Callable[[], object]) -> None:
        if self._showing.state not in {"arriving", "visible"}:
            return
        done()
        if self._time is not None and self._ticking is None:
            every = TICK_REDUCED_S if self.ui.appearance.reduced_motion else TICK_S
            self._ticking = Clock.schedule_interval(self._tick, every)

    def _tick(self, dt: float) -> None:
        if self.is_held:
            return
        self.elapsed_s += min(dt, max(TICK_MAX_S, TICK_REDUCED_S))
        assert self._time is not None
        self._time.left = max(0.0, 1 - self.elapsed_s / self._lasts_s)
        if self.elapsed_s >= self._lasts_s:
            self._showing.close("timeout")


def make_overlay(
    shop: Shop,
    showing: Showing,
    pictures: Pictures,
    survey: Survey | None,
    on_built: Callable[[], object],
) -> Overlay:
    """Make the overlay of a message for this window."""
    presentation = present(showing.message, shop.ui.palette)
    if showing.is_read_again and presentation.layout != "fullscreen":
        # A strip that goes by itself is not for reading, and a survey is answered once.
        presentation = replace(presentation, layout="modal")
    parts = Parts(
        ui=shop.ui,
        pictures=pictures,
        presentation=presentation,
        on_button=showing.choose,
        on_close=lambda: showing.close("closed"),
    )
    match presentation.layout:
        case "banner":
            return _banner(parts, showing)
        case "slideup":
            return _sheet(parts, showing)
        case "fullscreen":
            return _full_screen(parts, showing)
        case "survey" if survey is not None:
            return _survey(parts, showing, survey, on_built)
        case _:
            return _dialog(parts, showing)


def _banner(parts: Parts, showing: Showing) -> Overlay:
    panel = Banner(parts)
    return Overlay(
        parts.ui,
        panel,
        parts.presentation,
        showing,
        time=panel.time,
        edge="top",
        width=BANNER_WIDTH,
        margin=12,
        scrim=False,
        on_swipe=lambda: showing.close("swiped"),
        on_tap=lambda: _first(parts),
    )


def _sheet(parts: Parts, showing: Showing) -> Overlay:
    layout = parts.ui.layout
    at_the_edge = layout.is_compact
    roomy = parts.presentation.image is not None and not at_the_edge
    margin = 0 if at_the_edge else 24
    width = _fitted(
        parts.ui, layout.width if at_the_edge else WIDE_SHEET if roomy else SHEET_WIDTH, margin
    )
    panel = Sheet(parts, width, _height(parts.ui, margin), to_the_edge=at_the_edge)
    return _modal(parts, showing, panel, edge="bottom", width=width, margin=margin, swipes=True)


def _dialog(parts: Parts, showing: Showing) -> Overlay:
    layout = parts.ui.layout
    roomy = parts.presentation.image is not None and layout.is_landscape
    margin = 24
    width = _fitted(parts.ui, WIDE_DIALOG if roomy else DIALOG_WIDTH, margin)
    panel = Dialog(parts, width, _height(parts.ui, margin))
    return _modal(parts, showing, panel, edge="middle", width=width, margin=margin)


def _survey(
    parts: Parts, showing: Showing, survey: Survey, on_built: Callable[[], object]
) -> Overlay:
    at_the_edge = parts.ui.layout.is_compact
    margin = 0 if at_the_edge else 24
    width = _fitted(parts.ui, parts.ui.layout.width if at_the_edge else SURVEY_WIDTH, margin)
    panel = SurveyPanel(
        parts,
        survey,
        _height(parts.ui, margin),
        message_id=showing.message.id,
        to_the_edge=at_the_edge,
        on_done=lambda: showing.answer(dict(survey.answers)),
        on_built=on_built,
    )
    edge: Edge = "bottom" if at_the_edge else "middle"
    return _modal(
        parts, showing, panel, edge=edge, width=width, margin=margin, on_stop=panel.disconnect
    )


def _full_screen(parts: Parts, showing: Showing) -> Overlay:
    return Overlay(
        parts.ui,
        FullScreen(parts),
        parts.presentation,
        showing,
        edge="middle",
        width=parts.ui.layout.width,
        full=True,
    )


def _modal(
    parts: Parts,
    showing: Showing,
    panel: Widget,
    *,
    edge: Edge,
    width: float,
    margin: float,
    swipes: bool = False,
    on_stop: Callable[[], None] = lambda: None,
) -> Overlay:
    return Overlay(
        parts.ui,
        panel,
        parts.presentation,
        showing,
        edge=edge,
        width=width,
        margin=margin,
        on_scrim=lambda: showing.close("scrim"),
        on_swipe=(lambda: showing.close("swiped")) if swipes else None,
        on_stop=on_stop,
    )


def _first(parts: Parts) -> None:
    if parts.presentation.buttons:
        parts.on_button(parts.presentation.buttons[0])


def _fitted(ui: Ui, width: float, margin: float) -> float:
    """Give the width in dp that is left of the wanted one in this window."""
    return min(width, ui.layout.width - 2 * ui.layout.overscan[0] - 2 * margin)


def _height(ui: Ui, margin: float) -> float:
    """Give the most height a panel may have, in pixels: something of the app stays to be seen."""
    least = max(margin, 24)
    return ui.dp(ui.layout.height - 2 * ui.layout.overscan[1] - 2 * least)
