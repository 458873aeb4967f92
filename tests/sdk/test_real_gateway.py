"""The SDK against the gateway itself: what both believe of the stream and of messages is the same."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fakes import Screen, until
from tests.simulation.gateway_process import GatewayProcess, a_gateway, eventually
from tests.simulation.wire import Wire
from zuruf import Config, Zuruf

CONTENT = {"layout": "modal", "title": "Hello {{ event.item }}", "body": "…"}
# Everything of a test runs on one machine, so this is roomy; the promise is about 5 ms.
LATENCY_MS_MAX = 1_000


@pytest.fixture
async def real_gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with a_gateway(tmp_path / "gateway") as gateway:
        yield gateway


@pytest.fixture
async def admin(real_gateway: GatewayProcess) -> AsyncIterator[Wire]:
    admin = real_gateway.admin()
    yield admin
    admin.close()


@pytest.fixture
def client(real_gateway: GatewayProcess, tmp_path: Path) -> Iterator[Zuruf]:
    client = Zuruf(
        Config(
            endpoint=f"http://{real_gateway.host}:{real_gateway.port}",
            publishable_key=real_gateway.credentials()["publishable_key"],
            storage_dir=tmp_path / "zuruf",
        )
    )
    yield client
    client.shutdown(timeout_s=0)


async def send(admin: Wire, user_id: str, **message: Any) -> str:
    """Send a message to a person; gives its id."""
    body = {"to": {"user_id": user_id}, "content": CONTENT, "ttl_s": 3600, **message}
    answer = await admin.ask("POST", "/admin/v1/messages", body)
    assert answer.status == 202, answer
    message_id: str = answer.body["message_id"]
    return message_id


async def test_life_of_messages_on_a_real_stream(client: Zuruf, admin: Wire) -> None:
    screen, ended = Screen(keeps=True), list[str]()
    client.subscribe("message_ended", ended.append)
    client.identify("u_42")
    client.in_app.on_message(screen)
    await asyncio.to_thread(until, client, lambda now: now.user_id == "u_42")
    await asyncio.to_thread(until, client, lambda now: now.stream_state == "sse")

    # It comes by the stream, at once.
    sent_s = time.monotonic()
    first = await send(admin, "u_42")
    await eventually(lambda: screen.message_ids == [first], within_s=5)
    assert (time.monotonic() - sent_s) * 1000 < LATENCY_MS_MAX
    told_ms = await eventually_known(lambda: client.diagnostics().message_latency_ms)
    assert told_ms < LATENCY_MS_MAX

    # It is withdrawn from the screen on which it is.
    assert (await admin.ask("DELETE", f"/admin/v1/messages/{first}")).status == 202
    await eventually(lambda: ended == [first], within_s=5)
    assert not screen.shows[0].is_current
    await eventually(lambda: client.inbox.messages() == (), within_s=5)

    # Another one waits on the device until its event is recorded.
    second = await send(admin, "u_42", trigger={"event": "added"})
    await received(client, admin, 2)
    assert screen.message_ids == [first]
    client.track("added", {"item": "tea"})
    await eventually(lambda: screen.message_ids == [first, second], within_s=5)
    assert screen.shows[1].message.content.title == "Hello tea"

    # A logout ends everything of the person.
    third = await send(admin, "u_42")
    await eventually(lambda: len(client.inbox.messages()) == 2, within_s=5)
    client.reset()
    await eventually(lambda: ended == [first, second], within_s=5)
    await asyncio.to_thread(until, client, lambda now: now.user_id is None)
    assert client.inbox.messages() == ()
    assert third not in screen.message_ids


async def eventually_known(value: Callable[[], int | None]) -> int:
    """Wait until something is known, and give it."""
    await eventually(lambda: value() is not None, within_s=5)
    known = value()
    assert known is not None
    return known


async def received(client: Zuruf, admin: Wire, messages: int) -> None:
    """Wait until the device has received so many messages: it reports each of them."""
    count = 0
    async with asyncio.timeout(5):
        while count < messages:
            await asyncio.to_thread(client.flush)
            answer = await admin.ask("GET", "/admin/v1/profiles?user_id=u_42")
            count = answer.body["counts"].get("message_received", 0)
