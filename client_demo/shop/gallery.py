"""Pictures of every screen and overlay: phone, tablet and television, light and dark.

    python -m client_demo.shop.gallery --out screenshots
    python -m client_demo.shop.gallery --montage docs/images/shop.png

`make screenshots` calls the first; the second makes the picture of the README. One process for each form
factor, because a window that grew cannot be photographed, and because they run side by side.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from client_demo.shop import launch
from client_demo.shop.engagement import Engagement
from client_demo.shop.i18n import LANGUAGES, Language
from client_demo.shop.layout import FORM_FACTORS, FormFactor
from client_demo.shop.traffic import Answer, Traffic
from zuruf import (
    Button,
    Content,
    Diagnostics,
    HttpTransport,
    InboxMessage,
    Message,
    Question,
    Show,
    Survey,
)

if TYPE_CHECKING:
    from client_demo.shop.headless import Headless
    from client_demo.shop.ui import Ui

SHOTS: tuple[str, ...] = (
    "home",
    "home-offline",
    "catalogue",
    "catalogue-empty",
    "product",
    "basket",
    "basket-empty",
    "checkout",
    "checkout-errors",
    "confirmation",
    "inbox",
    "profile",
    "consent",
    "settings",
    "support",
    "developer",
    "overlay-banner",
    "overlay-slideup",
    "overlay-modal",
    "overlay-fullscreen",
    "overlay-inline",
    "overlay-survey",
    "overlay-survey-choice",
    "overlay-chat",
    "overlay-modal-own",
    "dialog",
)
WITHOUT: Mapping[FormFactor, frozenset[str]] = {"tv": frozenset({"checkout-errors"})}
"""What a form factor does not have: nobody types an address with a remote control."""
THEMES = ("light", "dark")
MONTAGE: Mapping[FormFactor, str] = {"phone": "overlay-modal", "tablet": "home", "tv": "product"}
"""What each device shows in the picture of the README."""
DOT = "."
"""What a child prints for each picture."""

_TEXTS: dict[Language, dict[str, tuple[str, str, str]]] = {
    "en": {
        "banner": ("Your throw is back", "Ochre is in stock again.", "Have a look"),
        "slideup": ("Free shipping tonight", "On everything, until midnight.", "Shop lamps"),
        "modal": ("Thank you, Mara!", "This was your fifth order. The next one ships for free.", "Lovely"),
        "fullscreen": ("The winter table", "Twelve new pieces, made by five workshops.", "See them all"),
        "inline": ("Two mugs, one price", "Pick any two Morning mugs, pay for the dearer one.", "Choose"),
        "survey": ("How was it?", "Three questions, half a minute.", "Send"),
        "chat": ("Jule from Moorlind", "Your lamp is late. Shall we sort it out together?", ""),
    },
    "de": {
        "banner": ("Die Decke ist zurück", "Ocker ist wieder da.", "Ansehen"),
        "slideup": ("Heute versandfrei", "Auf alles, bis Mitternacht.", "Zu den Lampen"),
        "modal": ("Danke, Mara!", "Das war Bestellung Nummer fünf, die nächste ist versandfrei.", "Schön"),
        "fullscreen": ("Der Wintertisch", "Zwölf neue Stücke aus fünf Werkstätten.", "Alle ansehen"),
        "inline": ("Zwei Becher, ein Preis", "Zwei Becher wählen, nur den teureren zahlen.", "Aussuchen"),
        "survey": ("Wie war es?", "Drei Fragen, eine halbe Minute.", "Absenden"),
        "chat": ("Jule von Moorlind", "Deine Lampe verspätet sich. Wollen wir das zusammen klären?", ""),
    },
}  # fmt: skip
_QUESTIONS: dict[Language, tuple[Question, ...]] = {
    "en": (
        Question("stars", "rating", "How do you like what came?", scale=5),
        Question("found", "choice", "How did you find us?", ("A friend", "A search", "By chance")),
        Question("more", "text", "What should we make next?"),
    ),
    "de": (
        Question("stars", "rating", "Wie gefällt, was ankam?", scale=5),
        Question("found", "choice", "Wie wurden wir gefunden?", ("Freunde", "Suche", "Zufall")),
        Question("more", "text", "Was sollen wir als Nächstes machen?"),
    ),
}  # fmt: skip
_LOOKS: dict[str, dict[str, str]] = {
    "banner": {"art": "wool-throw-ochre"},
    "slideup": {"icon": "truck"},
    "modal": {"icon": "gift"},
    "modal-own": {"icon": "moon", "background": "#2a1e4d", "accent": "#ffd166"},
    "fullscreen": {"art": "hero"},
    "inline": {"art": "morning-mug-sage"},
    "chat": {"icon": "chat-circle-dots"},
}
_NOON = 1_763_722_800.0
_LATENCIES = (5, 7, 4, 6, 22, 5, 4, 9, 5, 6, 4, 5, 31, 6, 5, 4, 7, 6)
_ANSWERS: tuple[tuple[str, str, int | None, int, str], ...] = (
    ("POST", "/v1/events", 200, 6, ""),
    ("GET", "/v1/messages/stream", 200, 4, ""),
    ("POST", "/v1/events", 503, 11, ""),
    ("POST", "/v1/events", None, 10_001, "timed out"),
    ("GET", "/v1/config", 304, 3, ""),
    ("POST", "/v1/devices", 201, 9, ""),
)
_INBOX: tuple[tuple[str, int, bool], ...] = (
    ("banner", 1, False),
    ("modal", 14, False),
    ("inline", 190, True),
    ("survey", 26 * 60, False),
    ("fullscreen", 4 * 24 * 60, True),
)
"""Layout, age in minutes, and whether it was read."""


def shots_of(form_factor: FormFactor, wanted: Sequence[str] = SHOTS) -> tuple[str, ...]:
    """Give those of the wanted shots that there are on a form factor."""
    return tuple(shot for shot in wanted if shot not in WITHOUT.get(form_factor, ()))


def sample(name: str, language: Language) -> Message:
    """Make a message of a layout, as a gateway would send it; `modal-own` has colours of its own."""
    layout = name.partition("-")[0]
    title, body, action = _TEXTS[language][layout]
    later = "Later" if language == "en" else "Später"
    buttons: tuple[Button, ...] = (
        Button("yes", action, {"type": "deep_link", "url": "shop://catalogue"}),
        Button("no", later, {"type": "dismiss"}),
    )
    return Message(
        id=f"sample-{name}",
        content=Content(
            layout=layout,
            title=title,
            body=body,
            buttons=() if layout in {"survey", "chat"} else buttons,
            theme=_LOOKS.get(name, {}),
            survey=Survey(_QUESTIONS[language]) if layout == "survey" else None,
        ),
        expires_at=2**53,
    )


def sample_inbox(language: Language) -> tuple[InboxMessage, ...]:
    """Make an inbox of some days."""
    now = round(time.time() * 1000)
    return tuple(
        InboxMessage(replace(sample(layout, language), created_at=now - minutes * 60_000), is_read)
        for layout, minutes, is_read in _INBOX
    )


class _SampledTraffic(Traffic):
    """A line on which much has happened."""

    def __init__(self) -> None:
        super().__init__(
            HttpTransport("http://127.0.0.1:8080", connect_timeout_s=1.0, read_timeout_s=1.0)
        )

    def answers(self) -> tuple[Answer, ...]:
        return tuple(
            Answer(_NOON - 4 * number, method, path, status, took_ms, error)
            for number, (method, path, status, took_ms, error) in enumerate(_ANSWERS)
        )


class _Sampled(Engagement):
    """The SDK connected, with messages in its inbox and a day behind it."""

    def __init__(self, ui: Ui) -> None:
        super().__init__(None, traffic=_SampledTraffic())
        self._ui = ui

    @property
    def is_configured(self) -> bool:
        return True

    @property
    def inbox(self) -> tuple[InboxMessage, ...]:
        return sample_inbox(self._ui.language)

    @property
    def unread(self) -> int:
        return sum(not is_read for _, _, is_read in _INBOX)

    def remote_values(self) -> Mapping[str, object]:
        return {"free_shipping_from": 60, "new_home": True}

    def diagnostics(self) -> Diagnostics:
        return Diagnostics(
            queue_events=7,
            queue_bytes=3412,
            sent_events=1284,
            dropped={"consent": 12, "queue_full": 3},
            storage="disk",
            clock_offset_ms=-214,
            clock_rtt_ms=18,
            stream_state="sse",
            device_id="dev_01hzx8k2v9q4w7e6",
            profile_id="prf_9f27ab31c0de4411",
            user_id="u_mara",
            session_id="018f3b7e-77aa-7bd2-a5c4-2b1d0f3a9e11",
        )


def shown(message: Message) -> Show:
    """Make what an app reports to; here nobody listens."""
    return Show(message, lambda name, props: None, lambda: True)


# --- one form factor ---------------------------------------------------------------------------


def prepare(app: Headless) -> None:
    """Connect, and fill basket, favourites and person, so that there is something to see."""
    store = app.shop.store
    app.shop.engagement = _Sampled(app.shop.ui)
    store.log_in("u_mara")
    store.basket.clear()
    for product_id, variant, quantity in (
        ("dune-lamp", "moss", 1),
        ("morning-mug", "sage", 2),
        ("wool-throw", "ochre", 1),
    ):
        product = store.catalogue.find(product_id)
        assert product is not None, "the shop sells what the gallery shows"
        store.basket.add(product, variant, quantity)
    store.favourites = {"tide-vase", "olive-tree"}


def stage(app: Headless, shot: str) -> Callable[[], None]:
    """Bring the app to what a picture is to show; gives what takes it back."""
    shop = app.shop
    match shot:
        case "catalogue-empty":
            app.go("shop://catalogue?query=xylophone")
        case "product":
            app.go("shop://product/tide-vase")
        case "basket-empty":
            kept = shop.store.basket.saved()
            shop.store.basket.clear()
            app.go("shop://basket")
            return lambda: shop.store.basket.restore(kept)
        case "checkout-errors":
            app.go("shop://home")
            app.go("shop://checkout")
            return _refused(app)
        case "home-offline":
            return _disconnected(app)
        case "confirmation":
            return _confirmed(app)
        case "developer":
            shop.presenter.latencies.clear()
            shop.presenter.latencies.extend(_LATENCIES)
            app.go("shop://developer")
        case "overlay-survey-choice":
            undo = stage(app, "overlay-survey")
            for key in ("survey.4", "survey.next"):
                shop.shell.focus.set_by_key(key)
                shop.shell.focus.current.activate()
                app.frames()
            return undo
        case "dialog":
            app.go("shop://consent")
            shop.shell.focus.set_by_key("consent.delete")
            shop.shell.focus.current.activate()
            app.until(lambda: bool(shop.shell.focus.set_by_key("dialog.no")))
            app.frames(30)
            return lambda: app.key("back")
        case _ if shot.startswith("overlay-"):
            app.go("shop://home")
            layout = shot.partition("-")[2]
            message = sample(layout, shop.ui.language)
            app.until(lambda: shop.presenter.stage.is_free)
            shop.presenter.present(message, shown(message))
            app.until(lambda: shop.presenter.is_settled)
            return lambda: shop.presenter.message_ended(f"sample-{layout}")
        case _:
            app.go(f"shop://{shot}")
    return lambda: None


def _refused(app: Headless) -> Callable[[], None]:
    """Leave out the street, mistype the address, and order."""
    from client_demo.shop.headless import FRAME_S  # noqa: PLC0415
    from client_demo.shop.screens.checkout import CheckoutScreen  # noqa: PLC0415
    from client_demo.shop.shell import TOAST_S  # noqa: PLC0415

    shop = app.shop
    screen = shop.shell.screen
    assert isinstance(screen, CheckoutScreen), "that is where one was sent"
    form = screen.model
    form.set("email", "mara@example")
    form.set("street", "")
    app.until(lambda: shop.shell.focus.set_by_key("checkout.place"))
    shop.shell.focus.current.activate()
    assert set(form.errors) == {"email", "street"}, "otherwise the order was placed"
    # The toast would stand in the next pictures as well.
    return lambda: app.frames(round(TOAST_S / FRAME_S) + 1)


def _disconnected(app: Headless) -> Callable[[], None]:
    shop = app.shop

    def use(engagement: Engagement) -> None:
        shop.engagement = engagement
        # Nobody listens to it: screen and menu are built anew as with another theme.
        shop.ui.changed()
        app.frames()

    connected = shop.engagement
    app.go("shop://home")
    use(Engagement(None))
    return lambda: use(connected)


def _confirmed(app: Headless) -> Callable[[], None]:
    from datetime import date  # noqa: PLC0415

    kept = app.shop.store.basket.saved()
    assert kept, "an order has something in it"
    order = app.shop.store.place_order("ML-7KQ2RD", date(2026, 11, 20))
    app.go(f"shop://confirmation?order={order.number}")

    def back() -> None:
        app.shop.store.orders.clear()
        app.shop.store.basket.restore(kept)

    return back


def shoot(app: Headless, out: Path, shots: Sequence[str], themes: Sequence[str]) -> Iterator[Path]:
    """Take the pictures, and name each file when it is there."""
    prepare(app)
    form_factor = app.shop.ui.layout.form_factor
    for theme in themes:
        app.shop.ui.set_appearance(dark=theme == "dark")
        for shot in shots:
            undo = stage(app, shot)
            # Fingers need no ring; on television it stays.
            app.shop.shell.focus.on_touch()
            app.frames()
            file = out / f"{form_factor}-{shot}-{theme}.png"
            app.picture(file)
            undo()
            app.frames(2)
            yield file


def child(
    form_factor: FormFactor,
    language: Language,
    out: Path,
    shots: Sequence[str],
    themes: Sequence[str],
) -> int:
    """Take the pictures of one form factor in this process."""
    with tempfile.TemporaryDirectory(prefix="moorlind-") as folder:
        options = launch.parse(
            [
                "--form-factor", form_factor, "--headless", "0", "--language", language, "--simulate",
                "--reduced-motion", "--no-dark", "--state-dir", folder, "--data-dir", folder,
            ]
        )  # fmt: skip
        os.environ.update(launch.environment(options, os.environ))
        from client_demo.shop.headless import Headless  # noqa: PLC0415

        app = Headless(options)
        for _ in shoot(app, out, shots, themes):
            print(DOT, flush=True)
        app.close()
    return 0


# --- all of them -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """What one process is to photograph."""

    form_factor: FormFactor
    language: str
    out: Path
    shots: tuple[str, ...]
    themes: tuple[str, ...]

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "client_demo.shop.gallery", "--child"),
            *("--only", self.form_factor, "--language", self.language, "--out", str(self.out)),
            *("--shots", *self.shots, "--themes", *self.themes),
        ]

    @property
    def quantity(self) -> int:
        return len(self.shots) * len(self.themes)


def main(argv: Sequence[str] | None = None) -> int:
    """Take all pictures; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m client_demo.shop.gallery", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("screenshots"), metavar="DIR")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--only", choices=get_args(FormFactor), help="one form factor")
    parser.add_argument("--shots", nargs="+", default=SHOTS, choices=SHOTS, metavar="SHOT")
    parser.add_argument("--themes", nargs="+", default=THEMES, choices=THEMES, metavar="THEME")
    parser.add_argument(
        "--montage", type=Path, metavar="FILE", help="the three devices in one picture instead"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.child:
        return child(given.only, given.language, given.out, given.shots, given.themes)
    try:
        launch.check_machine()
    except launch.LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    if given.montage is not None:
        return _montage(given.montage, given.language)
    chosen = [given.only] if given.only else list(FORM_FACTORS)
    sessions = [
        Session(one, given.language, given.out, shots, tuple(given.themes))
        for one in chosen
        if (shots := shots_of(one, given.shots))
    ]
    return _all(sessions, given.out)


def _montage(file: Path, language: str) -> int:
    """Photograph each device, and have another process put the pictures side by side."""
    with tempfile.TemporaryDirectory(prefix="moorlind-") as folder:
        out = Path(folder)
        sessions = [
            Session(one, language, out, (shot,), ("light",)) for one, shot in MONTAGE.items()
        ]
        if code := _all(sessions, out):
            return code
        pictures = [str(out / f"{one}-{shot}-light.png") for one, shot in MONTAGE.items()]
        command = [sys.executable, "-m", "client_demo.shop.montage", str(file), *pictures]
        return subprocess.run(command, check=False).returncode


def _all(sessions: Sequence[Session], out: Path) -> int:
    out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    failed: list[str] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:

        def run(session: Session) -> None:
            task = bars.add_task(f"{session.form_factor:7}", total=session.quantity)
            with subprocess.Popen(
                session.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None and process.stderr is not None  # noqa: PT018
                for line in process.stdout:
                    if line.strip() == DOT:
                        bars.advance(task)
                complaint = process.stderr.read()
            if process.returncode:
                failed.append(session.form_factor)
                console.print(
                    f"[red]{session.form_factor} failed:[/]\n{complaint[-2000:]}", markup=False
                )

        threads = [threading.Thread(target=run, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        return 1
    console.print(f"{sum(session.quantity for session in sessions)} pictures in [bold]{out}[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
