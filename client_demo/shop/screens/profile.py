"""Who one is, what one allows, how the app looks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kivy.uix.relativelayout import RelativeLayout
from kivy.uix.widget import Widget

from client_demo.shop import theme
from client_demo.shop.engagement import PURPOSES
from client_demo.shop.i18n import LANGUAGES, NAMES
from client_demo.shop.model.store import PEOPLE, Person
from client_demo.shop.navigation import Route
from client_demo.shop.observable import Signal
from client_demo.shop.overlays.dialog import ask, show_code
from client_demo.shop.platform import Place, UnavailableError
from client_demo.shop.platform.ports import CAPABILITIES, CapabilityName
from client_demo.shop.screens.base import Screen
from client_demo.shop.shop import Shop
from client_demo.shop.ui import TEXT_SCALES, Ui
from client_demo.shop.viewmodels.account import account_of, initials
from client_demo.shop.widgets import (
    Button,
    Card,
    Chip,
    Column,
    Divider,
    Fill,
    Gap,
    Icon,
    ListRow,
    Notice,
    Row,
    Surface,
    Switch,
    Text,
    TextField,
    paint,
)

WIDTH = 720
LOGIN_PAGE = "https://moorlind.example/login"
"""What the QR code of a television leads to."""
_PURPOSE_ICONS = {
    "analytics": "chart-line",
    "messaging": "chat-circle-dots",
    "push": "bell-ringing",
}
_CAPABILITY_ICONS: dict[CapabilityName, str] = {
    "notification": "bell",
    "battery": "battery-high",
    "device_name": "device-mobile",
    "gps": "map-pin",
    "vibration": "vibrate",
}


class ProfileScreen(Screen):
    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self._typed = ""
        self._error = ""

    def watched(self) -> Sequence[Signal]:
        return (self.shop.store.person_changed,)

    def build(self) -> Widget:
        ui, person = self.ui, self.shop.store.person
        who = self._account(person) if person is not None else self._guest()
        return self.page(
            who,
            *(self._orders() if self.shop.store.orders else ()),
            self._places(),
            *((self._log_out(),) if person is not None else ()),
            title=ui.t("profile.title"),
            width_max=WIDTH,
            spacing=theme.L,
        )

    # Logged in

    def _account(self, person: Person) -> Widget:
        ui = self.ui
        address = Row(
            ui,
            Icon(ui, "map-pin", 18, colour="muted"),
            Text(ui, f"{person.street}, {person.city}", "caption", colour="muted"),
            spacing=theme.S,
        )
        words = Column(
            ui,
            Text(ui, person.name, "title"),
            Text(ui, person.email, "body", colour="muted"),
            Gap(ui, 2),
            address,
            spacing=2,
        )
        return Card(
            ui,
            Row(ui, _avatar(ui, initials(person.name)), words, spacing=theme.L),
            padding=theme.XL,
        )

    def _orders(self) -> Sequence[Widget]:
        ui, translator = self.ui, self.ui.translator
        rows: list[Widget] = []
        for order in self.shop.store.orders[:3]:
            if rows:
                rows.append(Divider(ui))
            rows.append(
                ListRow(
                    ui,
                    ui.t("profile.order", number=order.number),
                    text=ui.t(
                        "profile.order.text",
                        n=order.quantity,
                        date=translator.date(order.arrives_on),
                    ),
                    icon="package",
                    trailing=Text(ui, ui.price(order.total), "label", wrap=False),
                )
            )
        return (_section(self, "profile.orders", _list(ui, rows)),)

    def _log_out(self) -> Widget:
        ui = self.ui
        return Button(
            ui,
            ui.t("profile.log_out"),
            self.log_out,
            kind="outlined",
            icon="sign-out",
            wide=True,
            focus_key="profile.out",
        )

    def log_out(self) -> None:
        """End it for this person: the SDK first, so that nothing of theirs is recorded for the next one."""
        self.shop.engagement.log_out()
        self.shop.store.log_out()
        self.ui.toast(self.ui.t("profile.logged_out"), "plain")

    # Logged out

    def _guest(self) -> Widget:
        ui = self.ui
        tv = ui.layout.is_tv
        parts: list[Widget] = [
            Text(ui, ui.t("profile.guest.title"), "title"),
            Text(ui, ui.t("profile.guest.text"), "body", colour="muted"),
        ]
        if tv:
            parts.append(
                Button(
                    ui,
                    ui.t("profile.log_in.phone"),
                    lambda: show_code(self.shop, LOGIN_PAGE, ui.t("profile.log_in")),
                    icon="qr-code",
                    focus_key="profile.code",
                    prefers_focus=True,
                )
            )
        else:
            parts += [
                TextField(
                    ui,
                    ui.t("profile.address"),
                    text=self._typed,
                    icon="envelope-simple",
                    error=self._error,
                    on_text=self._type,
                    on_done=lambda _: self._log_in_typed(),
                    focus_key="profile.address",
                ),
                *((Text(ui, self._error, "caption", colour="danger"),) if self._error else ()),
                Button(
                    ui,
                    ui.t("profile.log_in"),
                    self._log_in_typed,
                    wide=True,
                    focus_key="profile.in",
                ),
            ]
        parts.append(Text(ui, ui.t("profile.demo"), "caption", colour="muted"))
        rows = [
            ListRow(
                ui,
                person.name,
                partial(self.log_in, person),
                text=person.email,
                icon="user-circle",
                focus_key=f"profile.{person.user_id}",
            )
            for person in PEOPLE
        ]
        parts.append(Surface(ui, Column(ui, *rows, spacing=0), colour="sunken"))
        return Card(ui, *parts, padding=theme.XL)

    def log_in(self, person: Person) -> None:
        """Log somebody in, here and at the gateway."""
        self._typed = self._error = ""
        self.shop.engagement.log_in(person, language=self.ui.language)
        self.shop.store.log_in(person.user_id)
        self.ui.toast(self.ui.t("profile.logged_in", name=person.name.split()[0]), "success")

    def _type(self, text: str) -> None:
        self._typed = text

    def _log_in_typed(self) -> None:
        person = account_of(self._typed)
        if person is None:
            self._error = self.ui.t("profile.unknown")
            self.rebuild()
            return
        self.log_in(person)

    # Everybody

    def _places(self) -> Widget:
        ui = self.ui
        places = (
            ("consent", "shield-check"),
            ("settings", "gear"),
            ("support", "lifebuoy"),
            ("developer", "code"),
        )
        rows: list[Widget] = []
        for screen, icon in places:
            if rows:
                rows.append(Divider(ui))
            rows.append(
                ListRow(
                    ui,
                    ui.t(f"{screen}.title"),
                    partial(self.go, screen),
                    text=ui.t(f"profile.{screen}"),
                    icon=icon,
                    focus_key=f"profile.{screen}",
                )
            )
        return _list(ui, rows)


class ConsentScreen(Screen):
    def watched(self) -> Sequence[Signal]:
        return (self.shop.engagement.changed,)

    def build(self) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        is_out = engagement.is_opted_out
        cards = [self._purpose(purpose, is_out=is_out) for purpose in PURPOSES]
        out = _switch_row(
            ui,
            ui.t("consent.opt_out"),
            ui.t("consent.opt_out.text"),
            "eye-slash",
            is_on=is_out,
            on_change=lambda is_on: engagement.set_opted_out(is_out=is_on),
            key="consent.opt_out",
        )
        delete = Card(
            ui,
            Text(ui, ui.t("consent.delete"), "subtitle"),
            Text(ui, ui.t("consent.delete.text"), "body", colour="muted"),
            Row(
                ui,
                Button(
                    ui,
                    ui.t("consent.delete.action"),
                    self._ask_to_delete,
                    kind="outlined",
                    icon="trash",
                    focus_key="consent.delete",
                ),
                Fill(size_hint_y=None, height=0),
            ),
        )
        return self.page(
            Text(ui, ui.t("consent.intro"), "body", colour="muted"),
            *((Notice(ui, ui.t("consent.is_out"), icon="eye-slash"),) if is_out else ()),
            Column(ui, *cards, spacing=theme.M),
            Card(ui, out, padding=0),
            delete,
            title=ui.t("consent.title"),
            width_max=WIDTH,
            spacing=theme.L,
        )

    def _purpose(self, purpose: str, *, is_out: bool) -> Widget:
        ui, engagement = self.ui, self.shop.engagement
        is_on = engagement.consent[purpose] and not is_out
        row = _switch_row(
            ui,
            ui.t(f"consent.{purpose}"),
            ui.t(f"consent.{purpose}.text"),
            _PURPOSE_ICONS[purpose],
            is_on=is_on,
            on_change=lambda granted: engagement.set_consent(purpose, is_granted=granted),
            key=f"consent.{purpose}",
            disabled=is_out,
        )
        effect = Row(
            ui,
            Icon(
                ui,
                "check-circle" if is_on else "x-circle",
                18,
                colour="success" if is_on else "muted",
            ),
            Text(
                ui, ui.t(f"consent.{purpose}.{'on' if is_on else 'off'}"), "caption", colour="muted"
            ),
            spacing=theme.S,
            padding=(theme.L, 0, theme.L, theme.L),
        )
        return Card(ui, row, effect, padding=0, spacing=0)

    def _ask_to_delete(self) -> None:
        ui = self.ui
        ask(
            self.shop,
            icon="trash",
            title=ui.t("consent.delete.ask"),
            text=ui.t("consent.delete.ask.text"),
            yes=ui.t("consent.delete.yes"),
            on_yes=self.delete,
            kind="danger",
        )

    def delete(self) -> None:
        """Forget everything on this device."""
        self.shop.engagement.delete_local_data()
        self.shop.presenter.push_token = ""
        self.shop.store.log_out()
        self.ui.toast(self.ui.t("consent.deleted"), "success")
        self.shop.navigator.go(Route("home"))


class SettingsScreen(Screen):
    def __init__(self, shop: Shop, route: Route) -> None:
        super().__init__(shop, route)
        self._readings: dict[str, str] = {}
        self._has_gps = False

    def leave(self) -> None:
        if self._has_gps:
            self._has_gps = False
            self.shop.platform.stop_gps()
        super().leave()

    def build(self) -> Widget:
        ui = self.ui
        wide = ui.layout.size_class == "expanded"
        look = _section(self, "settings.look", self._look())
        push = _section(self, "settings.push", self._push())
        device = _section(self, "settings.device", self._device())
        if wide:
            columns = Row(
                ui,
                Column(ui, look, push, spacing=theme.XL),
                Column(ui, device, spacing=theme.XL),
                spacing=theme.XL,
                top=True,
            )
            return self.page(columns, title=ui.t("settings.title"))
        return self.page(look, push, device, title=ui.t("settings.title"), width_max=WIDTH)

    # How the app looks

    def _look(self) -> Widget:
        ui, now = self.ui, self.ui.appearance
        languages = [
            (NAMES[language], now.language == language, {"language": language})
            for language in LANGUAGES
        ]
        colours = [
            (ui.t("settings.light"), not now.dark, {"dark": False}),
            (ui.t("settings.dark"), now.dark, {"dark": True}),
        ]
        sizes = [
            (ui.translator.percent(scale), now.text_scale == scale, {"text_scale": scale})
            for scale in TEXT_SCALES
        ]
        motion = _switch_row(
            ui,
            ui.t("settings.motion"),
            ui.t("settings.motion.text"),
            "waves",
            is_on=now.reduced_motion,
            on_change=lambda is_on: ui.set_appearance(reduced_motion=is_on),
            key="settings.motion",
        )
        return Card(
            ui,
            self._choice("settings.language", "translate", languages),
            Divider(ui),
            self._choice("settings.colours", "moon" if now.dark else "sun", colours),
            Divider(ui),
            self._choice("settings.text", "text-aa", sizes),
            Divider(ui),
            motion,
            padding=0,
            spacing=0,
        )

    def _choice(
        self, key: str, icon: str, choices: Sequence[tuple[str, bool, dict[str, Any]]]
    ) -> Widget:
        ui = self.ui
        chips = [
            Chip(
                ui,
                text,
                partial(ui.set_appearance, **change),
                chosen=chosen,
                focus_key=f"{key}.{number}",
                prefers_focus=chosen,
            )
            for number, (text, chosen, change) in enumerate(choices)
        ]
        head = Row(
            ui, Icon(ui, icon, 24, colour="muted"), Text(ui, ui.t(key), "body"), spacing=theme.L
        )
        return Column(
            ui, head, flow(ui, chips), spacing=theme.S, padding=(theme.L, theme.M, theme.L, theme.M)
        )

    # Push

    def _push(self) -> Widget:
        ui = self.ui
        token = self.shop.presenter.push_token
        row = _switch_row(
            ui,
            ui.t("settings.push.switch"),
            ui.t("settings.push.on" if token else "settings.push.off"),
            "bell-ringing",
            is_on=bool(token),
            on_change=self.set_push,
            key="settings.push",
        )
        if not token:
            return Card(ui, row, padding=0)
        detail = Text(ui, ui.t("settings.push.token", token=token), "code", colour="muted")
        return Card(
            ui,
            row,
            Column(ui, detail, padding=(theme.L, 0, theme.L, theme.L)),
            padding=0,
            spacing=0,
        )

    def set_push(self, is_on: bool) -> None:
        """Register with a simulated provider, or end that. A real token comes from the push library."""
        engagement = self.shop.engagement
        if is_on:
            token = f"simulated-{uuid.uuid4().hex[:16]}"
            self.shop.presenter.push_token = token
            engagement.register_push(token)
        else:
            self.shop.presenter.push_token = ""
            engagement.unregister_push()
        self.rebuild()

    # The device

    def _device(self) -> Widget:
        ui, capabilities = self.ui, self.shop.platform.capabilities()
        rows: list[Widget] = []
        for name in CAPABILITIES:
            if rows:
                rows.append(Divider(ui))
            capability = capabilities[name]
            simulated = capability.source == "simulated"
            source = ui.t("device.simulated" if simulated else "device.real")
            reading = self._readings.get(name)
            words = Column(
                ui,
                Text(ui, ui.t(f"device.{name}"), "body"),
                Text(ui, reading or source, "caption", colour="primary" if reading else "muted"),
                spacing=2,
            )
            attempt = Button(
                ui,
                ui.t(f"device.{name}.try"),
                partial(self.attempt, name),
                kind="tonal",
                focus_key=f"device.{name}",
                disabled=not capability.is_available,
            )
            rows.append(
                Row(
                    ui,
                    Icon(ui, _CAPABILITY_ICONS[name], 24, colour="muted"),
                    words,
                    attempt,
                    spacing=theme.L,
                    padding=(theme.L, theme.S, theme.L, theme.S),
                )
            )
        return _list(ui, rows)

    def attempt(self, name: CapabilityName) -> None:
        """Use a capability of the device, and show what came of it."""
        try:
            reading = self._use(name)
        except UnavailableError as error:
            reading = str(error)
        self._readings[name] = reading
        self.rebuild()

    def _use(self, name: CapabilityName) -> str:
        ui, device = self.ui, self.shop.platform
        match name:
            case "notification":
                device.notify(ui.t("app.name"), ui.t("device.notification.text"))
                return ui.t("device.notification.done")
            case "battery":
                battery = device.battery()
                state = "charging" if battery.is_charging else "battery"
                return ui.t(
                    f"device.battery.{state}", percent=ui.translator.percent(battery.percent / 100)
                )
            case "device_name":
                return device.device_name()
            case "vibration":
                device.vibrate(0.2)
                return ui.t("device.vibration.done")
            case "gps":
                return self._toggle_gps()

    def _toggle_gps(self) -> str:
        if self._has_gps:
            self._has_gps = False
            self.shop.platform.stop_gps()
            return self.ui.t("device.gps.stopped")
        self._has_gps = True
        self._readings.pop("gps", None)
        self.shop.platform.start_gps(self._on_place)
        return self._readings.get("gps", self.ui.t("device.gps.searching"))

    def _on_place(self, place: Place) -> None:
        number = self.ui.translator.number
        self._readings["gps"] = self.ui.t(
            "device.gps.place",
            latitude=number(place.latitude, 4),
            longitude=number(place.longitude, 4),
            metres=number(place.accuracy_m),
        )
        self._rebuild_soon()


def flow(ui: Ui, chips: Sequence[Widget]) -> Widget:
    """Put chips side by side, on as many lines as they need."""
    from kivy.uix.stacklayout import StackLayout  # noqa: PLC0415 - the one place that flows

    gap = ui.dp(theme.S)
    stack = StackLayout(size_hint_y=None, spacing=(gap, gap))
    stack.bind(minimum_height=stack.setter("height"))
    for chip in chips:
        chip.height = max(chip.height, ui.dp(theme.TARGET))
        stack.add_widget(chip)
    return stack


def _section(screen: Screen, key: str, content: Widget) -> Widget:
    return Column(
        screen.ui, Text(screen.ui, screen.ui.t(key), "subtitle"), content, spacing=theme.S
    )


def _list(ui: Ui, rows: Sequence[Widget]) -> Widget:
    return Surface(ui, Column(ui, *rows, spacing=0), raised=True)


def _switch_row(
    ui: Ui,
    title: str,
    text: str,
    icon: str,
    *,
    is_on: bool,
    on_change: Callable[[bool], object],
    key: str,
    disabled: bool = False,
) -> Widget:
    """A line with a switch at its end."""
    switch = Switch(ui, is_on, on_change, name=title, focus_key=key)
    switch.disabled = disabled
    words = Column(
        ui, Text(ui, title, "body"), Text(ui, text, "caption", colour="muted"), spacing=2
    )
    return Row(
        ui,
        Icon(ui, icon, 24, colour="muted"),
        words,
        switch,
        spacing=theme.L,
        padding=(theme.L, theme.M),
    )


def _avatar(ui: Ui, letters: str) -> Widget:
    edge = ui.dp(64)
    box = RelativeLayout(size_hint=(None, None), size=(edge, edge))
    paint.area(box.canvas.before, ui.colour("primary"), edge / 2).place(0, 0, edge, edge)
    label = Text(ui, letters, "title", colour="on_primary", wrap=False)
    label.center = (edge / 2, edge / 2)
    box.add_widget(label)
    return box
