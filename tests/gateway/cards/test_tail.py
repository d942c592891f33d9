"""Withdrawals reach every worker through the ledger, whatever the store forgot or brought back."""

import asyncio
from pathlib import Path

import pytest

from gateway.cards.state import Code
from gateway.cards.tail import Tail
from gateway.clock import OffsetClock
from gateway.contract.citizen import Citizen
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import ServiceId
from gateway.hosting.outcome import Outcome
from gateway.registry.generation import Generation
from gateway.running import valkey
from gateway.sso.consent import Consents
from gateway.sso.revocations import revoke
from gateway.store.away import Away
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import open_volatile
from tests.gateway.cards.stage import Stage, citizen, entry, figure, generation
from tests.gateway.sso.offices import somebody


async def consents_of(ledger: Ledger, stage: Stage) -> Consents:
    """Real consents, with a citizen to give them; nobody but the ledger hears of a change."""

    async def nobody(_: object) -> None:
        return None

    await somebody(ledger, stage.keys, "c1", 3)
    stage._agreements = (  # type: ignore[method-assign]  # the ledger takes the script's place
        consents := Consents(ledger=ledger, clock=stage.clock, forget=nobody)
    ).agreements
    stage.cards = stage.another()
    return consents


async def agree(consents: Consents, city: Generation, who: Citizen) -> None:
    """Agree to what is required."""
    found = city.entry("gjj")
    assert found is not None
    await consents.give(who.id, found, ["name"])


async def test_a_withdrawal_elsewhere_voids_what_is_in_the_air(
    stage: Stage, ledger: Ledger
) -> None:
    """A worker that was told nothing reads it in the ledger within a second."""
    city, who = generation(entry("gjj")), citizen()
    consents = await consents_of(ledger, stage)
    await agree(consents, city, who)
    tail = Tail(cards=stage.cards, ledger=ledger, volatile=stage.volatile, clock=stage.clock)
    await tail.look()
    sent, gate = asyncio.Event(), asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        sent.set()
        await gate.wait()
        return figure()

    stage.answer = slow
    look = asyncio.create_task(stage.feed(city, who, seconds=2))
    await sent.wait()
    await consents.withdraw(who.id, ServiceId("gjj"))
    await tail.look()
    gate.set()
    assert (await look).items[0].body is None


async def test_what_began_after_the_withdrawal_stands(stage: Stage, ledger: Ledger) -> None:
    """Heard late, a withdrawal does not void what she has agreed to since."""
    city, who = generation(entry("gjj")), citizen()
    consents = await consents_of(ledger, stage)
    await agree(consents, city, who)
    tail = Tail(cards=stage.cards, ledger=ledger, volatile=stage.volatile, clock=stage.clock)
    await tail.look()
    await consents.withdraw(who.id, ServiceId("gjj"))
    await asyncio.sleep(0.01)
    await agree(consents, city, who)
    await asyncio.sleep(0.01)
    sent, gate = asyncio.Event(), asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        sent.set()
        await gate.wait()
        return figure()

    stage.answer = slow
    look = asyncio.create_task(stage.feed(city, who, seconds=2))
    await sent.wait()
    await tail.look()
    gate.set()
    assert (await look).items[0].state.code is Code.READY


@pytest.mark.parametrize("ended", ["consent", "sessions"])
async def test_what_a_restored_store_brings_back_is_removed(
    tmp_path: Path, ledger: Ledger, keys: Keys, clock: OffsetClock, ended: str
) -> None:
    """[P23] Withdrawn while Valkey was down, by a process that is dead since: gone all the same."""
    city, who = generation(entry("gjj")), citizen()
    running = valkey.start(tmp_path / "store", memory_mb=32)
    try:
        async with open_volatile(running.url) as store:
            stage = Stage(store, keys, clock)
            consents = await consents_of(ledger, stage)
            await agree(consents, city, who)
            await stage.feed(city, who)
            await stage.cards.close()
        running.stop()
        if ended == "consent":
            await consents.withdraw(who.id, ServiceId("gjj"))
        else:
            await ledger.write(lambda c: revoke(c, at=clock.now(), citizen=who.id))
        running = valkey.start(tmp_path / "store", memory_mb=32)
        async with open_volatile(running.url) as store:
            assert await store.ask(("EXISTS", "cards:{c1}")) == [1]
            after = Stage(store, keys, clock)
            tail = Tail(cards=after.cards, ledger=ledger, volatile=store, clock=clock)
            await tail.look()
            assert await store.ask(("EXISTS", "cards:{c1}")) == [0]
            await after.cards.close()
    finally:
        running.stop()


async def test_a_store_that_is_away_is_no_end(stage: Stage, ledger: Ledger) -> None:
    """Following goes on for ever, whatever is down."""

    class Down:
        up = False

        async def run_id(self) -> str:
            raise Away("down")

    await consents_of(ledger, stage)
    tail = Tail(cards=stage.cards, ledger=ledger, volatile=Down(), clock=stage.clock)  # type: ignore[arg-type]  # what is asked of it
    follow = asyncio.create_task(tail.follow())
    await asyncio.sleep(0.05)
    assert not follow.done()
    follow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follow
