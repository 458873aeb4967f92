"""Ports of this machine: whether one is free, and what a gateway on it says of itself."""

import errno
import http.client
import socket
from contextlib import closing

from gateway.errors import ZurufError
from gateway.settings import Settings

PROBE_TIMEOUT_S = 0.5


class PortBusy(ZurufError):
    """We cannot listen where the settings say; the text says why and what to do."""


def console_port(settings: Settings) -> int:
    """Where the console listens."""
    return settings.console_port or settings.port + 1


def check_port(host: str, port: int, option: str = "--port") -> None:
    """Raise PortBusy unless we can listen there. `option` is the one that would change it.

    Binds without SO_REUSEPORT: with it, two gateways would share one port and each would get
    half of the other's devices.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PortBusy(_explain(error, host, port, option)) from error


def probe(host: str, port: int, path: str = "/readyz") -> int:
    """HTTP status of one GET, or 0 if nobody answers in time."""
    with closing(
        http.client.HTTPConnection(reachable(host), port, timeout=PROBE_TIMEOUT_S)
    ) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


def url_of(host: str, port: int) -> str:
    """Address for people and clients on this machine."""
    name = reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def reachable(host: str) -> str:
    """An address that reaches what listens on `host`, which may mean all addresses."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _explain(error: OSError, host: str, port: int, option: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is in use by another program. Stop that, or choose "
                f"another port: {option} {port + 10}"
            )
        case errno.EACCES:
            return (
                f"Port {port} is reserved for the system. Choose one above 1023: "
                f"{option} {port + 8000}"
            )
        case _:
            return f"Cannot listen on {host}, port {port}: {error.strerror}. Set ZURUF_HOST."
