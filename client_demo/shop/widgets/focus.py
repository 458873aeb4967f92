"""The focus on the screen: which widget has it, its ring, and the keys that move it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import ReferenceType, ref

from kivy.clock import Clock
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from client_demo.shop.focus import HAT, KEYS, Action, Box, Direction, nearest
from client_demo.shop.widgets.controls import Pressable

REVEAL_MARGIN = 24
"""What is kept free around a widget that is brought into view, in dp."""


class Layer:
    """One storey of the screen: the app itself, or something that lies on top of it.

    A layer that traps keeps the focus inside. `close` is what Back does; None leaves Back to the app.
    """

    def __init__(
        self, root: Widget, *, close: Callable[[], None] | None = None, traps: bool = True
    ) -> None:
        self.root = root
        self.close = close
        self.traps = traps
        self.focused: ReferenceType[Any] | None = None
        self.key = ""
        """What the widget with the focus is called, for when it is built anew."""


class Focus:
    """Moves the focus in the topmost layer that traps; restores it when the layer goes.

    The ring is visible from the first key on and until the next touch; on television always.
    """

    def __init__(self, *, always_visible: bool, margin: float, back: Callable[[], bool]) -> None:
        self._layers: list[Layer] = []
        self._always = always_visible
        self._margin = margin
        self._back = back
        self.is_visible = always_visible

    # Layers

    def push(self, layer: Layer, first: Widget | None = None) -> None:
        """Put a layer on top; the focus goes to `first`, or to its first focusable widget."""
        self._unmark()
        self._layers.append(layer)
        if not layer.traps:
            self._mark(reveals=False)
        elif first is not None:
            self.set(first)
        elif self.is_visible:
            # Positions are known after the next layout only.
            Clock.schedule_once(lambda _: self._enter(layer), 0)

    def pop(self, layer: Layer) -> None:
        """Take a layer away; the focus goes back to where it was below."""
        if layer not in self._layers:
            return
        self._unmark()
        self._layers.remove(layer)
        self.restore()
        self._mark()

    def restore(self) -> None:
        """Give the focus to the widget that is called as the one that had it, if that was built anew."""
        layer = self.layer
        if layer is not None and layer.key and self.current is None:
            self.set_by_key(layer.key)

    @property
    def layer(self) -> Layer | None:
        """The layer that keys go to."""
        for layer in reversed(self._layers):
            if layer.traps:
                return layer
        return None

    @property
    def current(self) -> Any:
        """The widget with the focus; None when there is none or it has left the screen."""
        layer = self.layer
        widget = None if layer is None or layer.focused is None else layer.focused()
        if widget is None or not any(self._is_inside(widget, root) for root in self._roots()):
            return None
        return widget

    def candidates(self) -> list[Any]:
        """Every widget that can have the focus, in the order of the tree.

        Those of the current layer, and of what lies above it without trapping: a banner can be reached.
        """
        return [widget for root in self._roots() for widget in focusable(root)]

    def _roots(self) -> list[Widget]:
        layer = self.layer
        if layer is None:
            return []
        return [one.root for one in self._layers[self._layers.index(layer) :]]

    # Moving

    def set(self, widget: Any, *, reveals: bool = True) -> None:
        """Give the focus to a widget, and bring it into view."""
        layer = self.layer
        if layer is None:
            return
        self._unmark()
        layer.focused = ref(widget)
        if self._is_inside(widget, layer.root):
            # Not in a banner: when that goes, the focus goes back to where it was before.
            layer.key = widget.focus_key
        self._mark(reveals=reveals)

    def set_by_key(self, key: str) -> bool:
        """Focus the widget with this `focus_key`; False when there is none on the screen."""
        for widget in self.candidates():
            if widget.focus_key == key:
                self.set(widget)
                return True
        return False

    def first(self, within: Any = None) -> None:
        """Focus the first widget that prefers it, or else the first; by choice within a part only."""
        found = self.candidates() if within is None else list(focusable(within))
        if found:
            # In the order of the tree: where they stand is not known before the first frame. And nothing
            # scrolls: at the start of a screen one wants to see its beginning.
            preferred = next((widget for widget in found if widget.prefers_focus), found[0])
            self.set(preferred, reveals=False)

    def move(self, direction: Direction, *, reveals: bool = True) -> bool:
        """Go to the neighbour in a direction; False when there is none."""
        current = self.current
        if current is None:
            self.first()
            return self.current is not None
        others = [widget for widget in self.candidates() if widget is not current]
        here = box_of(current)
        chosen = nearest(here, direction, ((i, box_of(widget)) for i, widget in enumerate(others)))
        if direction == "up" and (chosen is None or _is_aside(here, box_of(others[chosen]))):
            # Nothing is straight above: then what has come in at the top is nearer than what is beside.
            banner = self._above(current)
            found = nearest(here, direction, ((i, box_of(one)) for i, one in enumerate(banner)))
            if found is None and chosen is None and banner:
                # It lies over what has the focus: then none of it is higher up.
                found = 0
            others, chosen = (others, chosen) if found is None else (banner, found)
        if chosen is None:
            return False
        self.set(others[chosen], reveals=reveals)
        return True

    def _above(self, current: Any) -> list[Any]:
        """Give what can have the focus in the layers above that do not trap, if `current` is below them."""
        layer = self.layer
        if layer is None or not self._is_inside(current, layer.root):
            return []
        return [widget for root in self._roots()[1:] for widget in focusable(root)]

    def act(self, action: Action) -> bool:
        """Do what a key asks for; True when that was something."""
        if action == "back":
            layer = self.layer
            if layer is not None and layer.close is not None:
                layer.close()
                return True
            return self._back()
        was_visible, self.is_visible = self.is_visible, True
        current = self.current
        if not was_visible and current is not None:
            self._mark()
            return True
        if action == "enter":
            if current is None:
                self.first()
            else:
                current.activate()
            return True
        if current is not None and current.take_key(action):
            return True
        self.move(action)
        return True

    def on_key(self, window: Any, key: int, *_: Any) -> bool:
        """A listener for `Window.on_key_down`."""
        action = KEYS.get(key)
        return False if action is None else self.act(action)

    def on_hat(self, window: Any, stick: int, hat: int, value: tuple[int, int]) -> bool:
        """A listener for `Window.on_joy_hat`."""
        direction = HAT.get((value[0], value[1]))
        return False if direction is None else self.act(direction)

    def on_touch(self, *_: Any) -> None:
        """Fingers need no ring."""
        if not self._always and self.is_visible:
            self._unmark()
            self.is_visible = False

    # Ring

    def _enter(self, layer: Layer) -> None:
        if layer in self._layers and self.layer is layer and self.current is None:
            self.first()

    def _mark(self, *, reveals: bool = True) -> None:
        current = self.current
        if current is None or not self.is_visible:
            return
        current.has_focus = True
        if not reveals:
            return
        parent = current.parent
        while parent is not None and parent is not parent.parent:
            if isinstance(parent, ScrollView) and hasattr(parent, "reveal"):
                parent.reveal(current, self._margin)
            parent = parent.parent

    def _unmark(self) -> None:
        for layer in self._layers:
            widget = None if layer.focused is None else layer.focused()
            if widget is not None:
                widget.has_focus = False

    @staticmethod
    def _is_inside(widget: Any, root: Widget) -> bool:
        while widget is not None:
            if widget is root:
                return True
            parent = widget.parent
            widget = None if parent is widget else parent
        return False


def _is_aside(start: Box, box: Box) -> bool:
    return box.x >= start.right or box.right <= start.x


def focusable(root: Any) -> Iterator[Any]:
    """Walk the widgets below `root` that can have the focus now."""
    if root.disabled or root.opacity == 0:
        return
    # Kivy's own fields say `is_focusable` as well, and mean the keyboard.
    if isinstance(root, Pressable) and root.is_focusable:
        yield root
    for child in reversed(root.children):
        yield from focusable(child)


def box_of(widget: Any) -> Box:
    x, y = widget.to_window(widget.x, widget.y)
    return Box(x, y, widget.width, widget.height)
