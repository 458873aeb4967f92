"""The public face: what an app calls. Every call returns at once and none of them raises."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

from zuruf.aio import Aio
from zuruf.consent import ConsentChoices
from zuruf.core import Core
from zuruf.in_app import InApp
from zuruf.inbox import Inbox
from zuruf.plugins import setup
from zuruf.push import Push
from zuruf.remote_config import RemoteConfig
from zuruf.subscriptions import TOPICS

if TYPE_CHECKING:
    from zuruf.config import Config
    from zuruf.diagnostics import Diagnostics, FlushResult
    from zuruf.subscriptions import Listener, Subscription, Topic

# What a link says about where somebody came from: the words of the field, and the message's own.
ATTRIBUTION = frozenset(
    {"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "message_id"}
)


class Zuruf:
    """A client of one gateway, for one app on one device.

    Calls are safe from any thread and do no I/O: they check, stamp and hand over. With
    `Config(debug=True)` a mistake raises where it is made; without it is logged and counted.
    """

    def __init__(self, config: Config) -> None:
        self._core = Core(config)
        self.in_app = InApp(self._core)
        self.inbox = Inbox(self._core)
        self.consent = ConsentChoices(self._core)
        self.push = Push(self._core)
        self.remote_config = RemoteConfig(self._core)
        for plugin in config.plugins:
            setup(plugin, self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    @cached_property
    def aio(self) -> Aio:
        """The calls that wait, for asyncio."""
        return Aio(self._core)

    # What happens

    def track(self, name: str, props: Mapping[str, Any] | None = None) -> str:
        """Record that something happened, and give the id of the event.

        The id is empty when the event breaks a limit of the protocol or the client has ended; the
        drop is counted (see `diagnostics`).
        """
        return self._core.record("track", name, props)

    def screen(self, name: str, props: Mapping[str, Any] | None = None) -> str:
        """Record that a screen came up. Deferred messages are offered again."""
        event_id = self._core.record("screen", name, props)
        self._core.post(lambda worker: worker.receiver.look_again())
        return event_id

    def deep_link(self, url: str) -> str:
        """Record that a link opened the app, with where it came from as far as the link says."""
        return self._core.record_made("track", "deep_link_opened", lambda: _link_props(url))

    # Who it happens to

    def identify(
        self, user_id: str, properties: Mapping[str, Any] | None = None, *, proof: str | None = None
    ) -> None:
        """Log a person in: events recorded from here on are theirs.

        `properties` are kept on the profile; None removes one. `proof` is the JWT of apps that
        verify identities. May be called at every start: the same person again changes nothing.
        """
        is_login = self._core.attempt(
            "identify", lambda: self._core.recorder.identify(user_id, proof)
        )
        # Properties of somebody whose login was refused are nobody else's.
        if is_login and properties:
            self._core.record("identify", "identify", properties)

    def reset(self) -> None:
        """Log out. From here on the app is given nothing of the person before."""
        self._core.attempt("reset", self._core.recorder.reset)

    def alias(self, other_id: str) -> str:
        """Record another id this person is known by elsewhere. Merges nobody with anybody."""
        return self._core.record("alias", "alias", {"alias": other_id})

    def group(
        self, group_type: str, group_id: str, properties: Mapping[str, Any] | None = None
    ) -> str:
        """Put the person into a group of a type, such as a household or a company."""
        return self._core.record_made(
            "group", group_type, lambda: {**(properties or {}), "group_id": group_id}
        )

    def set_user_properties(self, properties: Mapping[str, Any]) -> str:
        """Set properties of the profile; None removes one."""
        return self._core.record("profile", "set", properties)

    def set_once(self, properties: Mapping[str, Any]) -> str:
        """Set properties of the profile that have no value yet."""
        return self._core.record("profile", "set_once", properties)

    def increment(self, name: str, by: float = 1) -> str:
        """Add to a number of the profile; one that is not there counts as 0."""
        return self._core.record_made("profile", "increment", lambda: {name: by})

    def unset(self, *names: str) -> str:
        """Remove properties of the profile."""
        return self._core.record_made("profile", "unset", lambda: dict.fromkeys(names))

    # What the person wants

    def opt_out(self) -> None:
        """Deny everything: what is not sent yet is deleted, the gateway is told, then silence."""
        self._core.attempt("opt_out", lambda: self._core.recorder.set_opt_out(out=True))

    def opt_in(self) -> None:
        """End `opt_out`: the consent given before it counts again."""
        self._core.attempt("opt_in", lambda: self._core.recorder.set_opt_out(out=False))

    @property
    def is_opted_out(self) -> bool:
        """Whether the person opted out on this device."""
        return self._core.recorder.is_opted_out

    def delete_local_data(self) -> None:
        """Forget everything on this device: queue, messages, person, consent. It is a new one then.

        What the gateway knows stays there.
        """
        self._core.attempt("delete_local_data", self._core.recorder.delete_local_data)

    # The life of the app

    def start(self) -> None:
        """Begin work in the background. The first call of anything does that too."""
        self._core.start()

    def on_background(self) -> None:
        """Say that the app left the screen: what waits is sent, then nothing is held open."""
        self._core.post(lambda worker: worker.background())

    def on_foreground(self) -> None:
        """Say that the app is back on the screen: messages are fetched at once."""
        self._core.post(lambda worker: worker.foreground())

    def flush(self, timeout_s: float = 10.0) -> FlushResult:
        """Send what has been recorded so far; wait until that is done, or cannot be in time."""
        flush = self._core.begin_flush(timeout_s)
        return self._core.wait_for(flush, timeout_s)

    def shutdown(self, timeout_s: float = 2.0) -> FlushResult:
        """Send what can be sent in time, keep the rest for the next start, and end."""
        return self._core.end_shutdown(self._core.begin_shutdown(timeout_s), timeout_s)

    # What is going on

    def subscribe(self, topic: Topic, listener: Listener) -> Subscription:
        """Have a function told when something changes; see `Topic` for what. Cancel it to end that."""
        self._core.start()
        if topic not in TOPICS:
            self._core.complain("subscribe", ValueError(f"there is no topic {topic!r}"))
        return self._core.subscriptions.add(topic, listener)

    def diagnostics(self) -> Diagnostics:
        """Tell how the client is doing."""
        return self._core.diagnostics()


def _link_props(url: str) -> dict[str, Any]:
    query = parse_qsl(urlsplit(url).query)
    return {"url": url, **{name: value for name, value in query if name in ATTRIBUTION}}
