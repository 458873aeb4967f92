"""The panels of the layouts: what is in a banner, a card, a full screen. Nothing here knows about time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kivy.graphics import Color, InstructionGroup, Rectangle
from kivy.properties import NumericProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.overlays.content import Presentation
from client_demo.shop.overlays.floating import Fitting
from client_demo.shop.overlays.picture import Picture, all_round
from client_demo.shop.overlays.pictures import Pictures
from client_demo.shop.theme import CONTRAST_MIN, Rgba, TextStyle, contrast
from client_demo.shop.ui import Ui
from client_demo.shop.widgets import (
    Button,
    Column,
    Fill,
    Gap,
    Icon,
    IconButton,
    Pressable,
    Row,
    Surface,
    Text,
    paint,
)
from zuruf import Button as MessageButton

PICTURE_HEIGHT_MIN = 240
TEXT_WIDTH_MAX = 520
"""Lines of a full screen are no longer than that, in dp."""
SIDE_BY_SIDE_FROM = 640
"""A card that is at least that wide, in dp, has its picture beside the text."""
BANNER_LINES, BANNER_BUTTONS = 5, 2
"""Lines of the title, and of the body; a banner must not become a page."""
ROW_LABELS_MAX = 44
"""Characters of all labels together, up to which buttons stand side by side."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every panel is made from."""

    ui: Ui
    pictures: Pictures
    presentation: Presentation
    on_button: Callable[[MessageButton], object]
    on_close: Callable[[], object]

    def close_button(self, *, on_picture: bool = False) -> IconButton:
        """Make the button that closes; on a picture it stands on a ground of its own."""
        look = self.presentation.look
        return IconButton(
            self.ui,
            "x",
            self.ui.t("overlay.close"),
            self.on_close,
            colour="text" if on_picture else look.muted,
            ground="surface" if on_picture else None,
            icon_size=20,
            focus_key="overlay.close",
        )

    def title(self, style: TextStyle = "title", **options: Any) -> Text:
        return Text(
            self.ui, self.presentation.title, style, colour=self.presentation.look.ink, **options
        )

    def body(self, **options: Any) -> Text:
        return Text(
            self.ui, self.presentation.body, "body", colour=self.presentation.look.muted, **options
        )

    def words(
        self, style: TextStyle = "title", *, spacing: float = theme.S, **options: Any
    ) -> Column:
        """Make title and body, of which each may be missing."""
        column = Column(self.ui, spacing=spacing)
        if self.presentation.title:
            column.add_widget(self.title(style, **options))
        if self.presentation.body:
            column.add_widget(self.body(**options))
        return column

    def icon(self, size: float = 48) -> Widget | None:
        """Make the icon in its round ground; None when the message names none that there is."""
        from client_demo.shop.widgets.icons import GLYPHS  # noqa: PLC0415 - the one place that asks

        name = self.presentation.icon
        if name is None or name not in GLYPHS:
            return None
        return halo(self.ui, name, size, ground=self._soft(), ink=self.presentation.look.ink)

    def buttons(self, *, side_by_side: bool = False) -> list[Button]:
        """Make the buttons: the first is the one that counts."""
        return [
            self.button(button, is_first=i == 0, wide=not side_by_side)
            for i, button in enumerate(self.presentation.buttons)
        ]

    def button(self, button: MessageButton, *, is_first: bool, wide: bool = False) -> Button:
        look = self.presentation.look
        label = button.label or self.ui.t(f"overlay.button.{button.id}")
        quiet = look.accent if contrast(look.accent, look.ground) >= CONTRAST_MIN else look.ink
        return Button(
            self.ui,
            label,
            lambda: self.on_button(button),
            kind="filled" if is_first else "plain",
            ground=look.accent if is_first else None,
            ink=look.on_accent if is_first else quiet,
            wide=wide,
            focus_key=f"overlay.{button.id}",
            prefers_focus=is_first,
        )

    def _soft(self) -> Rgba:
        if not self.presentation.is_own:
            return self.ui.colour("primary_soft")
        return (*self.presentation.look.ink[:3], 0.12)


def halo(ui: Ui, icon: str, size: float, *, ground: Rgba, ink: Rgba) -> Widget:
    """An icon in the middle of a round ground; `size` in dp."""
    edge = ui.dp(size)
    box = RelativeLayout(size_hint=(None, None), size=(edge, edge))
    paint.area(box.canvas.before, ground, edge / 2).place(0, 0, edge, edge)
    mark = Icon(ui, icon, size * 0.5, colour=ink)
    mark.center = (edge / 2, edge / 2)
    box.add_widget(mark)
    return box


class TimeLine(Widget):
    """A thin line that gets shorter: the time that is left."""

    left = NumericProperty(1.0)
    """The share that is left, 1 to 0."""

    def __init__(self, ui: Ui, colour: Rgba) -> None:
        super().__init__(size_hint_y=None, height=ui.dp(3))
        self._track = paint.area(self.canvas, (*colour[:3], 0.18), ui.dp(1.5))
        self._bar = paint.area(self.canvas, colour, ui.dp(1.5))
        self.bind(pos=self._draw, size=self._draw, left=self._draw)

    def _draw(self, *_: Any) -> None:
        self._track.place(self.x, self.y, self.width, self.height)
        self._bar.place(self.x, self.y, max(self.height, self.width * self.left), self.height)


class Banner(Surface):
    """A strip at the top. Pressing it is pressing its first button."""

    def __init__(self, parts: Parts) -> None:
        ui, presentation = parts.ui, parts.presentation
        row = Row(ui, spacing=theme.M, padding=(theme.M, theme.M, 0, theme.S))
        if presentation.image is not None:
            edge = ui.dp(56)
            picture = Picture(
                ui,
                parts.pictures,
                presentation.image,
                corners=all_round(theme.CORNER_S),
                on_missing=lambda: row.remove_widget(picture),
                size_hint=(None, None),
                size=(edge, edge),
            )
            row.add_widget(picture)
        elif (icon := parts.icon(44)) is not None:
            row.add_widget(icon)
        else:
            row.add_widget(Gap(ui, theme.XS))
        row.add_widget(parts.words("subtitle", spacing=2, lines=BANNER_LINES))
        row.add_widget(parts.close_button())
        column = Column(ui, row, spacing=0)
        if presentation.buttons:
            shown = presentation.buttons[:BANNER_BUTTONS]
            in_a_row = _fit_in_a_row(shown)
            buttons = [parts.button(one, is_first=False, wide=not in_a_row) for one in shown]
            actions = (
                Row(ui, Fill(size_hint_y=None, height=0), *buttons, spacing=theme.S)
                if in_a_row
                else Column(ui, *buttons, spacing=theme.XS)
            )
            column.add_widget(Column(ui, actions, padding=(theme.M, 0, theme.M, theme.XS)))
        self.time = TimeLine(ui, presentation.look.accent)
        column.add_widget(Column(ui, self.time, padding=(theme.M, 0, theme.M, theme.S)))
        super().__init__(
            ui, column, colour=presentation.look.ground, raised=True, radius=theme.CORNER_M
        )


class Sheet(Surface):
    """A card at the lower edge: on a phone from edge to edge, elsewhere as wide as a hand."""

    def __init__(self, parts: Parts, width: float, height_max: float, *, to_the_edge: bool) -> None:
        ui, presentation = parts.ui, parts.presentation
        beside = width >= SIDE_BY_SIDE_FROM
        pad = theme.L if to_the_edge else theme.XL
        has_picture_above = presentation.image is not None and not beside
        clear = 0 if has_picture_above else theme.TARGET
        texts = Column(ui, Column(ui, parts.words(), padding=(0, 0, clear, 0)), spacing=theme.L)
        if presentation.buttons:
            texts.add_widget(_actions(parts, side_by_side=not to_the_edge))
        foot = pad + theme.CORNER_L if to_the_edge else pad
        inner: Widget = Column(
            ui, texts, padding=(pad, pad if not to_the_edge else theme.L, pad, foot)
        )
        if presentation.image is not None and beside:
            inner = _beside(parts, inner, share=0.36)
        elif presentation.image is not None:
            column = Column(ui, spacing=theme.XS)
            _picture_above(
                parts, column, width, ratio=2.1, corners=(theme.CORNER_L, theme.CORNER_L, 0, 0)
            )
            column.add_widget(inner)
            inner = column
        elif to_the_edge:
            grip = Column(ui, _grip(ui), padding=(0, theme.S, 0, 0))
            inner = Column(ui, grip, inner, spacing=0)
        super().__init__(
            ui,
            _fitting(ui, inner, height_max),
            colour=presentation.look.ground,
            raised=True,
            radius=theme.CORNER_L,
        )
        _finish(self, parts, on_picture=has_picture_above)


class Dialog(Surface):
    """A card in the middle."""

    def __init__(self, parts: Parts, width: float, height_max: float) -> None:
        ui, presentation = parts.ui, parts.presentation
        beside = width >= SIDE_BY_SIDE_FROM and presentation.image is not None
        align = "left" if beside else "center"
        words = parts.words("headline" if beside else "title", align=align)
        texts = Column(ui, spacing=theme.L, padding=theme.XL)
        if (icon := parts.icon(64)) is not None:
            if not beside:
                icon.pos_hint = {"center_x": 0.5}
            texts.add_widget(icon)
        elif presentation.image is None or beside:
            # The close button stands above the text, not beside it.
            texts.padding = [ui.dp(side) for side in (theme.XL, theme.XXL, theme.XL, theme.XL)]
        texts.add_widget(words)
        if presentation.buttons:
            texts.add_widget(_actions(parts, side_by_side=False))
        inner: Widget = texts
        if beside:
            inner = _beside(parts, texts, share=0.44)
        elif presentation.image is not None:
            column = Column(ui, spacing=0)
            _picture_above(
                parts, column, width, ratio=1.6, corners=(theme.CORNER_L, theme.CORNER_L, 0, 0)
            )
            column.add_widget(texts)
            inner = column
        super().__init__(
            ui,
            _fitting(ui, inner, height_max),
            colour=presentation.look.ground,
            raised=True,
            radius=theme.CORNER_L,
        )
        _finish(self, parts, on_picture=presentation.image is not None and not beside)


class FullScreen(RelativeLayout):
    """The whole screen: a large picture, and above or beside it what there is to say."""

    def __init__(self, parts: Parts) -> None:
        ui, presentation = parts.ui, parts.presentation
        super().__init__()
        layout = ui.layout
        with self.canvas.before:
            Color(*presentation.look.ground)
            ground = Rectangle()
        self.bind(size=lambda *_: setattr(ground, "size", self.size))
        has_picture = presentation.image is not None
        beside = layout.is_landscape and has_picture
        across, down = layout.overscan
        texts = Column(ui, spacing=theme.L)
        if (icon := parts.icon(64)) is not None:
            if not beside:
                icon.pos_hint = {"center_x": 0.5}
            texts.add_widget(icon)
        texts.add_widget(
            parts.words("display", spacing=theme.M, align="left" if beside else "center")
        )
        actions = _actions(parts, side_by_side=False)
        frame = BoxLayout(orientation="horizontal" if beside else "vertical")
        side = theme.XXL if beside else max(theme.XL, (layout.width - TEXT_WIDTH_MAX) / 2)
        block = BoxLayout(
            orientation="vertical",
            spacing=ui.dp(theme.XL),
            padding=[
                ui.dp(edge)
                for edge in (side, theme.XL, side + (across if beside else 0), theme.XL + down)
            ],
            size_hint=(0.46, 1) if beside else (1, 0.5),
        )
        fitting = Fitting(ui, texts)
        # In the middle where there is room; on a phone the buttons are where the thumb is.
        in_the_middle = layout.is_landscape
        if in_the_middle or not has_picture:
            block.add_widget(Widget())
        block.add_widget(fitting)
        if not in_the_middle:
            block.add_widget(Widget())
        block.add_widget(actions)
        if in_the_middle:
            block.add_widget(Widget())

        def limit(*_: Any) -> None:
            fitting.limit = max(ui.dp(80), block.height - actions.height - ui.dp(4 * theme.XL))

        block.bind(height=limit)
        actions.bind(height=limit)
        if presentation.image is not None:
            picture = Picture(
                ui,
                parts.pictures,
                presentation.image,
                corners=all_round(0),
                on_missing=lambda: frame.remove_widget(picture),
                size_hint=(0.54, 1) if beside else (1, 0.5),
            )
            frame.add_widget(picture)
        frame.add_widget(block)
        if not has_picture:
            block.size_hint = (1, 1)
        self.add_widget(frame)
        self.add_widget(
            _corner(ui, parts.close_button(on_picture=not beside and has_picture), across, down)
        )


class InlineCard(Pressable):
    """A card among the content of a screen. Pressing it is pressing its first button."""

    def __init__(self, parts: Parts, width: float) -> None:
        ui, presentation = parts.ui, parts.presentation
        first = presentation.buttons[0] if presentation.buttons else None
        super().__init__(
            ui,
            None if first is None else lambda: parts.on_button(first),
            radius=theme.CORNER_L,
            focus_key="inline.card",
            accessible_name=presentation.title,
            size_hint_y=None,
        )
        self.is_focusable = first is not None
        wide = width >= SIDE_BY_SIDE_FROM
        words = parts.words("headline" if wide else "title", spacing=theme.XS)
        texts = Column(
            ui,
            words,
            spacing=theme.M,
            padding=(theme.XL if wide else theme.L, theme.L, theme.XXL + theme.S, theme.L),
        )
        if first is not None:
            call = Row(ui, spacing=theme.XS, hug=True)
            look = presentation.look
            ink = look.accent if contrast(look.accent, look.ground) >= CONTRAST_MIN else look.ink
            call.add_widget(Text(ui, first.label, "label", colour=ink, wrap=False))
            call.add_widget(Icon(ui, "arrow-right", 18, colour=ink))
            texts.add_widget(call)
        inner: Widget = texts
        if presentation.image is not None:
            inner = _beside(parts, texts, share=0.34, height_min=150 if wide else 0, width_max=220)
        elif (icon := parts.icon(48)) is not None:
            inner = Row(ui, icon, texts, spacing=0, padding=(theme.L, 0, 0, 0))
        own = presentation.look.ground if presentation.is_own else ui.colour("primary_soft")
        surface = Surface(ui, inner, colour=own, radius=theme.CORNER_L)
        self.add_widget(surface)
        surface.bind(height=self.setter("height"))
        self.height = surface.height
        close = IconButton(
            ui,
            "x",
            ui.t("overlay.close"),
            parts.on_close,
            colour=presentation.look.ink,
            icon_size=18,
            focus_key="inline.close",
        )
        close.pos_hint = {"right": 1, "top": 1}
        self.add_widget(close)

    def on_touch_down(self, touch: Any) -> bool:
        # The close button lies on the card; it comes first.
        close = self.children[0]
        inside = self.to_widget(*touch.pos) if self.parent is None else self.to_local(*touch.pos)
        if close.collide_point(*inside):
            return bool(RelativeLayout.on_touch_down(self, touch))
        return bool(super().on_touch_down(touch))


def _finish(panel: Surface, parts: Parts, *, on_picture: bool) -> None:
    """Put the close button into the corner, and a line around that smooths the corners of a picture."""
    ui = parts.ui
    if parts.presentation.image is not None:
        above = InstructionGroup()
        edge = paint.border(
            above, parts.presentation.look.ground, ui.dp(theme.CORNER_L), max(1, ui.dp(0.75))
        )
        panel.canvas.after.insert(0, above)
        panel.bind(size=lambda *_: edge.place(0, 0, *panel.size))
    panel.add_widget(_corner(ui, parts.close_button(on_picture=on_picture)))


def _corner(ui: Ui, button: IconButton, across: float = 0, down: float = 0) -> Widget:
    """Place a button in the upper right corner of a panel, `across` and `down` dp further in."""
    holder = Column(
        ui,
        button,
        padding=(0, theme.S + down, theme.S + across, 0),
        size_hint_x=None,
        width=button.width + ui.dp(theme.S + across),
    )
    holder.pos_hint = {"right": 1, "top": 1}
    return holder


def _actions(parts: Parts, *, side_by_side: bool) -> Widget:
    ui = parts.ui
    side_by_side = side_by_side and _fit_in_a_row(parts.presentation.buttons)
    buttons = parts.buttons(side_by_side=side_by_side)
    if side_by_side:
        return Row(ui, *buttons, Fill(size_hint_y=None, height=0), spacing=theme.S)
    return Column(ui, *buttons, spacing=theme.XS)


def _fit_in_a_row(buttons: Sequence[MessageButton]) -> bool:
    return sum(len(button.label) for button in buttons) <= ROW_LABELS_MAX


def _picture_above(
    parts: Parts,
    column: Column,
    width: float,
    *,
    ratio: float,
    corners: tuple[float, float, float, float],
) -> None:
    ui, image = parts.ui, parts.presentation.image
    assert image is not None
    holder = Column(ui, spacing=0)
    picture = Picture(
        ui,
        parts.pictures,
        image,
        corners=corners,
        # Room for the close button stays.
        on_missing=lambda: (holder.clear_widgets(), holder.add_widget(Gap(ui, theme.XL))),
        size_hint_y=None,
        height=ui.dp(width / ratio),
    )
    holder.add_widget(picture)
    column.add_widget(holder)


def _beside(
    parts: Parts,
    texts: Widget,
    *,
    share: float,
    height_min: float = PICTURE_HEIGHT_MIN,
    width_max: float = 1000,
) -> Widget:
    """Put the picture to the left of the text: as high as that is, and at least `height_min` dp.

    It takes its `share` of the width, but not more than `width_max` dp.
    """
    ui, image = parts.ui, parts.presentation.image
    assert image is not None
    row = BoxLayout(size_hint_y=None)
    radius = theme.CORNER_L
    picture = Picture(
        ui,
        parts.pictures,
        image,
        corners=(radius, 0, 0, radius),
        on_missing=lambda: row.remove_widget(picture),
        size_hint_x=None,
    )
    centre = RelativeLayout()
    texts.pos_hint = {"center_y": 0.5}
    centre.add_widget(texts)
    row.add_widget(picture)
    row.add_widget(centre)

    def fit(*_: Any) -> None:
        picture.width = min(share * row.width, ui.dp(width_max))
        row.height = max(texts.height, ui.dp(height_min) if picture.parent is row else 0)

    texts.bind(height=fit)
    row.bind(width=fit)
    fit()
    return row


def _fitting(ui: Ui, content: Widget, limit: float) -> Widget:
    fitting = Fitting(ui, content)
    fitting.limit = limit
    return fitting


def _grip(ui: Ui) -> Widget:
    grip = Widget(size_hint=(None, None), size=(ui.dp(36), ui.dp(4)), pos_hint={"center_x": 0.5})
    shape = paint.area(grip.canvas, (*ui.colour("muted")[:3], 0.45), ui.dp(2))
    grip.bind(pos=lambda *_: shape.place(*grip.pos, *grip.size))
    return grip
