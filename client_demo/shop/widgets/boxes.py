"""Boxes: how things stand beside and below each other, and what they stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.animation import Animation
from kivy.graphics import Color, Rectangle
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.gridlayout import GridLayout
from kivy.uix.image import Image
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.theme import Rgba
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import paint

Padding = float | tuple[float, float] | tuple[float, float, float, float]


def _pixels(ui: Ui, padding: Padding) -> list[float]:
    if isinstance(padding, tuple):
        sides = padding * 2 if len(padding) == 2 else padding
        return [ui.dp(side) for side in sides]
    return [ui.dp(padding)] * 4


class Column(BoxLayout):
    """Children one below the other, as high as they need. `padding`, `spacing` in dp.

    Padding is (all), (horizontal, vertical) or (left, top, right, bottom).
    """

    def __init__(
        self,
        ui: Ui,
        *children: Widget,
        spacing: float = theme.M,
        padding: Padding = 0,
        fill: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            orientation="vertical",
            spacing=ui.dp(spacing),
            padding=_pixels(ui, padding),
            **({} if fill else {"size_hint_y": None}) | options,
        )
        if not fill:
            self.bind(minimum_height=self.setter("height"))
        for child in children:
            self.add_widget(child)


class Row(BoxLayout):
    """Children side by side, each centred vertically; as high as the highest one."""

    def __init__(
        self,
        ui: Ui,
        *children: Widget,
        spacing: float = theme.M,
        padding: Padding = 0,
        hug: bool = False,
        top: bool = False,
        **options: Any,
    ) -> None:
        """`hug=True` is only as wide as the children need; `top=True` aligns them at their upper edge."""
        own: dict[str, Any] = {"size_hint": (None if hug else 1, None)}
        super().__init__(
            orientation="horizontal",
            spacing=ui.dp(spacing),
            padding=_pixels(ui, padding),
            **own | options,
        )
        self._place: dict[str, float] = {"top": 1} if top else {"center_y": 0.5}
        if "height" not in options:
            self.bind(minimum_height=self.setter("height"))
        if hug:
            self.bind(minimum_width=self.setter("width"))
        for child in children:
            self.add_widget(child)

    def add_widget(self, widget: Widget, *args: Any, **kwargs: Any) -> None:
        if not widget.pos_hint:
            widget.pos_hint = self._place
        super().add_widget(widget, *args, **kwargs)


class Grid(GridLayout):
    """Children in columns of equal width, as high as they need."""

    def __init__(
        self, ui: Ui, columns: int, *children: Widget, spacing: float = theme.L, **options: Any
    ) -> None:
        super().__init__(cols=columns, spacing=ui.dp(spacing), size_hint_y=None, **options)
        self.bind(minimum_height=self.setter("height"))
        for child in children:
            self.add_widget(child)
        for _ in range(-len(children) % columns if len(children) < columns else 0):
            self.add_widget(Widget())


class Gap(Widget):
    """Nothing, of a fixed size in dp."""

    def __init__(self, ui: Ui, size: float) -> None:
        super().__init__(size_hint=(None, None), size=(ui.dp(size), ui.dp(size)))


class Fill(Widget):
    """Nothing, as large as there is room."""


class Divider(Widget):
    """A hairline across."""

    def __init__(self, ui: Ui) -> None:
        super().__init__(size_hint_y=None, height=max(1, ui.dp(1)))
        with self.canvas:
            Color(*ui.colour("line"))
            self._shape = Rectangle()
        self.bind(pos=self._draw, size=self._draw)

    def _draw(self, *_: Any) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size


class Surface(RelativeLayout):
    """An area with round corners that one child fills; by choice with shadow or border.

    As high as the child when `hug` is set (the default); else as its parent makes it.
    """

    def __init__(
        self,
        ui: Ui,
        child: Widget | None = None,
        *,
        colour: str | Rgba = "surface",
        radius: float = theme.CORNER_M,
        raised: bool = False,
        bordered: bool = False,
        hug: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**({"size_hint_y": None} if hug else {}) | options)
        self.ui, self.radius = ui, radius
        pixels = ui.dp(radius)
        self._parts: list[paint.Painted] = []
        if raised:
            # Fallen a little, as from a light above.
            self._shadow: paint.Painted | None = paint.soft_shadow(
                self.canvas.before, ui.colour("shadow"), pixels, ui.dp(14)
            )
        else:
            self._shadow = None
        paints = ui.colour(colour) if isinstance(colour, str) else colour
        self.area = paint.area(self.canvas.before, paints, pixels)
        self._parts.append(self.area)
        if bordered:
            self._parts.append(
                paint.border(self.canvas.before, ui.colour("line"), pixels, max(1, ui.dp(1)))
            )
        self._hugs = hug
        self.child: Widget | None = None
        self.bind(size=self._draw)
        if child is not None:
            self.put(child)

    def put(self, child: Widget) -> None:
        """Have this child in it, and no other."""
        if self.child is not None:
            self.remove_widget(self.child)
        self.child = child
        self.add_widget(child)
        if self._hugs:
            child.bind(height=self._hug)
            self._hug()

    def _hug(self, *_: Any) -> None:
        if self.child is not None:
            self.height = self.child.height

    def _draw(self, *_: Any) -> None:
        for part in self._parts:
            part.place(0, 0, self.width, self.height)
        if self._shadow is not None:
            self._shadow.place(0, -self.ui.dp(4), self.width, self.height)


class Card(Surface):
    """A raised surface with a column in it."""

    def __init__(
        self,
        ui: Ui,
        *children: Widget,
        padding: Padding = theme.L,
        spacing: float = theme.M,
        **options: Any,
    ) -> None:
        self.column = Column(ui, *children, padding=padding, spacing=spacing)
        super().__init__(ui, self.column, **{"raised": True} | options)


class Tile(Surface):
    """A picture on a tinted ground. `inset` is the share of the edge that stays free around it."""

    def __init__(
        self,
        ui: Ui,
        source: str,
        *,
        colour: str | Rgba = "tile",
        inset: float = 0.06,
        radius: float = theme.CORNER_M,
        **options: Any,
    ) -> None:
        super().__init__(ui, colour=colour, radius=radius, **{"hug": False} | options)
        self.picture = Image(
            source=source,
            fit_mode="contain",
            mipmap=True,
            size_hint=(1 - 2 * inset, 1 - 2 * inset),
            pos_hint={"center_x": 0.5, "center_y": 0.5},
        )
        self.add_widget(self.picture)


class Scroll(ScrollView):
    """A column (or, with `across`, a row) that scrolls, and brings what has the focus into view."""

    def __init__(self, ui: Ui, content: Widget, *, across: bool = False, **options: Any) -> None:
        super().__init__(
            do_scroll_x=across,
            do_scroll_y=not across,
            bar_width=0 if across or ui.layout.is_tv else ui.dp(4),
            bar_color=(*ui.colour("muted")[:3], 0.5),
            bar_inactive_color=(0, 0, 0, 0),
            bar_margin=ui.dp(2),
            scroll_type=["bars", "content"],
            effect_cls="ScrollEffect" if ui.appearance.reduced_motion else "DampedScrollEffect",
            **options,
        )
        self.ui, self._across = ui, across
        if across:
            content.size_hint_x = None
            content.bind(minimum_width=content.setter("width"))
        self.content = content
        self.add_widget(content)

    def reveal(self, widget: Widget, margin: float) -> None:
        """Scroll as little as it takes to have the widget in view, with `margin` pixels around it."""
        x, y = widget.to_window(*widget.pos)
        left, bottom = self.to_window(*self.pos)
        if self._across:
            room = self.content.width - self.width
            low, high = x - left - margin, x + widget.width - left - self.width + margin
        else:
            room = self.content.height - self.height
            low, high = y - bottom - margin, y + widget.height - bottom - self.height + margin
        if room <= 0:
            return
        move = min(low, 0) if low < 0 else max(high, 0)
        if not move:
            return
        now = self.scroll_x if self._across else self.scroll_y
        target = min(1.0, max(0.0, now + move / room))
        name = "scroll_x" if self._across else "scroll_y"
        Animation.cancel_all(self, name)
        duration = self.ui.seconds(0.18)
        if duration:
            Animation(**{name: target}, duration=duration, t="out_cubic").start(self)
        else:
            setattr(self, name, target)


class Scrim(Widget):
    """Dims the app below a dialog; touching it calls `on_touch`, and nothing reaches what lies below."""

    def __init__(self, ui: Ui, on_touch: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._on_touch = on_touch
        with self.canvas:
            Color(*ui.colour("scrim"))
            self._shape = Rectangle()
        self.bind(pos=self._draw, size=self._draw)

    def on_touch_down(self, touch: Any) -> bool:
        if self._on_touch is not None:
            self._on_touch()
        return True

    def _draw(self, *_: Any) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size
