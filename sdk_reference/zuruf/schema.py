"""The tables of the queue file, version by version: an older file is brought up, never thrown away."""

from __future__ import annotations

# Each entry leads from its index to the next version of the file.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE queue (
            position INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            batch_id TEXT,
            body BLOB NOT NULL
        )
        """,
        "CREATE INDEX queue_batch ON queue (batch_id) WHERE batch_id IS NOT NULL",
        "CREATE INDEX queue_operations ON queue (position) WHERE kind <> 'event'",
        "CREATE TABLE batches (batch_id TEXT PRIMARY KEY, report TEXT NOT NULL)",
        "CREATE TABLE drops (reason TEXT PRIMARY KEY, quantity INTEGER NOT NULL)",
        "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        """
        CREATE TABLE messages (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            waiting INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL,
            body TEXT NOT NULL
        )
        """,
    ),
    (
        # What kind of event it is says which consent it needs.
        "ALTER TABLE queue ADD COLUMN type TEXT NOT NULL DEFAULT ''",
        # Messages of the first version are fetched again: the cursor goes with them.
        "DROP TABLE messages",
        "DELETE FROM state WHERE key = 'cursor'",
        """
        CREATE TABLE messages (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            priority INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL,
            trigger_event TEXT,
            event TEXT,
            is_in_inbox INTEGER NOT NULL,
            is_read INTEGER NOT NULL DEFAULT 0,
            body TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE impressions (
            position INTEGER PRIMARY KEY,
            message_id TEXT NOT NULL,
            user_id TEXT,
            session_id TEXT,
            counts INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL
        )
        """,
        "CREATE INDEX impressions_message ON impressions (message_id)",
        # Who does what for all processes, until when (device time); and who has the file open.
        "CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until_ms INTEGER NOT NULL)",
        "CREATE TABLE processes (owner TEXT PRIMARY KEY)",
    ),
)
VERSION = len(MIGRATIONS)
# Everything about the person and the device; the last two tables are about processes.
TABLES = ("queue", "batches", "drops", "state", "messages", "impressions")
