"""`zuruf`: one program, one command per role."""

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from gateway import __version__
from gateway.errors import CommandError, SettingError, ZurufError
from gateway.settings import Settings, read_settings

if TYPE_CHECKING:
    from gateway.app import Core
    from gateway.apps.model import App
    from gateway.embedded.credentials import Credentials

_DEMO_APP = "Demo shop"
_NAME_CHARS_MAX = 100
_GRACE_S_MAX = 10 * 366 * 86_400


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except SettingError as error:
        print(f"zuruf: {error}\nSee `zuruf doctor` for all settings.", file=sys.stderr)
    except ZurufError as error:
        print(f"zuruf: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zuruf",
        description="Events in, the right message on the device milliseconds later.",
        epilog="Every setting is also an environment variable: ZURUF_<NAME>. `zuruf doctor` lists them.",
    )
    parser.add_argument("--version", action="version", version=f"zuruf {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start everything on this machine")
    for flag, kind, text in (
        ("port", int, "port of the device API (8080)"),
        ("host", str, "address to listen on (127.0.0.1)"),
        ("data-dir", str, "folder of everything that must survive (data)"),
        ("edges", int, "edge processes (2)"),
        ("workers", int, "worker processes (1)"),
    ):
        up.add_argument(f"--{flag}", type=kind, help=text)
    up.add_argument("--quiet", action="store_true", help="print only what goes wrong")
    up.set_defaults(command=_up)

    for role, text, run in (
        ("edge", "the device API", _edge),
        ("worker", "profiles, journeys, messages", _worker),
        ("console", "the admin API", _console),
    ):
        command = commands.add_parser(role, help=f"one process of a role: {text}")
        command.add_argument("--slot", type=int, default=0, help="its number on this machine")
        command.set_defaults(command=run)

    doctor = commands.add_parser("doctor", help="say what is wrong with this machine or a setting")
    doctor.set_defaults(command=_doctor)

    app = commands.add_parser("app", help="apps and their keys")
    app.add_argument("--data-dir", help="data folder of the running gateway (data)")
    actions = app.add_subparsers(title="actions", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create an app and print its keys, once")
    create.add_argument("name", type=_app_name)
    create.set_defaults(command=_app_create)
    keys = actions.add_parser("keys", help="list apps and their keys")
    keys.add_argument("app_id", nargs="?")
    keys.set_defaults(command=_app_keys)
    rotate = actions.add_parser("rotate", help="a new key of an app")
    rotate.add_argument("app_id")
    rotate.add_argument(
        "--kind", choices=["publishable", "secret", "token", "identity"], default="secret"
    )
    rotate.add_argument(
        "--grace",
        type=_grace,
        default=86_400,
        metavar="SECONDS",
        help="the old key lives on (86400)",
    )
    rotate.set_defaults(command=_app_rotate)
    return parser


def _app_name(text: str) -> str:
    """A name as the admin API takes it, too."""
    if not 1 <= len(text) <= _NAME_CHARS_MAX or not text.isprintable():
        raise argparse.ArgumentTypeError(f"1 to {_NAME_CHARS_MAX} letters, all of them printable")
    return text


def _grace(text: str) -> int:
    seconds = int(text)
    if not 0 <= seconds <= _GRACE_S_MAX:
        raise argparse.ArgumentTypeError(f"between 0 and {_GRACE_S_MAX} seconds")
    return seconds


# -- everything on one machine ----------------------------------------------------------------


def _up(arguments: argparse.Namespace) -> int:
    from gateway.embedded.process import raise_open_files_limit
    from gateway.embedded.supervisor import Supervisor, roles_of
    from gateway.embedded.terminal import Terminal

    settings = read_settings(
        port=arguments.port,
        host=arguments.host,
        data_dir=arguments.data_dir,
        edges=arguments.edges,
        workers=arguments.workers,
    )
    raise_open_files_limit()
    supervisor = Supervisor(
        settings,
        roles_of(settings),
        lambda url: asyncio.run(_prepare(settings, url)),
        terminal=Terminal(quiet=arguments.quiet),
    )
    return supervisor.run()


async def _prepare(settings: Settings, url: str) -> "Credentials":
    """Make sure that there is a demo app, and that we know its keys."""
    from gateway.app import open_core
    from gateway.apps.model import new_app
    from gateway.embedded.credentials import AppCredentials, Credentials, read_credentials
    from gateway.embedded.ports import console_port, url_of

    url_here = url_of(settings.host, settings.port)
    console_url = url_of(settings.host, console_port(settings))
    async with open_core(msgspec.structs.replace(settings, valkey_url=url), "up") as core:
        known = read_credentials(settings.data_path)
        if known is not None:
            app = known.app
            now = core.clock.now_ms()
            if core.apps.by_key("publishable", app.publishable_key, now) and core.apps.by_key(
                "secret", app.secret_key, now
            ):
                return Credentials(url=url_here, console_url=console_url, app=app)
        made, publishable, secret = new_app(_DEMO_APP, core.clock.now_ms())
        await core.apps.save(made)
        return Credentials(
            url=url_here,
            console_url=console_url,
            app=AppCredentials(
                id=made.id, name=made.name, publishable_key=publishable, secret_key=secret
            ),
        )


# -- single roles -----------------------------------------------------------------------------


def _run_role(role: str, slot: int, start: Callable[[Settings, str], Awaitable[None]]) -> int:
    import uvloop

    from gateway.embedded.process import die_with_parent, raise_open_files_limit
    from gateway.logs import configure_logs

    die_with_parent()
    settings = read_settings()
    process = f"{socket.gethostname()}:{role}-{slot}"
    configure_logs(process, settings.log_level)
    raise_open_files_limit()
    # Requests leave hardly any cycles behind, but each allocates hundreds of objects: at the default
    # threshold of 700 the collector would run several times per batch.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

    async def run() -> None:
        await start(settings, process)

    uvloop.run(run())
    return 0


def _edge(arguments: argparse.Namespace) -> int:
    async def start(settings: Settings, process: str) -> None:
        from gateway.app import Serve, create_app
        from gateway.server import serve

        kinds: tuple[Serve, ...] = ("device", "admin") if settings.serve_admin else ("device",)
        await serve(create_app(settings, process=process, serve=kinds), settings, settings.port)

    return _run_role("edge", arguments.slot, start)


def _console(arguments: argparse.Namespace) -> int:
    async def start(settings: Settings, process: str) -> None:
        from gateway.app import create_app
        from gateway.embedded.ports import console_port
        from gateway.server import serve

        application = create_app(settings, process=process, serve=("admin",))
        await serve(application, settings, console_port(settings))

    return _run_role("console", arguments.slot, start)


def _worker(arguments: argparse.Namespace) -> int:
    async def start(settings: Settings, process: str) -> None:
        from gateway.app import new_worker, open_core

        async with open_core(settings, process) as core:
            worker = new_worker(core, process)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, worker.stop)
            await worker.run()

    return _run_role("worker", arguments.slot, start)


# -- the rest ---------------------------------------------------------------------------------


def _doctor(_arguments: argparse.Namespace) -> int:
    from gateway import doctor

    return doctor.run()


def _with_core(arguments: argparse.Namespace, work: "Callable[[Core], Awaitable[None]]") -> int:
    """Do something with the apps of the gateway that runs on the data folder."""
    from gateway.app import open_core
    from gateway.embedded.valkey import EmbeddedValkey

    settings = read_settings(data_dir=arguments.data_dir)
    if not settings.valkey_url:
        if not settings.data_path.is_dir():
            raise CommandError(f"no gateway has run on {settings.data_path}: `zuruf up` first")
        url = EmbeddedValkey(settings.data_path).url
        settings = msgspec.structs.replace(settings, valkey_url=url)

    async def run() -> None:
        async with open_core(settings, f"app-{os.getpid()}") as core:
            await work(core)

    asyncio.run(run())
    return 0


def _app_create(arguments: argparse.Namespace) -> int:
    async def create(core: "Core") -> None:
        from gateway.apps.model import new_app

        app, publishable, secret = new_app(arguments.name, core.clock.now_ms())
        await core.apps.save(app)
        print(f"app              {app.id}  {app.name}")
        print(f"publishable key  {publishable}")
        print(f"secret key       {secret}")
        print("The keys are not shown again: only their digests are stored.")

    return _with_core(arguments, create)


def _app_keys(arguments: argparse.Namespace) -> int:
    async def show(core: "Core") -> None:
        apps = [app for app in core.apps.all() if arguments.app_id in {None, app.id}]
        if not apps:
            raise CommandError(f"no app {arguments.app_id or ''}: `zuruf app create NAME`")
        _print_keys(apps, core.clock.now_ms())

    return _with_core(arguments, show)


def _print_keys(apps: "list[App]", now_ms: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("app", "name", "kind", "key id", "created (UTC)", "ends (UTC)", box=None)
    for app in apps:
        for key in app.keys:
            state = "" if key.is_live(now_ms) else " (over)"
            ends = "" if key.expires_at is None else _day(key.expires_at) + state
            name = Text(_printable(app.name))  # a name may look like markup
            table.add_row(app.id, name, key.kind, key.id, _day(key.created_at), ends)
    Console().print(table)


def _printable(text: str) -> str:
    """Without what would move the cursor or clear the terminal: a name is chosen over the network."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _day(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at_ms / 1000))


def _app_rotate(arguments: argparse.Namespace) -> int:
    async def rotate(core: "Core") -> None:
        from gateway.apps.model import rotate_identity_secret, rotate_key, rotate_token_key

        app = core.apps.get(arguments.app_id)
        if app is None:
            raise CommandError(f"no app {arguments.app_id}: `zuruf app keys` lists them")
        match arguments.kind:
            case "token":
                await core.apps.save(rotate_token_key(app), replacing=app)
                print("New device tokens get a new key; those of the last one stay valid.")
            case "identity":
                rotated = rotate_identity_secret(app)
                await core.apps.save(rotated, replacing=app)
                print(f"identity secret  {core.apps.identity_secret(rotated)}")
                print("Proofs signed with the old one are not accepted any more.")
            case kind:
                now = core.clock.now_ms()
                rotated, text = rotate_key(app, kind, now, arguments.grace)
                await core.apps.save(rotated, replacing=app)
                print(f"{kind} key  {text}")
                print(f"Older ones end in {arguments.grace} s. The key is not shown again.")

    return _with_core(arguments, rotate)


if __name__ == "__main__":
    sys.exit(main())
