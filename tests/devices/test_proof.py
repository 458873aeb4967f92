"""The app vouches for its users: with `verify_identity`, a login needs a proof signed by its server."""

import base64
import json
from typing import Any

import jwt
import pytest

from gateway.devices.model import check_proof
from gateway.errors import Problem
from tests.builders import NOW
from tests.clients import Phone, Shop, code_of

SECRET = "5a" * 32
APP, USER = "app1", "u1"
NOW_S = NOW / 1000
HOUR_S, DAY_S = 3_600, 86_400


def a_proof(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    said = {"sub": USER, "aud": APP, "exp": NOW_S + HOUR_S} | claims
    given = {name: value for name, value in said.items() if value is not ...}
    return jwt.encode(given, secret, algorithm)


def by_hand(header: dict[str, Any], mac: bytes = b"") -> str:
    """A token that no library would make."""
    claims = {"sub": USER, "aud": APP, "exp": NOW_S + HOUR_S}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), mac]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()


def verdict(proof: str | None) -> str:
    try:
        check_proof(proof, SECRET, APP, USER, NOW_S)
    except Problem as problem:
        return problem.code
    return "ok"


def test_missing_proof_is_asked_for() -> None:
    assert verdict(None) == "proof_required"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": NOW_S + DAY_S},
        {"aud": ["other", APP]},
        {"iat": NOW_S + DAY_S, "nbf": 0, "name": "unknown claims do no harm"},
    ],
)
def test_good_proof_is_accepted(claims: dict[str, Any]) -> None:
    assert verdict(a_proof(**claims)) == "ok"


BAD: dict[str, str] = {
    "nothing": "",
    "no token": "proof",
    "another key": a_proof(secret="5b" * 32),
    "no signature": a_proof().rpartition(".")[0] + ".",
    "no algorithm": by_hand({"alg": "none"}),
    "no algorithm, in capitals": by_hand({"alg": "NONE"}),
    "no algorithm named": by_hand({}),
    "another hash": a_proof(algorithm="HS512"),
    "a shorter hash": a_proof(algorithm="HS384"),
    "a public key algorithm": by_hand({"alg": "RS256"}, b"x"),
    "a key of its own": by_hand({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b"x"),
    "another user": a_proof(sub="u2"),
    "a user of another case": a_proof(sub="U1"),
    "no user": a_proof(sub=...),
    "another app": a_proof(aud="app2"),
    "no app": a_proof(aud=...),
    "expired": a_proof(exp=NOW_S - HOUR_S),
    "good for years": a_proof(exp=NOW_S + 365 * DAY_S),
    "good for ever": a_proof(exp=...),
    "an end that is no number": a_proof(exp="9999999999"),
    "an end that is not finite": a_proof(exp=float("inf")),
    "an end that is no number at all": a_proof(exp=float("nan")),
    "changed claims": a_proof().replace(".e", ".f", 1),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_proof_is_refused(case: str) -> None:
    assert verdict(BAD[case]) == "proof_invalid"


async def test_app_that_verifies_wants_a_proof_at_login(
    shop: Shop, phone: Phone, worker: None
) -> None:
    app = await shop.server.put("/admin/v1/app", {"verify_identity": True})
    secret = app["identity_secret"]
    assert code_of(await phone.identify("u1")) == "401 proof_required"
    wrong = a_proof(secret, sub="u2", aud=app["id"])
    assert code_of(await phone.identify("u1", proof=wrong)) == "401 proof_invalid"
    good = a_proof(secret, sub="u1", aud=app["id"])
    assert code_of(await phone.identify("u1", proof=good)) == "200"


async def test_proof_of_one_app_is_worth_nothing_to_another(shop: Shop, phone: Phone) -> None:
    other = await shop.gateway.new_shop("Other")
    secret = (await other.server.get("/admin/v1/app"))["identity_secret"]
    app = await shop.server.put("/admin/v1/app", {"verify_identity": True})
    assert secret != app["identity_secret"]
    proof = a_proof(secret, sub="u1", aud=app["id"])
    assert code_of(await phone.identify("u1", proof=proof)) == "401 proof_invalid"


async def test_refused_login_moves_nothing(shop: Shop, phone: Phone, worker: None) -> None:
    await shop.server.put("/admin/v1/app", {"verify_identity": True})
    await phone.identify("u1", proof="forged")
    assert code_of(await phone.poll()) == "204"
    await shop.gateway.settled()
    answer = await shop.server.ask("GET", "/admin/v1/profiles", params={"user_id": "u1"})
    assert code_of(answer) == "404 not_found"
