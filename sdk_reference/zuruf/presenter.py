"""Which message is shown when: one overlay at a time, by the rules. On the worker's thread.

The slot of the overlay is claimed before the app is asked and freed when the message is gone, so an image
that loads slowly lets no second message come up over it. A message is marked in the file before the app is
asked, and the mark is taken back only where the app provably has not shown it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zuruf.decisions import display
from zuruf.decisions.display import Candidate, Ranked, Screen
from zuruf.handover import Handed, News, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuruf.handover import Handover
    from zuruf.message_store import Impression, MessageStore
    from zuruf.messages import Message
    from zuruf.recorder import Recorder
    from zuruf.workspace import Workspace

log = logging.getLogger("zuruf")

DEFERRED_S = 30.0
# An app that was asked and says nothing shows nothing.
UNREPORTED_S_MAX = 10.0
# An app that shows a message and never says that it is gone has forgotten to.
SHOWN_S_MAX = 10 * 60.0
# Messages that are on the screen as far as is known, inline ones among them.
DISPLAYS_MAX = 100


@dataclass(slots=True)
class _Display:
    """A message that the app was given."""

    handed: Handed
    holds_slot: bool
    # Then it counts as gone, or the app is no longer asked.
    until_s: float
    was_asked: bool = False


class Presenter:
    """Picks messages, gives them to the app and follows what becomes of them."""

    def __init__(
        self, work: Workspace, recorder: Recorder, handover: Handover, store: MessageStore
    ) -> None:
        self._work = work
        self._recorder = recorder
        self._handover = handover
        self._store = store
        self._displays: dict[int, _Display] = {}
        self._deferred_until_s: dict[str, float] = {}
        self._freed_s: float | None = None
        # When to look at what waits: at once, at a time, or when something happens.
        self._look_at_s: float | None = 0.0
        # Stands for the session as long as there is none.
        self._run_id = work.ids.new_id(work.clock.wall_ms())
        self._session_id = self._run_id
        self._fresh: set[str] = set()

    # What happens

    def arrived(self, message: Message) -> None:
        """A message has just come from the gateway."""
        if message.trigger is None:
            self._fresh.add(message.id)

    def look_again(self) -> None:
        """Offer everything that waits: the app has moved on, or may show messages again."""
        self._deferred_until_s.clear()
        self._fresh.clear()
        self.changed()

    def changed(self) -> None:
        """Something may have become due: a message, the slot, a rule."""
        self._look_at_s = 0.0

    def heard(self, report: Report, now_s: float) -> None:
        """Follow what the app did with a message."""
        shown = self._displays.get(report.handed.number)
        if shown is None:
            self._handover.take_back(report.handed)
            return
        message_id = report.handed.message.id
        match report.news:
            case News.ASKED:
                shown.was_asked = True
                shown.until_s = now_s + UNREPORTED_S_MAX
            case News.SHOWN:
                shown.until_s = now_s + SHOWN_S_MAX
            case News.HELD_BACK:
                self._handover.take_back(report.handed)
                self._unseen(shown)
                self._release(message_id)
            case News.DEFERRED:
                self._unseen(shown)
                self._put_off(message_id, now_s)
            case News.DISCARDED:
                self._unseen(shown)
                self._store.discard(message_id)
            case News.FAILED:
                self._unseen(shown)
                self._store.not_seen(message_id)
            case News.CLOSED:
                self._gone(shown, now_s)

    def ended(self, message_id: str, now_s: float) -> None:
        """A message was withdrawn or has expired: off the screen with it."""
        self._handover.end(message_id)
        self._deferred_until_s.pop(message_id, None)
        for shown in list(self._displays.values()):
            if shown.handed.message.id == message_id:
                self._take_off(shown, now_s)

    def removed(self, message_id: str) -> None:
        """The person has removed a message: it does not come up any more, where it is up it may stay."""
        for shown in list(self._displays.values()):
            is_it = shown.handed.message.id == message_id
            if is_it and self._handover.take_back(shown.handed):
                self._unseen(shown)

    def isolate(self, now_s: float) -> None:
        """Whoever sees the screen now, nothing on it may stay."""
        self._handover.end_all()
        self._deferred_until_s.clear()
        for shown in list(self._displays.values()):
            self._take_off(shown, now_s)
        self._fresh.clear()
        self._freed_s = None

    def close(self) -> None:
        """Take back what the app was not asked about: it waits for the next start."""
        for shown in self._displays.values():
            if self._handover.take_back(shown.handed):
                self._release(shown.handed.message.id)
        self._displays.clear()

    # What time does

    def advance(self, now_s: float) -> None:
        """Free what is gone by now, and give the app what is due."""
        for shown in list(self._displays.values()):
            if shown.until_s <= now_s:
                self._ran_out(shown, now_s)
        for message_id, at_s in list(self._deferred_until_s.items()):
            if at_s <= now_s:
                del self._deferred_until_s[message_id]
                self.changed()
        session_id = self._recorder.session_id or self._run_id
        if self._session_id != session_id:
            self._session_id = session_id
            self.changed()
        if self._look_at_s is not None and self._look_at_s <= now_s:
            self._look(now_s)

    def deadline_s(self) -> float | None:
        """Give the time at which `advance` has something to do without being told."""
        times = [shown.until_s for shown in self._displays.values()]
        times += self._deferred_until_s.values()
        if self._look_at_s is not None:
            times.append(self._look_at_s)
        return min(times, default=None)

    # Inside

    def _look(self, now_s: float) -> None:
        self._look_at_s = None
        now_ms, person = self._work.server_ms(), self._work.person
        waiting = {
            Ranked(message.priority, message.created_at, message.id): message
            for message in self._store.waiting(now_ms)
            if message.id not in self._deferred_until_s
        }
        utc_offset_s = self._work.config.platform.utc_offset_s(now_ms)
        impressions = self._store.impressions()
        for ranked in display.in_order(waiting):
            message = waiting[ranked]
            decision = display.decide(
                _candidate(message, impressions),
                self._screen(impressions, now_s, now_ms, utc_offset_s),
                self._work.settings.display,
                now_ms,
                utc_offset_s,
            )
            if decision.verdict == "show":
                if self._claims(message, person, now_ms):
                    self._give(message, now_s)
                impressions = self._store.impressions()
            elif decision.verdict == "never":
                self._store.give_up(message.id)
            elif decision.until_ms is not None:
                self._look_again_at(now_s + (decision.until_ms - now_ms) / 1000)
        self._fresh.clear()

    def _look_again_at(self, at_s: float) -> None:
        if self._look_at_s is None or at_s < self._look_at_s:
            self._look_at_s = at_s

    def _claims(self, message: Message, person: int, now_ms: int) -> bool:
        """Mark a message as given; False when another process was faster, or changed the person."""
        with self._work.storage.transaction():
            return person == self._work.person and self._store.claim(
                message, session_id=self._session_id, now_ms=now_ms
            )

    def _screen(
        self, impressions: Sequence[Impression], now_s: float, now_ms: int, utc_offset_s: int
    ) -> Screen:
        day_start_ms = display.day_start_ms(now_ms, utc_offset_s)
        overlays = [one for one in impressions if one.counts]
        return Screen(
            is_slot_taken=any(shown.holds_slot for shown in self._displays.values()),
            is_paused=self._handover.is_paused,
            freed_ms=self._freed_ms(overlays, now_s, now_ms),
            shown_in_session=sum(one.session_id == self._session_id for one in overlays),
            shown_today=sum(one.at_ms >= day_start_ms for one in overlays),
        )

    def _freed_ms(self, overlays: Sequence[Impression], now_s: float, now_ms: int) -> int | None:
        if self._freed_s is not None:
            return now_ms - round((now_s - self._freed_s) * 1000)
        # From before this process: when it came up is all that is known.
        return max((one.at_ms for one in overlays), default=None)

    def _give(self, message: Message, now_s: float) -> None:
        is_fresh = message.id in self._fresh
        try:
            handed = self._handover.give(message, self._work.person, is_fresh=is_fresh)
        except Exception as error:  # noqa: BLE001 - whatever the app's executor says, it took nothing
            log.warning("the callback executor did not take the message: %s", error)
            self._put_off(message.id, now_s)
            return
        self._make_room()
        self._displays[handed.number] = _Display(
            handed, holds_slot=message.is_overlay, until_s=now_s + UNREPORTED_S_MAX
        )

    def _make_room(self) -> None:
        """Forget about messages on the screen beyond a bound, the oldest first."""
        others = [shown for shown in self._displays.values() if not shown.holds_slot]
        for shown in others[: max(0, len(self._displays) - DISPLAYS_MAX + 1)]:
            if self._handover.take_back(shown.handed):
                self._release(shown.handed.message.id)
            del self._displays[shown.handed.number]

    def _ran_out(self, shown: _Display, now_s: float) -> None:
        if self._handover.take_back(shown.handed):
            self._unseen(shown)
            self._put_off(shown.handed.message.id, now_s)
        elif shown.was_asked:
            # Nobody knows whether it is still there; the others have waited long enough.
            self._free(shown)
            self._freed_s = now_s
            shown.until_s = float("inf")
        else:
            # The app is being asked right now.
            shown.until_s = now_s + UNREPORTED_S_MAX

    def _release(self, message_id: str) -> None:
        with self._work.storage.transaction():
            self._store.release(message_id)

    def _put_off(self, message_id: str, now_s: float) -> None:
        self._release(message_id)
        self._deferred_until_s[message_id] = now_s + DEFERRED_S
        self.changed()

    def _take_off(self, shown: _Display, now_s: float) -> None:
        if self._handover.take_back(shown.handed):
            self._unseen(shown)
        else:
            self._gone(shown, now_s)
            self._work.publish("message_ended", shown.handed.message.id)

    def _gone(self, shown: _Display, now_s: float) -> None:
        """It was on the screen: the gap to the next one begins."""
        if shown.holds_slot:
            self._freed_s = now_s
        self._unseen(shown)

    def _unseen(self, shown: _Display) -> None:
        """It never was on the screen, and is not on its way to it any more."""
        self._free(shown)
        del self._displays[shown.handed.number]

    def _free(self, shown: _Display) -> None:
        if shown.holds_slot:
            shown.holds_slot = False
            self.changed()


def _candidate(message: Message, impressions: Sequence[Impression]) -> Candidate:
    return Candidate(
        expires_at=message.expires_at,
        is_inline=not message.is_overlay,
        limit=display.limit_of(message.display),
        ignores_caps=message.display.get("ignores_caps") is True,
        shown_ms=[one.at_ms for one in impressions if one.message_id == message.id],
    )
