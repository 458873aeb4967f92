import io
import json
import shlex
from pathlib import Path

import pytest

from gateway.embedded.credentials import (
    AppCredentials,
    Credentials,
    read_credentials,
    write_credentials,
)
from gateway.embedded.terminal import Terminal, try_it

CREDENTIALS = Credentials(
    url="http://127.0.0.1:8080",
    console_url="http://127.0.0.1:8081/console",
    app=AppCredentials(id="a1", name="Demo", publishable_key="pk_1", secret_key="sk_1"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_credentials(tmp_path, CREDENTIALS)
    assert read_credentials(tmp_path) == CREDENTIALS


def test_only_the_owner_may_read_also_over_an_open_file(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text("{}")
    file.chmod(0o644)
    write_credentials(tmp_path, CREDENTIALS)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize("content", [None, "", "{", '{"url": "http://x"}', '{"url": 1}'])
def test_what_cannot_be_read_counts_as_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "credentials.json").write_text(content)
    assert read_credentials(tmp_path) is None


def test_the_line_to_paste_is_one_command_with_a_readable_body() -> None:
    command = shlex.split(try_it(CREDENTIALS))
    assert command[:3] == ["curl", "-s", "http://127.0.0.1:8080/v1/devices"]
    assert "Authorization: Bearer pk_1" in command
    assert json.loads(command[-1])["platform"] == "web"


def test_quiet_keeps_what_went_wrong_only(tmp_path: Path) -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, quiet=True)
    terminal.note("edge-0", "started")
    terminal.banner(CREDENTIALS, tmp_path, 1.0)
    assert stream.getvalue() == ""
    terminal.warn("edge-0", "ended [abc]")
    assert "edge-0     ended [abc]" in stream.getvalue()


def test_long_lines_stay_whole_in_a_log(tmp_path: Path) -> None:
    stream = io.StringIO()
    Terminal(stream).banner(CREDENTIALS, tmp_path / ("long" * 60), 1.0)
    lines = stream.getvalue().splitlines()
    assert any(line.startswith("kept in") and "credentials.json" in line for line in lines)
    assert any(line.startswith("curl") and line.endswith("}'") for line in lines)
