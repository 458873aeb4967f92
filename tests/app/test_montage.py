"""The picture in the README: how its file is written, and how large it may be."""

import random
import struct
import zlib
from pathlib import Path

from client_demo.shop.gallery import SHOTS, shots_of
from client_demo.shop.layout import FORM_FACTORS
from client_demo.shop.montage import HEIGHT, WIDTH, png

PICTURE = Path(__file__).parents[2] / "docs/images/shop.png"
BYTES_MAX = 300_000


def _chunks(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        found[kind] = body
        at += 12 + length
    return found


def _unfiltered(width: int, data: bytes) -> bytes:
    """Read the rows of a PNG, as the standard has it."""
    row, above, found = 3 * width, bytes(3 * width), b""
    for start in range(0, len(data), row + 1):
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + row])
        for i, value in enumerate(line):
            a, b, c = (line[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
            line[i] = (value + (0, a, b, (a + b) // 2, _paeth(a, b, c))[kind]) & 255
        above = bytes(line)
        found += above
    return found


def _paeth(a: int, b: int, c: int) -> int:
    away = [(abs(b - c), a), (abs(a - c), b), (abs(a + b - 2 * c), c)]
    return min(away, key=lambda one: one[0])[1]


def test_a_picture_is_read_as_it_was_written() -> None:
    dice = random.Random(7)
    width, height = 9, 40
    smooth = bytes((x * 3 + y * 5) & 255 for y in range(height // 2) for x in range(3 * width))
    pixels = smooth + dice.randbytes(3 * width * (height - height // 2))
    chunks = _chunks(png(width, height, pixels))
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = _unfiltered(width, zlib.decompress(chunks[b"IDAT"]))
    upwards = [rows[at : at + 3 * width] for at in range(0, len(rows), 3 * width)][::-1]
    assert b"".join(upwards) == pixels


def test_the_picture_of_the_readme_is_small_and_as_large_as_it_says() -> None:
    data = PICTURE.read_bytes()
    assert len(data) <= BYTES_MAX
    assert struct.unpack(">II", _chunks(data)[b"IHDR"][:8]) == (WIDTH, HEIGHT)


def test_television_has_no_form_and_so_no_errors_in_it() -> None:
    missing = {one: set(SHOTS) - set(shots_of(one)) for one in FORM_FACTORS}
    assert missing == {"phone": set(), "tablet": set(), "tv": {"checkout-errors"}}
