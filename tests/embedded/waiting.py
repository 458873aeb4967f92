"""Waiting on conditions, never on the clock."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], within_s: float = 15.0) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)
