"""A worker: owns partitions, turns their log entries and due timers into one transaction after another."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable

import msgspec
import structlog

from gateway import keyspace, tasks
from gateway.clock import Clock
from gateway.errors import StoreError, UnreadableError
from gateway.eventlog import Entry, EventLog, Place, Unreadable, trim
from gateway.inbox.store import Wakes, changes_as_commands, wake_command
from gateway.metrics import Metrics
from gateway.outbox import Outbox, put_command
from gateway.pipeline import (
    Effects,
    Grounds,
    State,
    decode_state,
    encode_state,
    expire_message,
    new_state,
    react,
)
from gateway.settings import Settings
from gateway.valkey import Subscription, Valkey, Word, pairs

_LOG = structlog.get_logger("worker")
_READER = "react"
_TIMERS_MAX = 200
_DEAD_MAX = 1_000
_NEVER = 2**62
_COMMAND_WORDS_MAX = 4_000  # Lua's `unpack` fails at 8,000
_ENTRY_S_GUESSED, _LEARNING_RATE = 0.000_3, 0.1

_encode_decision = msgspec.msgpack.Encoder().encode


class Owned(msgspec.Struct):
    """A partition this worker owns. `careful`: a turn failed, so entries are taken one at a time."""

    epoch: int
    cursor: bytes
    next_due: int
    states: dict[str, State] = msgspec.field(default_factory=dict)
    careful: bool = False


class Timer(msgspec.Struct, frozen=True):
    """A due timer: the message `message_id` of a profile expires."""

    member: bytes
    app_id: str
    profile_id: str
    message_id: str


class Turn(msgspec.Struct):
    """What one partition does in one turn.

    `damaged`: profiles whose state can't be read, and why. `later_due`: when the first timer is due that
    this turn leaves, None when it took none; `next_due`: the same of the timers that it sets.
    """

    entries: list[Entry]
    timers: list[Timer]
    damaged: dict[str, str] = msgspec.field(default_factory=dict)
    later_due: int | None = None
    commands: list[tuple[Word, ...]] = msgspec.field(default_factory=list)
    next_due: int = _NEVER
    events: int = 0
    events_withheld: int = 0
    messages: int = 0
    decisions: int = 0
    forwards: int = 0


class Worker:
    """Runs until it is stopped. Everything it knows may be lost at any moment."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        valkey: Valkey,
        url: str,
        log: EventLog,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
        grounds: Callable[[], Grounds],
    ) -> None:
        self._name = name
        self._settings = settings
        self._valkey = valkey
        self._log = log
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._grounds = grounds
        self._owned: dict[int, Owned] = {}
        self._dirty: dict[int, None] = {}  # in the order in which they became so
        self._to_deliver: set[int] = set()
        self._stir = asyncio.Event()
        self._deliver_stir = asyncio.Event()
        self._lost_contact = asyncio.Event()
        self._entry_s = _ENTRY_S_GUESSED
        self._stopping = False
        self._subscription = Subscription(
            url, [], on_message=self._on_tail, on_gap=self._look_everywhere
        )

    async def run(self) -> None:
        """Work until `stop`; then give the partitions back."""
        self._subscription.start()
        leases = asyncio.create_task(self._keep_leases())
        deliveries = asyncio.create_task(self._deliver())
        try:
            while not self._stopping:
                await self._wait_for_work()
                try:
                    await self._turn()
                except StoreError as error:
                    self._lose_contact(error)
        finally:
            await tasks.end(leases)
            await tasks.end(deliveries)
            await self._subscription.close()
            with contextlib.suppress(StoreError):
                await self._give_back(list(self._owned))
                await self._valkey.call("ZREM", keyspace.WORKERS, self._name)

    def stop(self) -> None:
        """Finish the turn and return from `run`."""
        self._stopping = True
        self._stir.set()

    # -- waiting ------------------------------------------------------------------------------

    def _on_tail(self, channel: bytes, _payload: bytes) -> None:
        self._dirty[int(channel[channel.index(b"{") + 1 : -1])] = None
        self._stir.set()

    def _look_everywhere(self) -> None:
        """Wake-ups may have been lost: look at every partition."""
        self._dirty |= dict.fromkeys(self._owned)
        self._stir.set()

    async def _wait_for_work(self) -> None:
        if not self._dirty:
            due = min((owned.next_due for owned in self._owned.values()), default=_NEVER)
            wait_s = max(0.0, (due - self._clock.now_ms()) / 1000)
            await tasks.wait_at_most(self._stir, min(wait_s, 1.0))
        self._stir.clear()

    # -- leases -------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        while True:
            try:
                await self._settle_leases()
            except StoreError as error:
                self._lose_contact(error)
                await asyncio.sleep(0.02)
                continue
            await tasks.wait_at_most(self._lost_contact, self._settings.lease_s / 3)

    async def _settle_leases(self) -> None:
        lease_ms = int(self._settings.lease_s * 1000)
        now = self._clock.now_ms()
        live = await self._valkey.call(
            "FCALL", "beat", 1, keyspace.WORKERS, self._name, now, now + lease_ms
        )
        assert isinstance(live, list)
        names = [name.decode() for name in live if isinstance(name, bytes)]
        if self._lost_contact.is_set():
            # What was in flight may have happened: forget all, and take a new epoch to be alone again.
            self._owned.clear()
            self._lost_contact.clear()
        wanted = [p for p in range(self._settings.partitions) if owner_of(p, names) == self._name]
        await self._give_back([p for p in self._owned if p not in set(wanted)])
        epochs = await self._valkey.call_all(
            (
                "FCALL",
                "lease",
                2,
                keyspace.lease(p),
                keyspace.epoch(p),
                self._name,
                lease_ms,
                self._owned[p].epoch if p in self._owned else 0,
            )
            for p in wanted
        )
        taken: dict[int, int] = {}
        for p, epoch in zip(wanted, epochs, strict=True):
            assert isinstance(epoch, int)
            if epoch == 0:
                self._owned.pop(p, None)
            elif p not in self._owned or self._owned[p].epoch != epoch:
                taken[p] = epoch
        await self._take(taken)
        lengths = await self._valkey.call_all(("XLEN", keyspace.log(p)) for p in self._owned)
        self._metrics.gauges.log_entries = sum(n for n in lengths if isinstance(n, int))
        self._metrics.gauges.partitions = len(self._owned)
        self._look_everywhere()

    async def _take(self, epochs: dict[int, int]) -> None:
        """Start with partitions that are ours from now on."""
        if not epochs:
            return
        cursors = await self._valkey.call_all(("HGET", keyspace.cursor(p), _READER) for p in epochs)
        dues = await self._valkey.call_all(
            ("ZRANGE", keyspace.timers(p), 0, 0, "WITHSCORES") for p in epochs
        )
        for (p, epoch), cursor, due in zip(epochs.items(), cursors, dues, strict=True):
            assert cursor is None or isinstance(cursor, bytes)
            next_due = min((int(float(score)) for _, score in pairs(due)), default=_NEVER)
            self._owned[p] = Owned(epoch, cursor or b"", next_due)
        self._subscription.set_channels(keyspace.tail_channel(p) for p in self._owned)
        self._to_deliver.update(epochs)
        self._deliver_stir.set()
        _LOG.info("took partitions", count=len(epochs), owned=len(self._owned))

    async def _give_back(self, partitions: list[int]) -> None:
        for p in partitions:
            del self._owned[p]
        await self._valkey.call_all(
            ("FCALL", "release", 2, keyspace.lease(p), keyspace.epoch(p), self._name)
            for p in partitions
        )
        if partitions:
            self._subscription.set_channels(keyspace.tail_channel(p) for p in self._owned)

    def _lose_contact(self, error: Exception) -> None:
        if not self._lost_contact.is_set():
            _LOG.warning("lost contact with the store", error=str(error))
        self._lost_contact.set()
        self._dirty.clear()

    # -- turns --------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """One round: read what is new, load, decide, commit; all partitions side by side."""
        if self._lost_contact.is_set():
            self._dirty.clear()
            return
        began = time.thread_time()
        # As of now: while we read, a partition may be lost and come back with a cursor further on.
        before = dict(self._owned)
        turns = await self._read_turns()
        if not turns:
            return
        owned = {p: before[p] for p in turns if p in before}
        await self._load_states({p: turns[p] for p in owned}, owned)
        grounds = self._grounds()
        commits = {}
        for p, partition in owned.items():
            self._work(p, partition, turns[p], grounds)
            commits[p] = _commit(p, partition.epoch, turns[p].commands)
        for p, written in (await self._valkey.call_each(commits)).items():
            if isinstance(written, list):
                _LOG.error("commands were refused", partition=p, errors=written)
                self._metrics.counts.commands_refused += len(written)
            self._settle(p, owned[p], turns[p], written=written != 0)
        self._pace(time.thread_time() - began, sum(len(turn.entries) for turn in turns.values()))

    def _pace(self, spent_s: float, entries: int) -> None:
        """Learn how long entries take, so that the next turn takes as long as it should."""
        if entries:
            self._entry_s += (spent_s / entries - self._entry_s) * _LEARNING_RATE

    async def _read_turns(self) -> dict[int, Turn]:
        places = self._next_places()
        entries = await self._log.read(places)
        # What may have more goes to the end of the queue: a busy partition waits for the others.
        self._dirty |= dict.fromkeys(
            p for p, read in entries.items() if len(read) == places[p].count
        )
        now = self._clock.now_ms()
        due = [p for p, owned in self._owned.items() if owned.next_due <= now]
        # One more than a turn takes: the last one says when to look again.
        replies = await self._valkey.call_all(
            ("ZRANGE", keyspace.timers(p), 0, _TIMERS_MAX, "WITHSCORES") for p in due
        )
        turns = {p: Turn(read, []) for p, read in entries.items()}
        for p, reply in zip(due, replies, strict=True):
            turn = turns.setdefault(p, Turn([], []))
            turn.later_due = _NEVER
            for member, score in pairs(reply):
                if float(score) > now or len(turn.timers) == _TIMERS_MAX:
                    turn.later_due = int(float(score))
                    break
                turn.timers.append(_timer(member))
        return turns

    def _next_places(self) -> dict[int, Place]:
        """Where to read in this turn: so much that what comes in meanwhile does not wait long."""
        affordable = int(self._settings.worker_turn_s / self._entry_s)
        entries_max = max(1, min(affordable, self._settings.worker_entries_max))
        dirty = [p for p in self._dirty if p in self._owned]
        chosen, rest = dirty[:entries_max], dirty[entries_max:]
        self._dirty = dict.fromkeys(rest)
        share = entries_max // max(1, len(chosen))
        return {
            p: Place(self._owned[p].cursor, 1 if self._owned[p].careful else share) for p in chosen
        }

    async def _load_states(self, turns: dict[int, Turn], owned: dict[int, Owned]) -> None:
        missing: list[tuple[int, str, str]] = []
        for p, turn in turns.items():
            states = owned[p].states
            if len(states) > self._settings.worker_profiles_max // max(1, len(self._owned)):
                states.clear()
            people = {
                (entry.record.sender.app_id, entry.record.sender.profile_id)
                for entry in turn.entries
                if not isinstance(entry.record, Unreadable)
            } | {(timer.app_id, timer.profile_id) for timer in turn.timers}
            missing += [(p, a, id) for a, id in people if f"{a}:{id}" not in states]
        replies = await self._valkey.call_all(
            ("GET", keyspace.profile(p, app_id, id)) for p, app_id, id in missing
        )
        for (p, app_id, id), packed in zip(missing, replies, strict=True):
            if isinstance(packed, bytes):
                try:
                    owned[p].states[f"{app_id}:{id}"] = decode_state(packed)
                except msgspec.MsgspecError as error:
                    turns[p].damaged[f"{app_id}:{id}"] = str(error)

    def _work(self, p: int, owned: Owned, turn: Turn, grounds: Grounds) -> None:
        """Fill in the turn's commands. When a record can't be worked with, it is set aside."""
        effects: dict[str, Effects] = {}
        try:
            self._decide(owned, turn, grounds, effects)
        except Exception as error:  # noqa: BLE001 - one record must not stop all that come after it
            _LOG.error("a record failed", partition=p, alone=owned.careful, exc_info=error)
            owned.states.clear()
            if turn.timers:
                turn.timers.clear()
                turn.later_due = 0  # in the next turn
            if not owned.careful:
                owned.careful = True
                turn.entries.clear()
                self._dirty[p] = None
                return
            self._metrics.counts.records_set_aside += 1
            turn.commands = [_set_aside(p, turn.entries[0], error), *_advance(p, turn)]
            return
        owned.careful = False
        turn.commands = [*self._commands(p, owned, turn, effects), *_advance(p, turn)]

    def _decide(
        self, owned: Owned, turn: Turn, grounds: Grounds, effects: dict[str, Effects]
    ) -> None:
        states = owned.states
        for entry in turn.entries:
            if isinstance(entry.record, Unreadable):
                raise UnreadableError(f"the record cannot be read: {entry.record.reason}")
            sender = entry.record.sender
            key = f"{sender.app_id}:{sender.profile_id}"
            if key in turn.damaged:
                raise UnreadableError(f"the state of {key} cannot be read: {turn.damaged[key]}")
            state = states.get(key)
            if state is None:
                state = states[key] = new_state(sender)
            react(state, entry.record, effects.setdefault(key, Effects()), grounds)
        now = self._clock.now_ms()
        for timer in turn.timers:
            key = f"{timer.app_id}:{timer.profile_id}"
            if key in states:
                expire_message(
                    states[key], timer.message_id, now, effects.setdefault(key, Effects())
                )

    def _commands(
        self, p: int, owned: Owned, turn: Turn, effects: dict[str, Effects]
    ) -> Iterable[tuple[Word, ...]]:
        wakes: Wakes = []
        timers = keyspace.timers(p)
        place = 0
        for key, effect in effects.items():
            state = owned.states[key]
            app_id, profile_id = state.profile.app_id, state.profile.id
            yield ("SET", keyspace.profile(p, app_id, profile_id), encode_state(state))
            if effect.inbox:
                ttl_ms = self._settings.inbox_ttl_s * 1000
                version = state.inbox.version
                yield from changes_as_commands(p, app_id, profile_id, version, effect.inbox, ttl_ms)
                wakes.append(key)
            for message_id, expires_at in effect.inbox.expire_at.items():
                member = f"{app_id}:{profile_id}:{message_id}"
                if expires_at is None:
                    yield ("ZREM", timers, member)
                else:
                    yield ("ZADD", timers, expires_at, member)
                    turn.next_due = min(turn.next_due, expires_at)
            if effect.decisions:
                decisions = keyspace.decisions(p, app_id, profile_id)
                kept = self._settings.decisions_max
                yield ("LPUSH", decisions, *map(_encode_decision, effect.decisions[-kept:]))
                yield ("LTRIM", decisions, 0, kept - 1)
            for record in effect.forwards:
                yield put_command(p, turn.entries[-1].id, place, record)
                place += 1
            turn.events += effect.events
            turn.events_withheld += effect.events_withheld
            turn.messages += effect.messages
            turn.decisions += len(effect.decisions)
        turn.forwards = place
        if turn.timers:
            yield ("ZREM", timers, *[timer.member for timer in turn.timers])
        if wakes:
            yield wake_command(p, wakes)

    def _settle(self, p: int, owned: Owned, turn: Turn, *, written: bool) -> None:
        counts = self._metrics.counts
        if not written:
            _LOG.warning("fenced: the partition has a newer owner", partition=p)
            counts.commits_fenced += 1
            if self._owned.get(p) is owned:
                del self._owned[p]
            return
        if turn.entries:
            owned.cursor = turn.entries[-1].id
        if turn.later_due is not None:
            owned.next_due = turn.later_due
        owned.next_due = min(owned.next_due, turn.next_due)
        counts.commits += 1
        counts.entries_read += len(turn.entries)
        counts.events_reacted += turn.events
        counts.events_withheld += turn.events_withheld
        counts.messages_sent += turn.messages
        counts.decisions += turn.decisions
        if turn.forwards:
            self._to_deliver.add(p)
            self._deliver_stir.set()

    async def _deliver(self) -> None:
        """Empty the outboxes of partitions that have something in them."""
        while True:
            await self._deliver_stir.wait()
            self._deliver_stir.clear()
            partitions, self._to_deliver = self._to_deliver, set()
            for p in partitions:
                try:
                    await self._outbox.deliver(p)
                except StoreError:
                    self._to_deliver.add(p)
            if self._to_deliver:
                await asyncio.sleep(0.1)
                self._deliver_stir.set()


def owner_of(partition: int, names: list[str]) -> str | None:
    """Which of the live workers should own a partition (rendezvous hashing: few move when one comes)."""
    return max(
        names,
        key=lambda name: hashlib.blake2b(f"{name}\0{partition}".encode(), digest_size=8).digest(),
        default=None,
    )


def _commit(p: int, epoch: int, commands: list[tuple[Word, ...]]) -> tuple[Word, ...]:
    keys = {command[1] for command in commands if command[0] != "SPUBLISH"}
    words: list[Word] = ["FCALL", "commit", 1 + len(keys), keyspace.epoch(p), *keys, epoch]
    for command in commands:
        for part in _parts(command):
            words.append(len(part))
            words += part
    return tuple(words)


def _parts(command: tuple[Word, ...]) -> Iterable[tuple[Word, ...]]:
    """A command as several, none longer than Lua can hand on.

    A refusal half-way would leave the commands before it done. Only commands of the form `name key item…`
    grow that long; an even number of items keeps field and value of an HSET together.
    """
    if len(command) <= _COMMAND_WORDS_MAX:
        yield command
        return
    name, key, *items = command
    for at in range(0, len(items), _COMMAND_WORDS_MAX):
        yield (name, key, *items[at : at + _COMMAND_WORDS_MAX])


def _advance(p: int, turn: Turn) -> Iterable[tuple[Word, ...]]:
    """Move the cursor, and drop what is behind it."""
    if turn.entries:
        read_to = turn.entries[-1].id
        yield ("HSET", keyspace.cursor(p), _READER, read_to)
        yield trim(p, read_to)


def _set_aside(p: int, entry: Entry, error: Exception) -> tuple[Word, ...]:
    return (
        *("XADD", keyspace.dead(p), "MAXLEN", "~", _DEAD_MAX, "*"),
        *("id", entry.id, "record", repr(entry.record)[:65_536], "error", repr(error)[:1_024]),
    )


def _timer(member: bytes) -> Timer:
    app_id, profile_id, message_id = member.decode().split(":")
    return Timer(member, app_id, profile_id, message_id)
