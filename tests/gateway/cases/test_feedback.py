"""Reports are kept once, sealed, and answered by staff."""

import asyncio

import pytest
from sqlalchemy import select

from gateway.cases.feedback import Feedback, check_digit
from gateway.clock import SystemClock
from gateway.contract.ids import CitizenId
from gateway.errors import Invalid, NotFound
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.tables import feedback as table

KEY = "k" * 22


@pytest.fixture
def feedback(ledger: Ledger, keys: Keys) -> Feedback:
    """Feedback over a fresh ledger."""
    return Feedback(ledger, keys.ledger, keys.for_citizen, SystemClock(), lambda: "AL")


async def test_the_same_key_twice_is_one_report(feedback: Feedback, ledger: Ledger) -> None:
    """Twenty impatient taps leave one row, one audit event and one receipt number."""
    numbers = await asyncio.gather(
        *(
            feedback.hand_in("打不开", key=KEY, service="gjj", trace="t1", citizen=None)
            for _ in range(20)
        )
    )

    rows = await ledger.read(lambda c: len(c.execute(select(table)).all()))
    events = await ledger.read(lambda c: c.execute(select(audit.c.name)).scalars().all())
    assert len(set(numbers)) == 1
    assert rows == 1
    assert events.count("feedback.received") == 1


async def test_the_text_is_sealed_in_the_ledger(feedback: Feedback, ledger: Ledger) -> None:
    """What a citizen wrote cannot be read from the table."""
    await feedback.hand_in("我的身份证丢了", key=KEY, service="gjj", trace="", citizen=None)

    raw = await ledger.read(lambda c: c.execute(select(table.c.sealed)).scalar())
    assert "身份证".encode() not in raw
    assert [r.text for r in await feedback.recent()] == ["我的身份证丢了"]


async def test_staff_read_and_answer(feedback: Feedback) -> None:
    """A report goes from new to read to answered, with the answer kept."""
    await feedback.hand_in("打不开", key=KEY, service="gjj", trace="", citizen=None)
    report = (await feedback.recent())[0]

    await feedback.mark(report.id, state="read", answer="", by=CitizenId("c1"))
    assert (await feedback.recent())[0].state == "read"
    await feedback.mark(report.id, state="answered", answer="已修复", by=CitizenId("c1"))
    assert (await feedback.recent())[0].answer == "已修复"


@pytest.mark.parametrize("text", ["", "   ", "长" * 1001])
async def test_no_text_or_too_much_is_refused(feedback: Feedback, text: str) -> None:
    """The citizen is told which field; nothing is kept."""
    with pytest.raises(Invalid):
        await feedback.hand_in(text, key=KEY, service="", trace="", citizen=None)
    assert await feedback.recent() == []


async def test_an_unknown_report_cannot_be_answered(feedback: Feedback) -> None:
    """Unknown ids are not found."""
    with pytest.raises(NotFound):
        await feedback.mark("nope", state="read", answer="", by=CitizenId("c1"))


def test_one_wrong_digit_is_noticed() -> None:
    """Changing any single digit changes the check digit."""
    body = "20261124004217"
    right = check_digit(body)
    for place in range(len(body)):
        other = body[:place] + str((int(body[place]) + 1) % 10) + body[place + 1 :]
        assert check_digit(other) != right
