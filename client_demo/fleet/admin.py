"""The admin API as the demo uses it: a shop's own server with its secret key."""

import http.client
import json
import re
import threading
from collections import Counter
from typing import Any
from urllib.parse import quote, urlsplit

from client_demo.fleet.errors import DemoError

TIMEOUT_S = 30.0
_SAMPLE = re.compile(r"^zuruf_(\w+?)(?:_total)?(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


class Admin:
    """Calls the admin API. Each thread that uses it keeps a connection of its own."""

    def __init__(self, url: str, secret_key: str) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret_key}"}
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Give the connections of all threads back. The threads must be through with them."""
        for connection in self._connections:
            connection.close()

    def app(self) -> dict[str, Any]:
        found: dict[str, Any] = self._json("GET", "/admin/v1/app")
        return found

    def journeys(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json("GET", "/admin/v1/journeys")
        return found

    def save_journey(self, journey_id: str | None, draft: dict[str, Any]) -> str:
        """Create a journey, or save a new version of one; gives its id."""
        path = "/admin/v1/journeys"
        saved = (
            self._json("POST", path, draft)
            if journey_id is None
            else self._json("PUT", f"{path}/{journey_id}", draft)
        )
        return str(saved["id"])

    def profile(self, user_id: str) -> dict[str, Any] | None:
        """Give what is known of a user; None when the gateway knows nobody of this id."""
        found: dict[str, Any] | None = self._json(
            "GET", f"/admin/v1/profiles?user_id={quote(user_id, safe='')}", missing_is_none=True
        )
        return found

    def decisions(self, profile_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json(
            "GET", f"/admin/v1/profiles/{profile_id}/decisions"
        )
        return found

    def metrics(self) -> Counter[str]:
        """Give the sums over all processes, by name without `zuruf_` and `_total`."""
        return read_metrics(self._call("GET", "/metrics")[1].decode())

    def _json(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        missing_is_none: bool = False,
    ) -> Any:
        status, answer = self._call(method, path, body)
        if status == 404 and missing_is_none:
            return None
        if not 200 <= status < 300:
            hint = ""
            if status == 401:
                hint = (
                    " The secret key is not one of this gateway: does `--data-dir` name the folder "
                    "of the gateway that is running?"
                )
            raise DemoError(f"{method} {path} was answered {status}: {_detail(answer)}.{hint}")
        return json.loads(answer) if answer else None

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        headers = self._headers
        data = None
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
            data = json.dumps(body).encode()
        last: Exception | None = None
        # The other side may have closed a connection that was quiet; and reads may be repeated.
        for _ in range(2):
            connection = self._connection()
            try:
                connection.request(method, self._path + path, data, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                # Closed, it opens itself again with the next request.
                connection.close()
                last = error
        raise DemoError(
            f"the gateway at {self._host}:{self._port} does not answer any more ({last}). "
            "Its own terminal says why; start it again with `make run`"
        )

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=TIMEOUT_S)
            self._own.connection = connection
            self._connections.append(connection)
        return connection


def read_metrics(text: str) -> Counter[str]:
    """Add up the samples of Prometheus' text format, whatever their labels."""
    sums: Counter[str] = Counter()
    for name, value in _SAMPLE.findall(text):
        sums[name] += round(float(value))
    return sums


def _detail(answer: bytes) -> str:
    try:
        problem = json.loads(answer)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return str(problem.get("detail") or problem.get("title") or problem.get("code") or "?")
    return answer.decode(errors="replace")[:200] or "nothing"
