"""The real device through plyer.

plyer prints a traceback for each thing a system lacks and then raises NotImplementedError at the call; or it
answers with nothing. So each thing is tried once, quietly, and what does not work is passed to a stand-in
(a `SimulatedPlatform`), which the capabilities say.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from client_demo.shop.platform.ports import (
    CAPABILITIES,
    Battery,
    Capability,
    CapabilityName,
    DevicePlatform,
    Place,
    UnavailableError,
)

log = logging.getLogger("shop")

T = TypeVar("T")

_FACADES: dict[CapabilityName, str] = {
    "notification": "notification",
    "battery": "battery",
    "device_name": "devicename",
    "gps": "gps",
    "vibration": "vibrator",
}


class PlyerPlatform:
    """plyer where it works, the stand-in where it does not."""

    def __init__(self, stand_in: DevicePlatform) -> None:
        self._stand_in = stand_in
        self._facades: dict[CapabilityName, Any] = {}
        self._found: dict[CapabilityName, Capability] = {}
        for name in CAPABILITIES:
            try:
                self._facades[name] = _quietly(partial(self._probe, name))
                self._found[name] = Capability(is_available=True, source="plyer")
            except UnavailableError as error:
                self._found[name] = Capability(
                    is_available=True, source="simulated", reason=str(error)
                )

    def capabilities(self) -> Mapping[CapabilityName, Capability]:
        return self._found

    def notify(self, title: str, text: str) -> None:
        facade = self._facades.get("notification")
        if facade is None:
            self._stand_in.notify(title, text)
            return
        _asked(
            "notification", lambda: facade.notify(title=title, message=text, app_name="Moorlind")
        )

    def battery(self) -> Battery:
        facade = self._facades.get("battery")
        if facade is None:
            return self._stand_in.battery()
        return _battery(_asked("battery", lambda: facade.status))

    def device_name(self) -> str:
        facade = self._facades.get("device_name")
        if facade is None:
            return self._stand_in.device_name()
        return str(_asked("device_name", lambda: facade.device_name))

    def start_gps(self, on_place: Callable[[Place], None]) -> None:
        facade = self._facades.get("gps")
        if facade is None:
            self._stand_in.start_gps(on_place)
            return

        def told(**values: Any) -> None:
            on_place(Place(values["lat"], values["lon"], float(values.get("accuracy", 0.0))))

        def start() -> None:
            facade.configure(on_location=told)
            facade.start(minTime=1000, minDistance=1)

        _asked("gps", start)

    def stop_gps(self) -> None:
        facade = self._facades.get("gps")
        if facade is None:
            self._stand_in.stop_gps()
            return
        _asked("gps", facade.stop)

    def vibrate(self, seconds: float) -> None:
        facade = self._facades.get("vibration")
        if facade is None:
            self._stand_in.vibrate(seconds)
            return
        _asked("vibration", lambda: facade.vibrate(time=seconds))

    def _probe(self, name: CapabilityName) -> Any:
        """Give plyer's facade when it works here; UnavailableError says why it does not."""
        try:
            import plyer  # noqa: PLC0415 - only here is it needed, and it may be missing

            facade = getattr(plyer, _FACADES[name])
            # Through plyer's proxy: the class of what it found, or its abstract one when it found nothing.
            if facade.__class__.__module__.startswith("plyer.facades"):
                raise NotImplementedError
            if name == "battery":
                _battery(facade.status)
            elif name == "device_name":
                if not facade.device_name:
                    raise UnavailableError("this system does not tell its name")
            elif name == "notification":
                _check_notifications()
            elif name == "vibration" and not facade.exists():
                raise UnavailableError("there is nothing that vibrates")
        except UnavailableError:
            raise
        except NotImplementedError:
            raise UnavailableError(f"plyer has nothing for {sys.platform}") from None
        except Exception as error:
            raise UnavailableError(f"{type(error).__name__}: {error}") from error
        return facade


def _check_notifications() -> None:
    """Find out without sending one: on Linux plyer needs a program, or dbus."""
    if not sys.platform.startswith("linux") or hasattr(sys, "getandroidapilevel"):
        return
    if shutil.which("notify-send") is None and importlib.util.find_spec("dbus") is None:
        raise UnavailableError("neither notify-send nor dbus is installed")


def _battery(status: Mapping[str, Any] | None) -> Battery:
    """Read plyer's answer, in which everything may be None."""
    percent = (status or {}).get("percentage")
    if not isinstance(percent, int | float):
        raise UnavailableError("no battery answers")
    return Battery(float(percent), bool((status or {}).get("isCharging")))


def _asked(name: CapabilityName, ask: Callable[[], Any]) -> Any:
    """Ask plyer for something it could do before; what it cannot any more is an UnavailableError."""
    try:
        return _quietly(ask)
    except UnavailableError:
        raise
    except Exception as error:
        log.info("%s failed: %s", name, error)
        raise UnavailableError(f"{type(error).__name__}: {error}") from error


def _quietly(run: Callable[[], T]) -> T:
    """Run something while what it prints to standard error goes to the log: plyer prints tracebacks."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return run()
    finally:
        if text := printed.getvalue().strip():
            log.debug("plyer said: %s", text.splitlines()[-1])
