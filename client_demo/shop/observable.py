"""The one way in which models tell others that they changed. No window, no threads."""

from __future__ import annotations

from collections.abc import Callable


class Signal:
    """Calls its listeners in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def connect(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called at every change; gives the function that ends it."""
        self._listeners.append(listener)

        def disconnect() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return disconnect

    def __call__(self) -> None:
        for listener in list(self._listeners):
            listener()
