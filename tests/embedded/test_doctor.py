import io
import os
import socket
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from gateway import doctor
from gateway.doctor import Finding, examine, measure_fsync, render, settle
from gateway.embedded.valkey import EmbeddedValkey
from gateway.settings import Settings, describe_settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return read_settings({}, data_dir=str(tmp_path / "data"), port=port, console_port=port)


def of(check: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def test_a_sound_machine_passes_and_stays_as_it_was(settings: Settings) -> None:
    findings = examine(settings)
    assert [finding for finding in findings if finding.level == "wrong"] == []
    assert not settings.data_path.exists()


def test_every_finding_that_is_not_good_says_what_to_do(settings: Settings) -> None:
    demanding = msgspec.structs.replace(
        settings, connections_max=10**9, valkey_url="unix:///nowhere", host="192.0.2.1"
    )
    findings = examine(demanding)
    assert {finding.check for finding in findings if finding.level != "good"} >= {
        "open files",
        "valkey",
        "port",
    }
    assert all(finding.remedy for finding in findings if finding.level != "good")


def test_a_misspelt_variable_is_named_with_what_was_meant() -> None:
    environ = {"ZURUF_PROT": "1", "ZURUF_PORT": "9000", "PATH": "/bin"}
    settings, findings = settle(environ)
    assert settings.port == 9000
    assert [finding.level for finding in findings] == ["wrong"]
    assert "ZURUF_PROT is not a setting" in findings[0].detail
    assert "ZURUF_PORT?" in findings[0].remedy


def test_a_value_out_of_bounds_is_named_and_the_rest_is_used() -> None:
    settings, findings = settle({"ZURUF_EDGES": "0", "ZURUF_WORKERS": "3"}, port=9001)
    assert (settings.edges, settings.workers, settings.port) == (2, 3, 9001)
    assert ["ZURUF_EDGES" in finding.detail for finding in findings] == [True]


def test_a_gateway_that_runs_but_does_not_answer_is_wrong(settings: Settings) -> None:
    with EmbeddedValkey(settings.data_path) as server:
        (finding,) = of("gateway", examine(settings))
    assert finding.level == "wrong"
    assert f"process {os.getpid()}, Valkey {server.pid}" in finding.detail
    assert of("gateway", examine(settings))[0].detail == "not running"


def test_a_port_that_somebody_else_has_is_wrong(settings: Settings) -> None:
    with socket.create_server((settings.host, settings.port)):
        findings = of("port", examine(settings))
    assert {finding.level for finding in findings} == {"wrong"}
    assert "--port" in findings[0].remedy


def test_a_clock_that_was_set_back_is_wrong(settings: Settings) -> None:
    newest = settings.data_path / "appendonlydir" / "appendonly.aof.manifest"
    newest.parent.mkdir(parents=True)
    newest.touch()
    os.utime(newest, (time.time() + 3600,) * 2)
    (finding,) = of("clock", examine(settings))
    assert finding.level == "wrong"
    assert "set back" in finding.detail


def test_a_valkey_of_ones_own_must_keep_the_promise(settings: Settings, tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / "own", options={"appendfsync": "everysec"})
    with server:
        findings = of("valkey", examine(msgspec.structs.replace(settings, valkey_url=server.url)))
    assert [finding.level for finding in findings] == ["good", "wrong"]
    assert "CONFIG SET appendfsync always" in findings[1].remedy


def test_secrets_are_not_shown(settings: Settings) -> None:
    secretive = msgspec.structs.replace(
        settings, secret="hush-hush", valkey_url="valkey://user:pass-word@127.0.0.1:1/0"
    )
    stream = io.StringIO()
    render(examine(secretive), secretive, Console(file=stream, width=160))
    assert "hush" not in stream.getvalue()
    assert "pass-word" not in stream.getvalue()
    assert "valkey://…@127.0.0.1:1/0" in stream.getvalue()


def test_all_settings_are_listed_and_the_changed_ones_stand_out(settings: Settings) -> None:
    changed = msgspec.structs.replace(settings, edges=7)
    stream = io.StringIO()
    render([], changed, Console(file=stream, width=160, force_terminal=True, color_system="256"))
    lines = stream.getvalue().splitlines()
    for name, _, _ in describe_settings():
        assert any(name in line for line in lines)
    assert [line for line in lines if "edges" in line and "\x1b[1;33m7" in line]


def test_the_exit_code_tells_whether_something_is_wrong(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(environ: dict[str, str]) -> int:
        return doctor.run(
            environ,
            data_dir=settings.data_dir,
            port=settings.port,
            console_port=settings.console_port,
        )

    assert run({}) == 0
    assert run({"ZURUF_TYPO": "1"}) == 1
    assert "Nothing is wrong" in capsys.readouterr().out


def test_fsync_is_measured(tmp_path: Path) -> None:
    p50, p99 = measure_fsync(tmp_path)
    assert 0 < p50 <= p99
    assert list(tmp_path.iterdir()) == []
