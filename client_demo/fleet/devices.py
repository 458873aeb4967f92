"""Phones, tablets and televisions, each from the user agent of a real one.

The user agents, with what they tell about the device, are test data of the package
`device-detector`; nothing else of it is used.
"""

import importlib.util
import random
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from client_demo.fleet.errors import DemoError
from zuruf import Device, FormFactor, PlatformName, Screen, SystemPlatform

FOLDER = Path("tests", "fixtures", "upstream")
SHARES: dict[FormFactor, float] = {"phone": 0.70, "tablet": 0.20, "tv": 0.10}
APP_VERSION = "3.2.1"

_FILES: dict[FormFactor, str] = {"phone": "smartphone", "tablet": "tablet", "tv": "tv"}
_KINDS: dict[str, FormFactor] = {
    "smartphone": "phone",
    "phablet": "phone",
    "tablet": "tablet",
    "tv": "tv",
}
# A user agent does not tell the screen: these are the common ones.
_SCREENS: dict[FormFactor, Screen] = {
    "phone": Screen(1080, 2400, 2.625),
    "tablet": Screen(1600, 2560, 2.0),
    "tv": Screen(1920, 1080, 1.0),
}
_MOBILE: dict[str, PlatformName] = {
    "Android": "android",
    "CyanogenMod": "android",
    "Fire OS": "android",
    "HarmonyOS": "android",
    "Lineage OS": "android",
    "MocorDroid": "android",
    "YunOS": "android",
    "iOS": "ios",
    "iPadOS": "ios",
}
_TV: dict[str, PlatformName] = {
    "Android": "androidtv",
    "Android TV": "androidtv",
    "Google TV": "androidtv",
    "Fire OS": "firetv",
    "Orsay": "tizen",
    "Tizen": "tizen",
    "webOS": "webos",
    "Roku OS": "roku",
    "iOS": "tvos",
    "tvOS": "tvos",
}
_LOCALE = re.compile(r"[;(]\s*([a-z]{2})[-_]([A-Za-z]{2})\s*[;)]")
_LENGTH_MAX = 128
_HOW_TO_INSTALL = (
    "`make demo` installs them; by hand: pip install --no-deps -r requirements/demo.txt"
)

# The parser in C is twenty times as fast; not every machine has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def describe(entry: Mapping[str, Any]) -> SystemPlatform | None:
    """Turn one entry of the test data into a device; None when it is none of our kinds."""
    seen = entry.get("device")
    kind = _KINDS.get(str(seen.get("type"))) if isinstance(seen, Mapping) else None
    if kind is None:
        return None
    system = entry.get("os")
    name, version = "", ""
    # Without an operating system the entry has an empty list.
    if isinstance(system, Mapping):
        name, version = str(system.get("name") or ""), str(system.get("version") or "")
    # What has no app store runs web apps: HbbTV sets, VIDAA, Windows Phone.
    platform = (_TV if kind == "tv" else _MOBILE).get(name, "web")
    assert isinstance(seen, Mapping), "only a mapping has a kind"
    return SystemPlatform(
        name=platform,
        form_factor=kind,
        described=Device(
            manufacturer=_text(seen.get("brand")),
            model=_text(seen.get("model")),
            os_version=_text(f"{name} {version}"),
            app_version=APP_VERSION,
            locale=_locale(str(entry.get("user_agent") or "")),
            screen=_SCREENS[kind],
        ),
    )


def parse(text: str) -> list[SystemPlatform]:
    """Read one file of the test data."""
    entries = yaml.load(text, Loader=_Loader)  # noqa: S506 - both loaders are the safe ones
    found = (describe(entry) for entry in entries or [] if isinstance(entry, Mapping))
    return [handset for handset in found if handset is not None]


def divide(number: int) -> dict[FormFactor, int]:
    """Divide devices among the kinds by their shares; every kind is there if it can be."""
    divided = {kind: round(number * share) for kind, share in SHARES.items()}
    for kind in ("tv", "tablet"):
        if not divided[kind] and number >= len(SHARES):
            divided[kind] = 1
    divided["phone"] = number - divided["tablet"] - divided["tv"]
    return divided


def find() -> Path:
    """Find the folder of the test data in the installed package, without importing it."""
    spec = importlib.util.find_spec("device_detector")
    for package in (spec and spec.submodule_search_locations) or ():
        folder = Path(package) / FOLDER
        if folder.is_dir():
            return folder
    raise DemoError(f"The user agents of real devices are not installed. {_HOW_TO_INSTALL}")


def draw(folder: Path, number: int, chance: random.Random) -> list[SystemPlatform]:
    """Draw this many devices, no two from the same user agent as long as there are others."""
    drawn: list[SystemPlatform] = []
    for kind, share in divide(number).items():
        files = sorted(folder.glob(f"{_FILES[kind]}.yml"))
        files += sorted(folder.glob(f"{_FILES[kind]}-*.yml"))
        chance.shuffle(files)
        known = _enough(files, kind, share)
        if share and not known:
            raise DemoError(f"There is no {kind} among the user agents. {_HOW_TO_INSTALL}")
        chance.shuffle(known)
        drawn += [known[index % len(known)] for index in range(share)]
    chance.shuffle(drawn)
    return drawn


def _enough(files: Iterable[Path], kind: FormFactor, number: int) -> list[SystemPlatform]:
    """Read only as many files as are needed: all of them take seconds."""
    known: list[SystemPlatform] = []
    for file in files:
        handsets = parse(file.read_text(encoding="utf-8"))
        known += [handset for handset in handsets if handset.form_factor == kind]
        # Televisions are few and of many makes, so all of them take part in the draw.
        if len(known) >= number and kind != "tv":
            break
    return known


def _locale(user_agent: str) -> str | None:
    found = _LOCALE.search(user_agent)
    return f"{found[1]}-{found[2].upper()}" if found else None


def _text(value: Any) -> str | None:
    return str(value or "").strip()[:_LENGTH_MAX] or None
