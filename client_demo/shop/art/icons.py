"""Makes `assets/icons.ttf` and `widgets/icons.py`: the icons the app uses out of Phosphor Icons 1.3.

Phosphor Icons is under the MIT licence (assets/LICENSE-phosphor.txt). Its font and the table of its names come
with the PyPI package qtawesome; the subset is cut with fontTools:

    pip install --no-deps qtawesome fonttools
    python -m client_demo.shop.art.icons
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from fontTools import subset

SHOP = Path(__file__).parent.parent
FONT, NAMES = "phosphor-1.3.0.ttf", "phosphor-charmap-1.3.0.json"

REGULAR = [
    "arrow-left",
    "arrow-right",
    "arrows-clockwise",
    "arrow-counter-clockwise",
    "bag",
    "bell",
    "bell-ringing",
    "battery-high",
    "bug",
    "calendar",
    "caret-down",
    "caret-left",
    "caret-right",
    "caret-up",
    "chart-line",
    "chat-circle-dots",
    "check",
    "check-circle",
    "clock",
    "cloud-arrow-up",
    "cloud-check",
    "cloud-slash",
    "code",
    "coffee",
    "copy",
    "credit-card",
    "cube",
    "database",
    "device-mobile",
    "device-tablet",
    "dots-three",
    "drop",
    "envelope-simple",
    "eye",
    "eye-slash",
    "faders",
    "flag",
    "flower",
    "gear",
    "gift",
    "globe",
    "hand-waving",
    "heart",
    "house",
    "house-line",
    "image",
    "info",
    "key",
    "lamp",
    "leaf",
    "lifebuoy",
    "lightning",
    "link",
    "list",
    "lock",
    "magnifying-glass",
    "map-pin",
    "megaphone",
    "minus",
    "moon",
    "package",
    "paper-plane-tilt",
    "pause",
    "pencil-simple",
    "percent",
    "phone",
    "play",
    "plus",
    "activity",
    "qr-code",
    "question",
    "recycle",
    "ruler",
    "shield-check",
    "shopping-bag",
    "shopping-bag-open",
    "sign-in",
    "sign-out",
    "sliders-horizontal",
    "smiley",
    "sort-ascending",
    "sparkle",
    "squares-four",
    "stack",
    "star",
    "sun",
    "tag",
    "television",
    "text-aa",
    "thermometer",
    "timer",
    "translate",
    "trash",
    "tray",
    "truck",
    "user",
    "user-circle",
    "users",
    "vibrate",
    "warning",
    "warning-circle",
    "waves",
    "wifi-high",
    "wifi-slash",
    "wrench",
    "x",
    "x-circle",
]
FILLED = [
    "bell",
    "check-circle",
    "heart",
    "house",
    "house-line",
    "magnifying-glass",
    "shopping-bag",
    "squares-four",
    "star",
    "star-half",
    "tray",
    "user",
    "user-circle",
    "warning-circle",
    "info",
    "lightning",
]


def main() -> None:
    """Write both files anew."""
    package = importlib.util.find_spec("qtawesome")
    if package is None or package.origin is None:
        raise SystemExit("pip install --no-deps qtawesome fonttools")
    fonts = Path(package.origin).parent / "fonts"
    codes = {name: int(code, 16) for name, code in json.loads((fonts / NAMES).read_text()).items()}
    names = [*REGULAR, *(f"{name}-fill" for name in FILLED)]
    missing = [name for name in names if name not in codes]
    if missing:
        raise SystemExit(f"Phosphor has no {', '.join(missing)}")
    options = subset.Options(hinting=False, notdef_outline=True)
    font = subset.load_font(str(fonts / FONT), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[codes[name] for name in names])
    cutter.subset(font)
    subset.save_font(font, str(SHOP / "assets" / "icons.ttf"), options)
    lines = [f'    "{name}": "\\u{codes[name]:04x}",' for name in sorted(names)]
    (SHOP / "widgets" / "icons.py").write_text(
        '"""Which character of `assets/icons.ttf` is which icon. Written by art/icons.py."""\n\n'
        "GLYPHS: dict[str, str] = {\n" + "\n".join(lines) + "\n}\n"
    )


if __name__ == "__main__":
    main()
