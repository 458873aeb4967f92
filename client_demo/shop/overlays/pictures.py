"""Pictures of messages: the app's own at once, those of the network when they come, if they come.

A message never waits for its picture: it is shown with a placeholder, and without one when loading fails.
"""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kivy.clock import Clock
from kivy.core.image import Image as CoreImage

from client_demo.shop.overlays.picture_size import is_small_enough

log = logging.getLogger("shop")

ASSETS = Path(__file__).parent.parent / "assets"
ART = "shop://art/"
TIMEOUT_S = 8.0
BYTES_MAX = 4 * 1024 * 1024
PIECE_BYTES = 64 * 1024
KEPT_MAX = 8
"""Pictures that are kept in memory: as many as an inbox shows at once."""

Fetch = Callable[[str], bytes]
Taken = Callable[[Any], None]
"""Is given the texture, or None when there is no picture."""


def fetch(url: str) -> bytes:
    """Read a picture over HTTPS. OSError or ValueError when it cannot be had in time, or is too large."""
    _check_secure(url)
    request = urllib.request.Request(url, headers={"Accept": "image/png, image/jpeg, image/webp"})  # noqa: S310
    deadline = time.monotonic() + TIMEOUT_S
    data = b""
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            # Piece by piece: a server that sends a byte a second never runs into the timeout of its socket.
            while piece := answer.read1(PIECE_BYTES):
                data += piece
                if len(data) > BYTES_MAX:
                    raise ValueError(f"{url} has more than {BYTES_MAX} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} takes longer than {TIMEOUT_S} s")
    except HTTPException as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error
    return data


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """A picture that was asked for by HTTPS does not come in the open, wherever a server sends us."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_secure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SecureRedirects)


def _check_secure(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise ValueError(f"pictures come by https, not {url}")


def art_file(url: str) -> Path | None:
    """Find a picture of the app itself; None when it has none of that name."""
    name = url.removeprefix(ART)
    if not name.replace("-", "").isalnum():
        return None
    return next(
        (
            path
            for path in sorted(ASSETS.rglob(f"{name}.*"))
            if path.suffix in {".png", ".jpg", ".webp"}
        ),
        None,
    )


class Pictures:
    """Gives textures by address. To be used on the UI thread only; loading happens elsewhere."""

    def __init__(self, fetch: Fetch = fetch) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._waiting: dict[str, list[Taken]] = {}

    def get(self, url: str, taken: Taken) -> None:
        """Have `taken` called with the texture or None: now when it is known, else later."""
        if url in self._kept:
            self._kept.move_to_end(url)
            taken(self._kept[url])
        elif url.startswith(ART):
            path = art_file(url)
            self._finish(url, None if path is None else path.read_bytes(), [taken])
        elif url in self._waiting:
            self._waiting[url].append(taken)
        else:
            self._waiting[url] = [taken]
            threading.Thread(target=self._load, args=(url,), name="picture", daemon=True).start()
            Clock.schedule_once(lambda _: self._give_up(url), TIMEOUT_S)

    def _load(self, url: str) -> None:
        data: bytes | None = None
        try:
            data = self._fetch(url)
        except (OSError, ValueError) as error:
            log.info("a message goes without its picture: %s", error)
        Clock.schedule_once(lambda _: self._loaded(url, data), 0)

    def _loaded(self, url: str, data: bytes | None) -> None:
        if url in self._waiting:
            self._finish(url, data, self._waiting.pop(url))

    def _give_up(self, url: str) -> None:
        # A server that sends a byte a second never runs into the timeout of its socket.
        for taken in self._waiting.pop(url, ()):
            taken(None)

    def _finish(self, url: str, data: bytes | None, waiting: list[Taken]) -> None:
        texture = None if data is None else _texture(data)
        if texture is not None:
            self._kept[url] = texture
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        for taken in waiting:
            taken(texture)


def _texture(data: bytes) -> Any:
    if not is_small_enough(data):
        # A few kilobytes may say that they are a picture of a gigabyte.
        log.info("a picture is of no known kind, or has too many pixels")
        return None
    kind = "jpg" if data[:2] == b"\xff\xd8" else "webp" if data[8:12] == b"WEBP" else "png"
    try:
        return CoreImage(BytesIO(data), ext=kind, mipmap=True).texture
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like for a broken picture
        log.info("a picture cannot be read: %s", error)
        return None
