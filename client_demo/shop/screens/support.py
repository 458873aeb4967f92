"""Help: answers to what many ask, and a way to write to the shop."""

from __future__ import annotations

from functools import partial

from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.navigation import Route
from client_demo.shop.overlays.cards import halo
from client_demo.shop.screens.base import Screen
from client_demo.shop.screens.profile import flow
from client_demo.shop.shop import Shop
from client_demo.shop.viewmodels.support import QUESTIONS, TOPICS, Request
from client_demo.shop.widgets import (
    Button,
    Card,
    Chip,
    Column,
    Divider,
    Icon,
    ListRow,
    QrCode,
    Row,
    Surface,
    Text,
    TextField,
)

WIDTH = 720
SUPPORT_PAGE = "https://moorlind.example/help"
"""What the QR code of a television leads to."""


class SupportScreen(Screen):
    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self._open: str | None = None
        self._request = Request(shop.engagement.track, route.params.get("topic", ""))
        self._request.changed.connect(self._rebuild_soon)

    def build(self) -> Widget:
        ui = self.ui
        faq = Column(
            ui, Text(ui, ui.t("support.faq"), "subtitle"), self._questions(), spacing=theme.S
        )
        contact = Column(
            ui, Text(ui, ui.t("support.contact"), "subtitle"), self._contact(), spacing=theme.S
        )
        # Who comes from a message wants to write, not to read.
        first, second = (contact, faq) if "topic" in self.route.params else (faq, contact)
        if ui.layout.size_class == "expanded":
            return self.page(
                Row(ui, first, second, spacing=theme.XL, top=True), title=ui.t("support.title")
            )
        return self.page(first, second, title=ui.t("support.title"), width_max=WIDTH)

    def _questions(self) -> Widget:
        ui = self.ui
        rows: list[Widget] = []
        for name in QUESTIONS:
            if rows:
                rows.append(Divider(ui))
            is_open = name == self._open
            rows.append(
                ListRow(
                    ui,
                    ui.t(f"support.faq.{name}.question"),
                    partial(self.unfold, name),
                    trailing=Icon(ui, "caret-up" if is_open else "caret-down", 18, colour="muted"),
                    focus_key=f"support.{name}",
                )
            )
            if is_open:
                answer = Text(ui, ui.t(f"support.faq.{name}.answer"), "body", colour="muted")
                rows.append(Column(ui, answer, padding=(theme.L, 0, theme.L, theme.L)))
        return Surface(ui, Column(ui, *rows, spacing=0), raised=True)

    def unfold(self, name: str) -> None:
        """Show the answer to a question, and no other; or fold it away again."""
        self._open = None if name == self._open else name
        self.rebuild()

    def _contact(self) -> Widget:
        if self._request.is_sent:
            return self._sent()
        return self._code() if self.ui.layout.is_tv else self._form()

    def _form(self) -> Widget:
        ui, request = self.ui, self._request
        chips = [
            Chip(
                ui,
                ui.t(f"support.topic.{topic}"),
                partial(request.choose, topic),
                chosen=request.topic == topic,
                focus_key=f"support.topic.{topic}",
            )
            for topic in TOPICS
        ]
        field = TextField(
            ui,
            ui.t("support.write"),
            text=request.text,
            on_text=request.write,
            lines=5,
            focus_key="support.text",
        )
        return Card(
            ui,
            Text(ui, ui.t("support.contact.text"), "body", colour="muted"),
            flow(ui, chips),
            field,
            Button(
                ui,
                ui.t("support.send"),
                self._send,
                icon="paper-plane-tilt",
                wide=True,
                focus_key="support.send",
            ),
            padding=theme.L,
        )

    def _send(self) -> None:
        if not self._request.send():
            self.ui.toast(self.ui.t("support.too_short"), "plain")

    def _code(self) -> Widget:
        ui, request = self.ui, self._request
        words = Column(
            ui,
            Text(ui, ui.t("support.tv.title"), "title"),
            Text(ui, ui.t("support.tv.text"), "body", colour="muted"),
            spacing=theme.S,
        )
        call = Button(
            ui,
            ui.t("support.tv.call"),
            self._call_back,
            kind="tonal",
            icon="phone",
            focus_key="support.call",
        )
        return Card(
            ui,
            Row(
                ui,
                QrCode(ui, f"{SUPPORT_PAGE}?topic={request.topic}", 150),
                words,
                spacing=theme.XL,
            ),
            call,
            padding=theme.XL,
        )

    def _call_back(self) -> None:
        """Ask to be contacted, without a word to type."""
        self._request.write(self.ui.t("support.tv.request"))
        self._request.send()

    def _sent(self) -> Widget:
        ui = self.ui
        mark = halo(
            ui,
            "check-circle",
            64,
            ground=ui.colour("primary_soft"),
            ink=ui.colour("on_primary_soft"),
        )
        again = Button(
            ui, ui.t("support.again"), self._request.again, kind="plain", focus_key="support.again"
        )
        inbox = Button(
            ui,
            ui.t("support.inbox"),
            lambda: self.go("inbox"),
            kind="tonal",
            focus_key="support.inbox",
        )
        for part in (mark, again, inbox):
            part.pos_hint = {"center_x": 0.5}
        return Card(
            ui,
            mark,
            Text(ui, ui.t("support.sent.title"), "title", align="center"),
            Text(ui, ui.t("support.sent.text"), "body", colour="muted", align="center"),
            inbox,
            again,
            padding=theme.XL,
        )
