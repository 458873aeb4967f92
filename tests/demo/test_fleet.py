from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from client_demo.fleet import crew, installation, journeys, verify
from client_demo.fleet.admin import Admin
from client_demo.fleet.life import Life, Pace, Shop
from client_demo.fleet.purchases import Customer, Purchase
from client_demo.fleet.tally import Tally
from zuruf import Device, SystemPlatform

PHONE = SystemPlatform("android", "phone", Device(model="Pixel 8"))
TELEVISION = SystemPlatform("webos", "tv", Device(model="OLED55"))
AMOUNTS = [[9.5], [60.0, 12.0], [10.0, 11.0, 75.0, 12.0, 13.0, 14.0]]


def customer(number: int, amounts: list[float]) -> Customer:
    begin = date(1997, 1, 1)
    orders = [
        Purchase(begin + timedelta(days=10 * day), 1, amount) for day, amount in enumerate(amounts)
    ]
    return Customer(f"{number:05}", tuple(orders))


def test_a_fleet_lives_and_every_purchase_arrives_exactly_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parent.parent.parent)
    lives = [
        Life(f"u-{number}", customer(number, amounts), [PHONE, TELEVISION][number % 2])
        for number, amounts in enumerate(AMOUNTS * 2)
    ]
    tally, outcomes, warnings = Tally(), [], Counter[str]()

    def told(news: crew.News) -> None:
        warnings.update(news.warnings)
        for outcome in news.outcomes:
            tally.add(outcome)
            outcomes.append(outcome)

    with (
        installation.started() as gateway,
        closing(Admin(gateway.url, gateway.secret_key)) as admin,
    ):
        shop = Shop(gateway.url, gateway.publishable_key, journeys.install(admin))
        pace = Pace(browse_s=1.2)  # by then the journeys are live everywhere
        assert crew.run(lives, shop, pace, processes=2, at_once=4, told=told)
        verdict = verify.check(admin, outcomes, lambda: None)

    assert (tally.lives, tally.purchases, verdict.profiles) == (6, 18, 6)
    assert verdict.wrong == []
    assert (tally.errors, tally.dropped, tally.unsent, tally.awaited) == ({}, {}, 0, 0)
    assert tally.messages == {
        journeys.WELCOME: 6,
        journeys.THANKS: 4,
        journeys.REGULAR: 2,
    }
    # Each message was also received, shown, and clicked or dismissed.
    tracked = sum(sum(outcome.tracked.values()) for outcome in outcomes)
    assert tally.acknowledged == tracked + 3 * 12
    assert tally.form_factors == {"phone": 3, "tv": 3}
    assert warnings == {}
