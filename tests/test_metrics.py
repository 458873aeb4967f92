import re

import msgspec
import pytest

from gateway.metrics import Counts, Gauges, _Report, add_label
from tests.builders import a_journey, an_event
from tests.clients import Gateway, Phone, Shop, code_of
from tests.conftest import StartGateway


async def scrape(gateway: Gateway) -> dict[str, float]:
    """Every sample, by its name and labels."""
    answer = await gateway.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = re.findall(r"^(zuruf_\S+) (\S+)$", answer.text, re.MULTILINE)
    return {name: float(value) for name, value in samples}


async def test_what_happens_is_counted(
    gateway: Gateway, worker: None, shop: Shop, phone: Phone
) -> None:
    await shop.server.post("/admin/v1/journeys", a_journey())
    event = an_event()
    for _ in range(2):
        await phone.upload(event, an_event("other", id="01920000-0000-7000-8000-000000000001"))
    await phone.send({"batch_id": "01920000-0000-7000-8000-000000000002", "sent_at": 0})
    await gateway.settled()
    await phone.messages()
    samples = await scrape(gateway)
    mine = {
        name.replace("_total{", "{").replace('process="edge-test"', ""): value
        for name, value in samples.items()
    }
    assert mine["zuruf_uploads{}"] == 2
    assert mine["zuruf_events_accepted{}"] == 2
    assert mine["zuruf_events_duplicate{}"] == 2
    assert mine["zuruf_devices_registered{}"] == 1
    assert mine["zuruf_polls{}"] == 1
    assert mine["zuruf_messages_sent{}"] == mine["zuruf_messages_handed_out{}"] == 1
    assert mine["zuruf_events_reacted{}"] == 2
    assert mine['zuruf_problems{code="invalid_body",}'] == 1
    assert samples['zuruf_partitions{process="edge-test"}'] == 4


async def test_rejected_events_are_counted_by_their_code(gateway: Gateway, phone: Phone) -> None:
    batch = [an_event("n" * 129), an_event(""), an_event(), an_event("m" * 129)]
    await phone.send(
        {
            "batch_id": "01920000-0000-7000-8000-000000000002",
            "sent_at": 0,
            "events": batch,
        }
    )
    assert gateway.core.metrics.counts.events_rejected == {"name_too_long": 2, "invalid_event": 1}


async def test_one_process_shows_all(gateway: Gateway, start_gateway: StartGateway) -> None:
    away = await start_gateway()
    away.core.metrics._process = "edge-away"
    away.core.metrics.counts.polls = 7
    await away.core.metrics.publish()
    samples = await scrape(gateway)
    assert samples['zuruf_polls_total{process="edge-away"}'] == 7
    assert samples['zuruf_polls_total{process="edge-test"}'] == 0


async def test_process_that_is_gone_drops_out(gateway: Gateway) -> None:
    old = msgspec.msgpack.encode(_Report(0.0, Counts(), Gauges()))
    await gateway.valkey("HSET", "metrics", "edge-gone", old)
    assert not any("edge-gone" in name for name in await scrape(gateway))
    assert await gateway.valkey("HEXISTS", "metrics", "edge-gone") == 0


async def test_labels_that_clients_choose_do_not_grow_without_end(
    gateway: Gateway, phone: Phone
) -> None:
    for number in range(3):
        report = [{"reason": f'r"\n{number}-{place}', "quantity": 1} for place in range(100)]
        await phone.upload(an_event(), client_report=report)
    drops = gateway.core.metrics.counts.client_drops
    assert len(drops) <= 65
    assert sum(drops.values()) == 300
    samples = await scrape(gateway)
    total = sum(value for name, value in samples.items() if "client_drops" in name)
    assert total == 300


def test_labels_beyond_the_limit_are_counted_together() -> None:
    counts: dict[str, int] = {}
    for number in range(100):
        add_label(counts, str(number))
    add_label(counts, "0", 5)
    assert (counts["0"], counts["other"], len(counts)) == (6, 36, 65)


@pytest.mark.parametrize("path, expected", [("/healthz", "200"), ("/readyz", "200")])
async def test_state_of_the_process_is_told(gateway: Gateway, path: str, expected: str) -> None:
    assert code_of(await gateway.http.get(path)) == expected


async def test_process_that_cannot_store_is_not_ready_but_lives(gateway: Gateway) -> None:
    await gateway.core.valkey.close()
    assert code_of(await gateway.http.get("/readyz")) == "503 store_unavailable"
    assert code_of(await gateway.http.get("/healthz")) == "200"
