"""What comes from outside may be wrong in any way: links, messages, pictures, a file. The app stays up."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from client_demo.shop import launch
from client_demo.shop.model import catalogue
from client_demo.shop.model.basket import QUANTITY_MAX
from client_demo.shop.model.saved import FILE, SavedState
from client_demo.shop.model.store import Store
from client_demo.shop.navigation import route, route_of
from client_demo.shop.overlays.actions import URL_BYTES_MAX, Nothing, Open, deed_of
from client_demo.shop.overlays.content import BODY_MAX, LABEL_MAX, LINES_MAX, TITLE_MAX, present
from client_demo.shop.overlays.picture_size import EDGE_MAX, is_small_enough, size_of
from client_demo.shop.theme import LIGHT
from zuruf import Button, Content, Message


@pytest.fixture
def store() -> Store:
    return Store(catalogue.load())


# Links


@pytest.mark.parametrize("digits, added", [(4, QUANTITY_MAX), (5, 0), (5000, 0)])
def test_a_quantity_of_thousands_of_digits_is_nonsense(
    store: Store, digits: int, added: int
) -> None:
    assert store.basket.take(f"tide-vase:cobalt:{'9' * digits}") == added


@pytest.mark.parametrize("value", ["a&b=c", "x#y", "50%", "Öl + Essig", "[b]"])
def test_whatever_a_place_is_about_survives_being_written_down(value: str) -> None:
    place = route("catalogue", query=value)
    assert route_of(place.url()) == place


# A damaged file


@pytest.mark.parametrize("content", [b"[" * 100_000, b"9" * 5000, b"\xff\xfe", b"\x00"])
def test_a_file_of_anything_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert SavedState(tmp_path).read() == {}


@pytest.mark.parametrize(
    "orders",
    [
        5,
        "text",
        {"a": 1},
        [{"number": 1, "placed_on": "2026-01-01", "total": float("inf"), "quantity": 1, "products": []}],
    ],
)  # fmt: skip
def test_orders_that_make_no_sense_are_left_out(store: Store, orders: object) -> None:
    store.restore({"orders": orders})
    assert store.orders == []


# Addresses of buttons


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "file:///etc/passwd",
        "intent://scan#Intent;end",
        "https:",
        "https:///path",
        "http:host",
        "https://moorlind.example/a b",
        "https://moorlind.example/\0",
        "https://moorlind.example/\n",
        "https://moorlind.example/\ud800",
        "https://moorlind.example/".ljust(URL_BYTES_MAX + 1, "a"),
        "https://moorlind.example/".ljust(URL_BYTES_MAX - 10, "ö"),
    ],
)
def test_an_address_that_is_not_safe_to_hand_on_does_nothing(url: str) -> None:
    assert deed_of({"type": "open_url", "url": url}) == Nothing()


@pytest.mark.parametrize(
    "url",
    [
        "https://moorlind.example/".ljust(URL_BYTES_MAX, "a"),
        "mailto:help@moorlind.example",
        "tel:+4940123456",
    ],
)
def test_an_address_that_is_safe_is_opened(url: str) -> None:
    assert deed_of({"type": "open_url", "url": url}) == Open(url)


# Texts of messages


def shown(title: str = "", body: str = "", label: str = "OK") -> tuple[str, str, str]:
    content = Content("modal", title, body, buttons=(Button("ok", label),))
    found = present(Message("m", content), LIGHT)
    return found.title, found.body, found.buttons[0].label


def test_texts_are_shown_up_to_their_limits() -> None:
    whole = ("t" * TITLE_MAX, "b" * BODY_MAX, "l" * LABEL_MAX)
    assert shown(*whole) == whole
    for text, limit in zip(
        shown(*(f"{text}x" for text in whole)), (TITLE_MAX, BODY_MAX, LABEL_MAX), strict=True
    ):
        assert len(text) == limit
        assert text.endswith("…")


def test_thousands_of_line_breaks_do_not_make_a_mile_of_text() -> None:
    title, body, _ = shown("one\n\n\ntwo", f"first{chr(10) * 1000}last")
    assert (title, body) == ("one two", "first\n\nlast")
    assert shown(body="x\n" * LINES_MAX)[1].count("\n") == LINES_MAX - 1
    long = shown(body="x\n" * (LINES_MAX + 1))[1]
    assert long.count("\n") == LINES_MAX - 1
    assert long.endswith("\n…")


# Pictures


def png(width: int, height: int) -> bytes:
    """Make a PNG of one colour: a large one has few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


JPEG = (
    bytes.fromhex("ffd8 ffe0 0010 4a46494600 0101 00 0001 0001 0000 ffc2 0011 08")
    + struct.pack(">HH", 40, 60)
    + bytes(12)
)


@pytest.mark.parametrize(
    "data, size",
    [
        (png(60, 40), (60, 40)),
        (JPEG, (60, 40)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x3b\0\0\x27\0\0", (60, 40)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 60, 40), (60, 40)),
        (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 59 | 39 << 14) + bytes(5), (60, 40)),
        (b"RIFF\0\0\0\0WEBPVP8?" + bytes(20), None),
        (b"GIF89a" + bytes(40), None),
        (JPEG[:20], None),
        (b"\xff\xd8" + b"\xff" * 40, None),
        (b"", None),
    ],
)  # fmt: skip
def test_the_size_of_a_picture_is_read_from_its_head(
    data: bytes, size: tuple[int, int] | None
) -> None:
    assert size_of(data) == size


@pytest.mark.parametrize(
    "width, height, fits",
    [
        (EDGE_MAX, EDGE_MAX, True),
        (EDGE_MAX + 1, 1, False),
        (1, EDGE_MAX + 1, False),
        (0, 1, False),
        (60_000, 60_000, False),
    ],
)
def test_a_picture_with_more_pixels_than_a_graphics_card_holds_is_left_out(
    width: int, height: int, *, fits: bool
) -> None:
    assert is_small_enough(png(width, height)) is fits


# The command line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--density", "nan"],
        ["--density", "0.2"],
        ["--density", "8.1"],
        ["--size", "0x10"],
        ["--size", "10x-1"],
    ],
)
def test_a_window_that_cannot_be_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        launch.parse(arguments)


@pytest.mark.parametrize("density", ["0.25", "8"])
def test_density_reaches_to_its_limits(density: str) -> None:
    assert launch.parse(["--density", density]).density == float(density)
