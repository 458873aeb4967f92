"""The composition root: the only place that wires the parts together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import msgspec
from litestar import Litestar

from gateway import keyspace
from gateway.admin import admin_app, admitting
from gateway.apps.store import Apps
from gateway.clock import Clock, SystemClock
from gateway.console.api import Console
from gateway.definitions import Definitions
from gateway.devices.api import DeviceApi
from gateway.devices.store import Devices, RemoteConfigs
from gateway.edge import Edge, Handler, Receive, Scope, Send
from gateway.errors import Problem, SettingError
from gateway.eventlog import EventLog
from gateway.inbox.api import InboxApi
from gateway.inbox.store import Watch
from gateway.ingest.api import Ingest
from gateway.install import install_secret, settle_partitions
from gateway.journeys.store import Journeys
from gateway.metrics import Metrics
from gateway.outbox import Outbox
from gateway.pipeline import Grounds
from gateway.profiles.store import Profiles
from gateway.settings import Settings, read_settings
from gateway.valkey import Valkey
from gateway.worker import Worker

Serve = Literal["device", "admin"]

_READY_TIMEOUT_S = 1.0


class Core(msgspec.Struct):
    """What every role stands on."""

    settings: Settings
    clock: Clock
    url: str
    valkey: Valkey
    definitions: Definitions
    apps: Apps
    journeys: Journeys
    remote_configs: RemoteConfigs
    log: EventLog
    metrics: Metrics


@asynccontextmanager
async def open_core(
    settings: Settings, process: str, *, clock: Clock | None = None
) -> AsyncIterator[Core]:
    """Connect to Valkey and load the definitions. Raises StoreUnavailable or SettingError."""
    url = settings.valkey_url
    if not url:
        raise SettingError("no Valkey: start with `zuruf up`, or set ZURUF_VALKEY_URL")
    valkey = Valkey(url, timeout_s=settings.store_timeout_s, lanes=settings.store_lanes)
    await valkey.connect()
    settings = msgspec.structs.replace(
        settings, partitions=await settle_partitions(valkey, settings.partitions)
    )
    definitions = Definitions(valkey, url)
    core = Core(
        settings,
        clock or SystemClock(),
        url,
        valkey,
        definitions,
        Apps(definitions, install_secret(settings)),
        Journeys(valkey, definitions, settings),
        RemoteConfigs(definitions),
        EventLog(valkey, settings),
        Metrics(process, valkey),
    )
    try:
        await definitions.start()
        core.metrics.start()
        yield core
    finally:
        await core.metrics.close()
        await definitions.close()
        await valkey.close()


def new_worker(core: Core, name: str) -> Worker:
    """A worker that decides by the definitions of the core."""
    settings = core.settings
    watch = Watch(core.valkey, core.url, settings, core.clock)
    return Worker(
        name,
        settings,
        core.valkey,
        core.url,
        core.log,
        Outbox(core.valkey, core.log, watch.shelved),
        core.clock,
        core.metrics,
        lambda: Grounds(core.journeys.live, settings.inbox_messages_max),
    )


class Application:
    """The ASGI application of an edge or a console.

    Device routes have fixed paths and are looked up before Litestar sees the request: its router caches
    by path, and its middleware costs more than the whole of a poll.
    """

    def __init__(self, settings: Settings, process: str, serve: tuple[Serve, ...]) -> None:
        self._settings = settings
        self._process = process
        self._serve = serve
        self._stack = AsyncExitStack()
        self._routes: dict[tuple[str, str], Handler] = {}
        self._methods: dict[str, list[str]] = {}
        self._admin: Handler | None = None
        self.litestar: Litestar | None = None
        self._watch: Watch | None = None
        self.edge: Edge | None = None
        self.core: Core | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI 3. Not a coroutine itself: a held poll needs one frame less."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        assert scope["type"] == "http", "there are no websockets here"
        handler = self._routes.get((scope["method"], scope["path"]), self._other)
        return handler(scope, receive, send)

    async def start(self, clock: Clock | None = None) -> None:
        """Open everything; the lifespan protocol calls it."""
        core = await self._stack.enter_async_context(
            open_core(self._settings, self._process, clock=clock)
        )
        self.core = core
        edge = Edge(core.settings, core.apps, core.clock, core.metrics)
        watch = Watch(core.valkey, core.url, core.settings, core.clock)
        watch.start()
        self._stack.push_async_callback(watch.close)
        self.edge, self._watch = edge, watch
        devices = Devices(core.valkey, core.settings)
        profiles = Profiles(core.valkey, core.settings)
        ingest = Ingest(edge, core.log)
        routes: dict[tuple[str, str], Handler] = {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/readyz"): self._readyz,
            ("GET", "/metrics"): self._metrics,
        }
        if "device" in self._serve:
            device = DeviceApi(
                edge, devices, profiles, core.log, watch, core.journeys, core.remote_configs
            )
            inbox = InboxApi(edge, watch)
            routes |= {
                ("POST", "/v1/events"): ingest.upload,
                ("GET", "/v1/messages"): inbox.poll,
                ("GET", "/v1/messages/stream"): inbox.stream,
                ("POST", "/v1/devices"): device.register,
                ("POST", "/v1/identity"): device.identify,
                ("DELETE", "/v1/identity"): device.forget,
                ("GET", "/v1/config"): device.config,
                ("PUT", "/v1/consent"): device.consent,
                ("PUT", "/v1/push-token"): device.register_push,
                ("DELETE", "/v1/push-token"): device.forget_push,
            }
        self._routes = {route: edge.guard(handler) for route, handler in routes.items()}
        for method, path in routes:
            self._methods.setdefault(path, []).append(method)
        if "admin" in self._serve:
            console = Console(
                edge,
                core.apps,
                devices,
                core.journeys,
                core.remote_configs,
                profiles,
                watch,
                core.log,
                ingest,
                core.clock,
                core.settings.journeys_max,
            )
            self.litestar = admin_app(console)
            self._admin = edge.guard(admitting(self.litestar, console))

    async def stop(self) -> None:
        """Close everything."""
        await self._stack.aclose()

    def drain(self) -> None:
        """Not ready any more: let held polls go, answer what comes with `Connection: close`."""
        if self.edge is not None and self._watch is not None:
            self.edge.draining.set()
            self._watch.release_all()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    await self.stop()
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self.drain()
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.edge is not None, "the lifespan has not begun"
        methods = self._methods.get(scope["path"])
        if methods is not None:
            allow = ", ".join(sorted(methods))
            problem = Problem("method_not_allowed", f"allowed: {allow}", allow=allow)
            await self.edge.refuse(send, problem)
        elif self._admin is not None:
            await self._admin(scope, receive, send)
        else:
            await self.edge.refuse(send, Problem("not_found", "no such route"))

    # -- the state of the process -------------------------------------------------------------

    async def _healthz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """`GET /healthz`: the process runs."""
        assert self.edge is not None
        await self.edge.answer(send, 200, b'{"status":"ok"}')

    async def _readyz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """`GET /readyz`: it can store something, right now."""
        assert self.edge is not None
        assert self.core is not None
        if self.edge.draining.is_set():
            raise Problem("draining", "this process is shutting down")
        write = self.core.valkey.call(
            "HSET", keyspace.INSTALL, "ready_at", self.core.clock.now_ms()
        )
        try:
            await asyncio.wait_for(write, _READY_TIMEOUT_S)
        except TimeoutError:
            raise Problem("store_unavailable", "the store is slow") from None
        await self.edge.answer(send, 200, b'{"status":"ready"}')

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """`GET /metrics`: all processes, in Prometheus' text format."""
        assert self.edge is not None
        assert self.core is not None
        body = await self.core.metrics.render()
        await self.edge.answer(send, 200, body, b"text/plain; version=0.0.4; charset=utf-8")


def create_app(
    settings: Settings | None = None,
    *,
    process: str = "edge",
    serve: tuple[Serve, ...] = ("device", "admin"),
) -> Application:
    """The gateway as an ASGI application, to run or to mount; needs its lifespan to be run."""
    return Application(settings or read_settings(), process, serve)
