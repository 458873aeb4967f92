"""Several processes of one app, or several clients in one, on the same queue file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import ScriptedGateway, problem
from tests.sdk.test_storage import a_row, run_python
from zuruf.events import RESET
from zuruf.leases import LEASE_S_MAX, RECEIVE, RETRY_S, UPLOAD, Leases
from zuruf.storage import Storage
from zuruf.workspace import IDENTITY

EVENTS = "POST /v1/events"


def opened(directory: Path) -> Storage:
    storage = Storage(directory)
    storage.open()
    return storage


def leases_of(storage: Storage, clock: ManualClock, name: str) -> Leases:
    leases = Leases(storage, clock, name)
    leases.arrive()
    return leases


# The file


def test_rows_of_two_processes_stand_in_the_order_in_which_they_were_saved(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    for number in range(6):
        (first if number % 2 else second).append(a_row(str(number)))
    first.look()
    assert first.events == 6
    batch = first.make_batch("b1", events_max=10, bytes_max=10_000)
    assert batch is not None
    assert [row.id for row in batch.rows] == ["0", "1", "2", "3", "4", "5"]
    first.settle(batch)
    second.look()
    assert (second.events, second.bytes, second.open_batch()) == (0, 0, None)


def test_batch_that_another_process_settled_is_settled_once(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.append(a_row("one"))
    batch = first.make_batch("b1", events_max=10, bytes_max=10_000)
    assert batch is not None
    second.settle(batch)
    second.append(a_row("two"))
    first.settle(batch)
    assert (first.events, first.bytes) == (1, 2)
    first.dissolve(batch, dropped={"one": "too_large"})
    assert first.drops() == {}


def test_process_that_is_alone_notices_nothing(tmp_path: Path) -> None:
    noticed: list[str] = []
    storage = opened(tmp_path)
    storage.changed_elsewhere = lambda: noticed.append("change")
    storage.append(a_row("one"))
    storage.look()
    assert noticed == []
    opened(tmp_path).put("key", 1)
    storage.append(a_row("two"))
    assert noticed == ["change"]


def test_file_that_another_process_replaced_is_not_set_aside_again(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.append(a_row("in the damaged file"))
    first.set_file_aside()
    first.open()
    first.append(a_row("in the new file"))
    second.set_file_aside()
    second.open()
    head = second.head()
    assert head is not None
    assert head.id == "in the new file"


# Leases


def test_lease_belongs_to_one_process_until_it_is_given_back(tmp_path: Path) -> None:
    clock = ManualClock()
    first = leases_of(opened(tmp_path), clock, "first")
    second = leases_of(opened(tmp_path), clock, "second")
    assert first.hold(UPLOAD, 10)
    assert not second.hold(UPLOAD, 10)
    assert second.next_try_s(UPLOAD) == clock.monotonic_s() + RETRY_S
    assert second.hold(RECEIVE, 10)
    first.release(UPLOAD)
    assert second.hold(UPLOAD, 10)
    assert second.next_try_s(UPLOAD) is None


def test_lease_is_given_back_also_when_others_wrote_to_the_file_meanwhile(tmp_path: Path) -> None:
    clock = ManualClock()
    first = leases_of(opened(tmp_path), clock, "first")
    second = leases_of(opened(tmp_path), clock, "second")
    assert first.hold(UPLOAD, 10)
    first.changed_elsewhere()
    first.release(UPLOAD)
    assert second.hold(UPLOAD, 10)


@pytest.mark.parametrize(
    "seconds, is_free", [(9, False), (39, False), (41, True)], ids=["early", "spare", "over"]
)
def test_lease_of_a_process_that_hangs_ends_by_itself(
    tmp_path: Path, seconds: float, is_free: bool
) -> None:
    clock = ManualClock()
    first = leases_of(opened(tmp_path), clock, "first")
    second = leases_of(opened(tmp_path), clock, "second")
    assert first.hold(UPLOAD, 10)
    clock.advance(seconds)
    assert second.hold(UPLOAD, 10) == is_free


def test_lease_of_a_clock_that_ran_ahead_does_not_last_for_ever(tmp_path: Path) -> None:
    ahead, right = ManualClock(wall_ms=4_000_000_000_000), ManualClock()
    assert leases_of(opened(tmp_path), ahead, "first").hold(UPLOAD, 10)
    assert leases_of(opened(tmp_path), right, "second").hold(UPLOAD, 10)


def test_lease_is_respected_however_long_it_was_asked_for(tmp_path: Path) -> None:
    clock = ManualClock()
    first = leases_of(opened(tmp_path), clock, "first")
    second = leases_of(opened(tmp_path), clock, "second")
    assert first.hold(UPLOAD, 10 * LEASE_S_MAX)
    assert not second.hold(UPLOAD, 10)
    clock.advance(LEASE_S_MAX)
    assert second.hold(UPLOAD, 10)


def test_lease_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    script = """
        import os, sys, pathlib
        from zuruf.clock import SystemClock
        from zuruf.leases import Leases
        from zuruf.storage import Storage
        storage = Storage(pathlib.Path(sys.argv[1]))
        storage.open()
        leases = Leases(storage, SystemClock(), "killed")
        leases.arrive()
        assert leases.hold("upload", 60)
        os._exit(0)
    """
    run_python(script, str(tmp_path))
    alone = leases_of(opened(tmp_path), ManualClock(), "next")
    assert not alone.has_company
    assert alone.hold(UPLOAD, 10)


def test_company_is_known_while_it_is_there(tmp_path: Path) -> None:
    clock = ManualClock()
    first = leases_of(opened(tmp_path), clock, "first")
    knows = [first.has_company]
    second = leases_of(opened(tmp_path), clock, "second")
    assert second.has_company
    first.look_around()
    knows.append(first.has_company)
    second.leave()
    first.look_around()
    assert [*knows, first.has_company] == [False, True, False]


# Clients


def test_two_clients_are_one_device_and_upload_each_event_once(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    first, second = client_of(), client_of()
    names = [f"{number} of {which}" for number in range(20) for which in ("first", "second")]
    for name in names:
        (first if name.endswith("first") else second).track(name)
    assert first.flush().is_complete
    assert second.flush().is_complete
    assert sorted(gateway.accepted_names()) == sorted(names)
    assert len(gateway.requests("POST /v1/devices")) == 1
    assert first.diagnostics().device_id == second.diagnostics().device_id == "device"


def test_process_that_is_alone_is_woken_by_nothing_for_an_hour(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    clock = ManualClock()
    client = client_of(clock=clock)
    client.track("once")
    client.flush()
    assert clock.settle(client) - clock.monotonic_s() > 3_000


def test_person_changed_by_another_process_reaches_this_one(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    other = client_of()
    other.start()
    until(other, lambda now: now.storage == "disk")
    client, screen = client_of(), Screen(keeps=True)
    client.in_app.on_message(screen)
    ended: list[str] = []
    people: list[str | None] = []
    client.subscribe("message_ended", ended.append)
    client.subscribe("identity_changed", people.append)
    gateway.deliver(a_message("for the first"))
    screen.wait_for(1)
    gateway.clear_messages()
    (show,) = screen.shows
    other.identify("u_2")
    other.flush()
    until(client, lambda now: now.user_id == "u_2")
    assert show.is_current
    other.reset()
    assert other.flush().is_complete
    until(client, lambda now: now.user_id is None)
    until(client, lambda _: ended == ["for the first"])
    assert not show.is_current
    assert people == ["u_2", None]
    show.clicked("ok")
    client.flush()
    assert "message_clicked" not in gateway.accepted_names()


def test_revocation_in_another_process_is_obeyed_here(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=60))
    other = client_of()
    other.start()
    until(other, lambda now: now.storage == "disk")
    client = client_of()
    client.track("before")
    until(client, lambda now: now.queue_events == 1)
    other.consent.revoke("analytics")
    until(client, lambda now: now.queue_events == 0)
    client.track("after")
    until(client, lambda now: now.dropped == {"consent": 1})
    assert client.consent.status == {"analytics": False}


def test_only_a_process_with_a_callback_receives(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    service, app = client_of(stream="poll"), client_of(stream="poll")
    service.track("from the service")
    service.flush()
    screen = Screen()
    app.in_app.on_message(screen)
    gateway.deliver(a_message("m1"))
    screen.wait_for(1)
    assert service.diagnostics().stream_state == "off"


def test_message_is_shown_by_one_of_two_processes(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    screens = [Screen(), Screen()]
    clients = [client_of(), client_of()]
    for client, screen in zip(clients, screens, strict=True):
        client.in_app.on_message(screen)
    gateway.deliver(a_message("m1"), a_message("m2"))
    until(clients[0], lambda _: sum(len(one.shows) for one in screens) == 2)
    assert sorted(screens[0].message_ids + screens[1].message_ids) == ["m1", "m2"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_next_process_takes_over_from_one_that_was_killed_while_uploading(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=60))
    script = """
import pathlib, sys, time
from zuruf import Config, Zuruf
client = Zuruf(Config(endpoint=sys.argv[1], publishable_key="pk_test",
                      storage_dir=pathlib.Path(sys.argv[2]), flush_at=1))
client.track("of the killed one")
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, gateway.url, str(tmp_path / "zuruf")],
        env={"PYTHONPATH": str(Path(sys.modules["zuruf"].__file__ or "").parent.parent)},
    )
    gateway.wait_for_requests(EVENTS, 1)
    client = client_of()
    client.track("of the survivor")
    assert not client.flush(timeout_s=0.1).is_complete
    gateway.always(EVENTS, None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert client.flush().is_complete
    accepted = [batch.event_names for batch in gateway.batches()[1:]]
    assert accepted[-2:] == [["of the killed one"], ["of the survivor"]]


def test_logout_by_another_process_is_not_undone_by_a_late_answer(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    client = client_of()
    client.identify("u_1")
    assert client.flush().is_complete
    other = opened(tmp_path / "zuruf")
    other.append(a_row("out", kind=RESET))
    other.close()
    client.track("after")
    assert client.flush().is_complete
    assert [one.route for one in gateway.seen][-2:] == ["DELETE /v1/identity", EVENTS]
    kept = opened(tmp_path / "zuruf")
    assert kept.get(IDENTITY)["user_id"] is None
    kept.close()
