"""Water bills: a nightly CSV in GB18030, found by keyed hash, shown as of the file's night."""

import pytest

from gateway.contract.answer import AnswerState
from gateway.hosting.drops import DropRefused
from gateway.hosting.outcome import Answered, Failed, Nothing
from tests.plugins.conftest import Town


async def test_a_bill_is_found_by_the_citizens_number(town: Town) -> None:
    """Amount in fen, due date, household; as of the file."""
    await town.control("set", system="water", person="li-wei", field="amount", value="61.30")
    await town.control("drop")
    assert await town.drops.take_in(town.packages["water"]) is not None
    outcome = await town.card("water", "bill", "li-wei")
    assert isinstance(outcome, Answered), outcome
    facts = outcome.answer.facts
    assert facts["amount"] == 6130
    assert facts["household"] == "10802001"
    assert outcome.answer.as_of is not None


@pytest.mark.parametrize(
    ("field", "value", "state", "stage"),
    [
        ("paid", True, AnswerState.READY, "@stage.paid"),
        ("paid", False, AnswerState.ACTION_REQUIRED, "@stage.open"),
        ("days", -20, AnswerState.ACTION_REQUIRED, "@stage.overdue"),
    ],
)
async def test_what_is_due_is_to_be_done(
    town: Town, field: str, value: object, state: AnswerState, stage: str
) -> None:
    """Open and overdue bills wait for the citizen, paid ones do not."""
    if field == "days":
        await town.control("set", system="water", person="wang-fang", field="paid", value=False)
    await town.control("set", system="water", person="wang-fang", field=field, value=value)
    await town.control("drop")
    await town.drops.take_in(town.packages["water"])
    outcome = await town.card("water", "bill", "wang-fang")
    assert isinstance(outcome, Answered), outcome
    assert (outcome.answer.state, outcome.answer.stage) == (state, stage)


async def test_nobody_elses_bill(town: Town) -> None:
    """Somebody without a household gets no record, not a neighbour's."""
    await town.control("drop")
    await town.drops.take_in(town.packages["water"])
    outcome = await town.card("water", "bill", "he-jing")
    assert isinstance(outcome, Nothing), outcome


async def test_without_any_file_there_is_no_answer(town: Town) -> None:
    """Before the first file nobody is told that he has no bill."""
    outcome = await town.card("water", "bill", "li-wei")
    assert isinstance(outcome, Failed), outcome


async def test_a_file_in_another_charset_is_refused_whole(town: Town) -> None:
    """The one before stays."""
    await town.control("drop")
    await town.drops.take_in(town.packages["water"])
    await town.control("fault", system="water", fault="wrong-charset")
    await town.control("drop")
    with pytest.raises(DropRefused):
        await town.drops.take_in(town.packages["water"])
    assert isinstance(await town.card("water", "bill", "li-wei"), Answered)
