"""Who was told what is counted, written soon, and lost by nobody's absence."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.sso import disclosure as module
from gateway.sso.disclosure import Disclosures
from gateway.store.away import LedgerAway
from gateway.store.ledger import Kind, Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import disclosure as table
from tests.gateway.sso.offices import entry_of, generation, somebody

ENTRY = entry_of(generation(), "gjj")
MIDNIGHT = 1_795_449_600_000_000  # 2026-11-24 00:00 in Shanghai


class Gone:
    """A ledger that is away until it is told to come back."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.away = True

    @property
    def kind(self) -> Kind:
        """As the ledger below."""
        return self.ledger.kind

    async def write(self, fn: Callable[[Any], Any]) -> Any:
        """Away, or as the ledger below."""
        if self.away:
            raise LedgerAway("away")
        return await self.ledger.write(fn)

    async def read(self, fn: Callable[[Any], Any]) -> Any:
        """As the ledger below."""
        return await self.ledger.read(fn)


async def test_calls_are_counted_by_day_and_items(
    ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """The same items on one day are one row; another day or other items are another."""
    her = (await somebody(ledger, keys)).id
    disclosures = Disclosures(ledger=ledger, clock=clock)
    clock.fixed = MIDNIGHT - 1
    disclosures.note(her, ENTRY, ["name", "id_number"])
    disclosures.note(her, ENTRY, ("id_number", "name"))
    await disclosures.flush()
    disclosures.note(her, ENTRY, {"name", "id_number"})
    clock.fixed = MIDNIGHT
    disclosures.note(her, ENTRY, ["name"])

    rows = await disclosures.mine(her)
    assert [(row.items, row.day, row.count) for row in rows] == [
        (("name",), "2026-11-24", 1),
        (("id_number", "name"), "2026-11-23", 3),
    ]
    assert rows[0].last == MIDNIGHT


async def test_nobody_sees_anothers(ledger: Ledger, keys: Keys, clock: OffsetClock) -> None:
    """Each citizen reads her own lines only."""
    first, second = (await somebody(ledger, keys)).id, (await somebody(ledger, keys, "c2")).id
    disclosures = Disclosures(ledger=ledger, clock=clock)
    disclosures.note(first, ENTRY, ["name"])

    assert await disclosures.mine(second) == []
    assert len(await disclosures.mine(first)) == 1


async def test_what_the_ledger_cannot_take_is_kept(
    ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """While the ledger is away counts stay in memory, and not one is missing afterwards."""
    her = (await somebody(ledger, keys)).id
    gone = Gone(ledger)
    disclosures = Disclosures(ledger=gone, clock=clock)
    for _ in range(3):
        disclosures.note(her, ENTRY, ["name"])
        with pytest.raises(LedgerAway):
            await disclosures.flush()
    gone.away = False
    await disclosures.flush()

    assert [row.count for row in await disclosures.mine(her)] == [3]


async def test_memory_is_bounded(
    ledger: Ledger, keys: Keys, clock: OffsetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the ledger away for long, kinds beyond the bound are dropped, known ones still counted."""
    monkeypatch.setattr(module, "MAX_PENDING", 2)
    her = (await somebody(ledger, keys)).id
    disclosures = Disclosures(ledger=ledger, clock=clock)
    for item in ("name", "id_number", "phone", "name"):
        disclosures.note(her, ENTRY, [item])

    assert {row.items[0]: row.count for row in await disclosures.mine(her)} == {
        "name": 2,
        "id_number": 1,
    }


async def test_an_erased_citizen_does_not_hold_up_the_others(
    ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """A line of somebody whose row is gone is left out; the rest of the batch is written."""
    her = (await somebody(ledger, keys)).id
    disclosures = Disclosures(ledger=ledger, clock=clock)
    disclosures.note(CitizenId("nobody"), ENTRY, ["name"])
    disclosures.note(her, ENTRY, ["name"])
    await disclosures.flush()

    rows = await ledger.read(lambda c: c.execute(select(table.c.citizen)).scalars().all())
    assert list(rows) == [her]


async def test_it_is_written_by_itself(
    ledger: Ledger, keys: Keys, clock: OffsetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower writes without being asked."""
    monkeypatch.setattr(module, "EVERY", 0.01)
    her = (await somebody(ledger, keys)).id
    disclosures = Disclosures(ledger=ledger, clock=clock)
    disclosures.note(her, ENTRY, ["name"])
    task = asyncio.ensure_future(disclosures.follow())
    rows: list[Any] = []
    for _ in range(200):
        rows = list(await ledger.read(lambda c: c.execute(select(table)).all()))
        if rows:
            break
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert len(rows) == 1
