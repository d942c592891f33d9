"""Real-estate lookup: SOAP in GB18030 under a wrong label, a document inside a string."""

from gateway.contract.answer import AnswerState
from gateway.hosting.outcome import Answered, Failed, Nothing, Reason
from tests.plugins.conftest import Town


async def test_properties_are_read_with_rare_characters(town: Town) -> None:
    """䶮 is in GB18030 only; the label says GBK."""
    outcome = await town.card("property", "holdings", "long-jianing")
    assert isinstance(outcome, Answered), outcome
    (row,) = outcome.answer.items
    assert "䶮" in str(row["place"])
    assert row["right"] == "@right.state_owned"
    assert row["sealed"] == "@seal.none"


async def test_several_properties_and_one_sealed(town: Town) -> None:
    """Each row is a property; a seal of a court is said."""
    outcome = await town.card("property", "holdings", "ma-chao")
    assert isinstance(outcome, Answered)
    assert len(outcome.answer.items) > 1
    assert "@seal.court" in [row["sealed"] for row in outcome.answer.items]
    assert outcome.answer.state is AnswerState.READY


async def test_nothing_registered_is_an_emptiness(town: Town) -> None:
    """Code 0 without an application: there is no record."""
    outcome = await town.card("property", "holdings", "he-jing")
    assert isinstance(outcome, Nothing), outcome


async def test_maintenance_shows_the_last_copy(town: Town) -> None:
    """99 is known to be down."""
    await town.control("set", system="property", person="*", field="maintenance", value=True)
    outcome = await town.card("property", "holdings", "li-wei")
    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.words) == (Reason.CLOSED_NOW, "closed")


async def test_a_wrong_password_calls_the_owner(town: Town) -> None:
    """The fault 未授权 is about our credentials; the citizen cannot mend it."""
    (town.secrets / "property" / "password").write_text("wrong")
    outcome = await town.card("property", "holdings", "li-wei")
    assert isinstance(outcome, Failed), outcome
    assert outcome.words == "refused"
    assert outcome.reason in (Reason.CREDENTIALS, Reason.CONTRACT)


async def test_the_probe_reads_the_wsdl(town: Town) -> None:
    """A probe needs no citizen."""
    probe = await town.departments.probe(town.packages["property"].id)
    assert probe.ok, probe.note
