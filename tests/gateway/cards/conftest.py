"""Cards over scripted departments and the real Valkey that all packages' tests share."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.sealing import FileKek, Keys
from gateway.store.volatile import Volatile
from tests.gateway.cards.stage import Stage


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys without a ledger."""
    kek = FileKek.create(tmp_path_factory.mktemp("kek") / "kek")
    return Keys(kek, data=b"d" * 32, index=b"i" * 32, pairwise=b"p" * 32)


@pytest.fixture
async def stage(volatile: Volatile, keys: Keys) -> AsyncIterator[Stage]:
    """Cards over scripted departments."""
    made = Stage(volatile, keys)
    yield made
    await made.cards.close()
