"""What must not harm the client: answers that make no sense, a locked file, calls at the worst moment."""

import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import ManualClock, Screen, a_message, until
from tests.sdk.scripted_gateway import Answer, ScriptedGateway
from tests.sdk.test_plugins import Each
from tests.sdk.test_storage import run_python
from zuruf import FlushResult
from zuruf.database import FILE_NAME
from zuruf.decisions.clock_offset import SERVER_MS_MAX, server_ms_of
from zuruf.decisions.settings import merged
from zuruf.decisions.values import INTEGER_MAX
from zuruf.messages import read_message
from zuruf.plugins import Event

REGISTER = "POST /v1/devices"
EVENTS = "POST /v1/events"

# Answers


def test_message_from_the_end_of_time_does_not_hide_the_others(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    endless = a_message("endless", created_at=INTEGER_MAX)
    del endless["expires_at"]
    message = read_message(endless, 0)
    assert message is not None
    assert message.expires_at == INTEGER_MAX
    client, screen = client_of(), Screen()
    client.in_app.on_message(screen)
    gateway.deliver(endless, a_message("fine"))
    screen.wait_for(2)
    assert sorted(screen.message_ids) == ["endless", "fine"]


@pytest.mark.parametrize("share, expected", [(10**400, 1.0), (-(10**400), 0.0)])
def test_share_that_no_float_can_hold_is_brought_within(share: int, expected: float) -> None:
    assert merged({}, {"sampling": {"scrolled": share}}).sampling == {"scrolled": expected}


@pytest.mark.parametrize("token", ["line\nbreak", "tökên", "", 5, None])
def test_token_that_cannot_be_sent_is_not_kept(
    gateway: ScriptedGateway, client_of: ClientFactory, token: Any
) -> None:
    gateway.will(REGISTER, Answer(201, {"device_id": "d", "profile_id": "p", "token": token}))
    client = client_of()
    client.track("before")
    assert client.flush().last_error == "unreadable_answer"
    client.shutdown(timeout_s=0)
    again = client_of()
    assert again.flush().is_complete
    assert gateway.accepted_names() == ["before"]


@pytest.mark.parametrize(
    "text, expected",
    [
        (str(SERVER_MS_MAX), SERVER_MS_MAX),
        (str(SERVER_MS_MAX + 1), None),
        ("9" * 5_000, None),
        ("-5", None),
        ("1e3", None),
        ("", None),
        ("0", 0),
    ],
)
def test_server_time_is_a_time_of_the_protocol(text: str, expected: int | None) -> None:
    assert server_ms_of(text) == expected


def test_answer_that_never_ends_is_given_up_and_asked_for_again(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    never = threading.Event()
    clock = ManualClock()
    client = client_of(clock=clock, connect_timeout_s=10, read_timeout_s=15)
    client.track("first")
    assert client.flush().is_complete
    gateway.will(EVENTS, Answer(200, {}, after=never))
    client.track("second")
    client.on_background()
    gateway.wait_for_requests(EVENTS, 2)
    # Connecting, sending and waiting for the answer.
    clock.advance(39)
    has_looked = threading.Event()
    client._core.post(lambda worker: has_looked.set())
    assert has_looked.wait(5)
    assert client.diagnostics().failures_in_a_row == 0
    clock.advance(1)
    first, second = gateway.wait_for_requests(EVENTS, 3)[1:]
    assert first.event_ids == second.event_ids
    never.set()


# Files


def test_deletion_of_everything_waits_for_a_file_that_is_locked(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    client = client_of()
    client.identify("u_1")
    assert client.flush().is_complete
    install_id = gateway.requests(REGISTER)[0].body["install_id"]
    is_looked_at = threading.Event()
    other = sqlite3.connect(tmp_path / "zuruf" / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    client.delete_local_data()
    client._core.post(lambda _: is_looked_at.set())
    # The wait for the lock ends after two seconds; the deletion must not end with it.
    assert not is_looked_at.wait(3)
    other.execute("ROLLBACK")
    other.close()
    until(client, lambda now: now.user_id is None)
    client.track("of the new device")
    assert client.flush().is_complete
    assert gateway.requests(REGISTER)[-1].body["install_id"] != install_id


def test_path_that_cannot_be_is_a_queue_in_memory(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of(storage_dir=Path("no\0path"))
    client.track("event")
    assert client.flush().is_complete
    assert client.diagnostics().storage == "memory"


# Calls


def test_word_of_the_person_is_not_undone_by_a_change_in_another_process(
    client_of: ClientFactory,
) -> None:
    client, other = client_of(), client_of()
    for one in (client, other):
        one.track("first")
        assert one.flush().is_complete
    is_busy, may_go_on = threading.Event(), threading.Event()

    def be_busy(_: object) -> None:
        is_busy.set()
        may_go_on.wait()

    client._core.post(be_busy)
    assert is_busy.wait(5)
    # The file changes under a client that has not come to what its app said.
    other.identify("u_1")
    assert other.flush().is_complete
    client.consent.revoke("messaging")
    client.opt_out()
    may_go_on.set()
    client.flush()
    assert client.is_opted_out
    assert client.consent.status["messaging"] is False


def test_plugin_that_calls_what_waits_does_not_wait_for_itself(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    results: list[FlushResult] = []
    has_ended = threading.Event()

    def call(event: Event) -> Event:
        results.append(plugin.client.flush(timeout_s=60))
        results.append(plugin.client.shutdown(timeout_s=60))
        has_ended.set()
        return event

    plugin = Each(call)
    client = client_of(plugins=[plugin])
    client.track("event")
    assert has_ended.wait(5)
    assert [result.sent for result in results] == [0, 0]
    gateway.wait_for(lambda: gateway.accepted_names() == ["event"])


# Forks


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_inbox_of_the_parent_is_nobodys_in_the_child(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    gateway.deliver(a_message("m1"))
    said = run_python(
        """
        import os, pathlib, sys, time
        from zuruf import Config, Zuruf
        client = Zuruf(Config(endpoint=sys.argv[1], publishable_key="pk_test",
                              storage_dir=pathlib.Path(sys.argv[2])))
        client.in_app.on_message(lambda message, show: None)
        client.identify("u_1")
        while not client.inbox.messages():
            time.sleep(0.002)
        child = os.fork()
        if child == 0:
            client.reset()
            os._exit(len(client.inbox.messages()))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(client.inbox.messages()), flush=True)
        os._exit(0)
        """,
        gateway.url,
        str(tmp_path / "zuruf"),
    )
    assert said.split()[0] == "0"
