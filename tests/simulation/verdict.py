"""What came of the promises, seen from outside: on disk, in the profiles, in the decisions."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import UUID

import libvalkey

from gateway.eventlog import _entries
from gateway.records import EventsUploaded
from tests.simulation.device import CALL, Device
from tests.simulation.fleet import Fleet
from tests.simulation.gateway_process import GatewayProcess
from tests.simulation.oracle import Promised
from tests.simulation.visitor import Person
from tests.simulation.wire import Wire


@dataclass
class Verdict:
    """How often each promise was broken; all of it is 0 when the gateway keeps its word."""

    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    messages_missing: int = 0
    messages_doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def broken(self) -> dict[str, object]:
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name))}


async def examine(gateway: GatewayProcess, fleet: Fleet) -> Verdict:
    """Hold what there is against what was promised. The gateway runs, the fleet has finished."""
    verdict = Verdict()
    promises = fleet.oracle.read()
    on_disk = await asyncio.to_thread(read_log, gateway.data_dir)
    admin = gateway.admin()
    for device in fleet.devices:
        promised = promises[device.profile_id]
        profile = await _settled_profile(admin, device.profile_id, len(promised.events))
        decisions = await _ask(admin, f"/admin/v1/profiles/{device.profile_id}/decisions")
        verdict.faults += device.faults
        _compare_log(verdict, promised, on_disk.get(device.profile_id, []))
        _compare_profile(verdict, promised, profile)
        _compare_messages(verdict, promised, decisions[::-1])
        await _compare_inbox(verdict, admin, device)
    for person in fleet.people:
        await _compare_person(verdict, admin, person)
    admin.close()
    return verdict


def _compare_log(verdict: Verdict, promised: Promised, on_disk: list[str]) -> None:
    ids = [id for id, _ in promised.events]
    verdict.lost += len(set(ids) - set(on_disk))
    verdict.duplicates += len(on_disk) - len(set(on_disk))
    if set(on_disk) - set(ids):
        verdict.faults.append("the log holds events that were never sent")
    verdict.reordered += sum(a != b for a, b in zip(ids, on_disk, strict=False))


def _compare_profile(verdict: Verdict, promised: Promised, profile: dict[str, Any]) -> None:
    expected, counted = Counter(name for _, name in promised.events), Counter(profile["counts"])
    verdict.lost += (expected - counted).total()
    verdict.duplicates += (counted - expected).total()
    laps = sum(count for name, count in expected.items() if name.startswith("lap-"))
    if profile["attributes"].get("laps") != laps:
        verdict.faults.append("the last lap is not the one the profile remembers")


def _compare_messages(
    verdict: Verdict, promised: Promised, decisions: list[dict[str, Any]]
) -> None:
    calls = [UUID(id) for id, name in promised.events if name == CALL]
    sent = [decision for decision in decisions if decision["outcome"] == "sent"]
    decided = [UUID(decision["event_id"]) for decision in sent]
    ids = [decision["message_id"] for decision in sent]
    verdict.messages_missing += len(set(calls) - set(decided))
    verdict.messages_missing += len(set(ids) - set(promised.messages))
    verdict.messages_doubled += len(decided) - len(set(decided))
    verdict.messages_doubled += len(promised.messages) - len(set(promised.messages))
    verdict.messages_doubled += len(set(promised.messages) - set(ids))
    verdict.reordered += sum(a != b for a, b in zip(calls, decided, strict=False))
    verdict.reordered += sum(a != b for a, b in zip(ids, promised.messages, strict=False))
    if len(decisions) > len(sent):
        verdict.faults.append(f"{len(decisions) - len(sent)} calls were refused")


async def _compare_inbox(verdict: Verdict, admin: Wire, device: Device) -> None:
    left = await _ask(admin, f"/admin/v1/profiles/{device.profile_id}/messages")
    answer = await device.look_at_inbox()
    verdict.messages_doubled += len(left)
    if answer.status != 204:
        verdict.faults.append(f"messages that were shown are handed out again: {answer.body}")


async def _compare_person(verdict: Verdict, admin: Wire, person: Person) -> None:
    """Before and after the login is one life, and the messages of both are in one inbox."""
    profile = await _settled_profile(admin, person.profile_id, person.events.total())
    counted = Counter(profile["counts"])
    inbox = await _ask(admin, f"/admin/v1/profiles/{person.profile_id}/messages")
    verdict.lost += (person.events - counted).total()
    verdict.duplicates += (counted - person.events).total()
    verdict.messages_missing += max(0, person.events[CALL] - len(inbox))
    verdict.messages_doubled += max(0, len(inbox) - person.events[CALL])


async def _settled_profile(admin: Wire, profile_id: str, events: int) -> dict[str, Any]:
    """The profile once it has counted that many events, or after ten seconds in which it did not."""
    profile: dict[str, Any] = {}
    try:
        async with asyncio.timeout(10):
            while profile.get("events", 0) < events:
                profile = await _ask(admin, f"/admin/v1/profiles/{profile_id}")
                await asyncio.sleep(0.01)
    except TimeoutError:
        pass
    return profile


async def _ask(admin: Wire, path: str) -> Any:
    status, body = await admin.ask("GET", path)
    assert status == 200, body
    return body


def read_log(data_dir: Path) -> dict[str, list[str]]:
    """profile id → ids of its events, in order, from the file that Valkey appends to.

    The log itself is trimmed behind its readers; the file still has every entry there ever was, as
    long as Valkey had no reason to rewrite it, which takes 512 MB.
    """
    (file,) = (data_dir / "appendonlydir").glob("*.incr.aof")
    assert file.name.endswith(".1.incr.aof"), "rewritten: run fewer rounds"
    events: dict[str, list[str]] = {}
    reader = libvalkey.Reader(notEnoughData=None)
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            reader.feed(chunk)
            while (command := reader.gets()) is not None:
                if command[0] == b"XADD" and command[1].startswith(b"log:"):
                    _, _, entry_id, *values = command
                    (entry,) = _entries([[entry_id, values]])
                    if isinstance(entry.record, EventsUploaded):
                        ids = events.setdefault(entry.record.sender.profile_id, [])
                        ids += [str(event.id) for event in entry.record.events]
    return events
