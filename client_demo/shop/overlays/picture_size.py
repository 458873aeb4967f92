"""How large a picture says it is, read from its first bytes: before anybody makes room for it. No window."""

from __future__ import annotations

EDGE_MAX = 4096
"""Pixels of width and height; what every graphics card can hold."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_WITHOUT_SIZE = frozenset({0xC4, 0xC8, 0xCC})
"""Among the markers of JPEG that begin like a frame, those that are none."""


def is_small_enough(data: bytes) -> bool:
    """Tell whether it is a PNG, JPEG or WebP of at most `EDGE_MAX` × `EDGE_MAX`."""
    size = size_of(data)
    return size is not None and min(size) > 0 and max(size) <= EDGE_MAX


def size_of(data: bytes) -> tuple[int, int] | None:
    """Read width and height in pixels; None when it is of another kind, or broken."""
    if data.startswith(_PNG) and len(data) >= 24:
        return _number(data[16:20]), _number(data[20:24])
    if data.startswith(_JPEG):
        return _size_of_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _size_of_webp(data)
    return None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    """Go from segment to segment until the one of the frame."""
    at = len(_JPEG)
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _WITHOUT_SIZE:
            return _number(data[at + 7 : at + 9]), _number(data[at + 5 : at + 7])
        else:
            at += 2 + _number(data[at + 2 : at + 4])
    return None


def _size_of_webp(data: bytes) -> tuple[int, int] | None:
    match data[12:16]:
        case b"VP8X":
            return (
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            )
        case b"VP8 ":
            return (
                int.from_bytes(data[26:28], "little") & 0x3FFF,
                int.from_bytes(data[28:30], "little") & 0x3FFF,
            )
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
