"""Provident fund: two signed calls make one card, business errors come with HTTP 200."""

import asyncio

import pytest

from gateway.contract.answer import AnswerState, EmptyReason
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Nothing, Reason
from tests.plugins.conftest import Town


async def test_two_calls_make_one_card(town: Town) -> None:
    """Balance comes from the account, the loan from the call that needs its number."""
    outcome = await town.card("gjj", "account", "wang-fang")
    assert isinstance(outcome, Answered), outcome
    facts = outcome.answer.facts
    assert (facts["balance"], facts["monthly"], facts["loan"]) == (1876640, 196000, 31820000)
    assert str(facts["instalment_due"]).startswith("20")
    assert outcome.answer.state is AnswerState.READY
    calls = await town.calls("gjj")
    assert calls["total"] == 2
    assert calls["cookies_returned"] == 0


async def test_figures_follow_the_department(town: Town) -> None:
    """What changes over there is what the card says next."""
    await town.control("set", system="gjj", person="li-wei", field="balance", value="60000.01")
    outcome = await town.card("gjj", "account", "li-wei")
    assert isinstance(outcome, Answered)
    assert outcome.answer.facts["balance"] == 6000001
    assert outcome.answer.facts["loan"] is None


async def test_somebody_without_an_account_is_told_so(town: Town) -> None:
    """1404 is an emptiness with words, and the second call is never made."""
    outcome = await town.card("gjj", "account", "zhou-min")
    assert isinstance(outcome, Nothing)
    assert outcome.answer.reason is EmptyReason.NO_RECORD
    assert outcome.answer.words == "account.none"
    assert (await town.calls("gjj"))["total"] == 1


async def test_another_name_there_asks_the_citizen(town: Town) -> None:
    """1101 is hers to mend, not a fault of the department."""
    outcome = await town.card("gjj", "account", "ouyang-ming")
    assert outcome == NeedsCitizen("field", "account.mismatch")


async def test_the_nightly_batch_shows_the_last_copy(town: Town) -> None:
    """2001 is known to be down: no retry."""
    await town.control("set", system="gjj", person="*", field="batch", value=True)
    outcome = await town.card("gjj", "account", "li-wei")
    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.words) == (Reason.CLOSED_NOW, "closed.nightly")


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ("200-with-error", {Reason.TRY_LATER}),
        ("500", {Reason.TRY_LATER}),
        ("wrong-charset", {Reason.ENCODING, Reason.CONTRACT}),
        ("truncated", {Reason.CONTRACT, Reason.UNREACHABLE}),
        ("reset", {Reason.UNREACHABLE}),
        ("redirect", {Reason.CONTRACT}),
        ("huge", {Reason.TOO_BIG}),
    ],
)
async def test_each_fault_is_its_own_reason(town: Town, fault: str, reasons: set[Reason]) -> None:
    """Whatever the department does, the outcome is a named failure and nobody is redirected."""
    await town.control("fault", system="gjj", fault=fault)
    outcome = await town.card("gjj", "account", "li-wei")
    assert isinstance(outcome, Failed), outcome
    assert outcome.reason in reasons, outcome
    assert (await town.calls("trap"))["total"] == 0


async def test_many_at_once_are_all_signed_freshly(town: Town) -> None:
    """Nonces never repeat: thirty asks at once are all accepted."""
    await town.control("calls")
    asks = [town.card("gjj", "account", "li-wei") for _ in range(20)]
    outcomes = await asyncio.gather(*asks)
    assert all(isinstance(one, Answered) for one in outcomes), outcomes


async def test_the_probe_is_accepted(town: Town) -> None:
    """The signed ping tells that credentials are right."""
    probe = await town.departments.probe(town.packages["gjj"].id)
    assert probe.ok, probe.note
