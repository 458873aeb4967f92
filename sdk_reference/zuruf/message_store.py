"""The messages of the person on the device, and what they have seen: two tables of the queue file.

A message is `armed` (waits for its event), `waiting` (to be shown), `given` (to the app) or `ended`. Its id
stays known until it has expired, so it never comes back, and the file says `given` before the app is asked:
killed at any point, the app sees it once at most. Only the worker's thread comes here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuruf.decisions.template import rendered_content
from zuruf.decisions.values import DAY_MS
from zuruf.messages import InboxMessage, Message, read_message
from zuruf.workspace import USER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zuruf.workspace import Workspace

ARMED, WAITING, GIVEN, ENDED = "armed", "waiting", "given", "ended"

# Impressions of the last day count for the caps, whatever became of their message.
IMPRESSIONS_KEPT_MS = 2 * DAY_MS
# Ids of ended messages that have not expired yet; the gateway keeps 50 live ones for a person.
ENDED_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Impression:
    """A message was handed to the app; the time is the gateway's.

    `counts`: as an overlay that the person has seen, for the caps. For the message's own limit all do.
    """

    message_id: str
    session_id: str | None
    counts: bool
    at_ms: int


class MessageStore:
    """Reads and writes messages; whoever calls it holds the transaction."""

    def __init__(self, work: Workspace) -> None:
        self._work = work

    # What comes and goes

    def add(self, message: Message, value: Mapping[str, Any]) -> bool:
        """Keep a message as it came; False when its id is known already."""
        state = WAITING if message.trigger is None else ARMED
        times = {"created_at": message.created_at, "expires_at": message.expires_at}
        return bool(
            self._run(
                "INSERT OR IGNORE INTO messages (id, state, priority, created_ms, expires_ms,"
                " trigger_event, is_in_inbox, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                message.id,
                state,
                message.priority,
                message.created_at,
                message.expires_at,
                None if message.trigger is None else message.trigger.event,
                state != ARMED,
                json.dumps({**value, **times}),
            )
        )

    def end(self, message_id: str) -> bool:
        """Stop a message, in the inbox too; its id stays known. False when there was nothing to stop."""
        return bool(
            self._run(
                "UPDATE messages SET state = ?, is_in_inbox = 0, event = NULL, body = '{}'"
                " WHERE id = ? AND state <> ?",
                ENDED,
                message_id,
                ENDED,
            )
        )

    def forget_all_but(self, message_ids: Iterable[str]) -> None:
        """Forget messages that are not in a complete list.

        What the app was given stays: the gateway lists only what it still wants shown.
        """
        listed = set(message_ids)
        for (message_id,) in self._rows(
            "SELECT id FROM messages WHERE state IN (?, ?)", ARMED, WAITING
        ):
            if message_id not in listed:
                self._run("DELETE FROM messages WHERE id = ?", message_id)

    def clear(self) -> None:
        """Forget every message. What a person has seen is remembered, should they come back."""
        self._run("DELETE FROM messages")

    def forget_the_anonymous(self) -> None:
        """Forget what somebody anonymous has seen: nobody is ever that person again."""
        self._run("DELETE FROM impressions WHERE user_id IS NULL")

    def next_expiry_ms(self) -> int | None:
        """Give the time at which the next message expires."""
        found = self._rows("SELECT min(expires_ms) FROM messages WHERE state <> ?", ENDED)
        return None if found[0][0] is None else int(found[0][0])

    def end_expired(self, now_ms: int) -> list[str]:
        """End what has expired and give the ids; forget what nobody can be handed any more."""
        rows = self._rows(
            "SELECT id FROM messages WHERE state <> ? AND expires_ms <= ?", ENDED, now_ms
        )
        for (message_id,) in rows:
            self.end(message_id)
        self._run(
            "DELETE FROM messages WHERE state = ? AND expires_ms <= ?", ENDED, now_ms - DAY_MS
        )
        self._run(
            "DELETE FROM messages WHERE state = ? AND arrival NOT IN"
            " (SELECT arrival FROM messages WHERE state = ? ORDER BY arrival DESC LIMIT ?)",
            ENDED,
            ENDED,
            ENDED_KEPT_MAX,
        )
        self._run(
            "DELETE FROM impressions WHERE expires_ms <= ? AND at_ms <= ?",
            now_ms,
            now_ms - IMPRESSIONS_KEPT_MS,
        )
        return [message_id for (message_id,) in rows]

    # Showing

    def waiting(self, now_ms: int) -> list[Message]:
        """Give what is to be shown and has not expired, in order of arrival."""
        kept = self._kept("state = ? AND expires_ms > ? ORDER BY arrival", WAITING, now_ms)
        return [one.message for one in kept]

    def claim(self, message: Message, *, session_id: str | None, now_ms: int) -> bool:
        """Mark a message as given to the app, now; False when somebody else has."""
        claimed = self._run(
            "UPDATE messages SET state = ? WHERE id = ? AND state = ?", GIVEN, message.id, WAITING
        )
        if claimed:
            self._run(
                "INSERT INTO impressions"
                " (message_id, user_id, session_id, counts, at_ms, expires_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                message.id,
                self._user_id(),
                session_id,
                message.is_overlay,
                now_ms,
                message.expires_at,
            )
        return bool(claimed)

    def release(self, message_id: str) -> None:
        """Undo the last claim: the person has not seen the message."""
        self._run(
            "UPDATE messages SET state = ? WHERE id = ? AND state = ?", WAITING, message_id, GIVEN
        )
        self._run(
            "DELETE FROM impressions WHERE position ="
            " (SELECT max(position) FROM impressions WHERE message_id = ?)",
            message_id,
        )

    def give_up(self, message_id: str) -> None:
        """Show a message no more, unless its event happens again. It stays in the inbox."""
        self._run(
            "UPDATE messages SET state = ? WHERE id = ? AND state = ?", GIVEN, message_id, WAITING
        )

    def discard(self, message_id: str) -> None:
        """Never show a message again, whatever happens. It was not seen, and stays in the inbox."""
        self._run("UPDATE messages SET trigger_event = NULL WHERE id = ?", message_id)
        self.not_seen(message_id)

    def not_seen(self, message_id: str) -> None:
        """A message that was given will not be seen: it counts for its own limit, and for no cap."""
        self._run(
            "UPDATE impressions SET counts = 0 WHERE position ="
            " (SELECT max(position) FROM impressions WHERE message_id = ?)",
            message_id,
        )

    def impressions(self) -> list[Impression]:
        """Give what the person on the device was given, the oldest first."""
        return [
            Impression(message_id, session_id, bool(counts), at_ms)
            for message_id, session_id, counts, at_ms in self._rows(
                "SELECT message_id, session_id, counts, at_ms FROM impressions"
                " WHERE user_id IS NULL OR user_id IS ? ORDER BY position",
                self._user_id(),
            )
        ]

    # Triggers

    def triggers(self) -> dict[str, list[Message]]:
        """Give the messages that wait for an event, or for it to happen again, by its name."""
        found: dict[str, list[Message]] = {}
        for kept in self._kept("trigger_event <> '' AND state <> ? ORDER BY arrival", ENDED):
            if kept.message.trigger is not None:
                found.setdefault(kept.message.trigger.event, []).append(kept.message)
        return found

    def fire(self, message_id: str, event: Mapping[str, Any], now_ms: int) -> bool:
        """Have a triggered message shown, with what the event said; False when it has expired."""
        return bool(
            self._run(
                "UPDATE messages SET state = ?, event = ?, is_in_inbox = 1"
                " WHERE id = ? AND state <> ? AND expires_ms > ?",
                WAITING,
                json.dumps(event),
                message_id,
                ENDED,
                now_ms,
            )
        )

    # The inbox

    def inbox(self, now_ms: int) -> list[InboxMessage]:
        """Give what lies in the inbox, the newest first."""
        return self._kept(
            "is_in_inbox AND state <> ? AND expires_ms > ? ORDER BY created_ms DESC, arrival DESC",
            ENDED,
            now_ms,
        )

    def mark_read(self, message_id: str) -> bool:
        return bool(
            self._run("UPDATE messages SET is_read = 1 WHERE id = ? AND NOT is_read", message_id)
        )

    # Inside

    def _kept(self, where: str, *parameters: object) -> list[InboxMessage]:
        """Read messages. Where an event triggered one, what that said is in its texts."""
        query = f"SELECT event, is_read, body FROM messages WHERE {where}"  # noqa: S608
        found = []
        for event, is_read, body in self._rows(query, *parameters):
            value = json.loads(body)
            if event is not None:
                content = value.get("content")
                texts = content if isinstance(content, dict) else {}
                value["content"] = rendered_content(texts, json.loads(event))
            message = read_message(value, 0)
            if message is not None:
                found.append(InboxMessage(message, bool(is_read)))
        return found

    def _user_id(self) -> Any:
        return self._work.storage.get(USER)

    def _run(self, query: str, *parameters: object) -> int:
        return self._work.storage.run(query, *parameters)

    def _rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self._work.storage.rows(query, *parameters)
