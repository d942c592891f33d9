"""How much one department is asked."""

import asyncio

import pytest

from gateway.clock import SystemClock
from gateway.hosting.limits import WAITING, Places, Rate, RetryBudget, share
from tests.gateway.hosting.test_breaker import Moved


def test_the_cap_is_divided_by_the_workers() -> None:
    """Together they keep what the department was promised; each may ask at least once."""
    assert [share(8, n) for n in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


async def test_places_are_handed_on_in_order() -> None:
    """Who waits longest comes next; the queue has an end."""
    places = Places(SystemClock(), 1)
    assert await places.take(1)
    waiting = [asyncio.create_task(places.take(1)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    assert not await places.take(1), "the queue is full"
    for task in waiting:
        places.give_back()
        assert await task
    places.give_back()
    assert places.taken == 0
    await places.idle(0.1)


async def test_nobody_waits_longer_than_a_glance() -> None:
    """After 0.3 s it is said to be busy, and no place is lost by it."""
    places = Places(SystemClock(), 1)
    assert await places.take(1)
    begun = asyncio.get_running_loop().time()
    assert not await places.take(5)
    assert 0.25 < asyncio.get_running_loop().time() - begun < 1.0
    task = asyncio.create_task(places.take(5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    places.give_back()
    assert await places.take(0), "the place is there"


async def test_a_place_handed_to_a_cancelled_caller_is_not_lost() -> None:
    """Cancelled in the very moment: it goes to the next."""
    places = Places(SystemClock(), 1)
    assert await places.take(1)
    task = asyncio.create_task(places.take(1))
    await asyncio.sleep(0)
    places.give_back()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert places.taken == 0


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600])
def test_no_minute_holds_more_than_was_agreed(per_minute: int) -> None:
    """However the requests come."""
    clock = Moved()
    rate = Rate(clock, per_minute, 1)
    taken: list[float] = []
    for _ in range(3000):
        if rate.take():
            taken.append(clock.at)
        clock.at += 0.1
    most = max(sum(start <= at < start + 60 for at in taken) for start in taken)
    assert most <= max(per_minute, 2)
    assert len(taken) >= per_minute * 3, "most of what was agreed can be used"


def test_without_a_limit_all_may_go() -> None:
    """Nothing was agreed."""
    rate = Rate(Moved(), None, 4)
    assert all(rate.take() for _ in range(10_000))


def test_second_tries_are_a_tenth() -> None:
    """With everything failing at once, the department sees a tenth more and no storm."""
    clock = Moved()
    budget = RetryBudget(clock)
    again = 0
    for _ in range(1000):
        budget.called()
        again += budget.take()
    assert 95 <= again <= 102
    clock.at += 3600
    again = 0
    for _ in range(30):
        budget.called()
        again += budget.take()
    assert again <= 13, "what is saved has an end"
