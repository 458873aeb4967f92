from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fakes import Chance
from tests.sdk.scripted_gateway import ScriptedGateway, a_gateway
from zuruf import Config, Zuruf

ClientFactory = Callable[..., Zuruf]


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with a_gateway() as scripted:
        yield scripted


@pytest.fixture
def client_of(gateway: ScriptedGateway, tmp_path: Path) -> Iterator[ClientFactory]:
    """Make clients that retry at once, keep their files in one place and are closed at the end."""
    clients: list[Zuruf] = []

    def make(**settings: Any) -> Zuruf:
        client = Zuruf(
            Config(
                **{
                    "endpoint": gateway.url,
                    "publishable_key": "pk_test",
                    "storage_dir": tmp_path / "zuruf",
                    "random": Chance(0.0),
                    **settings,
                }
            )
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.shutdown(timeout_s=0)
