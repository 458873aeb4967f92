import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import valkey

import gateway
from gateway.embedded.lock import DataFolderBusy, folder_is_locked, read_holders
from gateway.embedded.process import process_lives
from gateway.embedded.valkey import (
    EmbeddedValkey,
    ValkeyFailed,
    find_binary,
    socket_path,
)
from tests.embedded.waiting import eventually

ROOT = Path(gateway.__file__).parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the bond to the parent is Linux's")


def connect(server: EmbeddedValkey) -> valkey.Valkey:
    return valkey.Valkey.from_url(server.url)


def fill(data_dir: Path, keys: int = 200) -> Path:
    """Data of a server that was stopped; returns the file that holds it."""
    with EmbeddedValkey(data_dir) as server, connect(server) as client:
        for key in range(keys):
            client.set(f"key-{key}", "x" * 100)
    return data_dir / "appendonlydir" / "appendonly.aof.1.incr.aof"


def count_keys(data_dir: Path) -> int:
    with EmbeddedValkey(data_dir) as server, connect(server) as client:
        return int(client.dbsize())


def test_it_fsyncs_before_it_answers_and_never_evicts(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server, connect(server) as client:
        options = client.config_get("*")
    assert options["appendonly"] == "yes"
    assert options["appendfsync"] == "always"
    assert options["no-appendfsync-on-rewrite"] == "no"
    assert options["maxmemory-policy"] == "noeviction"
    assert int(options["maxmemory"]) > 0
    assert options["save"] == ""
    assert options["port"] == "0"
    assert "pubsub 268435456 67108864 60" in options["client-output-buffer-limit"]


def test_memory_is_what_the_settings_allow_but_never_all_there_is(tmp_path: Path) -> None:
    for limit, expected in ((10**8, 10**8), (10**18, None)):
        server = EmbeddedValkey(tmp_path, store_bytes_max=limit)
        with server, connect(server) as client:
            found = int(client.config_get("maxmemory")["maxmemory"])
        assert found == expected or found < 10**17


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    url = server.start()
    try:
        with connect(server) as client:
            for key in range(300):
                client.set(f"key-{key}", "x")
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: server.poll() is not None)
        assert "SIGKILL" in server.describe_end()
        assert server.start() == url
        with connect(server) as client:
            assert client.dbsize() == 300
    finally:
        server.stop()


def test_a_second_server_on_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as first:
        with pytest.raises(DataFolderBusy, match=rf"\(process {os.getpid()}\).*--data-dir"):
            EmbeddedValkey(tmp_path).start()
        assert first.poll() is None
        with connect(first) as client:
            assert client.ping()


def test_a_server_whose_starter_vanished_still_locks_the_folder(tmp_path: Path) -> None:
    """As off Linux, where Valkey outlives a killed supervisor."""
    with EmbeddedValkey(tmp_path) as server:
        lock = tmp_path / "lock"
        lock.write_text(f"{dead_process()}\n{server.pid}\n")
        with pytest.raises(DataFolderBusy, match=f"kill {server.pid}"):
            EmbeddedValkey(tmp_path, patience_s=0.05).start()


def test_what_an_earlier_start_left_behind_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{dead_process()}\n{os.getppid()}\n and some rubbish")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "valkey.sock"))
    with EmbeddedValkey(tmp_path) as server, connect(server) as client:
        assert client.ping()
        assert read_holders(tmp_path) == (os.getpid(), server.pid)


def test_stopping_ends_the_server_and_frees_the_folder(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    pid = server.pid
    assert folder_is_locked(tmp_path)
    server.stop()
    server.stop()
    assert not process_lives(pid)
    assert not folder_is_locked(tmp_path)
    assert not socket_path(tmp_path).exists()
    assert "bye bye" in (tmp_path / "valkey.log").read_text()


def test_a_server_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    os.kill(server.pid, signal.SIGSTOP)
    server.stop(timeout_s=0.1)
    assert server.poll() == -signal.SIGKILL


@LINUX
def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from gateway.embedded.valkey import EmbeddedValkey\n"
        "server = EmbeddedValkey(Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert process_lives(pid)
        parent.kill()
    # At once: a lock that outlives its holder for a moment is waited for.
    with EmbeddedValkey(tmp_path):
        eventually(lambda: not process_lives(pid))


def test_starting_from_another_thread_is_refused(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def start() -> None:
        try:
            EmbeddedValkey(tmp_path).start()
        except AssertionError as error:
            raised.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert raised


def test_a_data_folder_may_be_too_long_for_a_socket(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long" * 20) / ("longer" * 20)
    for expected in (50, 100):
        server = EmbeddedValkey(data_dir)
        with server, connect(server) as client:
            for key in range(expected - 50, expected):
                client.set(f"key-{key}", "x")
            assert client.dbsize() == expected
            assert len(os.fsencode(socket_path(data_dir))) < 104
            assert socket_path(data_dir).parent.stat().st_mode & 0o777 == 0o700
        assert not socket_path(data_dir).parent.exists()
        assert not (data_dir / "valkey.sock").is_symlink()


def test_a_folder_for_the_socket_that_others_could_enter_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long" * 20) / ("longer" * 20)
    folder = socket_path(data_dir).parent
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(ValkeyFailed, match="not a private folder"):
            EmbeddedValkey(data_dir).start()
        assert not folder_is_locked(data_dir)
    finally:
        folder.rmdir()


def test_a_data_folder_may_have_a_difficult_name(tmp_path: Path) -> None:
    data_dir = tmp_path / 'it\'s "ä" 9% \\'
    with EmbeddedValkey(data_dir) as server, connect(server) as client:
        assert client.ping()
        assert data_dir in socket_path(data_dir).parents


def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    log = fill(tmp_path, keys=200)
    log.write_bytes(log.read_bytes()[:-20])
    assert count_keys(tmp_path) == 199


def test_damaged_data_is_refused_and_the_told_repair_works(tmp_path: Path) -> None:
    log = fill(tmp_path, keys=200)
    content = bytearray(log.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    log.write_bytes(content)
    with pytest.raises(ValkeyFailed, match="is damaged") as told:
        EmbeddedValkey(tmp_path).start()

    command = shlex.split(str(told.value).splitlines()[-1])
    subprocess.run(command, input=b"y\n", check=True, capture_output=True)
    assert 50 < count_keys(tmp_path) < 150


def test_data_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    fill(tmp_path).unlink()
    with pytest.raises(ValkeyFailed, match="Restore a copy"):
        EmbeddedValkey(tmp_path).start()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A limit of the file size stands in for the disk; Valkey ends rather than acknowledge."""
    script = (
        "import resource, sys; from pathlib import Path; import valkey\n"
        "from gateway.embedded.valkey import EmbeddedValkey\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "server = EmbeddedValkey(Path(sys.argv[1])); client = valkey.Valkey.from_url(server.start())\n"
        "try:\n"
        "    for key in range(1000): client.set(f'key-{key}', 'x' * 1000); print(key)\n"
        "except valkey.ConnectionError: pass\n"
        "while server.poll() is None: pass\n"
        "print(server.describe_end())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    *acknowledged, reason = ended.stdout.splitlines()
    assert "refuses writes" in reason
    assert count_keys(tmp_path) == len(acknowledged)


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ValkeyFailed, match="data"):
        EmbeddedValkey(tmp_path / "data").start()


def test_a_server_that_cannot_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValkeyFailed, match="FATAL CONFIG FILE ERROR"):
        EmbeddedValkey(tmp_path, options={"no-such-option": "1"}).start()
    assert not folder_is_locked(tmp_path)


def test_the_shipped_binary_is_found() -> None:
    assert os.access(find_binary(), os.X_OK)


def dead_process() -> int:
    """Number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process:
        pass
    return process.pid
