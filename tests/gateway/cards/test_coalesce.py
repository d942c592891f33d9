"""Flights are shared, bounded, and never lost without a word."""

import asyncio

import pytest

from gateway.cards.coalesce import Flights, Full


async def test_one_impatient_caller_cancels_nobody() -> None:
    """Five callers, one of them cancelled: one run, four results."""
    runs = 0
    gate = asyncio.Event()

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return 7

    flights: Flights[int] = Flights(lambda: 0.0)

    async def caller() -> int:
        flight = flights.join("k", work)
        try:
            await asyncio.wait({flight})
        finally:
            flights.leave("k")
        return flight.result()

    callers = [asyncio.create_task(caller()) for _ in range(5)]
    await asyncio.sleep(0)
    callers[2].cancel()
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [r for r in results if r == 7] == [7] * 4
    assert runs == 1
    assert len(flights) == 0


async def test_what_nobody_waited_for_is_told_once() -> None:
    """The next look learns of it, the one after starts anew; after a while it is forgotten."""
    now = 0.0
    flights: Flights[str] = Flights(lambda: now, worth_keeping=lambda said: said != "kept")

    async def work(said: str) -> str:
        return said

    for said, found in (("late", "late"), ("kept", None)):
        flights.join("k", lambda said=said: work(said))  # type: ignore[misc]  # bound for each turn
        flights.leave("k")
        await asyncio.sleep(0.01)
        assert flights.unseen("k") == found
        assert flights.unseen("k") is None
    flights.join("k", lambda: work("late"))
    flights.leave("k")
    await asyncio.sleep(0.01)
    now = 16.0
    assert flights.unseen("k") is None


async def test_no_more_than_may_be_in_the_air() -> None:
    """Past the bound a new flight is refused, an old one can still be joined."""
    flights: Flights[None] = Flights(lambda: 0.0, most=1)
    first = flights.join("a", lambda: asyncio.sleep(10))
    assert flights.join("a", lambda: asyncio.sleep(10)) is first
    with pytest.raises(Full):
        flights.join("b", lambda: asyncio.sleep(10))
    await flights.close()
    assert len(flights) == 0


async def test_a_broken_flight_is_logged_and_not_kept() -> None:
    """A mistake of ours does not linger."""
    flights: Flights[None] = Flights(lambda: 0.0)

    async def work() -> None:
        raise ZeroDivisionError

    flight = flights.join("k", work)
    flights.leave("k")
    await asyncio.wait({flight})
    assert flights.unseen("k") is None
    assert len(flights) == 0
