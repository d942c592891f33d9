"""The feed answers whatever is down, asks no more than it must, and keeps what it learned."""

import asyncio

import orjson

from gateway.cards.item import envelope
from gateway.cards.state import Code
from gateway.contract.hooks import CardAsk
from gateway.hosting.outcome import Failed, Outcome, Reason
from tests.gateway.cards.stage import Stage, citizen, figure, generation


async def test_a_first_look_asks_and_a_second_does_not(stage: Stage) -> None:
    """Within the fresh window a department is asked once."""
    city, who = generation(), citizen()
    stage.agree(who, city)

    first = await stage.feed(city, who)
    second = await stage.feed(city, who)

    assert [item.state.code for item in first.items] == [Code.READY, Code.READY]
    assert first.json() == second.json()
    assert first.complete
    assert len(stage.asks) == 1
    assert stage.asks[0].claims == {"name": "name of c1"}
    card = orjson.loads(envelope(first.items[0]))["card"]
    assert card["facts"][0]["value"] == "52,340.18 元"
    assert stage.told == [("c1", "gjj", ("name",))]


async def test_a_slow_department_is_pending_and_lands_late(stage: Stage) -> None:
    """The feed does not wait longer than its budget; what lands late is there the next time."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate = asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        await gate.wait()
        return figure()

    stage.answer = slow
    first = await stage.feed(city, who, seconds=0.05)
    assert first.items[0].state.code is Code.PENDING
    assert not first.complete
    gate.set()
    await asyncio.sleep(0.05)

    second = await stage.feed(city, who, seconds=0.05)
    assert second.items[0].state.code is Code.READY
    assert len(stage.asks) == 1


async def test_a_failure_without_a_copy_says_why_and_whom_to_call(stage: Stage) -> None:
    """An unavailable item has a reason, a time, a telephone and a trace."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    stage.answer = Failed(Reason.UNREACHABLE, retry_after=7.0)

    item = await stage.only(city, who, trace="t-1")

    assert item.state.code is Code.UNAVAILABLE
    assert item.state.reason == "unreachable"
    assert item.state.retry_after == 7.0
    assert item.state.until is not None
    assert item.trace == "t-1"
    assert [a.target for a in item.actions] == ["/s/gjj", "tel:10000002000"]
    assert "10000002000" in item.state.speak
