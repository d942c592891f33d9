"""Real stores for the tests of single packages: a fresh ledger, keys, and one Valkey for all."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.clock import OffsetClock
from gateway.running import valkey
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.sealing import FileKek, Keys, open_keys
from gateway.store.volatile import Volatile, open_volatile
from tests import postgres


@pytest.fixture
def clock() -> OffsetClock:
    """The machine's clock, which the test may move."""
    return OffsetClock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: OffsetClock) -> AsyncIterator[Ledger]:
    """An empty ledger in a file of its own."""
    async with open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock=clock) as opened:
        yield opened


@pytest.fixture
async def keys(ledger: Ledger, tmp_path: Path) -> Keys:
    """The keys of that ledger."""
    return await open_keys(ledger, FileKek.create(tmp_path / "kek"))


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server, started once."""
    running = valkey.start(tmp_path_factory.mktemp("valkey"), memory_mb=32, say=lambda _: None)
    yield running.url
    running.stop()


@pytest.fixture
async def volatile(valkey_url: str) -> AsyncIterator[Volatile]:
    """An empty volatile store."""
    async with open_volatile(valkey_url) as opened:
        await opened.ask(("FLUSHALL",))
        yield opened


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server, started once."""
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger of each kind: tests that take it run on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: postgres.Postgres = request.getfixturevalue("postgresql")
    return server.database()
