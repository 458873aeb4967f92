"""Moving about without a finger: where the focus goes next. Geometry only, no window.

`widgets/focus.py` walks the widgets and draws the ring; this module decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["left", "right", "up", "down"]
Action = Literal["left", "right", "up", "down", "enter", "back"]

KEYS: dict[int, Action] = {
    273: "up",
    274: "down",
    275: "right",
    276: "left",
    13: "enter",  # Return
    271: "enter",  # Enter of the number block, and the middle of many remote controls
    27: "back",  # Escape; Android's Back with SDL 2
    1073742106: "back",  # Android's Back with SDL 3
}
HAT: dict[tuple[int, int], Direction] = {
    (0, 1): "up",
    (0, -1): "down",
    (1, 0): "right",
    (-1, 0): "left",
}

_CROSS_WEIGHT = 2.0
"""How much worse it is to be off to the side than to be further away."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in the coordinates of the window: y grows upwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def top(self) -> float:
        return self.y + self.height

    def contains(self, other: Box) -> bool:
        return (
            self.x <= other.x
            and other.right <= self.right
            and self.y <= other.y
            and other.top <= self.top
        )


def nearest(start: Box, direction: Direction, candidates: Iterable[tuple[int, Box]]) -> int | None:
    """Choose the candidate to go to, by its number; None when nothing lies that way.

    Near beats far, and straight ahead beats off to the side: what overlaps the start's row (going
    sideways) or column (going up or down) counts as straight ahead.
    """
    best: tuple[float, int] | None = None
    for number, box in candidates:
        ahead, aside = _distances(start, box, direction)
        if ahead is None:
            continue
        score = ahead + _CROSS_WEIGHT * aside
        if best is None or score < best[0]:
            best = (score, number)
    return None if best is None else best[1]


def _distances(start: Box, box: Box, direction: Direction) -> tuple[float | None, float]:
    """Give the way ahead (None when the box does not lie there) and the gap to the side."""
    sideways = direction in {"left", "right"}
    if start.contains(box) or box.contains(start):
        return _distance_within(start, box, direction), 0.0
    if sideways:
        centre_gap = (box.x + box.right - start.x - start.right) / 2
        edge_gap = box.x - start.right if direction == "right" else start.x - box.right
        aside = max(0.0, box.y - start.top, start.y - box.top)
        drift = abs(box.y + box.top - start.y - start.top) / 2
    else:
        centre_gap = (box.y + box.top - start.y - start.top) / 2
        edge_gap = box.y - start.top if direction == "up" else start.y - box.top
        aside = max(0.0, box.x - start.right, start.x - box.right)
        drift = abs(box.x + box.right - start.x - start.right) / 2
    if direction in {"left", "down"}:
        centre_gap = -centre_gap
    # Neighbours may touch or overlap by a pixel, but what lies mostly beside is not ahead.
    overlap_allowed = (
        min(start.width, box.width) / 2 if sideways else min(start.height, box.height) / 2
    )
    if centre_gap <= 0 or edge_gap < -overlap_allowed:
        return None, 0.0
    # The drift decides between two that are equally near: the one that is better aligned.
    return max(0.0, edge_gap) + 0.01 * drift, aside


def _distance_within(start: Box, box: Box, direction: Direction) -> float | None:
    """Give the way between a card and a button on it: only where the one lies mostly in that direction."""
    right = (box.x + box.right - start.x - start.right) / 2
    up = (box.y + box.top - start.y - start.top) / 2
    ahead, aside = {
        "right": (right, up),
        "left": (-right, up),
        "up": (up, right),
        "down": (-up, right),
    }[direction]
    return 0.0 if ahead > abs(aside) else None
