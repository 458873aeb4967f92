"""Messages that were kept, to be read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.observable import Signal
from client_demo.shop.overlays.cards import halo
from client_demo.shop.screens.base import Screen
from client_demo.shop.viewmodels.inbox import Entry, entries
from client_demo.shop.widgets import (
    Button,
    Column,
    EmptyState,
    IconButton,
    Notice,
    Pressable,
    Row,
    Surface,
    Text,
    paint,
)
from client_demo.shop.widgets.icons import GLYPHS

WIDTH = 720


class InboxScreen(Screen):
    def watched(self) -> Sequence[Signal]:
        return (self.shop.engagement.changed,)

    def build(self) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        found = entries(engagement.inbox, datetime.now().astimezone(), ui.translator)
        unread = [entry for entry in found if not entry.is_read]
        sections: list[Widget] = []
        if not engagement.consent["messaging"] or engagement.is_opted_out:
            sections.append(
                Notice(
                    ui,
                    ui.t("inbox.off"),
                    icon="bell",
                    action=ui.t("inbox.off.action"),
                    on_action=lambda: self.go("consent"),
                )
            )
        if found:
            sections.append(Column(ui, *(_Row(self, entry) for entry in found), spacing=theme.S))
        else:
            sections.append(
                EmptyState(
                    ui,
                    "tray",
                    ui.t("inbox.empty.title"),
                    ui.t("inbox.empty.text"),
                    ui.t("inbox.empty.action"),
                    lambda: self.go("catalogue"),
                )
            )
        actions = (
            [
                Button(
                    ui,
                    ui.t("inbox.read_all"),
                    lambda: self._read(unread),
                    kind="plain",
                    focus_key="inbox.read_all",
                )
            ]
            if unread
            else []
        )
        return self.page(
            *sections, title=ui.t("inbox.title"), actions=actions, width_max=WIDTH, spacing=theme.M
        )

    def open(self, entry: Entry) -> None:
        """Show a message in full."""
        if self.shop.presenter.read_again(entry.message):
            self.shop.engagement.track("inbox_message_opened", {"message_id": entry.id})
            self._read([entry])

    def remove(self, entry: Entry) -> None:
        """Take a message out for good."""
        self.shop.engagement.remove_message(entry.id)
        self.ui.toast(self.ui.t("inbox.removed"), "plain")

    def _read(self, read: Sequence[Entry]) -> None:
        for entry in read:
            self.shop.engagement.mark_read(entry.id)


class _Row(Surface):
    """A message: its icon, with a dot while it is unread, its text, and the way to get rid of it."""

    def __init__(self, screen: InboxScreen, entry: Entry) -> None:
        ui = screen.ui
        icon = entry.icon if entry.icon in GLYPHS else "envelope-simple"
        mark = RelativeLayout(size_hint=(None, None), size=(ui.dp(44), ui.dp(44)))
        is_new = not entry.is_read
        ground = ui.colour("primary_soft" if is_new else "sunken")
        mark.add_widget(
            halo(
                ui, icon, 44, ground=ground, ink=ui.colour("on_primary_soft" if is_new else "muted")
            )
        )
        if is_new:
            dot = Widget(size_hint=(None, None), size=(ui.dp(12), ui.dp(12)))
            dot.pos = (ui.dp(34), ui.dp(33))
            edge, inner = ui.dp(12), ui.dp(9)
            paint.area(dot.canvas, ui.colour("surface"), edge / 2).place(dot.x, dot.y, edge, edge)
            inset = (edge - inner) / 2
            paint.area(dot.canvas, ui.colour("accent"), inner / 2).place(
                dot.x + inset, dot.y + inset, inner, inner
            )
            mark.add_widget(dot)
        head = Row(
            ui,
            Text(ui, entry.title, "subtitle" if is_new else "body", lines=1),
            Text(ui, entry.age, "caption", colour="muted", wrap=False),
            spacing=theme.S,
        )
        words = Column(ui, head, spacing=2)
        if entry.text:
            words.add_widget(Text(ui, entry.text, "caption", colour="muted", lines=2))
        opener = _Opener(
            screen, entry, Row(ui, mark, words, padding=(theme.L, theme.M, theme.XS, theme.M))
        )
        remove = IconButton(
            ui,
            "trash",
            ui.t("inbox.remove", title=entry.title),
            lambda: screen.remove(entry),
            colour="muted",
            icon_size=20,
            focus_key=f"inbox.remove.{entry.id}",
        )
        row = Row(ui, opener, remove, spacing=0, padding=(0, 0, theme.XS, 0))
        super().__init__(ui, row, raised=True)


class _Opener(Pressable):
    """The part of a row that opens the message."""

    def __init__(self, screen: InboxScreen, entry: Entry, content: Row) -> None:
        unread = "" if entry.is_read else f", {screen.ui.t('inbox.unread')}"
        super().__init__(
            screen.ui,
            lambda: screen.open(entry),
            radius=theme.CORNER_M,
            focus_key=f"inbox.{entry.id}",
            accessible_name=f"{entry.title}{unread}",
            size_hint_y=None,
        )
        self.add_widget(content)
        content.bind(height=self._hug)
        self._hug(content)

    def _hug(self, content: Any, *_: Any) -> None:
        self.height = content.height
