import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_demo.fleet.devices import divide, draw, parse
from client_demo.fleet.errors import DemoError
from zuruf import Device, Screen, SystemPlatform

USER_AGENTS = """\
---
-
  user_agent: Mozilla/5.0 (Linux; U; Android 4.0.4; fr-fr; Lenco TAB-712 Build/IMM76D) AppleWebKit/534.30
  os:
    name: Android
    version: 4.0.4
    platform: ""
  client: [ ]
  device:
    type: tablet
    brand: Lenco
    model: TAB-712
-
  user_agent: HbbTV/1.1.1 (;;;;) Mozilla/5.0 (compatible; ANTGalio/3.0.2.1.22.43.08)
  os: [ ]
  device:
    type: tv
    brand: ""
    model: ""
-
  user_agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X)
  os:
    name: iOS
    version: 17.1
  device:
    type: smartphone
    brand: Apple
    model: iPhone
-
  user_agent: Mozilla/5.0 (Linux; Android 8; watch)
  os:
    name: Android
  device:
    type: wearable
"""


def entry(kind: str, system: str) -> str:
    return f"- {{user_agent: '', os: {{name: '{system}'}}, device: {{type: {kind}, model: M}}}}\n"


def test_devices_are_read_as_the_sdk_describes_them() -> None:
    tablet, television, phone = parse(USER_AGENTS)
    assert tablet == SystemPlatform(
        "android",
        "tablet",
        Device(
            manufacturer="Lenco",
            model="TAB-712",
            os_version="Android 4.0.4",
            app_version="3.2.1",
            locale="fr-FR",
            screen=Screen(1600, 2560, 2.0),
        ),
    )
    # A set without a known system has a browser; what is not known is left out.
    assert (television.name, television.form_factor) == ("web", "tv")
    assert (television.described.manufacturer, television.described.os_version) == (None, None)
    # YAML takes 17.1 for a number.
    assert (phone.name, phone.described.os_version) == ("ios", "iOS 17.1")


@pytest.mark.parametrize(
    "kind, system, platform",
    [
        ("phablet", "Android", "android"),
        ("smartphone", "Windows Phone", "web"),
        ("tablet", "iPadOS", "ios"),
        ("tablet", "Fire OS", "android"),
        ("tv", "Android TV", "androidtv"),
        ("tv", "Fire OS", "firetv"),
        ("tv", "Roku OS", "roku"),
        ("tv", "Orsay", "tizen"),
        ("tv", "VIDAA", "web"),
        ("tv", "iOS", "tvos"),
        ("tv", "webOS", "webos"),
    ],
)
def test_the_system_decides_on_the_platform(kind: str, system: str, platform: str) -> None:
    (handset,) = parse(entry(kind, system))
    assert handset.name == platform


@given(st.integers(1, 30_000))
def test_all_kinds_of_devices_take_part_when_there_is_room(number: int) -> None:
    divided = divide(number)
    assert sum(divided.values()) == number
    assert min(divided.values()) >= (number >= 3)


def test_no_device_is_drawn_twice_while_there_are_others(tmp_path: Path) -> None:
    for file, kind in (("smartphone", "smartphone"), ("tablet-1", "tablet"), ("tv", "tv")):
        models = [entry(kind, "Android").replace("M}", f"{kind} {n}}}") for n in range(20)]
        (tmp_path / f"{file}.yml").write_text("".join(models))
    # Another kind in the file of the phones.
    (tmp_path / "smartphone-1.yml").write_text(entry("tablet", "Android"))

    drawn = draw(tmp_path, 20, random.Random(1))
    assert Counter(handset.form_factor for handset in drawn) == {"phone": 14, "tablet": 4, "tv": 2}
    assert len({handset.described.model for handset in drawn}) == 20
    assert len(draw(tmp_path, 100, random.Random(1))) == 100


def test_missing_user_agents_are_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no phone among the user agents. `make demo` installs"):
        draw(tmp_path, 3, random.Random(1))
