import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import hypothesis
import pytest
import structlog
import valkey
from msgspec.structs import replace

from gateway.app import Serve
from gateway.embedded.valkey import EmbeddedValkey
from gateway.settings import Settings
from tests.clients import Gateway, Phone, SettableClock, Shop

StartGateway = Callable[..., Awaitable[Gateway]]

hypothesis.settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, max_examples=100
)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=5_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Those with a frame and all variables take a busy machine a second to draw, on the loop of the test."""
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: EmbeddedValkey) -> str:
    """A Valkey with nothing in it; its functions stay loaded."""
    with valkey.Valkey.from_url(valkey_server.url) as client:
        client.flushdb()
    return valkey_server.url


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return Settings(
        valkey_url=valkey_url,
        secret="an install secret",
        partitions=4,
        lease_s=1.0,
        device_rate=1e6,  # tests look often
    )


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
async def start_gateway(settings: Settings, clock: SettableClock) -> AsyncIterator[StartGateway]:
    """Starts gateways on the same store; keywords are settings that differ, and what to serve."""
    async with AsyncExitStack() as stack:

        async def start(
            *, serve: tuple[Serve, ...] = ("device", "admin"), **changes: Any
        ) -> Gateway:
            changed = replace(settings, **changes)
            return await stack.enter_async_context(Gateway(changed, clock, serve))

        yield start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """An edge and console; without `worker`, what is uploaded stays in the log."""
    return await start_gateway()


@pytest.fixture
async def worker(gateway: Gateway) -> None:
    """A worker beside the gateway."""
    await gateway.start_worker()


@pytest.fixture
async def shop(gateway: Gateway) -> Shop:
    return await gateway.new_shop()


@pytest.fixture
async def phone(shop: Shop) -> Phone:
    return await shop.new_phone()
