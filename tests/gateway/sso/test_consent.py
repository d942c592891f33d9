"""Consents are given item by item, kept with what was shown, and taken back at once."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from gateway.clock import OffsetClock
from gateway.contract.citizen import Agreement
from gateway.contract.ids import ServiceId
from gateway.errors import Invalid
from gateway.registry.agreed import agreed, asked, required, shared
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit, blob, consent
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import Desk, desk_with_citizen, entry_of, generation, trail

GJJ = ServiceId("gjj")
ENTRY = entry_of(generation(), "gjj")
ITEMS = [item.id for item in ENTRY.data]


@pytest.fixture
async def desk(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Desk:
    """Everything over real stores."""
    return await desk_with_citizen(volatile, ledger, keys, clock)


async def test_a_consent_stands_with_the_words_that_were_shown(desk: Desk) -> None:
    """Row, audit event and shown text are there together, and cards hear of it afterwards."""
    await desk.agree("phone")

    agreement = (await desk.consents.agreements(desk.citizen.id))[GJJ]
    assert agreement.items == {"name", "id_number", "phone"}
    assert agreed(desk.entry(), agreement)
    assert (await trail(desk.ledger))[-1] == "consent.given"
    assert desk.forgotten == ["c1"]
    shown = await desk.ledger.read(
        lambda c: c.execute(
            select(blob.c.bytes).where(blob.c.sha256 == desk.entry().consent_digest)
        ).scalar()
    )
    assert shown == asked(desk.entry())


def test_the_kept_text_is_what_the_digest_is_of() -> None:
    """The shown text hashes to the digest that the registry computed, so neither can drift."""
    assert hashlib.sha256(asked(ENTRY)).hexdigest() == ENTRY.consent_digest


async def test_a_second_tap_changes_nothing(desk: Desk) -> None:
    """Agreeing to the same twice is one consent and one event."""
    await desk.agree()
    await desk.agree()

    assert (await trail(desk.ledger)).count("consent.given") == 1
    assert len(await desk.consents.history(desk.citizen.id)) == 1


@pytest.mark.parametrize("items", [(), ("name",), ("name", "id_number", "address")])
async def test_less_than_required_and_more_than_asked_are_refused(
    desk: Desk, items: tuple[str, ...]
) -> None:
    """Nothing is written for a consent that the entry does not ask for in this way."""
    with pytest.raises(Invalid):
        await desk.consents.give(desk.citizen.id, desk.entry(), items)
    assert await desk.consents.agreements(desk.citizen.id) == {}


async def test_withdrawn_is_withdrawn_and_stays_readable(desk: Desk) -> None:
    """After withdrawal nothing is agreed, the history says so, and cards have heard of it."""
    await desk.agree()

    assert await desk.consents.withdraw(desk.citizen.id, GJJ)
    assert await desk.consents.agreements(desk.citizen.id) == {}
    (past,) = await desk.consents.history(desk.citizen.id)
    assert past.withdrawn is not None
    assert not past.replaced
    assert past.shown[1]["zh"] == "公积金中心"
    assert desk.forgotten == ["c1", "c1"]
    assert (await trail(desk.ledger))[-1] == "consent.withdrawn"


async def test_withdrawing_what_does_not_stand_is_no_event(desk: Desk) -> None:
    """A second withdrawal leaves no trace in the trail but still ends copies."""
    assert not await desk.consents.withdraw(desk.citizen.id, GJJ)
    assert "consent.withdrawn" not in await trail(desk.ledger)
    assert desk.forgotten == ["c1"]


async def test_another_citizens_consent_is_not_touched(desk: Desk) -> None:
    """[B53] Withdrawing names a service, never a row: it reaches one's own consent only."""
    other = await desk.sign_in("c2")
    await desk.consents.give(other.id, desk.entry(), ("name", "id_number"))

    assert not await desk.consents.withdraw(desk.citizen.id, GJJ)
    assert GJJ in await desk.consents.agreements(other.id)


async def test_only_the_difference_is_asked_when_the_text_changes(desk: Desk) -> None:
    """[N86] A changed purpose of one item makes that item the only question; the rest is kept."""
    await desk.agree("phone")
    desk.live = generation(("找账户", "找账户和贷款"))

    agreement = (await desk.consents.agreements(desk.citizen.id))[GJJ]
    assert not agreed(desk.entry(), agreement)
    question = await desk.consents.question(desk.citizen.id, desk.entry())
    assert question.ask == ("id_number",)
    assert question.kept == {"name", "phone"}

    await desk.consents.give(desk.citizen.id, desk.entry(), {"id_number", *question.kept})
    newest, oldest = await desk.consents.history(desk.citizen.id)
    assert oldest.replaced
    assert newest.withdrawn is None


async def test_another_recipient_makes_everything_a_new_question(desk: Desk) -> None:
    """Who receives the data is part of every item."""
    await desk.agree("phone")
    desk.live = generation(("https://gjj.anlan.example/privacy", "https://gjj.anlan.example/p2"))

    question = await desk.consents.question(desk.citizen.id, desk.entry())
    assert question.ask == ("name", "id_number", "phone")
    assert question.kept == frozenset()


async def test_what_was_declined_is_not_asked_again(desk: Desk) -> None:
    """An optional item that she left out and that did not change is no question."""
    await desk.agree()
    desk.live = generation(("找账户", "找账户和贷款"))

    question = await desk.consents.question(desk.citizen.id, desk.entry())
    assert "phone" not in question.ask
    assert "phone" not in question.kept


async def test_a_row_written_by_somebody_else_is_seen_at_once(desk: Desk) -> None:
    """The ledger decides: another worker's withdrawal holds here with the next look."""
    await desk.agree()
    await desk.ledger.write(lambda c: c.execute(update(consent).values(withdrawn=1)))

    assert await desk.consents.agreements(desk.citizen.id) == {}


async def test_no_value_of_hers_stands_in_trail_or_rows(desk: Desk) -> None:
    """Ids of items only: neither name nor number is in the ledger's consent or audit rows."""
    await desk.agree("phone")

    rows = await desk.ledger.read(
        lambda c: [*c.execute(select(audit.c.json)).scalars(), *c.execute(select(consent)).all()]
    )
    assert "李伟" not in str(rows)
    assert "0001021960" not in str(rows)


@given(
    items=st.sets(st.sampled_from(ITEMS)),
    digest=st.sampled_from([ENTRY.consent_digest, "0" * 64]),
    given_one=st.booleans(),
)
def test_agreed_means_same_text_and_all_required(
    items: set[str], digest: str, given_one: bool
) -> None:
    """No other combination is agreed, and nothing is shared that is not agreed."""
    agreement = Agreement(digest, frozenset(items), 0) if given_one else None
    expected = given_one and digest == ENTRY.consent_digest and required(ENTRY) <= items

    assert agreed(ENTRY, agreement) == expected
    assert set(shared(ENTRY, agreement)) == (items if expected else set())
