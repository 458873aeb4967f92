"""What devices send: registrations and batches of realistic events, the same ones for a same seed.

`BatchTemplate` renders a batch once and splices fresh ids into the bytes afterwards, so that a load
generator that shares the machine with the server spends a few microseconds on a batch of 50.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import secrets
import time
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

SDK = {"name": "zuruf-loadtests", "version": "1.0.0"}
TRIGGER_EVENT = "loadtest_trigger"

# Stands for the eight hex digits that make an id of a template unique.
_HOLE = b"@@@@@@@@"
_ID_WITH_HOLE = re.compile("@{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}@{8}")


@dataclass(frozen=True, slots=True)
class Model:
    """A device as shops and stadiums see it: maker, model, operating system, screen."""

    platform: str
    manufacturer: str
    model: str
    os_version: str
    screen: tuple[int, int, float]


PHONES = (
    Model("ios", "Apple", "iPhone 17 Pro", "26.1", (1206, 2622, 3.0)),
    Model("ios", "Apple", "iPhone 15", "18.7", (1179, 2556, 3.0)),
    Model("android", "Google", "Pixel 8", "15", (1080, 2400, 2.6)),
    Model("android", "Samsung", "SM-S931B", "16", (1080, 2340, 3.0)),
    Model("android", "Xiaomi", "23124RA7EO", "14", (1080, 2400, 2.75)),
)
TABLETS = (
    Model("ios", "Apple", "iPad Air 11", "26.0", (1640, 2360, 2.0)),
    Model("android", "Samsung", "SM-X710", "15", (1600, 2560, 2.0)),
    Model("android", "Lenovo", "TB370FU", "14", (1600, 2560, 2.0)),
)
TELEVISIONS = (
    Model("tvos", "Apple", "Apple TV 4K", "26.1", (3840, 2160, 2.0)),
    Model("androidtv", "Sony", "BRAVIA XR-55A80L", "12", (3840, 2160, 2.0)),
    Model("firetv", "Amazon", "AFTKRT", "8", (3840, 2160, 2.0)),
    Model("tizen", "Samsung", "QE55S90D", "8.0", (3840, 2160, 1.0)),
    Model("webos", "LG", "OLED55C4", "24", (3840, 2160, 1.0)),
)
FLEET = {"phone": PHONES, "tablet": TABLETS, "tv": TELEVISIONS}

_PLACES = (
    ("de-DE", "Europe/Berlin"),
    ("en-GB", "Europe/London"),
    ("en-US", "America/New_York"),
    ("es-MX", "America/Mexico_City"),
    ("ja-JP", "Asia/Tokyo"),
    ("pt-BR", "America/Sao_Paulo"),
)
_CATEGORIES = ("shoes", "jackets", "audio", "kitchen", "garden", "books", "toys", "cycling")
_SCREENS = ("home", "category", "product", "cart", "checkout", "account", "search", "orders")
_SEARCHES = ("running shoes", "rain jacket", "headphones", "espresso", "bike light", "lego")
_TITLES = ("Nordlicht", "The Long Field", "Harbour 9", "Zugvögel", "Kitchen Wars", "Orbit")


def registration(source: random.Random, form_factor: str) -> Json:
    model = source.choice(FLEET[form_factor])
    locale, timezone = source.choice(_PLACES)
    width, height, density = model.screen
    return {
        "install_id": _uuid(source),
        "platform": model.platform,
        "form_factor": form_factor,
        "device": {
            "manufacturer": model.manufacturer,
            "model": model.model,
            "os_version": model.os_version,
            "app_version": f"3.{source.randrange(6)}.{source.randrange(10)}",
            "locale": locale,
            "timezone": timezone,
            "screen": {"width": width, "height": height, "density": density},
        },
        "sdk": SDK,
    }


def batch(
    source: random.Random,
    *,
    form_factor: str = "phone",
    events: int = 50,
    now_ms: int | None = None,
    session_id: str | None = None,
) -> Json:
    """One upload of events that happened in the half minute before `now_ms`."""
    sent_at = now_ms if now_ms is not None else int(time.time() * 1000)
    session = session_id or _uuid(source)
    happened = sorted(sent_at - source.randrange(30_000) for _ in range(events))
    return {
        "batch_id": _uuid(source),
        "sent_at": sent_at,
        "events": [event(source, form_factor, at_ms, session) for at_ms in happened],
    }


def event(source: random.Random, form_factor: str, at_ms: int, session_id: str) -> Json:
    kind, name, props = _happening(source, form_factor)
    return {
        "id": _uuid(source),
        "type": kind,
        "name": name,
        "ts": at_ms,
        "session_id": session_id,
        "props": props,
    }


def trigger(source: random.Random, now_ms: int | None = None) -> Json:
    """A batch with the one event that the benchmark's own journey reacts to."""
    at_ms = now_ms if now_ms is not None else int(time.time() * 1000)
    happened = {
        "id": _uuid(source),
        "type": "track",
        "name": TRIGGER_EVENT,
        "ts": at_ms,
        "session_id": _uuid(source),
        "props": {"amount": round(source.uniform(100, 500), 2), "currency": "EUR"},
    }
    return {"batch_id": _uuid(source), "sent_at": at_ms, "events": [happened]}


def message_shown(source: random.Random, message_id: str) -> Json:
    at_ms = int(time.time() * 1000)
    happened = {
        "id": _uuid(source),
        "type": "message",
        "name": "message_shown",
        "ts": at_ms,
        "props": {"message_id": message_id},
    }
    return {"batch_id": _uuid(source), "sent_at": at_ms, "events": [happened]}


def encode(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def compress(body: bytes) -> bytes:
    """gzip as the SDK does it: the standard library, its default level."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


class BatchTemplate:
    """A batch whose ids are completed when it is sent; every rendering has the same length."""

    __slots__ = ("_between_ids", "_text", "length")

    def __init__(self, source: random.Random, form_factor: str = "phone", events: int = 50) -> None:
        body = batch(source, form_factor=form_factor, events=events)
        body["batch_id"] = _id_with_hole(source, 0xFFFF)
        for number, happened in enumerate(body["events"]):
            happened["id"] = _id_with_hole(source, number)
        self._text = encode(body)
        self._between_ids = _ID_WITH_HOLE.split(self._text.decode())
        self.length = len(self._text)

    def render(self, serial: bytes) -> bytes:
        """Ids that differ in the serial only: what is cheapest to make."""
        return self._text.replace(_HOLE, serial)

    def render_random(self, at_ms: int) -> bytes:
        """Ids as an SDK makes them, a time and then random (UUID version 7).

        They decide how well a body can be compressed.
        """
        time = f"{at_ms:012x}"
        texts = self._between_ids
        digits = os.urandom(16 * len(texts)).hex()
        parts = [texts[0]]
        for number, text in enumerate(texts[1:]):
            d = digits[32 * number : 32 * number + 32]
            parts.append(f"{time[:8]}-{time[8:]}-7{d[13:16]}-a{d[17:20]}-{d[20:]}{text}")
        return "".join(parts).encode()


def serials() -> Iterator[bytes]:
    """Eight hex digits each, never the same twice; starts anywhere, so that two runs differ."""
    for number in itertools.count(secrets.randbits(31)):
        yield b"%08x" % (number & 0xFFFFFFFF)


def _happening(source: random.Random, form_factor: str) -> tuple[str, str, Json]:
    if form_factor == "tv" and source.random() < 0.7:
        title = source.choice(_TITLES)
        props = {
            "title": title,
            "season": source.randrange(1, 6),
            "episode": source.randrange(1, 13),
            "position_s": source.randrange(3_000),
            "bitrate_kbps": source.choice((4_800, 8_500, 16_000)),
        }
        return "track", source.choice(("playback_progress", "playback_started")), props
    chance = source.random()
    if chance < 0.3:
        props = {"previous": source.choice(_SCREENS), "load_ms": source.randrange(40, 900)}
        return "screen", source.choice(_SCREENS), props
    if chance < 0.4:
        props = {"query": source.choice(_SEARCHES), "results": source.randrange(400)}
        return "track", "search", props
    if chance < 0.42:
        plan = source.choice(("free", "plus", "family"))
        return "identify", "attributes", {"plan": plan, "newsletter": source.random() < 0.4}
    if chance < 0.46:
        amount = round(source.lognormvariate(3.6, 0.8), 2)
        props = {"amount": amount, "currency": "EUR", "items": source.randrange(1, 6)}
        return "track", "purchase", props
    props = {
        "sku": f"{source.choice('ABCDEFGH')}-{source.randrange(10_000):04d}",
        "category": source.choice(_CATEGORIES),
        "price": round(source.lognormvariate(3.2, 0.7), 2),
        "in_stock": source.random() < 0.9,
    }
    return "track", "add_to_cart" if chance < 0.55 else "product_viewed", props


def _uuid(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


def _id_with_hole(source: random.Random, number: int) -> str:
    # The changing digits stand in both halves: a server may keep only one half of an id to find
    # duplicates, and must still see different ids.
    hole = _HOLE.decode()
    middle = f"4{source.getrandbits(12):03x}-a{source.getrandbits(12):03x}"
    return f"{hole}-{number:04x}-{middle}-{number:04x}{hole}"
