"""Operations: logins, logouts, consent and the push token, each made by one request in its place.

They stand in the queue between the events, in the order of the calls, and are never evicted. One that
says the same thing anew replaces the one that waits, as long as no login or logout lies between them:
consent is a person's. Lives on the worker's thread; whoever calls holds the transaction.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zuruf.decisions.consent import Changed, after_choice, after_opt_out
from zuruf.decisions.identity import Waiting, placed
from zuruf.events import (
    CONSENT,
    FORGET,
    IDENTIFY,
    OPT_OUT,
    PUSH,
    REGISTER,
    RESET,
    SAID,
    SWITCH,
    Row,
)
from zuruf.wire import json_bytes
from zuruf.workspace import CURSOR, PUSH_TOKEN, PUSH_TOLD, TOLD_LATER

if TYPE_CHECKING:
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

IDENTITY_KINDS = frozenset({IDENTIFY, SWITCH, RESET})


class Operations:
    """Places operations in the queue, says how to make them, and follows that they were made."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        # The gateway refused the first login in the queue: that person could not prove who they are.
        self.is_login_refused = False

    def forget(self) -> None:
        """The queue is about to be deleted."""
        self.is_login_refused = False

    # Placing

    def place_identity(self, row: Row) -> list[Row]:
        """Place a login or logout, unless it changes nothing; give the rows as they were placed."""
        work, storage = self._work, self._work.storage
        logins = [one for one in storage.operations() if one.kind in {IDENTIFY, SWITCH}]
        user_id = row.name or None
        waiting = Waiting(
            wanted=work.user_id,
            logins=tuple(one.name for one in logins),
            is_refused=self.is_login_refused,
        )
        has_proof = b'"proof"' in row.body
        call: Any = row.kind
        decided = placed(waiting, work.identity.user_id, call, user_id, has_proof=has_proof)
        if decided.gives_up_refused:
            self._give_up_login(self._first_identity(), storage.last_position() + 1)
        if decided.action == "replace":
            last = [one for one in logins if one.name == user_id][-1]
            storage.replace_body(last.position, row.body)
            self.is_login_refused = False
        if decided.action != "append" or decided.operation is None:
            return []
        row = replace(row, kind=decided.operation)
        work.keep_user(user_id)
        rows = [storage.append(row)]
        if decided.is_another_person:
            # A login keeps what the anonymous person said; a logout or a switch begins with nothing.
            rows += self._tell_again(row)
        return rows

    def place_consent(self, row: Row) -> tuple[Changed, list[Row]]:
        """Follow a change of consent; give what follows from it, and the rows that tell it."""
        work = self._work
        before = work.consent
        if row.name == SAID:
            choices: dict[str, bool] = json.loads(row.body)
            changed = Changed(before, {}, ())
            tells: dict[str, bool] = {}
            purges: tuple[str, ...] = ()
            for allowed in (True, False):
                names = [purpose for purpose, value in choices.items() if value is allowed]
                changed = after_choice(changed.consent, names, allowed=allowed)
                tells.update(changed.tells)
                purges += changed.purges
            changed = Changed(changed.consent, tells, purges)
            work.keep_consent(changed.consent, dict.fromkeys(choices, row.created_ms))
        else:
            changed = after_opt_out(before, out=row.name == OPT_OUT)
            work.keep_consent(changed.consent, {})
        rows = self._tell_consent(row, changed.tells, row.created_ms)
        if before.may_push != changed.consent.may_push:
            rows += self._tell_token(row)
        return changed, rows

    def place_push(self, row: Row) -> list[Row]:
        """Follow a new push token, or that there is none any more."""
        storage = self._work.storage
        storage.put(PUSH_TOKEN, json.loads(row.body) if row.name == REGISTER else None)
        return self._tell_token(row)

    def tell_later_again(self) -> list[Row]:
        """Put back what an older gateway did not know: it may have been updated since."""
        storage = self._work.storage
        kept = storage.get(TOLD_LATER) or []
        storage.put(TOLD_LATER, [])
        rows: list[Row] = []
        for kind, name, text in kept:
            rows += self._append(self._row(kind, name, text.encode()))
        return rows

    def _tell_again(self, cause: Row) -> list[Row]:
        """Tell the consent once more, to a profile that does not know what was said on this device."""
        consent, times = self._work.consent, self._work.consent_times
        self._forget_told_later(CONSENT)
        rows: list[Row] = []
        for at_ms in sorted({times.get(purpose, 0) for purpose in consent.purposes}):
            named = [one for one in consent.purposes if times.get(one, 0) == at_ms]
            rows += self._tell_consent(cause, {one: consent.allows(one) for one in named}, at_ms)
        return rows

    def _tell_consent(self, cause: Row, tells: Mapping[str, bool], at_ms: int) -> list[Row]:
        if not tells:
            return []
        storage = self._work.storage
        self._forget_told_later(CONSENT, tells)
        for waiting in self._replaceable(CONSENT):
            body = json.loads(waiting.body)
            left = {name: value for name, value in body["consent"].items() if name not in tells}
            if left:
                storage.replace_body(waiting.position, json_bytes({**body, "consent": left}))
            else:
                storage.remove(waiting.position)
        body = json_bytes({"consent": dict(tells), "at": at_ms})
        return self._append(self._row(CONSENT, "", body, cause))

    def _tell_token(self, cause: Row) -> list[Row]:
        """Tell the token, or that there is none, unless that is what the gateway heard last."""
        storage = self._work.storage
        token = storage.get(PUSH_TOKEN) if self._work.consent.may_push else None
        self._forget_told_later(PUSH)
        for one in self._replaceable(PUSH):
            storage.remove(one.position)
        if token == storage.get(PUSH_TOLD) and not self._is_on_its_way(PUSH):
            return []
        if token is None:
            return self._append(self._row(PUSH, FORGET, b"", cause))
        return self._append(self._row(PUSH, REGISTER, json_bytes(token), cause))

    def _forget_told_later(self, kind: str, purposes: Iterable[str] | None = None) -> None:
        """Take back what waits for a newer gateway, where something newer is said now."""
        storage, kept = self._work.storage, []
        for of_kind, name, text in storage.get(TOLD_LATER) or []:
            if of_kind == CONSENT == kind and purposes is not None:
                body = json.loads(text)
                gone = set(purposes)
                body["consent"] = {p: v for p, v in body["consent"].items() if p not in gone}
                if body["consent"]:
                    kept.append([of_kind, name, json_bytes(body).decode()])
            elif of_kind != kind:
                kept.append([of_kind, name, text])
        storage.put(TOLD_LATER, kept)

    def _replaceable(self, kind: str) -> list[Row]:
        """Give the operations of a kind that wait behind the last login or logout."""
        found: list[Row] = []
        for row in self._work.storage.operations():
            if row.kind in IDENTITY_KINDS:
                found.clear()
            elif row.kind == kind and row.id != self._work.operation_on_its_way:
                found.append(row)
        return found

    def _is_on_its_way(self, kind: str) -> bool:
        return any(
            row.kind == kind and row.id == self._work.operation_on_its_way
            for row in self._work.storage.operations()
        )

    def _append(self, row: Row) -> list[Row]:
        return [self._work.storage.append(row)]

    def _row(self, kind: str, name: str, body: bytes, cause: Row | None = None) -> Row:
        now_ms = self._work.clock.wall_ms()
        person = self._work.person if cause is None else cause.person
        return Row(kind, self._work.ids.new_id(now_ms), name, now_ms, body, person)

    # Making

    def first_consent(self) -> Row | None:
        """Give the consent operation that is still to be made, wherever it stands."""
        return next((one for one in self._work.storage.operations() if one.kind == CONSENT), None)

    @staticmethod
    def request_of(operation: Row) -> tuple[str, str]:
        """Give method and path of the request that makes an operation."""
        if operation.kind == CONSENT:
            return "PUT", "/v1/consent"
        if operation.kind == PUSH:
            return "DELETE" if operation.name == FORGET else "PUT", "/v1/push-token"
        return "DELETE" if operation.kind == RESET else "POST", "/v1/identity"

    def follow(self, operation: Row, body: Mapping[str, Any], server_ms: int) -> bool:
        """Follow that an operation was made; False when the answer cannot be understood.

        Whoever asks has the receiver told when the identity changed.
        """
        work = self._work
        if operation.kind in IDENTITY_KINDS and not names_profile(body):
            return False
        with work.storage.transaction():
            if operation.kind in IDENTITY_KINDS:
                user_id = None if operation.kind == RESET else operation.name
                work.keep(work.identity.changed(body, user_id))
                work.keep_token_life(body.get("expires_at"), server_ms)
                work.storage.put(CURSOR, "")
            elif operation.kind == PUSH:
                told = json.loads(operation.body) if operation.name == REGISTER else None
                work.storage.put(PUSH_TOLD, told)
            work.storage.remove(operation.position)
        return True

    def tell_later(self, operation: Row) -> None:
        """Take an operation that the gateway does not know out of the way, and keep it.

        A gateway of an older version answers 404 to consent and push tokens. Events must not wait
        for its update, and what a person said must not be forgotten: it is told at the next start.
        """
        storage = self._work.storage
        with storage.transaction():
            later = storage.get(TOLD_LATER) or []
            later.append([operation.kind, operation.name, operation.body.decode()])
            storage.put(TOLD_LATER, later)
            storage.remove(operation.position)

    def refuse(self, operation: Row, code: str) -> None:
        """Follow that the gateway will never make an operation.

        Behind a refused login the queue stops: events of somebody who could not prove who they are
        must not be counted for anybody else. A login with a good proof sends them; any other login
        or logout drops them.
        """
        self._work.last_error = code
        if operation.kind not in IDENTITY_KINDS:
            log.error("the gateway refused the %s: %s", operation.kind, code)
            self._work.storage.remove(operation.position)
            return
        log.error("the gateway refused the login: %s. Call identify() with a valid proof", code)
        operations = self._work.storage.operations()
        current = next((one for one in operations if one.id == operation.id), None)
        if current is not None and current.body != operation.body:
            return
        later = [
            one
            for one in operations
            if one.position > operation.position and one.kind in IDENTITY_KINDS
        ]
        if later:
            self._give_up_login(operation, later[0].position)
        else:
            self.is_login_refused = True

    def _give_up_login(self, operation: Row, until: int) -> None:
        storage = self._work.storage
        with storage.transaction():
            dropped = storage.drop_until(until, "identity_refused")
            storage.remove(operation.position)
        self._work.dropped_now("identity_refused", dropped)
        self.is_login_refused = False

    def _first_identity(self) -> Row:
        found = (one for one in self._work.storage.operations() if one.kind in IDENTITY_KINDS)
        return next(found)


def names_profile(body: Mapping[str, Any]) -> bool:
    """Tell whether an answer says who the device is now."""
    if not all(isinstance(body.get(name), str) and body[name] for name in ("profile_id", "token")):
        return False
    # A token that cannot stand in a header would stop every request from here on.
    token: str = body["token"]
    return token.isascii() and token.isprintable()
