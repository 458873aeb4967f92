"""The device: plyer asked through programs that are not the real ones, and the simulated one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client_demo.shop.platform import Battery, Place
from client_demo.shop.platform.ports import CAPABILITIES
from client_demo.shop.platform.simulated import TRACK, SimulatedPlatform

pytest.importorskip("plyer")

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="plyer asks other things elsewhere")

ASK = """
import json, sys
from client_demo.shop.platform.plyer_platform import PlyerPlatform
from client_demo.shop.platform.simulated import SimulatedPlatform
simulated = SimulatedPlatform(charge=41.0)
device = PlyerPlatform(simulated)
device.notify("Your order", "is on its way")
device.vibrate(0.05)
battery = device.battery()
print(json.dumps({
    "capabilities": {name: [one.source, one.reason] for name, one in device.capabilities().items()},
    "battery": [battery.percent, battery.is_charging],
    "name": device.device_name(),
    "simulated": [simulated.notifications, simulated.vibrations],
}))
"""
UPOWER = """#!/bin/sh
case "$1" in
  --enumerate|-e) echo /org/freedesktop/UPower/devices/battery_BAT0 ;;
  *) echo '  native-path: BAT0'; echo '  battery'
     echo '    state:               charging'; echo '    percentage:          87%' ;;
esac
"""


def ask(folder: Path, programs: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Run the app's platform on a machine that has just these programs; gives answers and stderr."""
    programs = {"uname": "#!/bin/sh\necho Linux\n", **programs}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={
            "PATH": str(folder),
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk_reference")]),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@LINUX
def test_machine_without_anything_gets_a_simulated_device_and_no_traceback(tmp_path: Path) -> None:
    answers, printed = ask(tmp_path, {})
    sources = {name: source for name, (source, _) in answers["capabilities"].items()}
    assert set(sources) == set(CAPABILITIES)
    assert sources["notification"] == sources["gps"] == sources["vibration"] == "simulated"
    assert answers["capabilities"]["gps"][1] == "plyer has nothing for linux"
    assert answers["simulated"] == [[["Your order", "is on its way"]], [0.05]]
    assert "Traceback" not in printed


@LINUX
def test_notification_goes_through_the_system_where_it_has_some(tmp_path: Path) -> None:
    log = tmp_path / "said"
    send = f'#!/bin/sh\nprintf "%s\\n" "$1" "$2" > {log}\n'
    answers, printed = ask(tmp_path, {"notify-send": send})
    assert answers["capabilities"]["notification"] == ["plyer", ""]
    assert log.read_text().splitlines() == ["Your order", "is on its way"]
    assert answers["simulated"][0] == []
    assert "Traceback" not in printed


@LINUX
def test_battery_is_read_where_one_answers(tmp_path: Path) -> None:
    answers, _ = ask(tmp_path, {"upower": UPOWER})
    assert answers["capabilities"]["battery"][0] == "plyer"
    assert answers["battery"] == [87.0, True]


@LINUX
def test_battery_that_does_not_answer_is_simulated(tmp_path: Path) -> None:
    answers, _ = ask(tmp_path, {"upower": "#!/bin/sh\nexit 0\n"})
    source, reason = answers["capabilities"]["battery"]
    assert source == "simulated"
    assert reason
    assert answers["battery"] == [41.0, False]


def test_simulated_device_does_what_it_is_told_and_writes_it_down() -> None:
    device = SimulatedPlatform(name="Box", charge=7.0, is_charging=True)
    device.notify("a", "b")
    device.vibrate(0.1)
    assert device.notifications == [("a", "b")]
    assert device.vibrations == [0.1]
    assert device.battery() == Battery(7.0, is_charging=True)
    assert device.device_name() == "Box"
    assert all(one.is_available for one in device.capabilities().values())


def test_simulated_gps_walks_its_track_until_it_is_stopped() -> None:
    jobs = []

    def after(seconds: float, job: Any) -> Any:
        jobs.append(job)
        return jobs.clear

    places: list[Place] = []
    device = SimulatedPlatform(after=after)
    device.start_gps(places.append)
    for _ in TRACK:
        jobs.pop()()
    assert places == [*TRACK, TRACK[0]], "and begins again"
    device.stop_gps()
    assert jobs == []
    device.step()
    assert len(places) == len(TRACK) + 1
