import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from client_demo.fleet import demo, devices, installation, purchases
from client_demo.fleet.admin import Admin, read_metrics
from client_demo.fleet.errors import DemoError
from client_demo.fleet.tally import Outcome
from client_demo.fleet.verify import disagreement

CREDENTIALS = {
    "url": "http://127.0.0.1:1",
    "console_url": "http://127.0.0.1:2",
    "app": {"id": "a", "name": "Demo shop", "publishable_key": "pk", "secret_key": "sk"},
}


class Foreign(BaseHTTPRequestHandler):
    """A web server that is not a gateway: it answers everything, and refuses every key."""

    def do_GET(self) -> None:
        status = 401 if self.path.startswith("/admin") else 200
        body = b'{"code": "key_invalid", "detail": "not a live key"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def foreign_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Foreign) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_without_credentials_no_gateway_is_running(tmp_path: Path) -> None:
    assert installation.running(tmp_path) is None


def test_credentials_of_a_gateway_that_is_gone_are_no_gateway(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text(json.dumps(CREDENTIALS))
    assert installation.running(tmp_path) is None


def test_another_web_server_is_no_gateway(tmp_path: Path, foreign_url: str) -> None:
    (tmp_path / "credentials.json").write_text(json.dumps(CREDENTIALS | {"url": foreign_url}))
    assert installation.running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "http://x"}', "null"])
def test_damaged_credentials_are_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(DemoError, match="Starting the gateway writes it anew: `make run`"):
        installation.running(tmp_path)


def test_a_foreign_key_is_explained(foreign_url: str) -> None:
    with (
        closing(Admin(foreign_url, "sk")) as admin,
        pytest.raises(DemoError, match=r"answered 401: not a live key.*`--data-dir`"),
    ):
        admin.journeys()


def test_a_gateway_that_went_away_is_named_with_the_way_out() -> None:
    (port,) = installation.free_ports(1)
    with pytest.raises(DemoError, match="start it again with `make run`"):
        Admin(f"http://127.0.0.1:{port}", "sk").app()


def test_asking_for_a_gateway_that_is_not_there_tells_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(purchases, "find", lambda: tmp_path)
    monkeypatch.setattr(devices, "find", lambda: tmp_path)
    assert demo.run(["--data-dir", str(tmp_path / "nowhere")]) == 1
    assert "make run ARGS='--data-dir" in " ".join(capsys.readouterr().out.split())


def test_metrics_are_added_up_over_processes_and_codes() -> None:
    text = (
        "# HELP zuruf_uploads_total Batches answered with 200\n"
        'zuruf_uploads_total{process="edge-0"} 3.0\n'
        'zuruf_uploads_total{process="edge-1"} 4.0\n'
        'zuruf_events_rejected_total{process="edge-0",code="too_deep"} 1.0\n'
        'zuruf_events_rejected_total{process="edge-0",code="name_too_long"} 2.0\n'
        "zuruf_holds 12.0\n"
    )
    assert read_metrics(text) == {"uploads": 7, "events_rejected": 3, "holds": 12}


def test_a_profile_agrees_only_with_the_life_that_was_lived() -> None:
    life = Outcome("u1", "tv", "webos", tracked=Counter(purchase=2), acknowledged=9)
    assert disagreement(life, {"counts": {"purchase": 2}, "events": 9}) is None
    assert "nobody" in str(disagreement(life, None))
    assert "3 in the profile" in str(disagreement(life, {"counts": {"purchase": 3}, "events": 10}))
    assert "8 in the profile" in str(disagreement(life, {"counts": {"purchase": 2}, "events": 8}))
