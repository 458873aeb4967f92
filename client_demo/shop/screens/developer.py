"""What the SDK is doing right now: numbers that move, and buttons that make them move.

The widgets are made once; four times a second they are given new values, and only those that changed are
drawn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from kivy.clock import Clock
from kivy.core.clipboard import Clipboard
from kivy.graphics import Color, Rectangle
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.navigation import Route
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.profile import flow
from client_demo.shop.shop import Shop
from client_demo.shop.traffic import Answer
from client_demo.shop.ui import Ui
from client_demo.shop.viewmodels import developer as view
from client_demo.shop.widgets import (
    Button,
    Card,
    Column,
    Grid,
    Icon,
    IconButton,
    Notice,
    Row,
    Surface,
    Text,
    paint,
)
from zuruf import FlushResult

EVERY_S = 0.25
ANSWERS_SHOWN = 6
LATENCIES_SHOWN = 30
FLUSH_S = 5.0
TEST_EVENT = "developer_test"


class DeveloperScreen(Screen):
    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self._timeline = view.Timeline()
        self._updates: list[Callable[[], None]] = []
        self._ticking: Any = None
        self._pushes = 0
        self._is_in_background = False

    def enter(self) -> None:
        super().enter()
        self._ticking = Clock.schedule_interval(lambda _: self.update(), EVERY_S)

    def leave(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._is_in_background:
            # Nobody would find the way back: without this panel the app looks as if it were in front.
            self.shop.engagement.on_foreground()
        super().leave()

    def build(self) -> Widget:
        ui = self.ui
        self._updates = []
        left = [self._numbers(), self._stream(), self._latency(), self._answers()]
        right = [self._controls(), self._ids(), self._drops(), self._values()]
        notes: list[Widget] = []
        if not self.shop.engagement.is_configured:
            notes.append(Notice(ui, ui.t("developer.no_gateway"), icon="cloud-slash"))
        title = ui.t("developer.title")
        if ui.layout.size_class == "expanded":
            columns = Row(
                ui,
                Column(ui, *left, spacing=theme.L),
                Column(ui, *right, spacing=theme.L),
                spacing=theme.L,
                top=True,
            )
            page = self.page(*notes, columns, title=title, width_max=1200, spacing=theme.L)
        else:
            order = [left[0], right[0], *left[1:], *right[1:]]
            page = self.page(*notes, *order, title=title, width_max=720, spacing=theme.L)
        self.update()
        return page

    def update(self) -> None:
        """Show what is the case now."""
        state = self.shop.engagement.diagnostics()
        self._timeline.note(time.monotonic(), state.stream_state)
        for update in self._updates:
            update()

    # Sections

    def _numbers(self) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        queue = _Number(ui, ui.t("developer.queue"), "stack")
        size = _Number(ui, ui.t("developer.bytes"), "database")
        sent = _Number(ui, ui.t("developer.sent"), "cloud-check")
        clock = _Number(ui, ui.t("developer.clock"), "clock")

        def update() -> None:
            state = engagement.diagnostics()
            number = ui.translator.number
            queue.show(number(state.queue_events))
            size.show(view.size(state.queue_bytes))
            sent.show(number(state.sent_events))
            offset, rtt = state.clock_offset_ms, state.clock_rtt_ms
            clock.show("–" if offset is None or rtt is None else f"{offset:+d} ± {rtt} ms")

        self._updates.append(update)
        columns = 2 if ui.layout.is_compact else 4
        if ui.layout.size_class == "expanded":
            columns = 2
        return Grid(ui, columns, queue, size, sent, clock, spacing=theme.S)

    def _stream(self) -> Widget:
        ui = self.ui
        state = Text(ui, "", "code", wrap=False)
        dot = _Dot(ui)
        line = _Timeline(ui)
        head = Row(ui, Text(ui, ui.t("developer.stream"), "subtitle"), dot, state, spacing=theme.S)
        ends = Row(
            ui,
            Text(ui, ui.t("developer.minute_ago"), "caption", colour="muted"),
            Text(ui, ui.t("developer.now"), "caption", colour="muted", align="right"),
        )

        def update() -> None:
            _show(state, self._timeline.state)
            dot.show(view.tone_of(self._timeline.state))
            line.show(self._timeline.spans(time.monotonic()))

        self._updates.append(update)
        return Card(ui, head, line, ends, spacing=theme.S)

    def _latency(self) -> Widget:
        ui, presenter = self.ui, self.shop.presenter
        last, typical = (
            Text(ui, "", "title", wrap=False),
            Text(ui, "", "caption", colour="muted", wrap=False),
        )
        line = _Bars(ui)
        head = Row(ui, Text(ui, ui.t("developer.latency"), "subtitle"), last, spacing=theme.S)

        def update() -> None:
            values = list(presenter.latencies)
            _show(last, f"{values[-1]} ms" if values else "–")
            middle = view.median(values)
            _show(
                typical,
                ui.t("developer.latency.none")
                if middle is None
                else ui.t("developer.latency.median", n=len(values), ms=middle),
            )
            line.show(view.bars(values, LATENCIES_SHOWN))

        self._updates.append(update)
        return Card(ui, head, line, typical, spacing=theme.S)

    def _answers(self) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        rows = [_AnswerRow(ui) for _ in range(ANSWERS_SHOWN)]
        error = Text(ui, "", "caption", colour="danger")
        error.height = 0

        def update() -> None:
            traffic = engagement.traffic
            answers: Sequence[Answer] = () if traffic is None else traffic.answers()
            for number, row in enumerate(rows):
                row.show(answers[number] if number < len(answers) else None)
            _show(error, engagement.diagnostics().last_error or "")

        self._updates.append(update)
        return Card(
            ui, Text(ui, ui.t("developer.answers"), "subtitle"), *rows, error, spacing=theme.XS
        )

    def _drops(self) -> Widget:
        engagement = self.shop.engagement
        return self._listing(
            "developer.drops",
            lambda: [
                f"{count:>6}  {reason}" for reason, count in view.drops(engagement.diagnostics())
            ],
        )

    def _values(self) -> Widget:
        engagement = self.shop.engagement
        return self._listing(
            "developer.values",
            lambda: [
                f"{key} = {value}" for key, value in view.described(engagement.remote_values())
            ],
        )

    def _listing(self, key: str, lines: Callable[[], list[str]]) -> Widget:
        """A card of lines that follow what they tell of, or of the text that there are none."""
        ui = self.ui
        text = Text(ui, "", "code", colour="muted")
        self._updates.append(lambda: _show(text, "\n".join(lines()) or ui.t(f"{key}.none")))
        return Card(ui, Text(ui, ui.t(key), "subtitle"), text, spacing=theme.S)

    def _ids(self) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        rows = {name: _IdRow(ui, name) for name in ("device", "profile", "user", "session")}

        def update() -> None:
            found = dict(view.ids(engagement.diagnostics()))
            for name, row in rows.items():
                row.show(found.get(name))

        self._updates.append(update)
        return Card(ui, Text(ui, ui.t("developer.ids"), "subtitle"), *rows.values(), spacing=0)

    # Buttons

    def _controls(self) -> Widget:
        ui = self.ui
        traffic = self.shop.engagement.traffic
        online = traffic is None or traffic.is_on
        deeds: list[tuple[str, str, Callable[[], object]]] = [
            ("flush", "cloud-arrow-up", self.flush),
            ("event", "lightning", self.send_event),
            ("push", "bell-ringing", self.simulate_push),
            (
                "offline" if online else "online",
                "wifi-slash" if online else "wifi-high",
                self.toggle_network,
            ),
            (
                "foreground" if self._is_in_background else "background",
                "play" if self._is_in_background else "pause",
                self.toggle_background,
            ),
            ("restart", "arrows-clockwise", self.restart),
        ]
        buttons = [
            Button(
                ui,
                ui.t(f"developer.{name}"),
                deed,
                kind="filled" if name in {"online", "foreground"} else "tonal",
                icon=icon,
                # The same place in the row keeps the focus when it comes to say the opposite.
                focus_key=f"developer.button.{number}",
                prefers_focus=name == "flush",
            )
            for number, (name, icon, deed) in enumerate(deeds)
        ]
        return Card(
            ui, Text(ui, ui.t("developer.try"), "subtitle"), flow(ui, buttons), spacing=theme.M
        )

    def flush(self) -> None:
        """Send what waits, without holding up the window, and say what came of it."""

        def work() -> None:
            result = self.shop.engagement.flush(FLUSH_S)
            Clock.schedule_once(lambda _: self._flushed(result), 0)

        threading.Thread(target=work, name="flush", daemon=True).start()

    def _flushed(self, result: FlushResult | None) -> None:
        if result is None:
            self.ui.toast(self.ui.t("developer.no_gateway"), "plain")
        elif result.is_complete:
            self.ui.toast(self.ui.t("developer.flushed", n=result.sent), "success")
        else:
            self.ui.toast(self.ui.t("developer.not_flushed", n=result.remaining), "danger")

    def send_event(self) -> None:
        self.shop.engagement.track(TEST_EVENT, {"at": datetime.now().astimezone().isoformat()})
        self.update()

    def simulate_push(self) -> None:
        """Do what happens when somebody opens a notification of the gateway."""
        self._pushes += 1
        handled = self.shop.engagement.handle_push(view.push_payload(self._pushes))
        self.ui.toast(self.ui.t("developer.pushed", handling=handled.value), "plain")

    def toggle_network(self) -> None:
        """Pull the plug, or put it back."""
        traffic = self.shop.engagement.traffic
        if traffic is None:
            self.ui.toast(self.ui.t("developer.no_gateway"), "plain")
            return
        traffic.switch(on=not traffic.is_on)
        self.rebuild()

    def toggle_background(self) -> None:
        """Tell the SDK that the app left the screen, or came back."""
        engagement = self.shop.engagement
        self._is_in_background = not self._is_in_background
        (engagement.on_background if self._is_in_background else engagement.on_foreground)()
        self.rebuild()

    def restart(self) -> None:
        """End the client and begin anew over the same files: nothing may be missing afterwards."""
        if self.shop.engagement.restart():
            self._is_in_background = False
            self.ui.toast(self.ui.t("developer.restarted"), "success")
            self.rebuild()
        else:
            self.ui.toast(self.ui.t("developer.no_gateway"), "plain")


def _show(text: Text, value: str) -> None:
    if text.text != value:
        text.text = text.accessible_name = value


class _Number(Surface):
    """One figure with what it means."""

    def __init__(self, ui: Ui, name: str, icon: str) -> None:
        self._value = Text(ui, "–", "title", lines=1)
        head = Row(
            ui,
            Icon(ui, icon, 16, colour="muted"),
            Text(ui, name, "caption", colour="muted"),
            spacing=6,
        )
        super().__init__(ui, Column(ui, head, self._value, spacing=2, padding=theme.M), raised=True)

    def show(self, value: str) -> None:
        _show(self._value, value)


class _Dot(Widget):
    """A round lamp."""

    def __init__(self, ui: Ui) -> None:
        edge = ui.dp(10)
        super().__init__(size_hint=(None, None), size=(edge, edge))
        self._ui, self._tone = ui, "muted"
        self._lamp = paint.area(self.canvas, ui.colour("muted"), edge / 2)
        self.bind(pos=lambda *_: self._lamp.place(self.x, self.y, self.width, self.height))

    def show(self, tone: str) -> None:
        if tone != self._tone:
            self._tone = tone
            self._lamp.color.rgba = self._ui.colour(tone)


class _Timeline(Widget):
    """The states of the stream as a coloured band."""

    def __init__(self, ui: Ui) -> None:
        super().__init__(size_hint_y=None, height=ui.dp(14))
        self._ui = ui
        self._spans: Sequence[view.Span] = ()
        self._track = paint.area(self.canvas.before, ui.colour("sunken"), ui.dp(4))
        self.bind(pos=self._draw, size=self._draw)

    def show(self, spans: Sequence[view.Span]) -> None:
        self._spans = spans
        self._draw()

    def _draw(self, *_: Any) -> None:
        self._track.place(self.x, self.y, self.width, self.height)
        self.canvas.clear()
        with self.canvas:
            for span in self._spans:
                Color(*self._ui.colour(span.tone))
                Rectangle(
                    pos=(self.x + span.start * self.width, self.y),
                    size=(max(1.0, (span.end - span.start) * self.width), self.height),
                )


class _Bars(Widget):
    """The last values as small bars, the newest at the right."""

    def __init__(self, ui: Ui) -> None:
        super().__init__(size_hint_y=None, height=ui.dp(44))
        self._ui = ui
        self._shown: list[float] | None = None
        with self.canvas:
            Color(*ui.colour("line"))
            self._base = Rectangle()
            self._colour = Color(*ui.colour("primary"))
            self._shapes = [Rectangle(size=(0, 0)) for _ in range(LATENCIES_SHOWN)]
        self.bind(pos=self._draw, size=self._draw)

    def show(self, heights: list[float]) -> None:
        if heights != self._shown:
            self._shown = heights
            self._draw()

    def _draw(self, *_: Any) -> None:
        heights = self._shown or []
        self._base.pos, self._base.size = self.pos, (self.width, max(1, self._ui.dp(1)))
        step = self.width / LATENCIES_SHOWN
        for number, shape in enumerate(self._shapes):
            place = number - (LATENCIES_SHOWN - len(heights))
            height = heights[place] * self.height if place >= 0 else 0
            shape.pos = (self.x + number * step + step * 0.15, self.y)
            shape.size = (step * 0.7, max(self._ui.dp(2), height) if place >= 0 else 0)


class _AnswerRow(Row):
    """One answer of the gateway: status, what was asked, how long it took, when."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui
        self._status = Text(ui, "", "code", wrap=False)
        self._path = Text(ui, "", "code", lines=1)
        self._took = Text(ui, "", "code", colour="muted", wrap=False)
        super().__init__(ui, self._status, self._path, self._took, spacing=theme.M)
        self._shown: Answer | None = None

    def show(self, answer: Answer | None) -> None:
        if answer is None or answer == self._shown:
            return
        self._shown = answer
        self._status.color = self._ui.colour("success" if answer.is_fine else "danger")
        _show(self._status, "---" if answer.status is None else str(answer.status))
        _show(self._path, f"{answer.method} {answer.path}" if answer.status else answer.error)
        at = datetime.fromtimestamp(answer.at).astimezone()
        _show(self._took, f"{answer.took_ms} ms  {at:%H:%M:%S}")


class _IdRow(Row):
    """An id, shortened, with a button that copies all of it."""

    def __init__(self, ui: Ui, name: str) -> None:
        self._ui, self._full = ui, ""
        self._value = Text(ui, "–", "code", lines=1)
        self._copy = IconButton(
            ui,
            "copy",
            ui.t("developer.copy", name=ui.t(f"developer.id.{name}")),
            self.copy,
            colour="muted",
            icon_size=18,
            focus_key=f"developer.copy.{name}",
        )
        label = Text(ui, ui.t(f"developer.id.{name}"), "caption", colour="muted")
        label.size_hint_x = 0.4
        super().__init__(ui, label, self._value, self._copy, spacing=theme.S)

    def show(self, value: str | None) -> None:
        self._full = value or ""
        _show(self._value, view.shortened(value))
        self._copy.disabled = not value

    def copy(self) -> None:
        Clipboard.copy(self._full)
        self._ui.toast(self._ui.t("developer.copied"), "success")
