"""What a button of a message does. The decision is a value; `Doer` says who carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

EVENT_NAME_MAX = 128
OPENABLE = frozenset({"https", "http", "mailto", "tel"})
"""Schemes of addresses that are handed to the system. Nothing else leaves the app."""
WITH_HOST = frozenset({"https", "http"})
URL_BYTES_MAX = 2048
"""What the protocol allows, and what still fits into a QR code."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Only close: `dismiss`, and every action that this version does not know."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Go to a place in the app."""

    url: str


@dataclass(frozen=True, slots=True)
class Open:
    """Open an address outside of the app."""

    url: str


@dataclass(frozen=True, slots=True)
class Track:
    """Record an event."""

    name: str
    props: Mapping[str, object]


Deed = Nothing | Follow | Open | Track


class Doer(Protocol):
    """Who carries out what a button asks for."""

    def follow(self, url: str) -> bool:
        """Go to a place in the app; False when there is no such place."""

    def open_url(self, url: str) -> bool:
        """Open an address; False when this device has nothing to open it with."""

    def track(self, name: str, props: Mapping[str, object]) -> object:
        """Record an event."""

    def show_code(self, url: str) -> None:
        """Show an address as a QR code, for somebody to open it on a phone."""


def deed_of(action: Mapping[str, object]) -> Deed:
    """Read an action of the protocol. What comes from outside may be wrong in any way: then Nothing."""
    url, name = action.get("url"), action.get("name")
    match action.get("type"):
        case "deep_link" if isinstance(url, str):
            return Follow(url)
        case "open_url" if isinstance(url, str) and _is_openable(url):
            return Open(url)
        case "event" if isinstance(name, str) and 0 < len(name) <= EVENT_NAME_MAX:
            props = action.get("props")
            return Track(name, props if isinstance(props, Mapping) else {})
        case _:
            return Nothing()


def carry_out(deed: Deed, doer: Doer, *, is_tv: bool) -> None:
    """Do it. A television has no browser to speak of: it shows addresses as QR codes."""
    match deed:
        case Follow(url):
            doer.follow(url)
        case Open(url):
            if is_tv or not doer.open_url(url):
                doer.show_code(url)
        case Track(name, props):
            doer.track(name, props)
        case Nothing():
            pass


def _is_openable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        size = len(url.encode())
    except ValueError:
        return False
    if size > URL_BYTES_MAX or not url.isprintable() or " " in url:
        return False
    rest = parts.netloc if parts.scheme in WITH_HOST else parts.path
    return parts.scheme in OPENABLE and bool(rest)
