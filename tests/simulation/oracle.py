"""What the gateway promised: every acknowledged event and every received message, fsynced."""

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Promised:
    """To one device: (id, name) of its events in the order of upload; messages as they came first."""

    events: list[tuple[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class Oracle:
    """A file that knows better than the gateway."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def acknowledged(self, profile_id: str, events: list[tuple[str, str]]) -> None:
        self._write({"profile": profile_id, "events": events})

    def received(self, profile_id: str, messages: list[str]) -> None:
        self._write({"profile": profile_id, "messages": messages})

    def read(self) -> dict[str, Promised]:
        """profile id → what was promised."""
        promises: dict[str, Promised] = defaultdict(Promised)
        for line in self.path.read_text().splitlines():
            note = json.loads(line)
            promised = promises[note["profile"]]
            promised.events += [(id, name) for id, name in note.get("events", [])]
            promised.messages += note.get("messages", [])
        return promises

    def close(self) -> None:
        os.close(self._file)

    def _write(self, note: dict[str, object]) -> None:
        os.write(self._file, json.dumps(note).encode() + b"\n")
        os.fsync(self._file)
