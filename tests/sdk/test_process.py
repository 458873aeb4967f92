"""What the client does when processes end, fork or are killed."""

import sys
from pathlib import Path

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.scripted_gateway import ScriptedGateway, problem
from tests.sdk.test_storage import run_python

EVENTS = "POST /v1/events"

PREAMBLE = """
import os, pathlib, sys, time
from zuruf import Config, Zuruf
client = Zuruf(Config(endpoint=sys.argv[1], publishable_key="pk_test",
                      storage_dir=pathlib.Path(sys.argv[2])))
"""


def test_killed_process_loses_nothing_and_its_batch_goes_on_with_the_same_ids(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=60))
    ids = run_python(
        PREAMBLE
        + """
ids = [client.track("before the kill", {"number": number}) for number in range(3)]
client.flush(2.0)
ids.append(client.track("after the batch was made"))
deadline = time.monotonic() + 5
while client.diagnostics().queue_events < 4 and time.monotonic() < deadline:
    time.sleep(0.002)
print(*ids, sep="\\n", flush=True)
os._exit(0)
""",
        gateway.url,
        str(tmp_path / "zuruf"),
    ).split()
    gateway.always(EVENTS, None)
    assert client_of().flush().is_complete
    first, *_, repeated, rest = gateway.batches()
    assert first.body["batch_id"] == repeated.body["batch_id"]
    assert first.event_ids == repeated.event_ids == ids[:3]
    assert rest.event_ids == ids[3:]
    assert len(gateway.requests("POST /v1/devices")) == 1


def test_script_that_just_ends_has_sent_its_events(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    run_python(PREAMBLE + 'client.track("done")', gateway.url, str(tmp_path / "zuruf"))
    assert gateway.accepted_names() == ["done"]


def test_client_that_the_app_let_go_of_still_sends_its_events(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    run_python(
        PREAMBLE + 'client.track("orphaned"); del client; import gc; gc.collect()',
        gateway.url,
        str(tmp_path / "zuruf"),
    )
    assert gateway.accepted_names() == ["orphaned"]


def test_script_that_cannot_send_ends_within_its_budget_and_keeps_its_events(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.always(EVENTS, problem(503, "overloaded", retry_after=60))
    run_python(PREAMBLE + 'client.track("kept")', gateway.url, str(tmp_path / "zuruf"))
    gateway.always(EVENTS, None)
    assert client_of().flush().sent == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_parent_and_child_of_a_fork_both_deliver_and_neither_repeats_the_other(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    run_python(
        PREAMBLE
        + """
client.track("before the fork")
assert client.flush().is_complete
client.track("unsent at the fork")
child = os.fork()
if child == 0:
    client.track("in the child")
    complete = client.flush(5.0).is_complete
    client.shutdown()
    os._exit(0 if complete else 1)
client.track("in the parent")
assert client.flush(5.0).is_complete
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
client.track("after the child")
assert client.flush(5.0).is_complete
client.shutdown()
""",
        gateway.url,
        str(tmp_path / "zuruf"),
    )
    assert sorted(gateway.accepted_names()) == [
        "after the child",
        "before the fork",
        "in the child",
        "in the parent",
        "unsent at the fork",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_client_that_was_made_before_a_fork_starts_in_the_child(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    run_python(
        PREAMBLE
        + """
child = os.fork()
if child == 0:
    client.track("in the child")
    complete = client.flush(5.0).is_complete
    disk = client.diagnostics().storage == "disk"
    client.shutdown()
    os._exit(0 if complete and disk else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
        gateway.url,
        str(tmp_path / "zuruf"),
    )
    assert gateway.accepted_names() == ["in the child"]
