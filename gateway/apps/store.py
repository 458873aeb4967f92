"""Apps in Valkey, and the copy of them that every process keeps."""

import msgspec

from gateway import keyspace
from gateway.apps.model import App, KeyKind, accepts_key, app_id_of_key
from gateway.apps.token import Tokens, derive_secret
from gateway.definitions import Definitions, Table

_decode = msgspec.msgpack.Decoder(App).decode
_encode = msgspec.msgpack.Encoder().encode


class Apps:
    """All apps, in memory; reading needs no I/O."""

    def __init__(self, definitions: Definitions, install_secret: bytes) -> None:
        self._install_secret = install_secret
        self.tokens = Tokens(install_secret)
        self._table: Table[App] = definitions.table(
            keyspace.APPS, _encode, _decode, self._accept_tokens
        )

    def get(self, app_id: str) -> App | None:
        return self._table.values.get(app_id)

    def all(self) -> list[App]:
        """Every app, the oldest first."""
        return sorted(self._table.values.values(), key=lambda app: app.created_at)

    def by_key(self, kind: KeyKind, text: str, now_ms: int) -> App | None:
        """The app of a live key of this kind."""
        app = self._table.values.get(app_id_of_key(text) or "")
        if app is None or not accepts_key(app, kind, text, now_ms):
            return None
        return app

    def identity_secret(self, app: App) -> str:
        """What the app's own server signs identity proofs with; derived, so it is stored nowhere."""
        return derive_secret(
            self._install_secret, "identity", app.id, app.identity_generation
        ).hex()

    def known_profile_id(self, app_id: str, user_id: str) -> str:
        """The profile of a known user. Keyed, so that an id does not give away a guessed user id."""
        return derive_secret(self._install_secret, "profile", app_id, user_id)[:16].hex()

    def next_profile_id(self, app_id: str, device_id: str, profile_id: str, issued_at: int) -> str:
        """The fresh anonymous profile after a logout: the same one when the logout is repeated."""
        return derive_secret(
            self._install_secret, "anonymous", app_id, device_id, profile_id, issued_at
        )[:16].hex()

    async def save(self, app: App, *, replacing: App | None = None) -> None:
        """Store an app, new or in place of what it was; see Table.save."""
        await self._table.save(app.id, app, replacing)

    def _accept_tokens(self) -> None:
        self.tokens.set_apps(self._table.values)
