"""What one can press: by finger, mouse, or the middle of a remote control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from kivy.animation import Animation
from kivy.graphics import InstructionGroup
from kivy.metrics import dp as device_dp
from kivy.properties import BooleanProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.focus import Action
from client_demo.shop.theme import Rgba
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import paint
from client_demo.shop.widgets.boxes import Column, Row
from client_demo.shop.widgets.text import Icon, Text

Kind = Literal["filled", "tonal", "outlined", "plain", "danger"]

_GROUND: dict[Kind, str | None] = {
    "filled": "primary",
    "tonal": "primary_soft",
    "outlined": None,
    "plain": None,
    "danger": "danger",
}
_INK: dict[Kind, str] = {
    "filled": "on_primary",
    "tonal": "on_primary_soft",
    "outlined": "text",
    "plain": "primary",
    "danger": "on_danger",
}
PRESSED_SHADE = 0.08
DISABLED_OPACITY = 0.45


class Pressable(ButtonBehavior, RelativeLayout):
    """Anything that does something when pressed, with its ring of focus.

    `focus_key` names it, so that the focus can come back to it after the screen was built anew.
    """

    has_focus = BooleanProperty(False)
    is_focusable = True

    def __init__(
        self,
        ui: Ui,
        on_press: Callable[[], object] | None = None,
        *,
        radius: float = theme.CORNER_M,
        focus_key: str = "",
        prefers_focus: bool = False,
        accessible_name: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.ui = ui
        self.focus_key = focus_key
        self.prefers_focus = prefers_focus
        self.accessible_name = accessible_name
        self.pressed_callback = on_press
        gap, thickness = ui.dp(2), ui.dp(theme.RING)
        clear = (0.0, 0.0, 0.0, 0.0)
        # Above the children, and before the layout's own PopMatrix: in local coordinates.
        above = InstructionGroup()
        self.canvas.after.insert(0, above)
        self._shade = paint.area(above, clear, ui.dp(radius))
        self._ring = paint.border(above, clear, ui.dp(radius), thickness, grow=gap + thickness)
        # On a ground of the ring's own darkness its bright seam shows where it is.
        seam = max(1, ui.dp(1.5))
        self._seam = paint.border(above, clear, ui.dp(radius), seam, grow=gap + thickness + seam)
        self.bind(size=self._place, has_focus=self._paint_ring, state=self._paint_shade)

    def collide_point(self, x: float, y: float) -> bool:
        """Be as large to a finger as a finger is, however small it looks."""
        least = self.ui.dp(theme.TARGET)
        across, down = max(0, least - self.width) / 2, max(0, least - self.height) / 2
        return bool(
            self.x - across <= x <= self.right + across and self.y - down <= y <= self.top + down
        )

    def on_release(self) -> None:
        self.activate()

    def activate(self) -> None:
        """Do what pressing it does."""
        if not self.disabled and self.pressed_callback is not None:
            self.pressed_callback()

    def take_key(self, action: Action) -> bool:
        """Use an arrow key itself (a stepper does) instead of letting the focus move on."""
        return False

    def _place(self, *_: Any) -> None:
        for part in (self._shade, self._ring, self._seam):
            part.place(0, 0, self.width, self.height)

    def _paint_ring(self, *_: Any) -> None:
        for part, name in ((self._ring, "focus"), (self._seam, "surface")):
            part.color.rgba = self.ui.colour(name) if self.has_focus else (0, 0, 0, 0)

    def _paint_shade(self, *_: Any) -> None:
        shade = (*self.ui.colour("text")[:3], PRESSED_SHADE)
        self._shade.color.rgba = shade if self.state == "down" else (0, 0, 0, 0)


class ShopButton(Pressable):
    """A button with a text, and by choice an icon before it. As wide as its text, or `wide`."""

    def __init__(
        self,
        ui: Ui,
        text: str,
        on_press: Callable[[], object] | None = None,
        *,
        kind: Kind = "filled",
        icon: str | None = None,
        wide: bool = False,
        small: bool = False,
        disabled: bool = False,
        ground: Rgba | None = None,
        ink: Rgba | None = None,
        **options: Any,
    ) -> None:
        height = ui.scaled(36 if small else theme.TARGET)
        super().__init__(
            ui,
            on_press,
            radius=height / ui.layout.scale / 2,
            accessible_name=text,
            size_hint=(1 if wide else None, None),
            height=height,
            **options,
        )
        fill = ground or (ui.colour(name) if (name := _GROUND[kind]) else None)
        colour = ink or ui.colour(_INK[kind])
        self._ground = None
        if fill is not None:
            self._ground = paint.area(self.canvas.before, fill, height / 2)
        elif kind == "outlined":
            self._ground = paint.border(
                self.canvas.before, ui.colour("muted"), height / 2, max(1, ui.dp(1))
            )
        self.label = Text(ui, text, "label", colour=colour, wrap=False, align="center")
        row = Row(ui, spacing=theme.S, hug=True, pos_hint={"center_x": 0.5, "center_y": 0.5})
        if icon is not None:
            row.add_widget(Icon(ui, icon, 20, colour=colour))
        row.add_widget(self.label)
        self._row = row
        self._side = ui.dp(14 if small else 22)
        self.add_widget(row)
        self.bind(size=self._draw)
        if wide:
            self.bind(width=self._fit)
        else:
            row.bind(width=self._hug)
            self._hug()
        self.disabled = disabled
        self.opacity = DISABLED_OPACITY if disabled else 1
        self._draw()

    def _hug(self, *_: Any) -> None:
        self.width = max(self._row.width + 2 * self._side, self.ui.dp(theme.TARGET))

    def _fit(self, *_: Any) -> None:
        beside = self._row.width - self.label.width
        self.label.limit(self.width - 2 * self._side - beside)

    def _draw(self, *_: Any) -> None:
        if self._ground is not None:
            self._ground.place(0, 0, self.width, self.height)


class IconButton(Pressable):
    """A round button with an icon; `name` says what it does."""

    def __init__(
        self,
        ui: Ui,
        icon: str,
        name: str,
        on_press: Callable[[], object] | None = None,
        *,
        colour: str | Rgba = "text",
        ground: str | Rgba | None = None,
        size: float = theme.TARGET,
        icon_size: float = 24,
        filled: bool = False,
        **options: Any,
    ) -> None:
        edge = ui.dp(size)
        super().__init__(
            ui,
            on_press,
            radius=size / 2,
            accessible_name=name,
            size_hint=(None, None),
            size=(edge, edge),
            **options,
        )
        if ground is not None:
            paints = ui.colour(ground) if isinstance(ground, str) else ground
            paint.area(self.canvas.before, paints, edge / 2).place(0, 0, edge, edge)
        self.icon = Icon(
            ui,
            icon,
            icon_size,
            colour=colour,
            filled=filled,
            pos_hint={"center_x": 0.5, "center_y": 0.5},
        )
        self.add_widget(self.icon)


class Chip(Pressable):
    """A choice among several; filled when it is chosen."""

    def __init__(
        self,
        ui: Ui,
        text: str,
        on_press: Callable[[], object] | None = None,
        *,
        chosen: bool = False,
        icon: str | None = None,
        **options: Any,
    ) -> None:
        height = ui.scaled(36)
        super().__init__(
            ui,
            on_press,
            radius=height / ui.layout.scale / 2,
            accessible_name=text,
            size_hint=(None, None),
            height=height,
            **options,
        )
        self.is_chosen = chosen
        ink = ui.colour("on_primary" if chosen else "text")
        self._ground = paint.area(
            self.canvas.before, ui.colour("primary" if chosen else "sunken"), height / 2
        )
        row = Row(ui, spacing=6, hug=True, pos_hint={"center_x": 0.5, "center_y": 0.5})
        if icon is not None:
            row.add_widget(Icon(ui, icon, 18, colour=ink))
        row.add_widget(Text(ui, text, "body", colour=ink, wrap=False))
        self.add_widget(row)
        self.bind(size=self._draw)
        row.bind(width=self._hug)
        self._row = row
        self._hug()

    def _hug(self, *_: Any) -> None:
        self.width = self._row.width + self.ui.dp(30)

    def _draw(self, *_: Any) -> None:
        self._ground.place(0, 0, self.width, self.height)


class Swatch(Pressable):
    """A colour to choose; a ring around the chosen one."""

    def __init__(
        self,
        ui: Ui,
        colour: Rgba,
        name: str,
        on_press: Callable[[], object] | None = None,
        *,
        chosen: bool = False,
        **options: Any,
    ) -> None:
        edge = ui.dp(theme.TARGET)
        super().__init__(
            ui,
            on_press,
            radius=theme.TARGET / 2,
            accessible_name=name,
            size_hint=(None, None),
            size=(edge, edge),
            **options,
        )
        self.is_chosen = chosen
        if chosen:
            paint.border(self.canvas.before, ui.colour("text"), ui.dp(19), ui.dp(2)).place(
                ui.dp(5), ui.dp(5), ui.dp(38), ui.dp(38)
            )
        dot = ui.dp(28)
        paint.area(self.canvas.before, colour, dot / 2).place(ui.dp(10), ui.dp(10), dot, dot)
        paint.border(self.canvas.before, (*ui.colour("text")[:3], 0.18), dot / 2, 1).place(
            ui.dp(10), ui.dp(10), dot, dot
        )


class Stepper(Pressable):
    """A quantity with − and +. As one stop of the focus: left and right change it."""

    def __init__(
        self,
        ui: Ui,
        value: int,
        on_change: Callable[[int], object],
        *,
        least: int = 1,
        most: int = 9,
        name: str = "",
        compact: bool = False,
        **options: Any,
    ) -> None:
        height = ui.dp(40 if compact else theme.TARGET)
        super().__init__(
            ui,
            radius=height / ui.layout.scale / 2,
            accessible_name=name,
            size_hint=(None, None),
            size=(ui.dp(112 if compact else 140), height),
            **options,
        )
        self.value, self._least, self._most, self._changed = value, least, most, on_change
        self._ground = paint.area(self.canvas.before, ui.colour("sunken"), height / 2)
        self._ground.place(0, 0, self.width, self.height)
        self._minus = Icon(ui, "minus", 18, pos_hint={"center_y": 0.5})
        self._minus.x = ui.dp(14)
        self._plus = Icon(ui, "plus", 18, pos_hint={"center_y": 0.5})
        self._plus.right = self.width - ui.dp(14)
        self._label = Text(ui, "", "subtitle", align="center", pos_hint={"center_y": 0.5})
        for child in (self._minus, self._label, self._plus):
            self.add_widget(child)
        self._show()

    def step(self, by: int) -> None:
        """Change the quantity within its limits."""
        value = min(self._most, max(self._least, self.value + by))
        if value != self.value:
            self.value = value
            self._show()
            self._changed(value)

    def on_release(self) -> None:
        touch = self.last_touch
        x, _ = self.to_widget(*touch.pos) if touch is not None else (self.width, 0)
        self.step(-1 if x < self.width / 2 else 1)

    def activate(self) -> None:
        self.step(1)

    def take_key(self, action: Action) -> bool:
        before = self.value
        if action in {"left", "right"}:
            self.step(-1 if action == "left" else 1)
        return self.value != before

    def _show(self) -> None:
        self._label.text = str(self.value)
        self._minus.opacity = 0.35 if self.value == self._least else 1
        self._plus.opacity = 0.35 if self.value == self._most else 1


class ShopSwitch(Pressable):
    """On or off, with a knob that slides."""

    def __init__(
        self,
        ui: Ui,
        is_on: bool,
        on_change: Callable[[bool], object],
        *,
        name: str = "",
        **options: Any,
    ) -> None:
        super().__init__(
            ui,
            radius=16,
            accessible_name=name,
            size_hint=(None, None),
            size=(ui.dp(52), ui.dp(32)),
            **options,
        )
        self._changed = on_change
        self._track = paint.area(self.canvas.before, ui.colour("line"), ui.dp(16))
        self._track.place(0, 0, ui.dp(52), ui.dp(32))
        self._knob = paint.area(self.canvas, ui.colour("surface"), ui.dp(12))
        self._knob_at = Widget(size_hint=(None, None))
        self._knob_at.bind(x=self._draw)
        self.is_on = is_on
        self._paint(at_once=True)

    def activate(self) -> None:
        self.set(not self.is_on)
        self._changed(self.is_on)

    def set(self, is_on: bool) -> None:
        """Show a state, without telling anybody."""
        self.is_on = is_on
        self._paint()

    def _paint(self, *, at_once: bool = False) -> None:
        ui = self.ui
        self._track.color.rgba = ui.colour("primary" if self.is_on else "muted")
        self._knob.color.rgba = ui.colour("on_primary" if self.is_on else "surface")
        target = ui.dp(24 if self.is_on else 4)
        duration = ui.seconds(0.14)
        if at_once or not duration:
            self._knob_at.x = target
            self._draw()
        else:
            Animation(x=target, duration=duration, t="out_quad").start(self._knob_at)

    def _draw(self, *_: Any) -> None:
        self._knob.place(self._knob_at.x, self.ui.dp(4), self.ui.dp(24), self.ui.dp(24))


class ListRow(Pressable):
    """A row of a list: icon, title, text below, and something at the end (a caret by default)."""

    def __init__(
        self,
        ui: Ui,
        title: str,
        on_press: Callable[[], object] | None = None,
        *,
        text: str = "",
        icon: str | None = None,
        trailing: Widget | None = None,
        caret: bool = True,
        tone: str = "text",
        chosen: bool | None = None,
        **options: Any,
    ) -> None:
        """`chosen` makes it one of several to choose from, with a mark on the chosen one."""
        super().__init__(
            ui, on_press, radius=theme.CORNER_M, accessible_name=title, size_hint_y=None, **options
        )
        row = Row(ui, spacing=theme.L, padding=(theme.L, theme.M))
        if icon is not None:
            row.add_widget(Icon(ui, icon, 24, colour="muted" if tone == "text" else tone))
        words = Column(ui, Text(ui, title, "body", colour=tone), spacing=2)
        if text:
            words.add_widget(Text(ui, text, "caption", colour="muted"))
        row.add_widget(words)
        if trailing is not None:
            row.add_widget(trailing)
        elif chosen is not None:
            mark = Icon(ui, "check-circle", 22, colour="primary", filled=True)
            mark.opacity = 1 if chosen else 0
            row.add_widget(mark)
            if chosen:
                ground = paint.area(
                    self.canvas.before, ui.colour("primary_soft"), ui.dp(theme.CORNER_M)
                )
                self.bind(size=lambda _, size: ground.place(0, 0, *size))
        elif caret and on_press is not None:
            row.add_widget(Icon(ui, "caret-right", 18, colour="muted"))
        self.is_focusable = on_press is not None
        self.add_widget(row)
        row.bind(height=self._hug)
        self._row = row
        self._hug()

    def _hug(self, *_: Any) -> None:
        self.height = max(self._row.height, self.ui.dp(56))


class TextField(Pressable):
    """A field to type into. On television it opens what `on_tv` does: a QR code, usually.

    `text` is what is in it; `on_text` is told at every change, `on_done` at Enter.
    """

    def __init__(
        self,
        ui: Ui,
        hint: str,
        *,
        text: str = "",
        on_text: Callable[[str], object] | None = None,
        on_done: Callable[[str], object] | None = None,
        on_tv: Callable[[], object] | None = None,
        icon: str | None = None,
        error: str = "",
        lines: int = 1,
        password: bool = False,
        **options: Any,
    ) -> None:
        # Kivy's own field needs a window at import.
        from kivy.uix.textinput import TextInput  # noqa: PLC0415

        height = ui.scaled(theme.TARGET if lines == 1 else 24 + 24 * lines)
        super().__init__(
            ui,
            radius=theme.CORNER_M,
            accessible_name=hint,
            size_hint_y=None,
            height=height,
            **options,
        )
        self._on_tv = on_tv
        self._on_done = on_done
        self._surface = paint.area(self.canvas.before, ui.colour("sunken"), ui.dp(theme.CORNER_M))
        self._edge = paint.border(
            self.canvas.before,
            ui.colour("danger") if error else (0, 0, 0, 0),
            ui.dp(theme.CORNER_M),
            ui.dp(1.5),
        )
        size = ui.sp("body")
        left = ui.dp(44 if icon else theme.L)
        top = (height - size * 1.35) / 2 if lines == 1 else ui.dp(theme.M)
        self.input = TextInput(
            text=text,
            hint_text=hint,
            multiline=lines > 1,
            password=password,
            font_name="Roboto",
            font_size=size,
            background_normal="",
            background_active="",
            background_color=(0, 0, 0, 0),
            foreground_color=ui.colour("text"),
            hint_text_color=ui.colour("muted"),
            cursor_color=ui.colour("primary"),
            cursor_width=max(1, device_dp(1.5)),
            selection_color=(*ui.colour("primary")[:3], 0.25),
            padding=(left, top, ui.dp(theme.L), 0),
            write_tab=False,
            disabled=ui.layout.is_tv,
            disabled_foreground_color=ui.colour("text"),
            background_disabled_normal="",
        )
        self.add_widget(self.input)
        if icon is not None:
            mark = Icon(ui, icon, 20, colour="muted", pos_hint={"center_y": 0.5})
            mark.x = ui.dp(14)
            self.add_widget(mark)
        if on_text is not None:
            self.input.bind(text=lambda _, value: on_text(value))
        self.input.bind(on_text_validate=lambda _: self._done(), focus=self._paint_edge)
        self._error = error
        self.bind(size=self._draw)

    @property
    def text(self) -> str:
        return str(self.input.text)

    def activate(self) -> None:
        if self.ui.layout.is_tv:
            if self._on_tv is not None:
                self._on_tv()
        else:
            self.input.focus = True

    def on_touch_down(self, touch: Any) -> bool:
        if self.ui.layout.is_tv:
            return bool(super().on_touch_down(touch))
        return bool(RelativeLayout.on_touch_down(self, touch))

    def _done(self) -> None:
        if self._on_done is not None:
            self._on_done(self.text)

    def _paint_edge(self, *_: Any) -> None:
        plain = self.ui.colour("danger") if self._error else (0, 0, 0, 0)
        self._edge.color.rgba = self.ui.colour("primary") if self.input.focus else plain

    def _draw(self, *_: Any) -> None:
        for part in (self._surface, self._edge):
            part.place(0, 0, self.width, self.height)


# Kivy's style.kv dresses every class of the name Button or Switch, so these two have other names at heart.
Button = ShopButton
Switch = ShopSwitch
