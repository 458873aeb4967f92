"""Partitions that change hands at the worst moment, one step at a time."""

import asyncio
from typing import Any

import pytest

from gateway.worker import owner_of
from tests.builders import an_event
from tests.clients import eventually
from tests.conftest import StartGateway


async def test_a_partition_that_left_and_came_back_while_a_turn_was_reading_counts_nothing_twice(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(partitions=1, lease_s=0.3)
    phone = await (await gateway.new_shop()).new_phone()
    slow = await gateway.start_worker("slow")
    await gateway.settled()
    read, has_read, may_go_on = slow._log.read, asyncio.Event(), asyncio.Event()

    async def read_slowly(places: Any) -> Any:
        entries = await read(places)
        if entries and not has_read.is_set():
            has_read.set()
            await may_go_on.wait()
        return entries

    monkeypatch.setattr(slow._log, "read", read_slowly)
    await phone.upload(an_event("purchase"))
    await has_read.wait()
    before = slow._owned[0].epoch
    monkeypatch.setattr(slow._log, "read", read)
    other = await gateway.start_worker(name_that_wins_against("slow"))
    assert (await phone.shop.profile(phone.profile_id))["counts"] == {"purchase": 1}
    other.stop()
    await eventually(lambda: 0 in slow._owned and slow._owned[0].epoch > before + 1)
    may_go_on.set()
    await phone.upload(an_event("visit"))

    profile = await phone.shop.profile(phone.profile_id)
    assert profile["counts"] == {"purchase": 1, "visit": 1}


def name_that_wins_against(name: str) -> str:
    """A worker that is given partition 0 as soon as it is there."""
    return next(
        other for number in range(100) if owner_of(0, [name, other := f"{number}"]) == other
    )
