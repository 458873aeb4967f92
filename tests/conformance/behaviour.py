"""What a gateway that behaves would answer: tokens, people, events, inboxes. No sockets, no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.conformance import seen
from tests.conformance.seen import Seen

DAY_MS = 24 * 60 * 60 * 1000
TOKEN_TTL_MS = 30 * DAY_MS
CONFIG: dict[str, Any] = {
    "flush_at": 20,
    "flush_interval_ms": 30_000,
    "batch_events_max": 500,
    "batch_bytes_max": 524_288,
    "poll_wait_s": 25,
    "poll_interval_ms": 60_000,
    "trigger_events": [],
    "session_idle_ms": 1_800_000,
    "session_max_ms": 86_400_000,
    "display": {"gap_ms": 0, "per_session_max": None, "per_day_max": None, "quiet_hours": None},
    "values": {},
    "sampling": {},
}


@dataclass(frozen=True)
class Reply:
    """One complete answer. A `foreign` one comes from something between the device and the gateway."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    foreign: bool = False

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, code: str, *, retry_after: object = None, **more: Any) -> Reply:
    """Give an error of the protocol; 429 and 503 always carry `Retry-After`."""
    if retry_after is None and status in {429, 503}:
        retry_after = 1
    headers = {"Content-Type": "application/problem+json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": code}
    return Reply(status, body | more, headers)


@dataclass
class Token:
    """A device token: whose it is, and whether the device has a newer one."""

    device_id: str
    profile_id: str
    is_superseded: bool = False


@dataclass(frozen=True)
class Accepted:
    """An event on the gateway's disk, and whose it counts for."""

    event: dict[str, Any]
    profile_id: str


@dataclass
class Inbox:
    """Messages of a profile and withdrawals, in the order in which they came."""

    entries: list[dict[str, Any] | str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def live(self) -> list[dict[str, Any]]:
        return [one for one in self.entries if isinstance(one, dict) and one["id"] not in self.gone]


class Behaviour:
    """The state of the gateway."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.token_ttl_ms = TOKEN_TTL_MS
        self.tokens: dict[str, Token] = {}
        self.accepted: list[Accepted] = []
        self.duplicates = 0
        self.consent: dict[str, bool] = {}
        self._config = dict(CONFIG)
        self._config_number = 1
        self._inboxes: dict[str, Inbox] = {}
        self._devices = 0
        self._profiles = 0
        self._issued = 0

    # What scripts change

    def change_config(self, changes: Mapping[str, Any]) -> None:
        self._config |= changes
        self._config_number += 1

    def deliver(self, profile_id: str, messages: list[dict[str, Any]], gone: list[str]) -> None:
        """Put messages into an inbox, and take others back."""
        inbox = self._inbox(profile_id)
        inbox.entries += [self.completed(message) for message in messages]
        inbox.entries += gone
        inbox.gone.update(gone)

    def completed(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Give a message with all that a gateway says of one."""
        content = {"layout": "modal", "title": message["id"], "body": "", "buttons": []}
        return {
            "channel": "in_app",
            "priority": 50,
            "created_at": self.now_ms,
            "expires_at": self.now_ms + DAY_MS,
            "display": {"once_per": "person"},
            "decision_id": f"decision-of-{message['id']}",
            **message,
            "content": {**content, **message.get("content", {})},
        }

    def learn(self, body: Any) -> None:
        """Take over the token of an answer that a script wrote."""
        if isinstance(body, dict) and isinstance(body.get("token"), str):
            device_id = str(body.get("device_id", f"device-{self._devices}"))
            self.tokens[body["token"]] = Token(device_id, str(body.get("profile_id", "")))

    @property
    def config(self) -> dict[str, Any]:
        return {"etag": f"config-{self._config_number}", **self._config}

    @property
    def newest_profile(self) -> str:
        """Give the profile that somebody logged in or registered as last."""
        return next(reversed(self.tokens.values())).profile_id if self.tokens else ""

    # What it answers

    def answer(self, request: Seen) -> Reply | None:
        """Answer now; None when the request is to be held."""
        if request.route == seen.DEVICES:
            return self._register(request)
        token = self.tokens.get(request.token)
        if token is None:
            return problem(401, "token_forged")
        if token.is_superseded and request.route != seen.EVENTS:
            return problem(401, "token_superseded")
        match request.route:
            case seen.EVENTS:
                return self._accept(request.body, token)
            case seen.IDENTITY:
                return self._log_in(token, str(request.body["user_id"]))
            case seen.LOGOUT:
                return self._move(token, self._new_profile())
            case seen.CONSENT:
                self.consent |= request.body["consent"]
                return Reply(200, {"consent": self.consent})
            case seen.PUSH | seen.NO_PUSH:
                return Reply(204)
            case seen.CONFIG:
                return self._tell_config(request)
            case seen.POLL:
                return self.page_or_nothing(request)
        return problem(404, "not_found")

    def page_or_nothing(self, request: Seen) -> Reply | None:
        """Answer a poll, if there is something new or no wait."""
        token = self.tokens[request.token]
        if token.is_superseded:
            return problem(401, "token_superseded")
        page = self.page(token, request.query.get("after", ""))
        if page["messages"] or page["withdrawn"] or page["reset"]:
            return Reply(200, page)
        return None if int(request.query.get("wait", "0")) else Reply(204)

    def page(self, token: Token, after: str) -> dict[str, Any]:
        """Give what is new after a cursor; all of it after none or a foreign one."""
        inbox = self._inbox(token.profile_id)
        owner, _, number = after.rpartition(".")
        is_known = owner == quote(token.profile_id) and number.isdecimal()
        seen_before = min(int(number), len(inbox.entries)) if is_known else 0
        fresh = inbox.entries[seen_before:]
        live = {message["id"] for message in inbox.live()}
        messages = [one for one in fresh if isinstance(one, dict) and one["id"] in live]
        return {
            "cursor": f"{quote(token.profile_id)}.{len(inbox.entries)}",
            "messages": sorted(messages, key=lambda one: -int(one["priority"])),
            "withdrawn": [one for one in fresh if isinstance(one, str) and is_known],
            "reset": bool(after) and not is_known,
        }

    def _register(self, request: Seen) -> Reply:
        if not isinstance(request.body, dict):
            return problem(400, "malformed_body")
        before = self.tokens.get(request.headers.get("x-device-token", ""))
        if "x-device-token" in request.headers and before is None:
            return problem(401, "token_forged")
        if before is None:
            self._devices += 1
            before = Token(f"device-{self._devices}", self._new_profile())
        config = self.config
        self.consent |= request.body.get("consent") or {}
        answer = {"device_id": before.device_id, **self._issue(before), "config": config}
        return Reply(201, answer)

    def _accept(self, body: Any, token: Token) -> Reply:
        known = {one.event["id"] for one in self.accepted}
        duplicates = 0
        for event in body["events"]:
            if event["id"] in known:
                duplicates += 1
                continue
            known.add(event["id"])
            self.accepted.append(Accepted(event, token.profile_id))
            if event["name"] == "message_shown":
                shown = str(event.get("props", {}).get("message_id"))
                self._inbox(token.profile_id).gone.add(shown)
        self.duplicates += duplicates
        accepted = len(body["events"]) - duplicates
        told = {"accepted": accepted, "duplicates": duplicates, "rejected": []}
        return Reply(200, {**told, "durability": "fsync"})

    def _log_in(self, token: Token, user_id: str) -> Reply:
        profile_id = f"profile-of-{user_id}"
        if not token.profile_id.startswith("profile-of-"):
            # What an anonymous person has not seen moves over with them.
            self._inbox(profile_id).entries += self._inbox(token.profile_id).live()
        return self._move(token, profile_id)

    def _move(self, token: Token, profile_id: str) -> Reply:
        for other in self.tokens.values():
            if other.device_id == token.device_id:
                other.is_superseded = True
        return Reply(200, self._issue(Token(token.device_id, profile_id)))

    def _issue(self, token: Token) -> dict[str, Any]:
        self._issued += 1
        text = f"token-{self._issued}"
        self.tokens[text] = Token(token.device_id, token.profile_id)
        return {
            "profile_id": token.profile_id,
            "token": text,
            "expires_at": self.now_ms + self.token_ttl_ms,
            "server_time": self.now_ms,
        }

    def _tell_config(self, request: Seen) -> Reply:
        config = self.config
        etag = f'"{config["etag"]}"'
        if request.headers.get("if-none-match") == etag:
            return Reply(304, headers={"ETag": etag})
        return Reply(200, config, {"ETag": etag})

    def _new_profile(self) -> str:
        self._profiles += 1
        return f"profile-{self._profiles}"

    def _inbox(self, profile_id: str) -> Inbox:
        return self._inboxes.setdefault(profile_id, Inbox())
