"""Where the app starts on Android and iOS: no command line, and the device says how large it is."""

import os
from pathlib import Path
from typing import Any

from client_demo.shop import launch
from client_demo.shop.layout import FormFactor, guess_form_factor


def private_folder() -> Path:
    """Give the folder that belongs to the app alone."""
    return Path(os.environ.get("ANDROID_PRIVATE") or Path.home() / "Documents")


def is_television() -> bool:
    """Ask Android; nothing else that runs this file is one."""
    try:
        from jnius import autoclass  # noqa: PLC0415 - comes with python-for-android
    except ImportError:
        return False
    activity: Any = autoclass("org.kivy.android.PythonActivity").mActivity
    features: Any = activity.getPackageManager()
    return bool(features.hasSystemFeature("android.software.leanback"))


def main() -> None:
    """Start with what the device says about itself."""
    folder = private_folder() / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("KIVY_HOME", str(folder / "kivy"))
    os.environ.setdefault("KIVY_NO_ARGS", "1")
    os.environ.setdefault("KIVY_NO_FILELOG", "1")
    from kivy.core.window import Window  # noqa: PLC0415 - after its environment
    from kivy.metrics import Metrics  # noqa: PLC0415

    from client_demo.shop.app import run  # noqa: PLC0415

    form_factor: FormFactor = (
        "tv" if is_television() else guess_form_factor(Window.width, Window.height, Metrics.density)
    )
    # Address and key of a gateway, as `credentials.json` has them, may be packed beside this file.
    run(
        launch.parse(
            [
                "--form-factor",
                form_factor,
                "--size",
                f"{round(Window.width / Metrics.density)}x{round(Window.height / Metrics.density)}",
                "--density",
                str(Metrics.density),
                "--state-dir",
                str(folder),
                "--data-dir",
                str(Path(__file__).parent),
            ]
        )
    )


if __name__ == "__main__":
    main()
