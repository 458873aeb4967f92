import gzip
import json
import random
import uuid

import pytest

from loadtests import payloads

PLATFORMS = {
    "ios",
    "android",
    "tvos",
    "androidtv",
    "firetv",
    "tizen",
    "webos",
    "roku",
    "web",
    "desktop",
}
TIME_MAX = 4_102_444_800_000


def depth_of(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
    return 0


def assert_valid_id(text: str) -> None:
    assert str(uuid.UUID(text)) == text


def assert_valid_batch(batch: payloads.Json) -> None:
    assert_valid_id(batch["batch_id"])
    assert 0 <= batch["sent_at"] <= TIME_MAX
    assert 1 <= len(batch["events"]) <= 500
    for event in batch["events"]:
        assert_valid_id(event["id"])
        assert 1 <= len(event["type"]) <= 128
        assert 1 <= len(event["name"]) <= 128
        assert 0 <= event["ts"] <= batch["sent_at"]
        assert len(event.get("session_id", "")) <= 128
        assert len(event["props"]) <= 256
        assert depth_of(event["props"]) <= 5
        assert all(len(key) <= 128 for key in event["props"])
    ids = [event["id"] for event in batch["events"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("form_factor", ["phone", "tablet", "tv"])
def test_registrations_follow_the_protocol(form_factor: str) -> None:
    source = random.Random(1)
    for _ in range(50):
        body = payloads.registration(source, form_factor)
        assert_valid_id(body["install_id"])
        assert body["platform"] in PLATFORMS
        assert body["form_factor"] == form_factor
        assert set(body["device"]["screen"]) == {"width", "height", "density"}
        assert set(body["sdk"]) == {"name", "version"}


@pytest.mark.parametrize("form_factor", ["phone", "tablet", "tv"])
def test_batches_follow_the_protocol(form_factor: str) -> None:
    source = random.Random(2)
    for events in (1, 50, 500):
        assert_valid_batch(payloads.batch(source, form_factor=form_factor, events=events))


def test_events_are_as_long_as_real_ones() -> None:
    body = payloads.encode(payloads.batch(random.Random(3), events=500))
    assert 180 <= len(body) / 500 <= 260


def test_a_seed_gives_the_same_batch() -> None:
    one, other = (payloads.batch(random.Random(4), now_ms=1_763_750_000_000) for _ in range(2))
    assert one == other


def test_the_trigger_and_the_receipt_follow_the_protocol() -> None:
    source = random.Random(5)
    assert_valid_batch(payloads.trigger(source))
    shown = payloads.message_shown(source, "msg_1")
    assert_valid_batch(shown)
    assert shown["events"][0]["props"] == {"message_id": "msg_1"}


def test_renderings_of_a_template_are_valid_and_equally_long() -> None:
    template = payloads.BatchTemplate(random.Random(6))
    serials = payloads.serials()
    for body in (template.render(next(serials)), template.render_random(1_763_750_000_000)):
        assert len(body) == template.length
        assert_valid_batch(json.loads(body))


def test_no_id_is_ever_sent_twice() -> None:
    """Nor either half of one: a server may tell ids apart by their last eight bytes."""
    templates = [payloads.BatchTemplate(random.Random(seed)) for seed in (7, 8)]
    serials = payloads.serials()
    bodies = [templates[number % 2].render(next(serials)) for number in range(40)]
    bodies += [template.render_random(1_763_750_000_000) for template in templates]
    batches = [json.loads(body) for body in bodies]
    halves = [uuid.UUID(event["id"]).bytes[8:] for batch in batches for event in batch["events"]]
    assert len(set(halves)) == len(halves)
    assert len({batch["batch_id"] for batch in batches}) == len(batches)


def test_compressed_bodies_are_gzip() -> None:
    body = payloads.encode(payloads.batch(random.Random(9)))
    assert gzip.decompress(payloads.compress(body)) == body
