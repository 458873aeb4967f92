"""Killed at any point, a device loses nothing that was on disk and mixes up nobody."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fakes import a_message
from tests.sdk.scripted_gateway import Answer, ScriptedGateway, Seen

ROOT = Path(__file__).parents[2]
# The machine has cores; each goes through every n that is its own.
PARTS = 2

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def remember_people(gateway: ScriptedGateway) -> None:
    """Have tokens say whose they are: number of the device, person, count."""
    count = iter(range(1_000_000))

    def answer(number: str, person: str) -> dict[str, Any]:
        token = f"{number}/{person}/{next(count)}"
        return {"profile_id": f"{number}/{person}", "token": token, "expires_at": 0}

    def register(seen: Seen) -> Answer:
        number = seen.token.removeprefix("pk_")
        old = seen.headers.get("x-device-token", "//")
        person = old.split("/")[1] or "anonymous"
        body = {"device_id": number, "config": {"etag": "c1"}, **answer(number, person)}
        return Answer(201, body)

    def login(seen: Seen) -> Answer:
        return Answer(200, answer(seen.token.split("/")[0], seen.body["user_id"]))

    def logout(seen: Seen) -> Answer:
        return Answer(200, answer(seen.token.split("/")[0], "nobody"))

    gateway.always("POST /v1/devices", register)
    gateway.always("POST /v1/identity", login)
    gateway.always("DELETE /v1/identity", logout)


def all_deaths(gateway: ScriptedGateway, directory: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.sdk.mortal", gateway.url, "pk_#", str(directory)]
    started = [
        subprocess.Popen(
            [*command, str(part), str(PARTS)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk_reference'}"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(1, PARTS + 1)
    ]
    results = []
    for process in started:
        output, _ = process.communicate(timeout=110)
        results += [json.loads(line) for line in output.splitlines()]
    return sorted(results, key=lambda one: one["number"])


def test_process_killed_before_any_change_loses_and_repeats_and_mixes_up_nothing(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    remember_people(gateway)
    gateway.deliver(a_message("m1"))
    results = all_deaths(gateway, tmp_path)
    killed = [one for one in results if one["ended"] == -9]
    assert len(killed) > 80, "a life has more steps than that"
    assert [one["number"] for one in killed][:50] == list(range(1, 51))
    assert {one["again"] for one in results} == {0}

    arrived: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    told = {seen.token.split("/")[0] for seen in gateway.requests("PUT /v1/consent")}
    for batch in gateway.batches():
        if not batch.body:
            # The process died between the head of its request and the body.
            continue
        number, person, _ = batch.token.split("/")
        for event in batch.body["events"]:
            arrived[number][event["name"]].add(event["id"])
            if event["name"].startswith("of "):
                assert event["name"] == f"of {person}"
            elif event["name"] == "anonymous":
                assert person == "anonymous"
    for one in results:
        number, said = str(one["number"]), one["said"]
        saved = {line.removeprefix("saved ") for line in said if line.startswith("saved ")}
        assert saved - {"consent"} <= set(arrived[number])
        assert "consent" not in saved or number in told
        assert said.count("shown m1") <= 1
        for name, ids in arrived[number].items():
            assert len(ids) == 1 or name.startswith("message_"), (number, name)
