"""What a call costs the app's thread: no I/O, and no waiting for whoever does it."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sdk import budgets
from tests.sdk.conftest import ClientFactory
from tests.sdk.fakes import Screen, a_message, until
from tests.sdk.scripted_gateway import ScriptedGateway
from zuruf import Zuruf
from zuruf.events import Row
from zuruf.storage import Storage
from zuruf.transport import HttpTransport
from zuruf.wire import Request, Response

IO = ("open", "socket.", "sqlite3.", "os.", "subprocess.", "shutil.", "urllib.", "ssl.")
_watched: dict[int, list[str]] = {}


def _audit(event: str, _: tuple[Any, ...]) -> None:
    seen = _watched.get(threading.get_ident())
    if seen is not None and event.startswith(IO):
        seen.append(event)


# An audit hook cannot be taken back; it watches only threads that are in `_watched`.
sys.addaudithook(_audit)


def io_of(call: Callable[[], object]) -> list[str]:
    """Run a call and give the I/O it did on this thread."""
    seen = _watched[threading.get_ident()] = []
    try:
        call()
    finally:
        del _watched[threading.get_ident()]
    return seen


class WatchedStorage(Storage):
    """Remembers which threads come here."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.threads: set[int] = set()

    def run(self, query: str, *parameters: Any) -> int:
        self.threads.add(threading.get_ident())
        return super().run(query, *parameters)

    def append(self, row: Row) -> Row:
        self.threads.add(threading.get_ident())
        return super().append(row)


class WatchedTransport(HttpTransport):
    """Remembers which threads come here."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, connect_timeout_s=5, read_timeout_s=5)
        self.threads: set[int] = set()

    def request(self, request: Request) -> Response:
        self.threads.add(threading.get_ident())
        return super().request(request)

    def interrupt(self, request: Request) -> None:
        self.threads.add(threading.get_ident())
        super().interrupt(request)


class SlowStorage(Storage):
    """A disk that does not answer until it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.answer = threading.Event()

    def append(self, row: Row) -> Row:
        self.answer.wait(5)
        return super().append(row)


def test_watch_notices_io(tmp_path: Path) -> None:
    assert io_of((tmp_path / "seen").touch) != []


def test_no_call_does_io_on_the_thread_of_the_app(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    storage, transport = WatchedStorage(tmp_path / "zuruf"), WatchedTransport(gateway.url)
    client = client_of(storage=storage, transport=transport, flush_at=1)
    screen = Screen()
    gateway.deliver(a_message())

    def use_everything(client: Zuruf) -> None:
        client.start()
        client.in_app.on_message(screen)
        client.track("purchase", {"amount": 12.5})
        client.screen("home")
        client.identify("u_42", {"plan": "pro"})
        client.alias("crm-7")
        client.group("company", "acme")
        client.set_user_properties({"city": "Bonn"})
        client.increment("visits")
        client.deep_link("shop://p/7?utm_source=mail")
        client.consent.grant("analytics")
        client.consent.revoke("newsletter")
        client.push.register("token")
        client.push.handle({"zuruf": {"sync": True}})
        client.subscribe("delivered", lambda _: None).cancel()
        client.inbox.messages()
        client.inbox.mark_read("m1")
        client.remote_config.get("colour")
        client.on_background()
        client.on_foreground()
        client.opt_out()
        client.opt_in()
        client.reset()
        client.delete_local_data()
        client.diagnostics()

    assert io_of(lambda: use_everything(client)) == []
    screen.wait_for(1)
    show = screen.shows[0]
    assert io_of(show.shown) + io_of(lambda: show.clicked("ok")) == []
    client.flush()
    me = threading.get_ident()
    assert storage.threads
    assert me not in storage.threads | transport.threads


def test_calls_are_cheap_beside_a_full_queue_and_a_busy_worker(gateway: ScriptedGateway) -> None:
    """The exact budgets are held by `python -m tests.sdk.budgets`; other tests may run beside this one."""
    median_us, _ = min(budgets.track_us(gateway) for _ in range(3))
    assert median_us < 50
    assert min(budgets.start_ms(gateway) for _ in range(5)) < 5
    assert budgets.threads(gateway) == 2


def test_calls_do_not_wait_for_a_slow_disk(
    gateway: ScriptedGateway, client_of: ClientFactory, tmp_path: Path
) -> None:
    storage = SlowStorage(tmp_path / "zuruf")
    client = client_of(storage=storage)
    for number in range(100):
        client.track("patient", {"number": number})
    assert not storage.answer.is_set()
    storage.answer.set()
    client.flush()
    assert len(gateway.accepted_names()) == 100


def test_calls_of_many_threads_all_arrive(
    gateway: ScriptedGateway, client_of: ClientFactory
) -> None:
    client = client_of()

    def track_many(name: str) -> None:
        for number in range(100):
            client.track(name, {"number": number})

    threads = [threading.Thread(target=track_many, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush().is_complete
    events = [event for batch in gateway.batches() for event in batch.body["events"]]
    assert len({event["id"] for event in events}) == 800
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    for name in {event["name"] for event in events}:
        numbers = [event["props"]["number"] for event in events if event["name"] == name]
        assert numbers == list(range(100))


def test_client_that_is_never_used_starts_no_thread(client_of: ClientFactory) -> None:
    before = threading.active_count()
    client = client_of()
    assert threading.active_count() == before
    assert client.diagnostics().storage == "unopened"


def test_start_may_be_called_again(gateway: ScriptedGateway, client_of: ClientFactory) -> None:
    client = client_of()
    client.start()
    client.start()
    until(client, lambda now: now.device_id is not None)
    client.start()
    assert len(gateway.requests("POST /v1/devices")) == 1
