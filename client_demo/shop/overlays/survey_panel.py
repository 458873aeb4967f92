"""A survey on the screen: one question at a time, how far one is, and thanks at the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.overlays.cards import Parts, halo
from client_demo.shop.overlays.floating import Fitting
from client_demo.shop.overlays.survey import TEXT_MAX, Asked, Survey
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import (
    Button,
    Chip,
    Column,
    Fill,
    Gap,
    Grid,
    Icon,
    IconButton,
    Pressable,
    QrCode,
    Row,
    Surface,
    Text,
    TextField,
    paint,
)

NUMBERS_IN_A_ROW = 5
RING_ROOM = theme.S
"""What scrolls is cut at its edges: room for the ring of focus, in dp."""
ANSWER_PAGE = "https://moorlind.example/answer/"
"""Where a question can be answered on a phone: what the QR code of a television leads to."""


class SurveyPanel(Surface):
    """Shows a `Survey`. Builds itself anew at every step; `on_built` is told then, to place the focus."""

    def __init__(
        self,
        parts: Parts,
        survey: Survey,
        height_max: float,
        *,
        message_id: str,
        to_the_edge: bool,
        on_done: Callable[[], object],
        on_built: Callable[[], object],
    ) -> None:
        self._given, self._survey = parts, survey
        self._height_max, self._message_id = height_max, message_id
        self._on_done, self._on_built = on_done, on_built
        # The lower corners of a sheet lie below the edge of the screen.
        self._below = theme.CORNER_L if to_the_edge else 0
        super().__init__(
            parts.ui,
            None,
            colour=parts.presentation.look.ground,
            raised=True,
            radius=theme.CORNER_L,
        )
        self.disconnect = survey.changed.connect(self._rebuild)
        self._build()

    def _rebuild(self) -> None:
        self._build()
        self._on_built()

    def _build(self) -> None:
        self.put(self._thanks() if self._survey.is_done else self._question())

    # The pages

    def _question(self) -> Widget:
        ui, look, survey = self._given.ui, self._given.presentation.look, self._survey
        asked = survey.question
        head = Row(ui, self._progress(), self._given.close_button(), spacing=theme.M)
        texts = Column(ui, spacing=theme.S, padding=RING_ROOM)
        if survey.index == 0 and (self._given.presentation.title or self._given.presentation.body):
            texts.add_widget(self._intro())
            texts.add_widget(Gap(ui, theme.XS))
        texts.add_widget(Text(ui, asked.label, "title", colour=look.ink))
        texts.add_widget(Gap(ui, theme.XS))
        texts.add_widget(self._answers(asked))
        foot = self._foot(asked)
        fitting = Fitting(ui, texts)

        def limit(*_: Any) -> None:
            fitting.limit = max(
                ui.dp(120), self._height_max - head.height - foot.height - ui.dp(72)
            )

        for part in (head, foot):
            part.bind(height=limit)
        limit()
        return self._page(head, fitting, foot)

    def _page(self, head: Widget, middle: Widget, foot: Widget) -> Widget:
        ui = self._given.ui
        below = theme.XL + self._below
        side = theme.XL - RING_ROOM
        inner = Column(ui, middle, foot, spacing=theme.S, padding=(side, 0, side, below))
        top = Column(ui, head, padding=(theme.XL, theme.XS, theme.XS, 0))
        return Column(ui, top, inner, spacing=theme.XS)

    def _intro(self) -> Widget:
        ui, presentation = self._given.ui, self._given.presentation
        column = Column(ui, spacing=2)
        if presentation.title:
            column.add_widget(
                Text(ui, presentation.title, "label", colour=presentation.look.accent)
            )
        if presentation.body:
            column.add_widget(Text(ui, presentation.body, "body", colour=presentation.look.muted))
        return column

    def _progress(self) -> Widget:
        ui, look, survey = self._given.ui, self._given.presentation.look, self._survey
        total, now = len(survey.questions), survey.index + 1
        bars = Row(ui, spacing=theme.XS)
        for number in range(1, total + 1):
            bars.add_widget(_Segment(ui, look.accent if number <= now else (*look.ink[:3], 0.15)))
        label = Text(
            ui,
            ui.t("survey.progress", now=now, total=total),
            "caption",
            colour=look.muted,
            wrap=False,
        )
        return Row(ui, bars, label, spacing=theme.M)

    def _answers(self, asked: Asked) -> Widget:
        if asked.kind == "choice":
            return self._choices(asked)
        if asked.kind == "text":
            return self._text(asked)
        return self._stars(asked) if asked.has_stars else self._numbers(asked)

    def _stars(self, asked: Asked) -> Widget:
        ui = self._given.ui
        given = self._survey.answer
        row = Row(ui, spacing=0, hug=True)
        for value in range(1, asked.scale + 1):
            is_lit = isinstance(given, int) and value <= given
            row.add_widget(
                IconButton(
                    ui,
                    "star",
                    ui.t("survey.stars", n=value),
                    partial(self._survey.give, value),
                    colour="star" if is_lit else "muted",
                    size=theme.TARGET + 4,
                    icon_size=34,
                    filled=is_lit,
                    focus_key=f"survey.{value}",
                    prefers_focus=given is None and value == 1,
                )
            )
        row.pos_hint = {"center_x": 0.5}
        return Column(ui, row, self._ends(), spacing=theme.XS)

    def _numbers(self, asked: Asked) -> Widget:
        ui = self._given.ui
        grid = Grid(ui, NUMBERS_IN_A_ROW, spacing=theme.S)
        for value in range(1, asked.scale + 1):
            chip = Chip(
                ui,
                str(value),
                partial(self._survey.give, value),
                chosen=self._survey.answer == value,
                focus_key=f"survey.{value}",
                prefers_focus=self._survey.answer is None and value == 1,
            )
            chip.size_hint, chip.height = (1, None), ui.scaled(theme.TARGET)
            grid.add_widget(chip)
        return Column(ui, grid, self._ends(), spacing=theme.XS)

    def _ends(self) -> Widget:
        ui, look = self._given.ui, self._given.presentation.look
        return Row(
            ui,
            Text(ui, ui.t("survey.low"), "caption", colour=look.muted),
            Text(ui, ui.t("survey.high"), "caption", colour=look.muted, align="right"),
        )

    def _choices(self, asked: Asked) -> Widget:
        ui = self._given.ui
        column = Column(ui, spacing=theme.S)
        for number, option in enumerate(asked.options):
            column.add_widget(
                Option(
                    self._given,
                    option,
                    partial(self._survey.give, option),
                    chosen=self._survey.answer == option,
                    focus_key=f"survey.{number}",
                    prefers_focus=self._survey.answer is None and number == 0,
                )
            )
        return column

    def _text(self, asked: Asked) -> Widget:
        ui, look = self._given.ui, self._given.presentation.look
        if ui.layout.is_tv:
            url = f"{ANSWER_PAGE}{self._message_id}/{asked.id}"
            hint = Text(ui, ui.t("survey.scan"), "body", colour=look.muted)
            return Row(ui, QrCode(ui, url, 150), hint, spacing=theme.XL)
        return TextField(
            ui,
            ui.t("survey.write"),
            text=str(self._survey.answer or ""),
            on_text=lambda text: self._survey.give(text[:TEXT_MAX]),
            lines=4,
            focus_key="survey.text",
        )

    def _foot(self, asked: Asked) -> Widget:
        ui, survey = self._given.ui, self._survey
        skips = asked.kind == "text" and ui.layout.is_tv
        label = "survey.skip" if skips else "survey.send" if survey.is_last else "survey.next"
        row = Row(ui, spacing=theme.S, padding=(RING_ROOM, 0))
        look = self._given.presentation.look
        if survey.index:
            row.add_widget(
                Button(
                    ui,
                    ui.t("survey.back"),
                    survey.go_back,
                    kind="plain",
                    ink=look.ink,
                    focus_key="survey.back",
                )
            )
        row.add_widget(Fill(size_hint_y=None, height=0))
        row.add_widget(
            Button(
                ui,
                ui.t(label),
                self._go_on,
                disabled=not survey.can_go_on,
                ground=look.accent,
                ink=look.on_accent,
                focus_key="survey.next",
                # With the answer given, the way on is the next press of the remote control.
                prefers_focus=survey.can_go_on,
            )
        )
        return row

    def _go_on(self) -> None:
        if self._survey.go_on() and self._survey.is_done:
            self._on_done()

    def _thanks(self) -> Widget:
        ui, look = self._given.ui, self._given.presentation.look
        mark = halo(
            ui,
            "check-circle",
            72,
            ground=ui.colour("primary_soft"),
            ink=ui.colour("on_primary_soft"),
        )
        mark.pos_hint = {"center_x": 0.5}
        done = Button(
            ui,
            ui.t("survey.close"),
            self._given.on_close,
            ground=look.accent,
            ink=look.on_accent,
            wide=True,
            focus_key="survey.close",
            prefers_focus=True,
        )
        return Column(
            ui,
            mark,
            Text(ui, ui.t("survey.thanks.title"), "title", colour=look.ink, align="center"),
            Text(ui, ui.t("survey.thanks.text"), "body", colour=look.muted, align="center"),
            Gap(ui, theme.XS),
            done,
            padding=(theme.XL, theme.XXL, theme.XL, theme.XL + self._below),
            spacing=theme.M,
        )


class Option(Pressable):
    """One of several answers; the chosen one has a filled mark and a border."""

    def __init__(
        self,
        parts: Parts,
        text: str,
        on_press: Callable[[], object],
        *,
        chosen: bool,
        **options: Any,
    ) -> None:
        ui, look = parts.ui, parts.presentation.look
        super().__init__(
            ui, on_press, radius=theme.CORNER_M, accessible_name=text, size_hint_y=None, **options
        )
        self.is_chosen = chosen
        ink = look.accent if chosen else look.muted
        row = Row(
            ui,
            Icon(ui, "check-circle", 22, colour=ink, filled=True) if chosen else _Ring(ui, ink),
            Text(ui, text, "body", colour=look.ink),
            padding=(theme.L, theme.M),
        )
        line = (*(look.accent if chosen else look.ink)[:3], 1.0 if chosen else 0.2)
        edge = paint.border(
            self.canvas.before, line, ui.dp(theme.CORNER_M), ui.dp(1.5 if chosen else 1)
        )
        self.bind(size=lambda *_: edge.place(0, 0, *self.size))
        self.add_widget(row)
        row.bind(height=lambda *_: self._hug(row))
        self._hug(row)

    def _hug(self, row: Widget) -> None:
        self.height = max(row.height, self.ui.dp(theme.TARGET))
        row.y = (self.height - row.height) / 2


class _Ring(Widget):
    """The empty mark of an option that is not chosen."""

    def __init__(self, ui: Ui, colour: Any) -> None:
        edge = ui.dp(22)
        super().__init__(size_hint=(None, None), size=(edge, edge))
        shape = paint.border(self.canvas, colour, ui.dp(9), ui.dp(1.5))
        inset = ui.dp(2)
        self.bind(
            pos=lambda *_: shape.place(
                self.x + inset, self.y + inset, edge - 2 * inset, edge - 2 * inset
            )
        )


class _Segment(Widget):
    """One piece of the progress bar."""

    def __init__(self, ui: Ui, colour: Any) -> None:
        super().__init__(size_hint_y=None, height=ui.dp(4))
        shape = paint.area(self.canvas, colour, ui.dp(2))
        self.bind(
            pos=lambda *_: shape.place(*self.pos, *self.size),
            size=lambda *_: shape.place(*self.pos, *self.size),
        )
