"""What the command line asks for, and what Kivy has to be told before it is imported."""

from __future__ import annotations

import argparse
import ctypes.util
import importlib.util
import locale
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client_demo.shop.i18n import LANGUAGES, Language, language_of
from client_demo.shop.layout import FORM_FACTORS, WINDOW_SIZES, FormFactor
from client_demo.shop.ui import TEXT_SCALES

DENSITY_MIN, DENSITY_MAX = 0.25, 8.0
APT_PACKAGES = "libegl1 libgles2 libgl1-mesa-dri"


class LaunchError(Exception):
    """The app cannot start; the text says why, and the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the app is to be started."""

    form_factor: FormFactor
    width: int
    """Pixels, as `height`."""
    height: int
    density: float
    language: Language
    dark: bool | None
    """None leaves it at what the person chose last, as the two below."""
    text_scale: float | None
    reduced_motion: bool | None
    headless_s: float | None
    screenshot: Path | None
    endpoint: str | None
    key: str | None
    data_dir: Path
    """Where the gateway keeps its credentials."""
    state_dir: Path
    """Where the app keeps its own."""
    link: str | None
    simulate: bool


def parse(argv: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with a message when it cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="python -m client_demo.shop",
        description="Moorlind, a small shop for the home with the Zuruf SDK inside.",
    )
    parser.add_argument("--form-factor", choices=FORM_FACTORS, default="phone")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the window, in dp")
    parser.add_argument("--density", type=float, metavar="N", help="pixels in one dp")
    parser.add_argument("--language", choices=LANGUAGES, help="the system's by default")
    parser.add_argument("--dark", action=argparse.BooleanOptionalAction, help="dark colours")
    parser.add_argument(
        "--text-scale", type=float, metavar="N", help=f"from {TEXT_SCALES[0]} to {TEXT_SCALES[-1]}"
    )
    parser.add_argument("--reduced-motion", action=argparse.BooleanOptionalAction)
    parser.add_argument("--endpoint", metavar="URL", help="of the gateway")
    parser.add_argument("--key", metavar="PK", help="publishable key of the app at that gateway")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("ZURUF_DATA_DIR") or "data"),
        metavar="DIR",
        help="data folder of the running gateway, which has address and key (data)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(".zuruf", "shop"),
        metavar="DIR",
        help="where the app keeps basket, settings and the SDK's queue (.zuruf/shop)",
    )
    parser.add_argument(
        "--link", metavar="URL", help="open at a deep link: shop://product/arc-lamp"
    )
    parser.add_argument(
        "--simulate", action="store_true", help="simulate GPS, battery and the rest of the device"
    )
    parser.add_argument(
        "--headless", type=float, metavar="SECONDS", help="no window; end after so many seconds"
    )
    parser.add_argument(
        "--screenshot", type=Path, metavar="FILE", help="write a PNG just before the end"
    )
    given = parser.parse_args(argv)
    if (given.endpoint is None) != (given.key is None):
        parser.error("--endpoint and --key go together")
    if given.screenshot is not None and given.headless is None:
        parser.error("--screenshot needs --headless SECONDS")
    if given.text_scale is not None and not TEXT_SCALES[0] <= given.text_scale <= TEXT_SCALES[-1]:
        parser.error(f"--text-scale is from {TEXT_SCALES[0]} to {TEXT_SCALES[-1]}")
    if given.density is not None and not DENSITY_MIN <= given.density <= DENSITY_MAX:
        parser.error(f"--density is from {DENSITY_MIN} to {DENSITY_MAX}")
    form_factor: FormFactor = given.form_factor
    width, height, fine = WINDOW_SIZES[form_factor]
    # On a desktop the window manager scales; pictures are as fine as the real device's.
    density = given.density or (fine if given.headless is not None else 1.0)
    if given.size is not None:
        width, height = given.size
    return Options(
        form_factor=form_factor,
        width=round(width * density),
        height=round(height * density),
        density=density,
        language=given.language or language_of(locale.getlocale()[0]),
        dark=given.dark,
        text_scale=given.text_scale,
        reduced_motion=given.reduced_motion,
        headless_s=given.headless,
        screenshot=given.screenshot,
        endpoint=given.endpoint,
        key=given.key,
        data_dir=given.data_dir,
        state_dir=given.state_dir,
        link=given.link,
        simulate=given.simulate,
    )


def environment(options: Options, current: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that Kivy reads when it is imported; what somebody has set wins."""
    wanted = {
        "KIVY_NO_ARGS": "1",
        "KIVY_NO_FILELOG": "1",
        "KIVY_LOG_MODE": "MIXED",
        "KIVY_HOME": str((options.state_dir / "kivy").resolve()),
        "KIVY_METRICS_DENSITY": str(options.density),
        "KIVY_METRICS_FONTSCALE": "1.0",
    }
    if options.headless_s is not None:
        wanted["SDL_VIDEODRIVER"] = "offscreen"
        wanted["KIVY_NO_CONSOLELOG"] = "1"
        wanted["SDL_AUDIODRIVER"] = "dummy"
        # Mesa's software driver: several windows at a time are faster with one thread each.
        wanted["LP_NUM_THREADS"] = "0"
    return {name: value for name, value in wanted.items() if name not in current}


def check_machine() -> None:
    """Raise LaunchError when something the window needs is missing."""
    if importlib.util.find_spec("kivy") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        if sys.version_info >= (3, 14):
            raise LaunchError(
                f"Kivy is not there yet for Python {version}. With 3.11, 3.12 or 3.13 it is: "
                "make clean demo-app PYTHON=python3.13"
            )
        raise LaunchError("Kivy is not installed: `make demo-app` installs it and starts the app.")
    if not sys.platform.startswith("linux") or hasattr(sys, "getandroidapilevel"):
        return
    missing = [name for name in ("EGL", "GLESv2") if ctypes.util.find_library(name) is None]
    if missing:
        raise LaunchError(
            f"The system has no {' and no '.join(missing)} library, which draws the window. "
            f"Debian and Ubuntu: apt-get install -y {APT_PACKAGES}"
        )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (_is_edge(width) and _is_edge(height)):
        raise argparse.ArgumentTypeError(f"not a size such as 390x844: {text!r}")
    return int(width), int(height)


def _is_edge(text: str) -> bool:
    return text.isdecimal() and len(text) <= 4 and int(text) > 0
