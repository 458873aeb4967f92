"""Text and icons."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from kivy.core.text import LabelBase
from kivy.uix.label import Label

from client_demo.shop.theme import TYPE, Rgba, TextStyle
from client_demo.shop.ui import Ui
from client_demo.shop.widgets.icons import GLYPHS

Align = Literal["left", "center", "right"]

ICON_FONT = "ShopIcons"
LEADING = 1.17
"""The height of a line of Roboto in heights of its letters."""
LabelBase.register(ICON_FONT, str(Path(__file__).parent.parent / "assets" / "icons.ttf"))


class Text(Label):
    """A text that is as high as its lines need.

    `wrap=True` (the default) takes the width it is given and breaks lines in it; `wrap=False` is as wide as
    its one line. `lines` limits the number of lines and ends the last one with an ellipsis.
    """

    def __init__(
        self,
        ui: Ui,
        text: str,
        style: TextStyle = "body",
        *,
        colour: str | Rgba = "text",
        align: Align = "left",
        wrap: bool = True,
        lines: int = 0,
        strike: bool = False,
        **options: Any,
    ) -> None:
        kind = TYPE[style]
        paint = ui.colour(colour) if isinstance(colour, str) else colour
        super().__init__(
            text=text,
            font_name=kind.font,
            bold=kind.bold,
            font_size=ui.sp(style),
            line_height=kind.line_height,
            color=paint,
            disabled_color=paint,
            halign=align,
            valign="middle",
            strikethrough=strike,
            size_hint=(1, None) if wrap else (None, None),
            **options,
        )
        self.style = style
        self.accessible_name = text
        if lines:
            self.max_lines = lines
            self.shorten, self.shorten_from, self.split_str = lines == 1, "right", " "
        if wrap:
            # Kivy puts what a line has beyond its letters below them; half of it belongs above, or the
            # text stands higher than its neighbours in a row.
            self.padding = (0, ui.sp(style) * (kind.line_height - 1) * LEADING, 0, 0)
            self.bind(width=self._wrap, texture_size=self._grow)
            self._wrap()
        else:
            self.bind(texture_size=self.setter("size"))
            self.texture_update()
            self.size = self.texture_size

    @property
    def is_cut(self) -> bool:
        """Tell whether some of the text is not on the screen."""
        if self.shorten:
            return bool(self._label.get_extents(self.text)[0] > self.width + 1)
        return bool(self.max_lines and getattr(self._label, "is_shortened", False))

    def limit(self, width: float) -> None:
        """Have one line end with an ellipsis if it needs more than `width` pixels."""
        is_long = self._label.get_extents(self.text)[0] > width
        self.shorten, self.shorten_from = is_long, "right"
        self.text_size = (max(1, width), None) if is_long else (None, None)

    def _wrap(self, *_: Any) -> None:
        self.text_size = (max(1, self.width), None)

    def _grow(self, *_: Any) -> None:
        self.height = self.texture_size[1]


class Icon(Label):
    """An icon of the app's icon font; `filled` for the one that is chosen. Size in dp."""

    def __init__(
        self,
        ui: Ui,
        name: str,
        size: float = 24,
        *,
        colour: str | Rgba = "text",
        filled: bool = False,
        **options: Any,
    ) -> None:
        edge = ui.dp(size)
        paint = ui.colour(colour) if isinstance(colour, str) else colour
        super().__init__(
            text=GLYPHS[f"{name}-fill" if filled else name],
            font_name=ICON_FONT,
            font_size=edge,
            color=paint,
            disabled_color=paint,
            size_hint=(None, None),
            size=(edge, edge),
            **options,
        )
        self.text_size = (edge, edge)
        self.halign = self.valign = "center"
        self.valign = "middle"

    def show(self, name: str, *, filled: bool = False) -> None:
        self.text = GLYPHS[f"{name}-fill" if filled else name]
