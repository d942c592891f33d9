"""Coming in through a provider that behaves."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.volatile import Volatile
from tests.gateway.sso.entrance import Entrance, entrance, settings_of
from tests.upstream import Provider

MINUTE = 60_000_000


@pytest.fixture
def provider(clock: OffsetClock) -> Iterator[Provider]:
    """A provider that goes by the test's clock."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture
async def door(
    provider: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> AsyncIterator[Entrance]:
    """The way in through that provider."""
    rows = [settings_of(provider, tmp_path)]
    opened = entrance(rows, volatile=volatile, ledger=ledger, keys=keys, clock=clock)
    async with opened as made:
        yield made


async def trail(ledger: Ledger) -> list[str]:
    """The names of all audit events."""
    return await ledger.read(
        lambda c: list(c.execute(select(audit.c.name).order_by(audit.c.seq)).scalars())
    )


async def test_she_comes_in_and_is_found_by_her_token(
    door: Entrance, provider: Provider, ledger: Ledger
) -> None:
    """A good answer opens a session with her level and claims, audited, under a random id."""
    arrived = await door.come_in(provider, next_path="/s/gjj")

    citizen = await door.citizen(arrived.token)
    assert arrived.next_path == "/s/gjj"
    assert (citizen.level, citizen.upstream) == (3, "town")
    assert (await door.sessions.claims(citizen))["name"] == "测试一"
    assert await trail(ledger) == ["session.opened"]
