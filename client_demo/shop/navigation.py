"""Where one is in the app, and the way back. No window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode, urlsplit

from client_demo.shop.observable import Signal

SCHEME = "shop"
TABS: tuple[str, ...] = ("home", "catalogue", "basket", "inbox", "profile")
"""The entries of the main menu, in their order."""
SCREENS: tuple[str, ...] = (
    *TABS,
    "product",
    "checkout",
    "confirmation",
    "consent",
    "settings",
    "support",
    "developer",
)


@dataclass(frozen=True, slots=True)
class Route:
    """One place: the name of a screen and what it is about, as texts."""

    screen: str
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def tab(self) -> str | None:
        return self.screen if self.screen in TABS else None

    def url(self) -> str:
        """Write it as the deep link that leads there."""
        if self.screen == "product":
            return f"{SCHEME}://product/{self.params['id']}"
        query = urlencode(self.params)
        return f"{SCHEME}://{self.screen}" + (f"?{query}" if query else "")


def route(screen: str, **params: str) -> Route:
    """Make a route; KeyError when there is no such screen."""
    if screen not in SCREENS:
        raise KeyError(screen)
    return Route(screen, MappingProxyType(params))


def route_of(url: str) -> Route | None:
    """Read a deep link: `shop://product/arc-lamp`, `shop://catalogue?category=lamps`, `shop://basket`.

    None when the app has no such place: links come from outside, and the app stays where it is.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
    except ValueError:
        return None
    if parts.scheme != SCHEME:
        return None
    segments = [part for part in (parts.netloc, *parts.path.split("/")) if part]
    if not segments or segments[0] not in SCREENS:
        return None
    screen = segments[0]
    if screen == "product":
        return route("product", id=segments[1]) if len(segments) == 2 else None
    if screen == "catalogue" and len(segments) == 2:
        query["category"] = segments[1]
    return Route(screen, MappingProxyType(query))


class Navigator:
    """The stack of places. The lowest one is always a tab."""

    def __init__(self, start: Route | None = None) -> None:
        self._stack: list[Route] = [Route("home")]
        self.changed = Signal()
        if start is not None and start != self._stack[0]:
            self._enter(start)

    @property
    def current(self) -> Route:
        return self._stack[-1]

    @property
    def tab(self) -> str:
        """Name the entry of the main menu that one is under."""
        return self._stack[0].screen

    @property
    def depth(self) -> int:
        return len(self._stack)

    def go(self, target: Route) -> None:
        """Go somewhere: a tab starts a new stack, anything else comes on top."""
        if target == self.current:
            return
        self._enter(target)
        self.changed()

    def replace(self, target: Route) -> None:
        """Go somewhere without a way back to where one was: after an order, say."""
        self._stack.pop()
        if not self._stack:
            self._stack = [Route("home")]
        self._enter(target)
        self.changed()

    def back(self) -> bool:
        """Go one step back; False when there is none, and the app may close."""
        if len(self._stack) > 1:
            self._stack.pop()
        elif self.tab != "home":
            self._stack = [Route("home")]
        else:
            return False
        self.changed()
        return True

    def follow(self, url: str) -> bool:
        """Go where a deep link leads; False when it leads nowhere."""
        target = route_of(url)
        if target is None:
            return False
        self.go(target)
        return True

    def urls(self) -> list[str]:
        """Write the stack down, to be restored by `restore`."""
        return [entry.url() for entry in self._stack]

    def restore(self, urls: list[str]) -> None:
        """Take up a stack that was written down. What the app no longer has is left out."""
        routes = [found for url in urls if (found := route_of(url)) is not None]
        if routes and routes[0].tab is not None:
            self._stack = routes
            self.changed()

    def _enter(self, target: Route) -> None:
        if target.tab is not None:
            self._stack = [target]
        else:
            self._stack.append(target)
