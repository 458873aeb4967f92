"""The demo from the first line to the last: find a gateway, live the lives, say what came out."""

import argparse
import contextlib
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from client_demo.fleet import crew, devices, installation, journeys, purchases, report, verify
from client_demo.fleet.admin import Admin
from client_demo.fleet.errors import DemoError
from client_demo.fleet.installation import Gateway
from client_demo.fleet.life import Life, Pace, Shop
from client_demo.fleet.tally import Outcome, Tally

CUSTOMERS = 1_500
# Few enough that messages stay quick; with the whole history the way is long, so a few more.
AT_ONCE_PER_PROCESSOR, AT_ONCE_PER_PROCESSOR_ALL = 16, 24
AT_ONCE_MAX = 1_024
PROCESSES_MAX = 16
SEED = 1997
RECENT = 200
SAID_EVERY_S = 20.0
# A journey is live everywhere within a second after it was saved.
LIVE_S = 1.2


def run(argv: Sequence[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False)
    try:
        return _run(arguments, console)
    except DemoError as error:
        console.print(f"[bold red]The demo cannot go on:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client_demo.fleet",
        description="Real customers' purchases, real devices, one SDK client each, and a gateway.",
        epilog="With make: make demo ARGS='--all'. History: CDNOW, 1997–98, 23,570 customers.",
    )
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--customers",
        type=_whole(1, purchases.CUSTOMERS),
        default=CUSTOMERS,
        metavar="N",
        help=f"how many, drawn from the history ({CUSTOMERS:,})",
    )
    number.add_argument(
        "--all",
        action="store_true",
        help="all customers and all 69,659 purchases (about nine minutes on two processors)",
    )
    parser.add_argument(
        "--at-once",
        type=_whole(1, AT_ONCE_MAX),
        metavar="N",
        help=f"apps open at the same time ({AT_ONCE_PER_PROCESSOR} for each processor)",
    )
    parser.add_argument(
        "--processes",
        type=_whole(1, PROCESSES_MAX),
        metavar="N",
        help="processes that share the apps (one for each processor)",
    )
    gateway = parser.add_mutually_exclusive_group()
    gateway.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="data folder of the running gateway (data)",
    )
    gateway.add_argument(
        "--own", action="store_true", help="start a gateway just for the demo in any case"
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="another seed draws other customers and devices"
    )
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"between {least:,} and {most:,}, not {value:,}")
        return value

    read.__name__ = "whole number"
    return read


def _run(arguments: argparse.Namespace, console: Console) -> int:
    usual = AT_ONCE_PER_PROCESSOR_ALL if arguments.all else AT_ONCE_PER_PROCESSOR
    at_once = arguments.at_once or min(AT_ONCE_MAX, usual * crew.processors())
    processes = min(arguments.processes or min(crew.processors(), PROCESSES_MAX), at_once)
    number = purchases.CUSTOMERS if arguments.all else arguments.customers
    history, user_agents = purchases.find(), devices.find()
    with ThreadPoolExecutor(1) as background:
        # Reading takes a second or two, in which the gateway starts.
        reading = background.submit(_cast, history, user_agents, number, arguments.seed)
        with (
            _gateway(arguments, console) as gateway,
            contextlib.closing(Admin(gateway.url, gateway.secret_key)) as admin,
        ):
            if admin.app().get("verify_identity"):
                raise DemoError(
                    "this app takes only logins with a proof, which the demo has none of. "
                    "Turn `verify_identity` off, or use `--own` for a gateway just for the demo."
                )
            installed = journeys.install(admin)
            live_at = time.monotonic() + LIVE_S
            lives = reading.result()
            _introduce(console, lives, at_once)
            time.sleep(max(0.0, live_at - time.monotonic()))
            shop = Shop(gateway.url, gateway.publishable_key, installed)
            result = _live(lives, shop, admin, console, processes=processes, at_once=at_once)
            result.is_gateway_ours = gateway.is_ours
            report.show(console, result)
            _farewell(console, gateway)
    return 1 if result.problems() else 0


@contextlib.contextmanager
def _gateway(arguments: argparse.Namespace, console: Console) -> Iterator[Gateway]:
    data_dir = arguments.data_dir or Path(os.environ.get("ZURUF_DATA_DIR") or "data")
    found = None if arguments.own else installation.running(data_dir)
    if found is not None:
        console.print(
            f"Using the gateway at [bold cyan]{found.url}[/] (app: {escape(found.app_name)})"
        )
        yield found
        return
    if arguments.data_dir is not None:
        raise DemoError(
            f"no gateway answers that keeps its data in {data_dir}. Start one: "
            f"make run ARGS='--data-dir {data_dir}'. Or leave out --data-dir, and the demo starts "
            "one of its own."
        )
    if not arguments.own:
        console.print("No gateway is running here, so the demo starts one of its own ", end="")
        console.print("[dim](`make run` starts one that stays)[/]")
    with (
        console.status("starting the gateway …"),
        contextlib.ExitStack() as stack,
    ):
        began = time.monotonic()
        gateway = stack.enter_context(installation.started())
        took_s = time.monotonic() - began
        kept = stack.pop_all()
    with kept:
        console.print(f"Gateway ready after {took_s:.1f} s at [bold cyan]{gateway.url}[/]")
        yield gateway


def _cast(history: Path, user_agents: Path, number: int, seed: int) -> list[Life]:
    """Choose who lives, and give everybody a device."""
    chance = random.Random(seed)
    customers = purchases.draw(purchases.read(history), number, chance)
    handsets = devices.draw(user_agents, len(customers), chance)
    # A run of its own for each time, so that counts start at nothing.
    run_id = secrets.token_hex(3)
    lives = [
        Life(f"cdnow-{run_id}-{customer.id}", customer, handset)
        for customer, handset in zip(customers, handsets, strict=True)
    ]
    chance.shuffle(lives)
    return lives


def _introduce(console: Console, lives: Sequence[Life], at_once: int) -> None:
    orders = sum(len(life.customer.purchases) for life in lives)
    named: dict[str, str] = {}
    for life in lives:
        device = life.handset.described
        if device.manufacturer and device.model:
            named.setdefault(life.handset.form_factor, f"{device.manufacturer} {device.model}")
    console.print(
        f"[bold]{len(lives):,}[/] customers of CDNOW with [bold]{orders:,}[/] real purchases "
        f"(1997–98), {at_once} at a time;\n18 months pass in {544 * Pace().day_s:.1f} s. "
        f"Their devices: {escape(', '.join(named.values()))} …"
    )


def _live(
    lives: Sequence[Life],
    shop: Shop,
    admin: Admin,
    console: Console,
    *,
    processes: int,
    at_once: int,
) -> report.Result:
    tally, outcomes, warnings = Tally(), list[Outcome](), Counter[str]()
    with report.progress(console) as bars:
        task = bars.add_task("customers", total=len(lives), note="")
        said_s = time.monotonic()

        def told(news: crew.News) -> None:
            nonlocal said_s
            for outcome in news.outcomes:
                outcomes.append(outcome)
                tally.add(outcome)
            warnings.update(news.warnings)
            note = report.note(tally, tally.latencies_ms[-RECENT:])
            bars.update(task, completed=tally.lives, note=note)
            # A log shows no bars, but whoever reads it wants to know that something happens.
            if not console.is_terminal and time.monotonic() - said_s >= SAID_EVERY_S:
                said_s = time.monotonic()
                console.print(f"{tally.lives:,} of {len(lives):,} customers · {note}")

        before = admin.metrics()
        began = time.monotonic()
        is_complete = crew.run(lives, shop, Pace(), processes=processes, at_once=at_once, told=told)
        seconds = time.monotonic() - began
        bars.remove_task(task)

        task = bars.add_task("checking profiles", total=len(outcomes), note="")
        counted = verify.settled_metrics(admin, before)
        lived = [outcome for outcome in outcomes if outcome.error is None]
        verdict = verify.check(admin, lived, lambda: bars.advance(task))
    thanks = next(id for id, name in shop.journeys.items() if name == journeys.THANKS)
    return report.Result(
        tally=tally,
        seconds=seconds,
        counted=counted,
        verdict=verdict,
        story=verify.story(admin, lived, thanks),
        warnings=warnings,
        is_complete=is_complete,
    )


def _farewell(console: Console, gateway: Gateway) -> None:
    if gateway.is_ours:
        console.print(
            "[dim]This gateway goes now. `make run` starts one that stays; `make demo` finds it.[/]"
        )
    else:
        console.print(f"[dim]Look around: {gateway.console_url} · API: {gateway.url}/docs[/]")
