"""The ports that are kept in this repository, and how their adapters are started here."""

from __future__ import annotations

from tests.conformance.adapter import PYTHON_ADAPTER, ROOT
from tests.conformance.node import node_command

TYPESCRIPT_ADAPTER = ROOT / "sdk_reference" / "conformance" / "ports" / "typescript" / "adapter.ts"


def known_ports() -> dict[str, tuple[str, ...]]:
    """Give the command of each adapter that can run on this machine, by the name of the port."""
    ports: dict[str, tuple[str, ...]] = {"zuruf-python": PYTHON_ADAPTER}
    node = node_command()
    if node is not None and TYPESCRIPT_ADAPTER.exists():
        ports["zuruf-typescript"] = (*node, str(TYPESCRIPT_ADAPTER))
    return ports
