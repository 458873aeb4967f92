"""The gateway in process and those who talk to it: a phone, an app's own server, a worker."""

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec

from gateway import keyspace
from gateway.app import Application, Core, Serve, create_app, new_worker
from gateway.apps.model import App, new_app
from gateway.errors import PROBLEMS
from gateway.settings import Settings
from gateway.valkey import Reply, Word
from gateway.worker import Worker
from tests.builders import NOW, Json, a_batch, a_registration
from tests.schemas import Reference

Headers = dict[str, str]
_REFERENCE: list[Reference] = []
"""What `/docs` says; the same in every process, and made once, because making it takes a while."""


class SettableClock:
    """A clock that stands still until a test turns its hands."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at
        self.on_turn: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return self.at

    def forward(self, *, seconds: float = 0, days: float = 0) -> None:
        self.at += int((seconds + days * 86_400) * 1000)
        for told in self.on_turn:
            told()


async def eventually(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], within_s: float = 5.0
) -> Any:
    """What the condition gives, as soon as it is true."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.001)


async def check_answer(answer: httpx2.Response) -> None:
    """What holds for every answer of the gateway, whatever the test is about."""
    assert answer.headers.get("X-Zuruf") == "1"
    assert answer.headers["X-Server-Time"].isdecimal()
    if answer.status_code in {429, 503}:
        assert int(answer.headers["Retry-After"]) >= 1
    if answer.status_code >= 400:
        await answer.aread()
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = msgspec.json.decode(answer.content)
        assert {"type", "title", "status", "code", "detail"} <= problem.keys()
        assert PROBLEMS[problem["code"]] == (answer.status_code, problem["title"])
        assert problem["status"] == answer.status_code
        if answer.status_code == 405:
            assert answer.headers["Allow"]


def code_of(answer: httpx2.Response) -> str:
    """`200`, or `400 malformed_body`: what a test about an answer compares."""
    if answer.status_code < 400:
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['code']}"


class Gateway:
    """An application in this process, on the loop of the test, without a port."""

    def __init__(
        self,
        settings: Settings,
        clock: SettableClock,
        serve: tuple[Serve, ...] = ("device", "admin"),
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.application: Application = create_app(settings, process="edge-test", serve=serve)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.application),  # type: ignore[arg-type]
            base_url="http://gateway",
            event_hooks={"response": [check_answer, self._check_reference]},
        )
        self._workers: list[tuple[Worker, asyncio.Task[None]]] = []

    async def __aenter__(self) -> Self:
        try:
            await self.application.start(self.clock)
        except BaseException:
            await self.application.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker, _ in self._workers:
            worker.stop()
        if self._workers:
            await asyncio.wait([task for _, task in self._workers])
        await self.http.aclose()
        problems = self.core.metrics.counts.problems
        await self.application.stop()
        for _, task in self._workers:
            task.result()
        if kind is None:
            assert "internal" not in problems, "a request failed on our side"

    async def _check_reference(self, answer: httpx2.Response) -> None:
        """Whatever the test is about: the reference knows of such an answer to such a request."""
        litestar = self.application.litestar
        if litestar is None or answer.status_code == 405:
            return
        if not _REFERENCE:
            _REFERENCE.append(Reference(litestar.openapi_schema.to_schema()))
        request = answer.request
        operation = _REFERENCE[0].operation(request.method, request.url.path)
        if operation is None:
            return
        documented = operation["responses"].get(str(answer.status_code))
        assert documented is not None, (request.method, request.url.path, answer.status_code)
        if answer.status_code >= 400:
            problem = documented["content"]["application/problem+json"]["schema"]["properties"]
            code = msgspec.json.decode(await answer.aread())["code"]
            assert code in problem["code"]["enum"], (request.method, request.url.path, code)

    @property
    def core(self) -> Core:
        assert self.application.core is not None
        return self.application.core

    async def new_shop(self, name: str = "Shop") -> "Shop":
        app, publishable, secret = new_app(name, self.clock.now_ms())
        await self.core.apps.save(app)
        return Shop(self, app.id, publishable, secret)

    async def start_worker(self, name: str = "worker-test", core: Core | None = None) -> Worker:
        """A worker that runs until the gateway is closed, or until it is stopped."""
        worker = new_worker(core or self.core, name)
        self._workers.append((worker, asyncio.create_task(worker.run())))
        self.clock.on_turn.append(worker._stir.set)
        await eventually(lambda: worker._owned)
        return worker

    async def valkey(self, *words: Word) -> Any:
        """What Valkey answers to a command."""
        return await self.core.valkey.call(*words)

    async def settled(self) -> None:
        """Return when everything in the log has had its effects."""
        await eventually(self._is_settled)

    async def _is_settled(self) -> bool:
        commands: list[Sequence[Word]] = [("MULTI",)]
        for p in range(self.settings.partitions):
            commands += [
                ("XREVRANGE", keyspace.log(p), "+", "-", "COUNT", 1),
                ("HGET", keyspace.cursor(p), "react"),
                ("HLEN", keyspace.outbox(p)),
            ]
        *_, found = await self.core.valkey.call_all([*commands, ("EXEC",)])
        assert isinstance(found, list)
        for newest, cursor, parcels in zip(found[::3], found[1::3], found[2::3], strict=True):
            if parcels or (newest and _first_id(newest) != cursor):
                return False
        return True


def _first_id(entries: Reply) -> Reply:
    assert isinstance(entries, list)
    entry = entries[0]
    assert isinstance(entry, list)
    return entry[0]


class Shop:
    """An app with its keys, and the server of those who own it."""

    def __init__(self, gateway: Gateway, app_id: str, publishable: str, secret: str) -> None:
        self.gateway = gateway
        self.app_id = app_id
        self.publishable_key = publishable
        self.secret_key = secret
        self.server = Server(gateway.http, secret)

    @property
    def app(self) -> App:
        app = self.gateway.core.apps.get(self.app_id)
        assert app is not None
        return app

    async def register(self, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.gateway.http.post(
            "/v1/devices",
            json=a_registration() if body is None else body,
            headers={"Authorization": f"Bearer {self.publishable_key}", **headers},
        )

    async def new_phone(self, **registration: Any) -> "Phone":
        answer = await self.register(a_registration(**registration))
        assert answer.status_code == 201, answer.text
        return Phone(self, answer.json())

    async def profile(self, profile_id: str) -> Json:
        """The profile, once all that was uploaded has had its effect."""
        await self.gateway.settled()
        profile: Json = await self.server.get(f"/admin/v1/profiles/{profile_id}")
        return profile


class Server:
    """Calls the admin API with a secret key."""

    def __init__(self, http: httpx2.AsyncClient, secret_key: str) -> None:
        self._http = http
        self._secret_key = secret_key

    async def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._secret_key}", **request.pop("headers", {})}
        return await self._http.request(method, path, headers=headers, **request)

    async def get(self, path: str, **query: Any) -> Any:
        return self._good(await self.ask("GET", path, params=query))

    async def post(self, path: str, body: Any) -> Any:
        return self._good(await self.ask("POST", path, json=body))

    async def put(self, path: str, body: Any) -> Any:
        return self._good(await self.ask("PUT", path, json=body))

    async def delete(self, path: str) -> Any:
        return self._good(await self.ask("DELETE", path))

    async def decisions(self, profile_id: str) -> list[Json]:
        found: list[Json] = await self.get(f"/admin/v1/profiles/{profile_id}/decisions")
        return found

    @staticmethod
    def _good(answer: httpx2.Response) -> Any:
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


class Phone:
    """A device as its app sees it. It keeps its token and, from poll to poll, its cursor."""

    def __init__(self, shop: Shop, registered: Json) -> None:
        self._http = shop.gateway.http
        self._application = shop.gateway.application
        self.shop = shop
        self.registered = registered
        self.device_id: str = registered["device_id"]
        self.profile_id: str = registered["profile_id"]
        self.token: str = registered["token"]
        self.cursor = ""

    def headers(self, token: str | None = None) -> Headers:
        return {"Authorization": f"Bearer {token or self.token}"}

    async def ask(
        self, method: str, path: str, *, token: str | None = None, **request: Any
    ) -> httpx2.Response:
        headers = self.headers(token) | request.pop("headers", {})
        return await self._http.request(method, path, headers=headers, **request)

    async def send(self, body: Any, **headers: str) -> httpx2.Response:
        """Upload a body as it is: bytes, or something to be JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.ask("POST", "/v1/events", content=content, headers=headers)

    async def upload(self, *events: Json, **batch: Any) -> Json:
        """Upload events; all of them must be acceptable."""
        answer = await self.send(a_batch(*events, **batch))
        assert answer.status_code == 200, answer.text
        report: Json = answer.json()
        assert report["rejected"] == []
        return report

    async def poll(
        self, *, after: str | None = None, wait: float | None = None, token: str | None = None
    ) -> httpx2.Response:
        query = {"after": self.cursor if after is None else after}
        if wait is not None:
            query["wait"] = str(wait)
        return await self.ask("GET", "/v1/messages", params=query, token=token)

    async def receive(self, *, wait: float | None = None) -> Json:
        """The page of a poll; an empty one for a 204. The cursor moves on."""
        answer = await self.poll(wait=wait)
        if answer.status_code == 204:
            return {"messages": [], "withdrawn": [], "reset": False}
        assert answer.status_code == 200, answer.text
        page: Json = answer.json()
        self.cursor = page["cursor"]
        return page

    async def messages(self, *, wait: float | None = None) -> list[Json]:
        messages: list[Json] = (await self.receive(wait=wait))["messages"]
        return messages

    async def waits(self) -> asyncio.Task[Json]:
        """A poll that is held when this returns."""
        gauges = self.shop.gateway.core.metrics.gauges
        before = gauges.holds
        task = asyncio.create_task(self.receive(wait=30))
        watch = self._application._watch
        assert watch is not None
        await eventually(
            lambda: (
                task.done()
                or (
                    gauges.holds > before
                    and watch.known(self.shop.app_id, self.profile_id) is not None
                )
            )
        )
        return task

    async def consent(self, at: int | None = None, **answers: bool) -> Json:
        """Tell what the person answers; what is known then."""
        body = {"consent": answers, "at": self.shop.gateway.clock.at if at is None else at}
        answer = await self.ask("PUT", "/v1/consent", json=body)
        assert answer.status_code == 200, answer.text
        known: Json = answer.json()["consent"]
        return known

    async def register_push(self, push_token: str, provider: str = "fcm") -> None:
        body = {"token": push_token, "provider": provider}
        answer = await self.ask("PUT", "/v1/push-token", json=body)
        assert answer.status_code == 204, answer.text

    async def identify(self, user_id: str, **fields: Any) -> httpx2.Response:
        return await self.ask("POST", "/v1/identity", json={"user_id": user_id, **fields})

    async def login(self, user_id: str) -> str:
        """Log in and use the new token; returns the old one."""
        return self._take(await self.identify(user_id))

    async def logout(self) -> str:
        """Log out and use the new token; returns the old one."""
        return self._take(await self.ask("DELETE", "/v1/identity"))

    def _take(self, answer: httpx2.Response) -> str:
        assert answer.status_code == 200, answer.text
        old, self.token = self.token, answer.json()["token"]
        self.profile_id = answer.json()["profile_id"]
        self.cursor = ""
        return old

    @contextlib.asynccontextmanager
    async def stream(self, after: str | None = None) -> AsyncIterator["Stream"]:
        headers = [(b"authorization", f"Bearer {self.token}".encode())]
        if after is not None:
            headers.append((b"last-event-id", after.encode()))
        stream = Stream(self._application, headers)
        try:
            yield stream
        finally:
            await stream.close()


class Stream:
    """A reader of `GET /v1/messages/stream`; httpx's ASGI transport would wait for its end."""

    def __init__(self, application: Application, headers: list[tuple[bytes, bytes]]) -> None:
        self._arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._hung_up = asyncio.Event()
        self.head: dict[str, Any] = {}
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/messages/stream",
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 123),
        }
        self._task: asyncio.Task[None] = asyncio.create_task(
            application(scope, self._receive, self._arrived.put)  # type: ignore[arg-type]
        )

    async def _receive(self) -> dict[str, Any]:
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> dict[str, str]:
        """The fields of the next event; a comment has only `comment`, the end has none."""
        async with asyncio.timeout(5):
            message = await self._arrived.get()
            if message["type"] == "http.response.start":
                self.head = message
                message = await self._arrived.get()
        text = message["body"].decode()
        assert not text or text.endswith("\n\n"), "events end in a blank line"
        fields = {}
        for line in text.rstrip("\n").split("\n") if text else []:
            name, _, value = line.partition(": ")
            fields[name or "comment"] = value
        return fields

    async def page(self) -> Json:
        """The page in the next event of messages."""
        event = await self.next()
        assert event["event"] == "messages", event
        page: Json = msgspec.json.decode(event["data"])
        assert event["id"] == page["cursor"]
        return page

    async def hang_up(self) -> None:
        """Close the connection, and wait until the gateway has noticed."""
        self._hung_up.set()
        await asyncio.wait_for(self._task, 5)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
