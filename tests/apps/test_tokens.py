import base64

import msgspec
import pytest

from gateway.apps.model import App
from gateway.apps.token import Claims, Tokens, derive_secret
from gateway.errors import Problem
from tests.builders import NOW
from tests.clients import Phone, Shop, code_of

APP = App(id="app1", name="Shop", created_at=0)
CLAIMS = Claims("app1", "d" * 32, "e" * 32, NOW, NOW + 1_000, is_known=False)


def tokens(secret: bytes = b"install secret", *apps: App) -> Tokens:
    made = Tokens(secret)
    made.set_apps({app.id: app for app in apps or (APP,)})
    return made


def verdict(token: str | bytes, known: Tokens | None = None, now: int = NOW) -> str:
    packed = token.encode() if isinstance(token, str) else token
    try:
        (known or tokens()).verify(packed, now)
    except Problem as problem:
        return problem.code
    return "ok"


def test_token_says_who_its_bearer_is() -> None:
    made = tokens()
    assert made.verify(made.mint(CLAIMS).encode(), NOW) == CLAIMS


def test_token_ends_at_its_time() -> None:
    token = tokens().mint(CLAIMS)
    assert verdict(token, now=NOW + 999) == "ok"
    assert verdict(token, now=NOW + 1_000) == "token_expired"


def test_token_that_was_good_before_still_expires() -> None:
    made = tokens()
    token = made.mint(CLAIMS)
    assert verdict(token, made) == "ok"
    assert verdict(token, made, NOW + 1_000) == "token_expired"


def test_token_of_another_installation_is_forged() -> None:
    assert verdict(tokens(b"another secret").mint(CLAIMS)) == "token_forged"


def test_every_change_to_a_token_is_noticed() -> None:
    token = tokens().mint(CLAIMS)
    for place in range(len(token)):
        for letter in "AB.":
            changed = token[:place] + letter + token[place + 1 :]
            if changed != token:
                assert verdict(changed) in {"token_forged", "token_malformed"}, place


def test_every_shortened_or_lengthened_token_is_noticed() -> None:
    token = tokens().mint(CLAIMS)
    for length in range(len(token)):
        assert verdict(token[:length]) in {"token_forged", "token_malformed"}
    for more in ("A", ".", "=", " ", "\n", "!"):
        assert verdict(token + more) in {"token_forged", "token_malformed"}, repr(more)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1",
        "v1...",
        "v2.1.gA.AA",
        "v1.x.gA.AA",
        "v1.1.\xff.AA",
        "v1.1." + "A" * 600 + ".AA",
        "v1.-1.gA.AA",
        "v1." + "9" * 400 + ".gA.AA",
    ],
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert verdict(token.encode("latin-1")) == "token_malformed"


def test_own_claims_under_an_empty_or_borrowed_signature_are_forged() -> None:
    mac = tokens().mint(CLAIMS).rpartition(".")[2]
    wanted = msgspec.structs.replace(CLAIMS, profile_id="f" * 32)
    payload = base64.urlsafe_b64encode(msgspec.msgpack.encode(wanted)).rstrip(b"=").decode()
    for forged in ("", mac, "A" * len(mac)):
        assert verdict(f"v1.1.{payload}.{forged}") == "token_forged"


def test_two_signing_keys_are_live_and_older_ones_are_not() -> None:
    old = tokens().mint(CLAIMS)
    for kids, expected in (((1,), "ok"), ((1, 2), "ok"), ((2, 3), "token_forged")):
        app = msgspec.structs.replace(APP, token_kids=kids)
        assert verdict(old, tokens(b"install secret", app)) == expected


def test_new_tokens_are_signed_with_the_newest_key() -> None:
    rotated = msgspec.structs.replace(APP, token_kids=(1, 2))
    assert tokens(b"install secret", rotated).mint(CLAIMS).startswith("v1.2.")


def test_rotation_reaches_tokens_that_were_verified_before() -> None:
    made = tokens()
    token = made.mint(CLAIMS)
    assert verdict(token, made) == "ok"
    made.set_apps({"app1": msgspec.structs.replace(APP, token_kids=(2, 3))})
    assert verdict(token, made) == "token_forged"


def test_key_of_one_app_signs_nothing_for_another() -> None:
    other = App(id="app2", name="Other", created_at=0)
    made = tokens(b"install secret", APP, other)
    token = made.mint(CLAIMS)
    _, kid, _, mac = token.split(".")
    theirs = msgspec.msgpack.encode(msgspec.structs.replace(CLAIMS, app_id="app2"))
    payload = base64.urlsafe_b64encode(theirs).rstrip(b"=").decode()
    assert verdict(f"v1.{kid}.{payload}.{mac}", made) == "token_forged"


def test_token_of_an_app_that_is_no_more_is_forged() -> None:
    token = tokens().mint(CLAIMS)
    assert verdict(token, tokens(b"install secret", App("app2", "Other", 0))) == "token_forged"


def test_secrets_of_different_purposes_and_parts_differ() -> None:
    made = {
        derive_secret(b"s", *parts)
        for parts in (
            ("token", "a", 1),
            ("token", "a", 11),
            ("token", "a1", 1),
            ("identity", "a", 1),
        )
    }
    assert len(made) == 4


async def test_forged_expired_and_foreign_tokens_are_told_apart(shop: Shop, phone: Phone) -> None:
    core = shop.gateway.core
    claims = core.apps.tokens.verify(phone.token.encode(), NOW)
    expired = core.apps.tokens.mint(msgspec.structs.replace(claims, expires_at=NOW))
    for token, expected in (
        (phone.token[:-2] + "xx", "401 token_forged"),
        (expired, "401 token_expired"),
        ("v1.1.x", "401 token_malformed"),
    ):
        for method, path in (
            ("POST", "/v1/events"),
            ("GET", "/v1/messages"),
            ("GET", "/v1/messages/stream"),
            ("POST", "/v1/identity"),
            ("DELETE", "/v1/identity"),
            ("GET", "/v1/config"),
        ):
            assert code_of(await phone.ask(method, path, token=token)) == expected
