import contextlib
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import until
from tests.sdk.scripted_gateway import ScriptedGateway, problem
from zuruf import Config, Zuruf
from zuruf.database import FILE_NAME
from zuruf.errors import StorageError
from zuruf.events import EVENT, RESET, Row
from zuruf.schema import MIGRATIONS
from zuruf.storage import TAKEOVERS, Storage


def a_row(row_id: str, *, kind: str = EVENT, body: bytes = b"{}") -> Row:
    return Row(kind, row_id, f"name of {row_id}", 1_763_750_000_000, body)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    opened = Storage(tmp_path / "queue")
    opened.open()
    return opened


@pytest.mark.parametrize("damage", [b"this is not a database" * 100, b"SQLite format 3\x00" * 300])
def test_damaged_file_is_set_aside_and_the_client_goes_on(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path, damage: bytes
) -> None:
    directory = tmp_path / "zuruf"
    directory.mkdir()
    (directory / FILE_NAME).write_bytes(damage)
    client = client_of(storage_dir=directory)
    client.track("survivor")
    assert client.flush().is_complete
    assert client.diagnostics().storage == "disk"
    assert client.diagnostics().dropped == {"storage_damaged": 1}
    assert (directory / f"{FILE_NAME}.damaged").read_bytes() == damage
    assert gateway.batches()[0].body["client_report"] == [
        {"reason": "storage_damaged", "quantity": 1}
    ]


def test_file_damaged_in_the_middle_keeps_later_events_flowing(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=60))
    client = client_of()
    for number in range(200):
        client.track("padding", {"number": number, "text": "x" * 200})
    client.shutdown()
    path = tmp_path / "zuruf" / FILE_NAME
    content = bytearray(path.read_bytes())
    content[5000:20000] = b"\xff" * 15000
    path.write_bytes(bytes(content))
    gateway.always("POST /v1/devices", None)
    again = client_of()
    again.track("survivor")
    assert again.flush().is_complete
    assert "survivor" in gateway.accepted_names()


def test_file_of_a_newer_version_is_set_aside(storage: Storage, tmp_path: Path) -> None:
    storage.run("PRAGMA user_version = 99")
    storage.close()
    again = Storage(tmp_path / "queue")
    again.open()
    assert again.set_aside is not None
    assert "99" in again.set_aside
    again.close()


def test_unusable_directory_means_memory(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    client = client_of(storage_dir=tmp_path / "a file")
    client.track("homeless")
    assert client.flush().is_complete
    assert client.diagnostics().storage == "memory"


def test_full_disk_costs_no_event_and_is_left_as_soon_as_there_is_room(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    """The limit on the size of a file stands for the full disk."""
    script = """
        import resource, sys, pathlib, time
        from zuruf import Config, Zuruf
        endpoint, directory = sys.argv[1:]
        client = Zuruf(Config(endpoint=endpoint, publishable_key="pk", flush_at=10_000,
                              storage_dir=pathlib.Path(directory)))
        client.track("first")
        assert client.flush().is_complete
        assert client.diagnostics().storage == "disk"
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
        for number in range(600):
            client.track("padding", {"number": number, "text": "x" * 500})
        deadline = time.monotonic() + 5
        while client.diagnostics().storage != "memory":
            assert time.monotonic() < deadline, client.diagnostics()
            time.sleep(0.002)
        assert client.flush().is_complete
        assert client.diagnostics().dropped == {}, client.diagnostics()
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        client.track("last")
        client.identify("u_42")
        assert client.flush().is_complete
        assert client.diagnostics().storage == "disk", client.diagnostics()
        client.shutdown()
    """
    run_python(script, gateway.url, str(tmp_path / "zuruf"))
    numbers = [
        event["props"]["number"]
        for batch in gateway.batches()
        for event in batch.body["events"]
        if event["name"] == "padding"
    ]
    assert sorted(set(numbers)) == list(range(600))
    kept = Storage(tmp_path / "zuruf")
    kept.open()
    assert kept.get("identity")["user_id"] == "u_42"
    assert kept.events == 0
    kept.close()


class FullOnce(Storage):
    """A disk that is full for one operation, when it is told to be."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.is_full = False

    def append(self, row: Row) -> Row:
        if self.is_full and row.kind != EVENT:
            self.is_full = False
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        return super().append(row)


def test_revocation_counts_also_when_the_disk_was_full_at_that_moment(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    gateway.will("POST /v1/devices", problem(503, "overloaded", retry_after=1))
    storage = FullOnce(tmp_path / "zuruf")
    client = client_of(storage=storage)
    client.track("unsent")
    until(client, lambda now: now.queue_events == 1)
    storage.is_full = True
    client.consent.revoke("analytics")
    until(client, lambda now: now.storage == "memory")
    client.track("denied")
    assert client.flush().is_complete
    assert gateway.accepted_names() == []
    assert client.diagnostics().dropped == {"consent": 2}
    assert len(gateway.requests("PUT /v1/consent")) == 1


def test_start_does_not_fail_when_the_directory_cannot_even_be_made(
    gateway: ScriptedGateway,
) -> None:
    client = Zuruf(
        Config(endpoint=gateway.url, publishable_key="pk", storage_dir=Path("/dev/null/zuruf"))
    )
    client.track("homeless")
    assert client.flush().is_complete
    client.shutdown()


def test_event_with_a_known_id_is_kept_once(storage: Storage) -> None:
    storage.append(a_row("one"))
    storage.append(a_row("one"))
    assert storage.events == 1
    storage.close()


def test_batch_ends_before_an_identity_operation(storage: Storage) -> None:
    for row in (a_row("one"), a_row("two"), a_row("out", kind=RESET), a_row("three")):
        storage.append(row)
    batch = storage.make_batch("b1", events_max=10, bytes_max=10_000)
    assert batch is not None
    assert [row.id for row in batch.rows] == ["one", "two"]
    head = storage.head()
    assert head is not None
    assert head.kind == RESET
    assert storage.is_isolated()
    storage.close()


def test_batch_is_the_same_after_reopening(storage: Storage, tmp_path: Path) -> None:
    storage.append(a_row("one"))
    storage.count_drops("queue_overflow", 3)
    made = storage.make_batch("b1", events_max=10, bytes_max=10_000)
    storage.append(a_row("two"))
    storage.close()
    again = Storage(tmp_path / "queue")
    again.open()
    assert again.open_batch() == made
    assert again.drops() == {}
    again.close()


def test_dissolved_batch_gives_its_report_back(storage: Storage) -> None:
    storage.append(a_row("one"))
    storage.append(a_row("two"))
    storage.count_drops("queue_overflow", 3)
    batch = storage.make_batch("b1", events_max=10, bytes_max=10_000)
    assert batch is not None
    storage.count_drops("queue_overflow", 1)
    storage.dissolve(batch, dropped={"one": "too_large"})
    assert storage.drops() == {"queue_overflow": 4, "too_large": 1}
    assert storage.events == 1
    head = storage.head()
    assert head is not None
    assert head.id == "two"
    storage.close()


def test_events_of_a_sent_batch_are_not_evicted(storage: Storage) -> None:
    for number in range(4):
        storage.append(a_row(str(number)))
    batch = storage.make_batch("b1", events_max=2, bytes_max=10_000)
    assert storage.drop_excess(1, 10_000, [], "queue_overflow") == 2
    assert storage.open_batch() == batch
    assert storage.events == 2
    storage.close()


def test_failed_transaction_changes_nothing(storage: Storage) -> None:
    def fail_half_way() -> None:
        with storage.transaction():
            storage.append(a_row("one"))
            raise StorageError("half-way")

    with pytest.raises(StorageError):
        fail_half_way()
    assert (storage.events, storage.head()) == (0, None)
    storage.close()


def test_file_of_the_first_version_is_brought_up_with_its_events_and_its_identity(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "queue"
    directory.mkdir()
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO queue VALUES (1, 'event', 'one', 'opened', 2, NULL, x'7b7d')")
        old.execute("""INSERT INTO state VALUES ('user', '"u_42"')""")
        old.commit()
    storage = Storage(directory)
    storage.open()
    assert storage.set_aside is None
    head = storage.head()
    assert head is not None
    assert (head.id, head.type, storage.events) == ("one", "", 1)
    assert storage.get("user") == "u_42"
    storage.close()


def a_full_disk(tmp_path: Path) -> tuple[Storage, Storage]:
    """A file with one event, and the copy in memory that the work goes on in."""
    disk, memory = Storage(tmp_path / "queue"), Storage(None)
    disk.open()
    memory.open()
    disk.append(a_row("sent meanwhile"))
    disk.copy_to(memory)
    batch = memory.make_batch("b1", events_max=10, bytes_max=10_000)
    assert batch is not None
    memory.settle(batch)
    memory.append(a_row("recorded meanwhile"))
    memory.put("key", "newer")
    return disk, memory


def ids_of(storage: Storage) -> list[str]:
    return [row_id for (row_id,) in storage.rows("SELECT id FROM queue ORDER BY position")]


def test_what_happened_in_memory_replaces_a_file_that_nobody_touched(tmp_path: Path) -> None:
    disk, memory = a_full_disk(tmp_path)
    memory.return_to(disk)
    assert ids_of(disk) == ["recorded meanwhile"]
    assert (disk.events, disk.get("key")) == (1, "newer")
    disk.close()


def test_what_happened_in_memory_is_added_to_what_another_process_wrote(tmp_path: Path) -> None:
    disk, memory = a_full_disk(tmp_path)
    other = Storage(tmp_path / "queue")
    other.open()
    other.append(a_row("by another process"))
    other.put("key", "theirs")
    memory.return_to(disk)
    assert ids_of(disk) == ["by another process", "recorded meanwhile"]
    assert (disk.events, disk.get("key")) == (2, "theirs")
    disk.close()


def test_what_happened_in_memory_is_not_given_to_a_person_another_process_logged_in(
    tmp_path: Path,
) -> None:
    disk, memory = a_full_disk(tmp_path)
    other = Storage(tmp_path / "queue")
    other.open()
    other.put(TAKEOVERS, 1)
    memory.return_to(disk)
    assert ids_of(disk) == []
    assert disk.drops() == {"another_person": 1}
    disk.close()


def test_queue_is_bounded_in_bytes(client_of: ClientFactory, gateway: ScriptedGateway) -> None:
    gateway.always("POST /v1/devices", problem(503, "overloaded", retry_after=60))
    client = client_of(queue_bytes_max=10_000)
    for _ in range(20):
        client.track("heavy", {"text": "x" * 1000})
    until(client, lambda now: now.dropped.get("queue_overflow", 0) >= 11)
    assert client.diagnostics().queue_bytes <= 10_000


def run_python(script: str, *arguments: str) -> str:
    """Run a script as its own process, with this one's import path."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={"PYTHONPATH": str(Path(sys.modules["zuruf"].__file__ or "").parent.parent)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
