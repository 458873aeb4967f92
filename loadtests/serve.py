"""Serves an ASGI app in N processes, each with a listening socket of its own (SO_REUSEPORT).

`python -m loadtests.serve loadtests.floor:app --port 9000 --processes 2 --server uvicorn`
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import signal
import socket
from types import FrameType

import uvicorn

from loadtests.engine import die_with_parent

SERVERS = ("uvicorn", "granian")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--server", choices=SERVERS, default="uvicorn")
    options = parser.parse_args()
    die_with_parent()
    if options.server == "granian":
        _granian(options.app, options.port, options.processes)
    else:
        _uvicorn(options.app, options.port, options.processes)


def _uvicorn(app: str, port: int, processes: int) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_worker, args=(app, port)) for _ in range(processes)]
    for worker in workers:
        worker.start()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for worker in workers:
            worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for worker in workers:
        worker.join()


def _worker(app: str, port: int) -> None:
    die_with_parent()
    # A batch of 50 makes hundreds of objects: with the default threshold of 700 the collector takes
    # a fifth of the twin's throughput.
    gc.set_threshold(50_000, 20, 100)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        backlog=4096,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _granian(app: str, port: int, processes: int) -> None:
    from granian.constants import Interfaces, Loops  # noqa: PLC0415 - optional, only to compare
    from granian.server import Server  # noqa: PLC0415

    Server(
        app,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=processes,
        backlog=4096,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
