"""The app without a screen and without waiting: frames by hand, keys and touches, pictures.

For the gallery and for the tests. One per process: Kivy's window and clock are global. Its environment has to
be set before this is imported (`launch.environment`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kivy.base import EventLoop
from kivy.clock import Clock
from kivy.input.motionevent import MotionEvent
from kivy.lang import Builder

from client_demo.shop.app import ShopApp, configure_window, screenshot
from client_demo.shop.focus import KEYS, Action
from client_demo.shop.launch import Options
from client_demo.shop.shop import Shop

FRAMES = 4
"""Enough for a screen to be built, laid out, laid out again and painted."""
FRAME_S = 1 / 60
"""How far a frame moves the app's time, however long it really took: nobody waits for a fade."""
WAIT_MAX_S = 5.0
FRAMES_AT_ONCE = 120
"""Longer than any movement of the app. What has not come by then comes from another thread."""


class Headless:
    """A running app whose frames are counted by whoever holds it."""

    def __init__(self, options: Options) -> None:
        configure_window(options)
        self._now_s = Clock.time()
        Clock.time = lambda: self._now_s
        Clock._max_fps = 0  # noqa: SLF001 - it reads its setting when it is imported; nobody waits for 60 Hz here
        # Whoever holds it decides when it ends.
        self.app = ShopApp(replace(options, headless_s=None))
        self.app._run_prepare()  # noqa: SLF001 - what `run` does before it blocks
        EventLoop.start()
        # What is left behind goes with the process; looking for it would take half of the time.
        gc.disable()
        self.frames()

    @property
    def shop(self) -> Shop:
        return self.app.shop

    def frames(self, number: int = FRAMES) -> None:
        """Let the app live for some frames; nobody looks, so nothing is painted before `picture`."""
        for _ in range(number):
            self._frame()

    def _frame(self) -> None:
        """What `EventLoop.idle` does, without painting: that takes as long as all the rest."""
        self._now_s += FRAME_S
        Clock.tick()
        EventLoop.dispatch_input()
        Builder.sync()
        Clock.tick_draw()
        Builder.sync()

    def until(self, holds: Callable[[], object], wait_max_s: float = WAIT_MAX_S) -> None:
        """Let it live until something holds; TimeoutError when it does not within so many seconds."""
        deadline = time.monotonic() + wait_max_s
        lived = 0
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError("it did not come to pass")
            if lived >= FRAMES_AT_ONCE:
                # The app's time must not run away from whoever is still at work.
                time.sleep(FRAME_S)
            self._frame()
            lived += 1
        self.frames(2)

    def go(self, url: str) -> None:
        """Go where a deep link leads."""
        self.app.open_link(url)
        self.frames()

    def key(self, action: Action) -> None:
        """Press a key of the remote control."""
        code = next(code for code, meaning in KEYS.items() if meaning == action)
        EventLoop.window.dispatch("on_key_down", code, 0, None, [])
        self.frames(2)

    def touch(self, widget: Any) -> None:
        """Touch a widget in its middle."""
        window = EventLoop.window
        x, y = widget.to_window(*widget.center)
        finger = _Finger("test", 1, {"x": x / window.width, "y": y / window.height}, is_touch=True)
        EventLoop.post_dispatch_input("begin", finger)
        EventLoop.post_dispatch_input("end", finger)
        self.frames(2)

    def picture(self, file: Path) -> None:
        """Write what is to be seen as a PNG."""
        EventLoop.idle()
        EventLoop.idle()
        screenshot(file)

    def close(self) -> None:
        self.app.on_stop()
        EventLoop.close()
        # Or else Python would look through all of it before it ends.
        gc.freeze()


class _Finger(MotionEvent):
    """A touch that a test makes."""

    def depack(self, args: dict[str, float]) -> None:
        self.sx, self.sy = args["x"], args["y"]
        self.profile = ["pos"]
        super().depack(args)
