"""One real Valkey for the whole package, emptied before each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.running import valkey
from gateway.store.sealing import FileKek, Keys
from gateway.store.volatile import Volatile, open_volatile
from tests.gateway.cards.stage import Stage


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Running]:
    """A Valkey of our own."""
    running = valkey.start(tmp_path_factory.mktemp("valkey"), memory_mb=64)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys without a ledger."""
    kek = FileKek.create(tmp_path_factory.mktemp("kek") / "kek")
    return Keys(kek, data=b"d" * 32, index=b"i" * 32, pairwise=b"p" * 32)


@pytest.fixture
async def volatile(server: valkey.Running) -> AsyncIterator[Volatile]:
    """The store, empty."""
    async with open_volatile(server.url) as store:
        await store.ask(("FLUSHALL",))
        yield store


@pytest.fixture
async def stage(volatile: Volatile, keys: Keys) -> AsyncIterator[Stage]:
    """Cards over scripted departments."""
    made = Stage(volatile, keys)
    yield made
    await made.cards.close()
