"""What is kept between two starts of the app: one small file, replaced as a whole."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("shop")

FILE = "state.json"
VERSION = 1


class SavedState:
    """The file. A damaged or foreign one counts as none: nobody should be kept out of a shop by it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> dict[str, Any]:
        try:
            value = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("what was kept cannot be read: %s", error)
            return {}
        if not isinstance(value, dict) or value.get("version") != VERSION:
            return {}
        return value

    def write(self, state: dict[str, Any]) -> bool:
        """Keep it; False when the disk refuses, which the app can live with."""
        unfinished = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(
                json.dumps({"version": VERSION, **state}, ensure_ascii=False), encoding="utf-8"
            )
            unfinished.replace(self._path)
        except OSError as error:
            log.warning("nothing could be kept: %s", error)
            return False
        return True
