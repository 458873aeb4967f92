from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.apps.model import (
    KEYS_MAX,
    accepts_key,
    add_key,
    new_app,
    rotate_key,
    rotate_token_key,
)
from gateway.errors import Problem, SettingError
from gateway.install import install_secret
from gateway.settings import Settings
from tests.builders import NOW
from tests.clients import Gateway, Phone, SettableClock, Shop, code_of, eventually
from tests.conftest import StartGateway


async def test_secrets_are_nowhere_in_the_store(worker: None, gateway: Gateway, shop: Shop) -> None:
    """Keys are hashed, tokens and proofs are signed with derived keys: a dump gives away none."""
    phone = await shop.new_phone()
    await phone.login("u1")
    await gateway.settled()
    secrets = [
        shop.secret_key.split("_")[2],
        shop.publishable_key.split("_")[2],
        phone.token.split(".")[2],
        (await shop.server.get("/admin/v1/app"))["identity_secret"],
        gateway.settings.secret,
    ]
    found = b""
    for key in await gateway.valkey("KEYS", "*"):
        kind = await gateway.valkey("TYPE", key)
        command = {
            b"string": ("GET", key),
            b"hash": ("HGETALL", key),
            b"list": ("LRANGE", key, 0, -1),
            b"zset": ("ZRANGE", key, 0, -1),
            b"stream": ("XRANGE", key, "-", "+"),
        }[kind]
        found += repr(await gateway.valkey(*command)).encode() + bytes(key)
    assert shop.app_id.encode() in found
    for secret in secrets:
        assert secret.encode() not in found


async def test_app_shows_its_keys_without_their_secrets(shop: Shop) -> None:
    app = await shop.server.get("/admin/v1/app")
    assert sorted(key["kind"] for key in app["keys"]) == ["publishable", "secret"]
    for key in (shop.secret_key, shop.publishable_key):
        assert key.split("_")[2] not in str(app)


async def test_rotated_key_works_until_its_grace_is_over(shop: Shop, clock: SettableClock) -> None:
    app, fresh = rotate_key(shop.app, "secret", clock.at, grace_s=60)
    await shop.gateway.core.apps.save(app, replacing=shop.app)
    ask = shop.server.ask
    new = {"Authorization": f"Bearer {fresh}"}
    clock.forward(seconds=59.999)
    assert code_of(await ask("GET", "/admin/v1/app")) == "200"
    clock.forward(seconds=0.001)
    assert code_of(await ask("GET", "/admin/v1/app")) == "401 key_invalid"
    assert code_of(await ask("GET", "/admin/v1/app", headers=new)) == "200"
    assert code_of(await shop.register()) == "201"


async def test_change_of_a_key_reaches_every_process(
    shop: Shop, start_gateway: StartGateway, clock: SettableClock
) -> None:
    other = await start_gateway()
    app, _ = rotate_key(shop.app, "publishable", clock.at, grace_s=0)
    await shop.gateway.core.apps.save(app, replacing=shop.app)
    away = Shop(other, shop.app_id, shop.publishable_key, shop.secret_key)

    async def is_refused() -> bool:
        return code_of(await away.register()) == "401 key_invalid"

    await eventually(is_refused, within_s=1)


async def test_change_of_an_app_never_undoes_one_it_has_not_seen(
    shop: Shop, clock: SettableClock
) -> None:
    """A rotation that a stale copy overwrote would bring a revoked key back."""
    seen = shop.app
    rotated, _ = rotate_key(seen, "secret", clock.at, grace_s=0)
    apps = shop.gateway.core.apps
    await apps.save(rotated, replacing=seen)
    with pytest.raises(Problem, match="conflict"):
        await apps.save(replace(seen, name="Renamed"), replacing=seen)
    assert shop.app == rotated


async def test_tokens_survive_one_rotation_of_their_key_and_not_two(
    shop: Shop, phone: Phone
) -> None:
    codes = []
    for _ in range(3):
        codes.append(code_of(await phone.poll()))
        before = shop.app
        await shop.gateway.core.apps.save(rotate_token_key(before), replacing=before)
    assert codes == ["204", "204", "401 token_forged"]


def test_key_is_of_one_kind() -> None:
    app, publishable, secret = new_app("Shop", NOW)
    assert accepts_key(app, "publishable", publishable, NOW)
    assert accepts_key(app, "secret", secret, NOW)
    assert not accepts_key(app, "secret", publishable, NOW)
    assert not accepts_key(app, "publishable", secret, NOW)


def test_second_rotation_does_not_lengthen_the_first_grace() -> None:
    app, _, first = new_app("Shop", NOW)
    app, _ = rotate_key(app, "secret", NOW, grace_s=10)
    app, _ = rotate_key(app, "secret", NOW, grace_s=1_000)
    assert not accepts_key(app, "secret", first, NOW + 10_000)


def test_keys_have_a_limit_and_dead_ones_go_first() -> None:
    app, publishable, newest = new_app("Shop", NOW)
    for _ in range(3 * KEYS_MAX):
        app, newest = rotate_key(app, "secret", NOW, grace_s=0)
    assert len([key for key in app.keys if key.kind == "secret"]) <= KEYS_MAX
    assert accepts_key(app, "publishable", publishable, NOW)
    assert accepts_key(app, "secret", newest, NOW)


def test_many_live_keys_of_one_kind_do_not_push_out_the_other() -> None:
    app, publishable, _ = new_app("Shop", NOW)
    for _ in range(KEYS_MAX):
        app, _ = add_key(app, "secret", NOW)
    assert accepts_key(app, "publishable", publishable, NOW)


def test_install_secret_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "data"))
    secret = install_secret(settings)
    assert len(secret) == 32
    assert install_secret(settings) == secret
    assert (tmp_path / "data/secret").stat().st_mode & 0o777 == 0o600
    assert install_secret(Settings(data_dir=str(tmp_path / "other"))) != secret


@pytest.mark.parametrize("content", [b"", b"short"])
def test_install_secret_that_was_cut_short_is_refused(tmp_path: Path, content: bytes) -> None:
    """A crash while it was made leaves an empty file: keys derived from that would be everybody's."""
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingError, match="secret"):
        install_secret(Settings(data_dir=str(tmp_path)))
