"""Whatever is sent, the answer is the documented one, and the gateway goes on serving."""

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway import keyspace
from gateway.embedded.valkey import EmbeddedValkey
from gateway.settings import Settings
from tests.builders import (
    a_batch,
    a_content,
    a_journey,
    a_leaf,
    a_message,
    a_registration,
    an_event,
    zstd_compress,
)
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually

GOOD = msgspec.json.encode(a_batch(an_event()))


@pytest.fixture(scope="module")
async def gateway(valkey_server: EmbeddedValkey) -> AsyncIterator[Gateway]:
    """One for all: what a bad request leaves behind would harm the next."""
    settings = Settings(valkey_url=valkey_server.url, secret="s", partitions=4, device_rate=1e6)
    async with Gateway(settings, SettableClock()) as gateway:
        await gateway.valkey("FLUSHDB")
        await gateway.valkey("HSET", keyspace.INSTALL, "partitions", 4)
        yield gateway


@pytest.fixture(scope="module")
async def shop(gateway: Gateway) -> Shop:
    return await gateway.new_shop()


@pytest.fixture(scope="module")
async def phone(shop: Shop) -> Phone:
    return await shop.new_phone()


@pytest.fixture(autouse=True)
async def goes_on_serving(phone: Phone) -> AsyncIterator[None]:
    yield
    assert (await phone.upload(an_event()))["accepted"] == 1
    assert phone.shop.gateway.core.metrics.gauges.in_flight_bytes == 0


# --- sizes -----------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    """A good batch of this many bytes."""
    return GOOD + b" " * (size - len(GOOD))


@pytest.mark.parametrize("in_pieces", [False, True], ids=["declared", "chunked"])
async def test_body_has_a_limit_on_the_wire(phone: Phone, in_pieces: bool) -> None:
    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    limit = Settings().body_bytes_max
    for size, expected in (
        (limit - 1, "200"),
        (limit, "200"),
        (limit + 1, "413 body_too_large"),
        (40 * limit, "413 body_too_large"),
    ):
        body = padded(size)
        content = pieces(body) if in_pieces else body
        answer = await phone.ask("POST", "/v1/events", content=content)
        assert code_of(answer) == expected
        assert ("close" in answer.headers.get("Connection", "")) is (expected != "200")


@pytest.mark.parametrize("encoding, compress", [("gzip", gzip.compress), ("zstd", zstd_compress)])
async def test_body_has_a_limit_after_decompression(
    phone: Phone, encoding: str, compress: Any
) -> None:
    limit = Settings().inflated_bytes_max
    for size, expected in (
        (limit - 1, "200"),
        (limit, "200"),
        (limit + 1, "413 inflated_body_too_large"),
        (limit + 70_000, "413 inflated_body_too_large"),
    ):
        answer = await phone.send(compress(padded(size)), **{"Content-Encoding": encoding})
        assert code_of(answer) == expected, size


@pytest.mark.parametrize("encoding, compress", [("gzip", gzip.compress), ("zstd", zstd_compress)])
async def test_bomb_is_refused_before_it_unfolds(
    phone: Phone, encoding: str, compress: Any
) -> None:
    bomb = compress(bytes(100 * 1024 * 1024))
    assert len(bomb) < 200_000
    answer = await phone.send(bomb, **{"Content-Encoding": encoding})
    assert code_of(answer) == "413 inflated_body_too_large"


async def test_bomb_in_a_bomb_is_just_not_json(phone: Phone) -> None:
    answer = await phone.send(
        gzip.compress(gzip.compress(bytes(10**6))), **{"Content-Encoding": "gzip"}
    )
    assert code_of(answer) == "400 malformed_body"


BROKEN_COMPRESSION: dict[str, tuple[str, bytes]] = {
    "truncated gzip": ("gzip", gzip.compress(GOOD)[:-9]),
    "gzip without its trailer": ("gzip", gzip.compress(GOOD)[:-8]),
    "gzip with a broken checksum": ("gzip", gzip.compress(GOOD)[:-8] + bytes(8)),
    "gzip with rubbish behind it": ("gzip", gzip.compress(GOOD) + b"rubbish"),
    "gzip of two members": ("gzip", gzip.compress(GOOD) + gzip.compress(GOOD)),
    "gzip that is none": ("gzip", GOOD),
    "gzip of nothing": ("gzip", b""),
    "zlib called gzip": ("gzip", zlib.compress(GOOD)),
    "truncated zstd": ("zstd", zstd_compress(GOOD)[:-3]),
    "zstd with rubbish behind it": ("zstd", zstd_compress(GOOD) + b"rubbish"),
    "zstd of two frames": ("zstd", zstd_compress(GOOD) + zstd_compress(GOOD)),
    "zstd that is none": ("zstd", GOOD),
    "zstd of nothing": ("zstd", b""),
    "zstd that wants 2 GiB of memory": ("zstd", b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(20)),
}


@pytest.mark.parametrize("case", BROKEN_COMPRESSION)
async def test_broken_compression_is_named(phone: Phone, case: str) -> None:
    encoding, body = BROKEN_COMPRESSION[case]
    answer = await phone.send(body, **{"Content-Encoding": encoding})
    assert code_of(answer) == "400 malformed_compression"


async def test_batch_has_a_limit_of_events(phone: Phone) -> None:
    for count, expected in ((499, "200"), (500, "200"), (501, "413 too_many_events")):
        body = a_batch(*[an_event() for _ in range(count)])
        assert code_of(await phone.send(body)) == expected


# --- broken JSON and MessagePack ---------------------------------------------------------------


def in_event(text: str | bytes) -> bytes:
    """A batch with this as the value of a property."""
    body = msgspec.json.encode(a_batch(an_event(props={"v": "@"})))
    return body.replace(b'"@"', text if isinstance(text, bytes) else text.encode())


NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "a space": b" ",
    "words": b"hello",
    "half a batch": GOOD[: len(GOOD) // 2],
    "a batch and more": GOOD + b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a lonely continuation byte": b"\x80",
    "single quotes": GOOD.replace(b'"', b"'"),
    "a trailing comma": GOOD[:-1] + b",}",
    "a comment": b"/* hi */" + GOOD,
    "a hundred thousand open braces": b'{"a":' * 100_000,
    "deep nesting in an event": in_event("[" * 100_000 + "]" * 100_000),
    "deep nesting in an unknown field": GOOD[:-1]
    + b',"x":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "NaN": in_event("NaN"),
    "Infinity": in_event("-Infinity"),
    "a NUL": in_event('"\x00"'),
    "a bare newline in a string": in_event('"a\nb"'),
    "a hexadecimal number": in_event("0x10"),
    "a number with a leading zero": in_event("012"),
    "an unknown escape": in_event('"\\q"'),
}


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud800\ud800"])
async def test_text_cut_inside_an_emoji_costs_one_letter_and_no_event(
    phone: Phone, half: str
) -> None:
    answer = await phone.send(in_event(f'"cut {half}"'))
    assert answer.status_code == 200
    assert answer.json()["rejected"] == []


@pytest.mark.parametrize("case", NOT_JSON)
async def test_body_that_is_not_json_is_malformed(phone: Phone, case: str) -> None:
    answer = await phone.send(NOT_JSON[case])
    assert answer.status_code == 400
    assert answer.json()["code"] in {"malformed_body", "nothing_acceptable"}


async def test_list_is_no_batch_however_deep_it_is(phone: Phone) -> None:
    for body in (b"[]", b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000):
        assert code_of(await phone.send(body)) == "400 invalid_body"


BAD_VALUES: dict[str, str | bytes] = {
    "an integer of 5,000 digits": "9" * 5_000,
    "a negative integer of 5,000 digits": "-" + "9" * 5_000,
    "an integer above 64 bits": str(2**63),
    "an integer below 64 bits": str(-(2**63) - 1),
    "a number beyond all floats": "1e400",
    "invalid UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "an encoded surrogate": b'"\xed\xa0\x80"',
    "six levels": "[[[[[]]]]]",
    "nine hundred levels": "[" * 900 + "]" * 900,
}


@pytest.mark.parametrize("case", BAD_VALUES)
async def test_bad_value_rejects_its_event_only(phone: Phone, case: str) -> None:
    good = msgspec.json.encode(an_event())
    body = in_event(BAD_VALUES[case]).replace(b'"events":[', b'"events":[' + good + b",")
    answer = await phone.send(body)
    assert code_of(answer) == "200"
    assert [bad["index"] for bad in answer.json()["rejected"]] == [1]
    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize("number", ["-0", "0.1e-400", "1e308", str(2**63 - 1), "1E+2", "5e-324"])
async def test_numbers_at_the_edge_are_accepted(phone: Phone, number: str) -> None:
    assert code_of(await phone.send(in_event(number))) == "200"


def packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def packed_event(value: bytes) -> bytes:
    """A batch in MessagePack with this as the value of a property."""
    return packed(a_batch(an_event(props={"v": "@@@"}))).replace(b"\xa3@@@", value)


BAD_MSGPACK: dict[str, bytes] = {
    "nothing": b"",
    "JSON": GOOD,
    "an unused byte": b"\xc1",
    "half a batch": packed(a_batch(an_event()))[:-5],
    "a batch and more": packed(a_batch(an_event())) + b"\xc0",
    "an array that claims 2^32 items": b"\xdd\xff\xff\xff\xff",
    "a map that claims 2^32 pairs": b"\xdf\xff\xff\xff\xff",
    "a string that claims 4 GiB": b"\xdb\xff\xff\xff\xff",
    "bytes that claim 4 GiB": b"\xc6\xff\xff\xff\xff",
    "an inner array that claims 2^32 items": packed_event(b"\xdd\xff\xff\xff\xff"),
    "a hundred thousand arrays": b"\x91" * 100_000,
    "an extension": packed_event(packed(msgspec.msgpack.Ext(5, b"data"))),
    "a timestamp": packed_event(b"\xd6\xff\x00\x00\x00\x00"),
    "a broken timestamp": packed_event(b"\xc7\x0c\xff" + b"\xff" * 12),
    "bytes": packed_event(packed(b"\xff\xfe")),
    "invalid UTF-8": packed_event(b"\xa2\xff\xfe"),
    "NaN": packed_event(packed(float("nan"))),
    "infinity": packed_event(packed(float("inf"))),
    "a 64 bit number without sign": packed_event(packed(2**64 - 1)),
    "a map whose keys are numbers": packed_event(b"\x81\x01\x01"),
    "a map whose keys are lists": packed_event(b"\x81\x91\x01\x01"),
    "a map whose keys are maps": packed_event(b"\x81\x80\x01"),
    "a map whose keys are nil": packed_event(b"\x81\xc0\x01"),
}


@pytest.mark.parametrize("case", BAD_MSGPACK)
async def test_bad_messagepack_is_refused(phone: Phone, case: str) -> None:
    answer = await phone.send(BAD_MSGPACK[case], **{"Content-Type": "application/msgpack"})
    assert answer.status_code == 400
    assert answer.json()["code"] in {"malformed_body", "invalid_body", "nothing_acceptable"}


# --- the other routes with bodies ----------------------------------------------------------------

WRONG_REGISTRATIONS: dict[str, Any] = {
    "no install id": {"platform": "ios", "form_factor": "phone"},
    "an install id that is no UUID": a_registration(install_id="mine"),
    "an unknown platform": a_registration(platform="symbian"),
    "an unknown form factor": a_registration(form_factor="watch"),
    "a long model": a_registration(device={"model": "m" * 129}),
    "a huge screen": a_registration(device={"screen": {"width": 100_001}}),
    "a negative screen": a_registration(device={"screen": {"density": -1}}),
    "a device that is a string": a_registration(device="Pixel"),
    "a list": [],
    "a number": 7,
}


@pytest.mark.parametrize("case", WRONG_REGISTRATIONS)
async def test_wrong_registration_is_invalid(shop: Shop, case: str) -> None:
    answer = await shop.register(WRONG_REGISTRATIONS[case])
    assert code_of(answer) == "400 invalid_body"
    assert answer.json()["detail"]


async def test_registration_takes_what_is_just_within_its_limits(shop: Shop) -> None:
    screen = {"width": 100_000, "height": 0, "density": 100}
    device = {"model": "m" * 128, "screen": screen, "unknown": 1}
    assert code_of(await shop.register(a_registration(device=device))) == "201"


BODIES: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"user_id":', "malformed_body"),
    "no body": (b"", "malformed_body"),
    "invalid UTF-8": (b'{"user_id":"\xff"}', "malformed_body"),
    "a lone surrogate": (b'{"user_id":"\\ud800"}', "malformed_body"),
    "brackets": (b"[" * 100_000, "invalid_body"),
    "a list": (b"[]", "invalid_body"),
    "no user": (b"{}", "invalid_body"),
    "an empty user": (b'{"user_id":""}', "invalid_body"),
    "a number for a user": (b'{"user_id":42}', "invalid_body"),
    "a long user": (b'{"user_id":"' + b"u" * 257 + b'"}', "invalid_body"),
}


@pytest.mark.parametrize("case", BODIES)
async def test_wrong_identification_is_refused(phone: Phone, case: str) -> None:
    body, code = BODIES[case]
    answer = await phone.ask("POST", "/v1/identity", content=body)
    assert code_of(answer) == f"400 {code}"


async def test_user_id_has_a_limit(phone: Phone) -> None:
    for size in (255, 256):
        assert code_of(await phone.identify("ü" * size)) == "200"
        await phone.login("ü" * size)
        await phone.logout()
    assert code_of(await phone.identify("ü" * 257)) == "400 invalid_body"


WRONG_ANSWERS: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"consent":', "malformed_body"),
    "no body": (b"", "malformed_body"),
    "invalid UTF-8": (b'{"consent":{"\xff":true},"at":1}', "malformed_body"),
    "a list": (b"[]", "invalid_body"),
    "brackets": (b"[" * 100_000, "invalid_body"),
    "no answers": (b'{"at":1}', "invalid_body"),
    "no time": (b'{"consent":{}}', "invalid_body"),
    "a time before 1970": (b'{"consent":{},"at":-1}', "invalid_body"),
    "a time in words": (b'{"consent":{},"at":"now"}', "invalid_body"),
    "a list of answers": (b'{"consent":["analytics"],"at":1}', "invalid_body"),
    "an answer in words": (b'{"consent":{"analytics":"yes"},"at":1}', "invalid_body"),
    "an answer that is a number": (b'{"consent":{"analytics":1},"at":1}', "invalid_body"),
    "no answer": (b'{"consent":{"analytics":null},"at":1}', "invalid_body"),
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
async def test_wrong_consent_is_refused(phone: Phone, case: str) -> None:
    body, code = WRONG_ANSWERS[case]
    answer = await phone.ask("PUT", "/v1/consent", content=body)
    assert code_of(answer) == f"400 {code}"


WRONG_PUSH_TOKENS: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"token":', "malformed_body"),
    "no body": (b"", "malformed_body"),
    "invalid UTF-8": (b'{"token":"\xff","provider":"fcm"}', "malformed_body"),
    "a list": (b"[]", "invalid_body"),
    "no token": (b'{"provider":"fcm"}', "invalid_body"),
    "an empty token": (b'{"token":"","provider":"fcm"}', "invalid_body"),
    "a token that is a number": (b'{"token":7,"provider":"fcm"}', "invalid_body"),
    "no provider": (b'{"token":"t"}', "invalid_body"),
    "an unknown provider": (b'{"token":"t","provider":"pigeon"}', "invalid_body"),
}


@pytest.mark.parametrize("case", WRONG_PUSH_TOKENS)
async def test_wrong_push_token_is_refused_and_not_repeated(phone: Phone, case: str) -> None:
    body, code = WRONG_PUSH_TOKENS[case]
    answer = await phone.ask("PUT", "/v1/push-token", content=body)
    assert code_of(answer) == f"400 {code}"


@pytest.mark.parametrize("path", ["/v1/consent", "/v1/push-token"])
async def test_small_bodies_may_be_messagepack_and_compressed(phone: Phone, path: str) -> None:
    body = {"consent": {"own": True}, "at": 1, "token": "t", "provider": "web", "unknown": [1]}
    headers = {"Content-Type": "application/msgpack", "Content-Encoding": "gzip"}
    content = gzip.compress(packed(body))
    answer = await phone.ask("PUT", path, content=content, headers=headers)
    assert answer.status_code in {200, 204}


WRONG_ADMIN_BODIES: dict[str, tuple[str, str, Any]] = {
    "broken JSON": ("POST", "/admin/v1/journeys", b"{"),
    "no body": ("POST", "/admin/v1/journeys", b""),
    "invalid UTF-8": ("POST", "/admin/v1/journeys", b'{"name":"\xff"}'),
    "brackets": ("POST", "/admin/v1/journeys", b"[" * 100_000),
    "a list": ("POST", "/admin/v1/journeys", []),
    "a journey without a message": ("POST", "/admin/v1/journeys", {"name": "n"}),
    "an unknown status": ("POST", "/admin/v1/journeys", a_journey(status="running")),
    "an unknown layout": (
        "POST",
        "/admin/v1/journeys",
        a_journey(message={"content": a_content(layout="html")}),
    ),
    "a link that runs code": (
        "POST",
        "/admin/v1/messages",
        a_message(
            {"user_id": "u"},
            content=a_content(
                buttons=[
                    {
                        "id": "b",
                        "label": "B",
                        "action": {"type": "open_url", "url": "javascript:alert(1)"},
                    }
                ]
            ),
        ),
    ),
    "an image over plain HTTP": (
        "POST",
        "/admin/v1/messages",
        a_message({"user_id": "u"}, content=a_content(image="http://example.org/i.png")),
    ),
    "a priority over 100": (
        "POST",
        "/admin/v1/messages",
        a_message({"user_id": "u"}, priority=101),
    ),
    "a message for ever": ("POST", "/admin/v1/messages", a_message({"user_id": "u"}, ttl_s=10**9)),
    "a message for nobody": ("POST", "/admin/v1/messages", a_message({})),
    "a message for two": (
        "POST",
        "/admin/v1/messages",
        a_message({"user_id": "u", "profile_id": "0" * 32}),
    ),
    "an id that is no UUID": ("POST", "/admin/v1/messages", a_message({"user_id": "u"}, id="1")),
    "a remote configuration that is a list": ("PUT", "/admin/v1/remote-config", []),
    "half a remote configuration": ("PUT", "/admin/v1/remote-config", b'{"values":'),
    "a remote configuration of brackets": ("PUT", "/admin/v1/remote-config", b"[" * 100_000),
    "a value of brackets": (
        "PUT",
        "/admin/v1/remote-config",
        b'{"values":{"k":{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}}}",
    ),
    "a number beyond all floats": (
        "PUT",
        "/admin/v1/remote-config",
        b'{"values":{"k":{"value":1e400}}}',
    ),
    "an app with no name": ("PUT", "/admin/v1/app", {"name": ""}),
    "an empty batch": ("POST", "/admin/v1/events", a_batch()),
    "half a batch": ("POST", "/admin/v1/events", GOOD[:-5]),
    "a batch of brackets": ("POST", "/admin/v1/events", b"[" * 100_000),
}


@pytest.mark.parametrize("case", WRONG_ADMIN_BODIES)
async def test_wrong_admin_body_is_refused(shop: Shop, case: str) -> None:
    method, path, body = WRONG_ADMIN_BODIES[case]
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    answer = await shop.server.ask(
        method, path, content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] in {"malformed_body", "invalid_body", "empty_batch"}


async def test_admin_body_has_a_limit(shop: Shop) -> None:
    body = msgspec.json.encode({"name": "n"})
    answers = []
    limit = Settings().inflated_bytes_max
    for size in (limit, limit + 1):
        padding = b" " * (size - len(body))
        answer = await shop.server.ask("PUT", "/admin/v1/app", content=body + padding)
        answers.append(code_of(answer))
    assert answers == ["200", "413 body_too_large"]


DEEP_RULE: dict[str, Any] = a_leaf("p", "exists")
for _ in range(8):
    DEEP_RULE = {"not": DEEP_RULE}
WRONG_RULES: dict[str, Any] = {
    "no rule": {},
    "an unknown operator": a_leaf("p", "like", "x"),
    "two rules in one": {"all": [], "any": []},
    "a leaf and more": {"not": a_leaf("p", "exists"), "prop": "p"},
    "an empty property": a_leaf("", "exists"),
    "a list for eq": a_leaf("p", "eq", [1]),
    "a string for in": a_leaf("p", "in", "x"),
    "a number for starts_with": a_leaf("p", "starts_with", 1),
    "no value for gt": a_leaf("p", "gt"),
    "a list that is a rule": {"all": a_leaf("p", "exists")},
    "rules that are no rules": {"any": [1]},
    "nine levels": DEEP_RULE,
    "65 comparisons": {"all": [a_leaf("p", "exists")] * 65},
    "257 values": a_leaf("p", "in", list(range(257))),
}


@pytest.mark.parametrize("case", WRONG_RULES)
async def test_wrong_rule_is_refused_with_its_place(shop: Shop, case: str) -> None:
    journey = a_journey(where=WRONG_RULES[case])
    answer = await shop.server.ask("POST", "/admin/v1/journeys", json=journey)
    assert code_of(answer) == "400 invalid_rule"
    assert answer.json()["detail"].startswith("where")
    assert await shop.server.get("/admin/v1/journeys") == []


async def test_rule_may_be_as_large_as_its_limits(shop: Shop) -> None:
    rules: list[Any] = [
        DEEP_RULE["not"],
        {"all": [a_leaf("p", "exists")] * 64},
        a_leaf("p", "in", list(range(256))),
        {"all": []},
    ]
    for where in rules:
        await shop.server.post("/admin/v1/journeys", a_journey(where=where))


# --- headers, queries, routes --------------------------------------------------------------------


@pytest.mark.parametrize(
    "media, expected",
    [
        ("application/json", "200"),
        ("application/json; charset=utf-8", "200"),
        ("APPLICATION/JSON", "200"),
        ("text/plain", "415 unsupported_media_type"),
        ("application/xml", "415 unsupported_media_type"),
        ("multipart/form-data; boundary=x", "415 unsupported_media_type"),
        ("", "415 unsupported_media_type"),
        ("application/jsonp", "415 unsupported_media_type"),
    ],
)
async def test_media_type_is_json_or_messagepack(phone: Phone, media: str, expected: str) -> None:
    assert code_of(await phone.send(a_batch(an_event()), **{"Content-Type": media})) == expected


@pytest.mark.parametrize(
    "name", ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"]
)
async def test_messagepack_has_three_names(phone: Phone, name: str) -> None:
    assert code_of(await phone.send(packed(a_batch(an_event())), **{"Content-Type": name})) == "200"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "", "x" * 1000])
async def test_unknown_encoding_is_refused(phone: Phone, encoding: str) -> None:
    answer = await phone.send(GOOD, **{"Content-Encoding": encoding})
    assert code_of(answer) == "415 unsupported_encoding"


@pytest.mark.parametrize("encoding", ["identity", "Identity", "GZIP", " gzip "])
async def test_encodings_are_read_without_regard_to_case(phone: Phone, encoding: str) -> None:
    body = GOOD if "dent" in encoding else gzip.compress(GOOD)
    assert code_of(await phone.send(body, **{"Content-Encoding": encoding})) == "200"


@pytest.mark.parametrize(
    "wait", ["-1", "nan", "inf", "-inf", "ten", "", "1e9", "55.001", "0x1", "%31", "1,5", "٣"]
)
async def test_wait_is_seconds_within_its_limit(phone: Phone, wait: str) -> None:
    answer = await phone.ask("GET", "/v1/messages", params={"wait": wait})
    assert code_of(answer) == "400 invalid_query"


async def test_hold_is_allowed_up_to_its_limit(phone: Phone) -> None:
    await phone.receive()
    for wait in (54.999, 55, 55.0):
        poll = asyncio.create_task(phone.poll(wait=wait))
        holds = phone.shop.gateway.core.metrics.gauges
        await eventually(lambda: holds.holds == 1)  # noqa: B023
        poll.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await poll
        assert holds.holds == 0


@pytest.mark.parametrize(
    "after",
    ["x", "0x", "....", "%00", "ffffffff.0", "\u00b2.\u00b2", "9" * 5000, "-1", "a.1&after=b"],
)
async def test_cursor_that_makes_no_sense_starts_over(phone: Phone, after: str) -> None:
    for cursor in (after, f"{phone.profile_id[:8]}.{after}"):
        page = (await phone.poll(after=cursor)).json()
        assert page["reset"] is True


async def test_profile_route_wants_its_query(shop: Shop) -> None:
    answer = await shop.server.ask("GET", "/admin/v1/profiles")
    assert code_of(answer) == "400 invalid_query"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/event",
        "/v1/events/1",
        "/v1/messages/1",
        "/admin",
        "/../v1",
        "/x" * 4000,
    ],
)
async def test_unknown_route_is_not_found(phone: Phone, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = await phone.ask(method, path)
        assert code_of(answer) == "404 not_found"


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("GET", "/v1/events", "POST"),
        ("POST", "/v1/messages", "GET"),
        ("PUT", "/v1/devices", "POST"),
        ("GET", "/v1/identity", "DELETE, POST"),
        ("BREW", "/v1/identity", "DELETE, POST"),
        ("DELETE", "/v1/config", "GET"),
        ("GET", "/v1/consent", "PUT"),
        ("POST", "/v1/push-token", "DELETE, PUT"),
        ("DELETE", "/admin/v1/remote-config", "GET, HEAD, OPTIONS, PUT"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/admin/v1/app", "GET, HEAD, OPTIONS, PUT"),
        ("PATCH", "/admin/v1/journeys/j", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ],
)
async def test_method_that_a_route_has_not_is_answered_with_those_it_has(
    phone: Phone, method: str, path: str, allowed: str
) -> None:
    answer = await phone.ask(method, path)
    assert code_of(answer) == "405 method_not_allowed"
    assert sorted(answer.headers["Allow"].split(", ")) in (
        allowed.split(", "),
        [word for word in allowed.split(", ") if word not in {"HEAD", "OPTIONS"}],
        [word for word in allowed.split(", ") if word != "HEAD"],
    )


async def test_admin_ids_that_cannot_be_are_not_found(shop: Shop) -> None:
    strange = [
        "x",
        "0" * 31,
        "0" * 33,
        "g" * 32,
        "%00",
        "é",
        "0" * 32 + "-" + "0" * 16,
        "*",
        "a" * 3000,
    ]
    for id in strange:
        for method, path in (
            ("GET", "/admin/v1/profiles/{}"),
            ("GET", "/admin/v1/profiles/{}/decisions"),
            ("GET", "/admin/v1/profiles/{}/messages"),
            ("GET", "/admin/v1/journeys/{}"),
            ("DELETE", "/admin/v1/journeys/{}"),
            ("DELETE", "/admin/v1/messages/{}"),
        ):
            answer = await shop.server.ask(method, path.format(id))
            assert code_of(answer) == "404 not_found", (method, path, id)


# --- tokens and keys ------------------------------------------------------------------------------


async def test_request_without_a_token_says_so(gateway: Gateway, phone: Phone) -> None:
    for header, expected in (
        ({}, "401 token_missing"),
        ({"Authorization": ""}, "401 token_malformed"),
        ({"Authorization": "Bearer"}, "401 token_malformed"),
        ({"Authorization": "Bearer "}, "401 token_malformed"),
        ({"Authorization": "Basic dTpw"}, "401 token_malformed"),
        ({"Authorization": f"bearer {phone.token}"}, "401 token_malformed"),
        ({"Authorization": "Bearer " + "x" * 10_000}, "401 token_malformed"),
        ({"Authorization": f"Bearer {phone.shop.publishable_key}"}, "401 token_malformed"),
    ):
        answer = await gateway.http.post("/v1/events", content=GOOD, headers=header)
        assert code_of(answer) == expected, header
