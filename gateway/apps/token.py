"""Device tokens: who the bearer is, signed, so that the edge needs no look-up.

`v1.<kid>.<payload>.<mac>`: payload is MessagePack in base64url, mac the first 128 bits of HMAC-SHA256
over everything before it. The key of (app, kid) derives from the install secret: none is ever stored.
"""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

from gateway.apps.model import App
from gateway.errors import Problem

_CACHE_MAX = 65_536
_MAC_BYTES = 16
_TOKEN_BYTES_MAX = 512


class Claims(Struct, frozen=True, array_like=True):
    """What a device token says; times in ms UTC. `is_known`: the profile has a user id."""

    app_id: str
    device_id: str
    profile_id: str
    issued_at: int
    expires_at: int
    is_known: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode


def derive_secret(install_secret: bytes, purpose: str, *parts: object) -> bytes:
    """A 256 bit key for one purpose (HKDF's extract step, RFC 5869, with the purpose as the input)."""
    text = "\0".join([purpose, *map(str, parts)])
    return hmac.digest(install_secret, text.encode(), "sha256")


class Tokens:
    """Mints and verifies device tokens. Verified ones are remembered: the second look costs 0.1 µs."""

    def __init__(self, install_secret: bytes) -> None:
        self._install_secret = install_secret
        self._apps: dict[str, App] = {}
        self._keys: dict[tuple[str, int], bytes] = {}
        self._verified: dict[bytes, Claims] = {}

    def set_apps(self, apps: dict[str, App]) -> None:
        """The apps whose tokens are accepted, with their live signing keys."""
        self._apps = apps
        self._keys = {
            (app.id, kid): derive_secret(self._install_secret, "token", app.id, kid)
            for app in apps.values()
            for kid in app.token_kids
        }
        self._verified.clear()

    def mint(self, claims: Claims) -> str:
        """A token, signed with the newest key of the app."""
        kid = self._apps[claims.app_id].token_kids[-1]
        signed = b"v1.%d.%b" % (kid, urlsafe_b64encode(_encode(claims)).rstrip(b"="))
        return (signed + b"." + self._mac(self._keys[claims.app_id, kid], signed)).decode()

    def verify(self, token: bytes, now_ms: int, *, grace_ms: int = 0) -> Claims:
        """The claims of a token. Raises Problem `token_malformed`, `token_forged` or `token_expired`."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            if len(self._verified) >= _CACHE_MAX:
                self._verified.pop(next(iter(self._verified)))
            self._verified[token] = claims
        if now_ms >= claims.expires_at + grace_ms:
            raise Problem("token_expired", "register again with this token in X-Device-Token")
        return claims

    def _verify(self, token: bytes) -> Claims:
        try:
            if len(token) > _TOKEN_BYTES_MAX:
                raise ValueError
            version, kid, payload, mac = token.split(b".")
            if version != b"v1":
                raise ValueError
            claims = _decode(urlsafe_b64decode(payload + b"=="))
            number = int(kid)
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            raise Problem("token_malformed", "this is not a device token") from None
        key = self._keys.get((claims.app_id, number))
        signed = token[: token.rindex(b".")]
        # Compared as text: decoding would let many spellings of one token pass.
        if key is None or not hmac.compare_digest(self._mac(key, signed), mac):
            raise Problem("token_forged", "no live key of this gateway signed this token")
        return claims

    @staticmethod
    def _mac(key: bytes, signed: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(key, signed, "sha256")[:_MAC_BYTES]).rstrip(b"=")
