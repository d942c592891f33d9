"""A background task that fails is named and begins again; a request cut off leaves whole rows."""

import asyncio

import pytest
from sqlalchemy import func, select

from gateway.cases.feedback import Feedback
from gateway.clock import OffsetClock
from gateway.observe import background
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit, feedback


@pytest.mark.parametrize("id_", ["F56"], ids=["F56"])
async def test_a_task_that_dies_is_started_again(
    monkeypatch: pytest.MonkeyPatch, clock: OffsetClock, id_: str
) -> None:
    """Whatever it raises; the others go on, and at the end nothing is left running."""
    assert id_
    monkeypatch.setattr(background, "_FIRST_PAUSE", 0.01)
    runs: list[str] = []

    async def fails() -> None:
        runs.append("fails")
        raise ZeroDivisionError

    async def ends() -> None:
        runs.append("ends")

    async def lives() -> None:
        runs.append("lives")
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    async with background.Background(clock, {"fails": fails, "ends": ends, "lives": lives}):
        async with asyncio.timeout(5):
            while runs.count("fails") < 3 or runs.count("ends") < 3:
                await asyncio.sleep(0.005)
        assert runs.count("lives") == 1
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("id_", ["F57"], ids=["F57"])
async def test_a_citizen_who_hangs_up_leaves_a_whole_report_or_none(
    ledger: Ledger, keys: Keys, clock: OffsetClock, id_: str
) -> None:
    """Cut off at any moment: row and audit event stand together; the key tells which it was."""
    assert id_
    reports = Feedback(ledger, keys.ledger, keys.for_citizen, clock, lambda: "AL")

    async def hand_in(number: int) -> str:
        return await reports.hand_in(
            "打不开", key=f"key-{number:016d}", service="gjj", trace="t", citizen=None
        )

    for number in range(40):
        task = asyncio.create_task(hand_in(number))
        await asyncio.sleep(number * 0.0003)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    rows, events = await ledger.read(
        lambda c: tuple(
            c.execute(query).scalar_one()
            for query in (
                select(func.count()).select_from(feedback),
                select(func.count()).select_from(audit).where(audit.c.name == "feedback.received"),
            )
        )
    )
    assert rows == events
    again = await asyncio.gather(*(hand_in(number) for number in range(40)))
    assert len(set(again)) == 40
    assert len(await reports.recent(100)) == 40
