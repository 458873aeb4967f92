"""An app and its keys."""

import hashlib
import hmac
import secrets
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

KeyKind = Literal["publishable", "secret"]
_PREFIX: dict[KeyKind, str] = {"publishable": "pk", "secret": "sk"}
KEYS_MAX = 8
"""Live keys of one kind."""

AppName = Annotated[str, Meta(min_length=1, max_length=100)]


class ApiKey(Struct, frozen=True):
    """A key as it is stored: its digest. Keys are 128 random bits, so plain SHA-256 is enough."""

    id: str
    kind: KeyKind
    digest: bytes
    created_at: int
    expires_at: int | None = None

    def is_live(self, now_ms: int) -> bool:
        return self.expires_at is None or now_ms < self.expires_at


class App(Struct, frozen=True):
    """One customer application. `token_kids`: live signing keys of device tokens, the newest last."""

    id: str
    name: str
    created_at: int
    keys: tuple[ApiKey, ...] = ()
    token_kids: tuple[int, ...] = (1,)
    verify_identity: bool = False
    identity_generation: int = 1


def new_app(name: str, now_ms: int) -> tuple[App, str, str]:
    """A new app with one key of each kind: (app, publishable key, secret key)."""
    app = App(id=secrets.token_hex(6), name=name, created_at=now_ms)
    app, publishable = add_key(app, "publishable", now_ms)
    app, secret = add_key(app, "secret", now_ms)
    return app, publishable, secret


def add_key(app: App, kind: KeyKind, now_ms: int) -> tuple[App, str]:
    """The app with one more key, and the key itself, which nobody can read again later."""
    text = f"{_PREFIX[kind]}_{app.id}_{secrets.token_hex(16)}"
    key = ApiKey(secrets.token_hex(4), kind, _digest(text), now_ms)
    live = [old for old in app.keys if old.is_live(now_ms)]
    others = [old for old in live if old.kind != kind]
    alike = [old for old in live if old.kind == kind]
    return replace(app, keys=(*others, *alike[-(KEYS_MAX - 1) :], key)), text


def rotate_key(app: App, kind: KeyKind, now_ms: int, grace_s: int) -> tuple[App, str]:
    """A new key of this kind; the older ones end after the grace."""
    ends_at = now_ms + grace_s * 1000
    keys = tuple(
        replace(key, expires_at=min(key.expires_at or ends_at, ends_at))
        if key.kind == kind
        else key
        for key in app.keys
    )
    return add_key(replace(app, keys=keys), kind, now_ms)


def rotate_token_key(app: App) -> App:
    """A new signing key of device tokens. Two are live: the tokens of the last but one end now."""
    return replace(app, token_kids=(*app.token_kids[-1:], app.token_kids[-1] + 1))


def rotate_identity_secret(app: App) -> App:
    """A new secret for proofs of identity; those signed with the old one are refused from now on."""
    return replace(app, identity_generation=app.identity_generation + 1)


def app_id_of_key(text: str) -> str | None:
    """The app that a key names, None when it is not a key at all."""
    parts = text.split("_")
    return parts[1] if len(parts) == 3 and parts[0] in _PREFIX.values() else None


def accepts_key(app: App, kind: KeyKind, text: str, now_ms: int) -> bool:
    """Whether this is a live key of the app; takes the same time whichever key nearly fits."""
    digest = _digest(text)
    fits = False
    for key in app.keys:
        same = hmac.compare_digest(key.digest, digest)
        fits |= same and key.kind == kind and key.is_live(now_ms)
    return fits


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
