"""A ticket tells one department's server, once, what the citizen agreed to, and nobody else."""

import asyncio

import orjson
import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.contract.ids import ServiceId
from gateway.errors import NotAllowed, TooMany
from gateway.sso import tickets
from gateway.sso.tickets import Redeemed
from gateway.store.ids import digest, new_token
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import (
    CLAIMS,
    LANDING,
    Desk,
    desk_with_citizen,
    generation,
    server,
    trail,
)

GJJ = ServiceId("gjj")
SECOND = 1_000_000


@pytest.fixture
async def desk(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Desk:
    """Everything over real stores, her consent given."""
    made = await desk_with_citizen(volatile, ledger, keys, clock)
    await made.agree()
    return made


async def ticket_of(desk: Desk, function: str = "") -> str:
    """A ticket for the fund."""
    return await desk.tickets.mint(desk.citizen, desk.entry(), function=function)


async def redeem(desk: Desk, ticket: str, address: str = LANDING, by: str = "gjj") -> Redeemed:
    """What a department's server gets for it."""
    return await desk.tickets.redeem(ticket, address, server(desk.live, by))


async def refusal(desk: Desk, ticket: str, address: str = LANDING, by: str = "gjj") -> object:
    """Why it gets nothing."""
    with pytest.raises(NotAllowed) as refused:
        await redeem(desk, ticket, address, by)
    return refused.value.members["reason"]


async def test_the_department_learns_what_was_agreed_and_a_pseudonym(desk: Desk) -> None:
    """Name and number as agreed, not the telephone; a subject of its own; a session of its own."""
    told = await redeem(desk, await ticket_of(desk, "withdraw"))

    assert told.claims == {"name": CLAIMS["name"], "id_number": CLAIMS["id_number"]}
    assert told.subject == desk.keys.subject("gjj-centre", "c1")
    assert len(told.subject) == 26
    assert (told.department, told.service, told.level) == ("gjj-centre", "gjj", 3)
    assert (told.function, told.nonce) == ("withdraw", None)
    assert desk.citizen.session not in orjson.dumps(told.document()).decode()
    assert desk.citizen.id not in (told.subject, told.session)


@pytest.mark.parametrize("row", [pytest.param("N84", id="N84"), pytest.param("N83", id="N83")])
async def test_two_departments_cannot_put_together_what_they_were_told(
    desk: Desk, row: str
) -> None:
    """Subject and session differ between departments and stay the same at one."""
    first = await redeem(desk, await ticket_of(desk))
    again = await redeem(desk, await ticket_of(desk))
    ticket = await desk.tickets.mint(desk.citizen, desk.entry("move"), nonce="N" * 43)
    other = await redeem(desk, ticket, "http://move.localhost:18106/landing", "move")

    assert (first.subject, first.session) == (again.subject, again.session)
    assert other.subject != first.subject
    assert other.session != first.session
    assert other.nonce == "N" * 43
    assert other.claims == {}


@pytest.mark.parametrize("times", [pytest.param(50, id="N75")])
async def test_fifty_redemptions_are_one(desk: Desk, times: int) -> None:
    """Of fifty at once exactly one is told; the others are refused and noted."""
    ticket = await ticket_of(desk)
    done = await asyncio.gather(
        *(redeem(desk, ticket) for _ in range(times)), return_exceptions=True
    )

    assert sum(isinstance(one, Redeemed) for one in done) == 1
    refused = [one for one in done if isinstance(one, NotAllowed)]
    assert [one.members["reason"] for one in refused] == ["used"] * (times - 1)
    events = await trail(desk.ledger)
    assert events.count("ticket.redeemed") == 1
    assert events.count("act.refused") == times - 1


@pytest.mark.parametrize(
    ("address", "by", "why"),
    [
        pytest.param(LANDING, "move", "foreign", id="N76"),
        pytest.param(LANDING + "/", "gjj", "address", id="N80-slash"),
        pytest.param(LANDING + "?x=1", "gjj", "address", id="N80-query"),
        pytest.param("", "gjj", "address", id="N80-empty"),
        pytest.param("http://evil.example/landing", "gjj", "address", id="N80-host"),
    ],
)
async def test_a_ticket_of_another_service_or_address_is_refused_and_burnt(
    desk: Desk, address: str, by: str, why: str
) -> None:
    """Who tries it wrongly gets nothing, and afterwards nobody does."""
    ticket = await ticket_of(desk)

    assert await refusal(desk, ticket, address, by) == "unknown"
    assert await refusal(desk, ticket) == "used"
    rows = await desk.ledger.read(
        lambda c: (
            c.execute(select(audit.c.json).where(audit.c.name == "act.refused")).scalars().all()
        )
    )
    assert [orjson.loads(row)["reason"] for row in rows] == [why, "used"]


@pytest.mark.parametrize("seconds", [pytest.param(60, id="N74")])
async def test_a_ticket_holds_for_a_minute(desk: Desk, seconds: int) -> None:
    """At the sixtieth second it is unknown; just before, it serves."""
    late, early = await ticket_of(desk), await ticket_of(desk)
    desk.clock.fixed = desk.clock.now() + (seconds - 1) * SECOND
    assert (await redeem(desk, early)).service == "gjj"
    desk.clock.fixed += 2 * SECOND
    assert await refusal(desk, late) == "unknown"


@pytest.mark.parametrize("ticket", ["", "x", "A" * 43, "é" * 43, "A" * 9000, "a\0b"])
async def test_an_invented_ticket_is_unknown(desk: Desk, ticket: str) -> None:
    """Nothing is told, and nothing is written."""
    before = await trail(desk.ledger)
    assert await refusal(desk, ticket) == "unknown"
    assert await trail(desk.ledger) == before


@pytest.mark.parametrize("row", [pytest.param("N27", id="N27"), pytest.param("N97", id="N97")])
async def test_a_ticket_dies_with_its_session(desk: Desk, row: str) -> None:
    """Signed out between tap and redemption: the department is told nothing."""
    ticket = await ticket_of(desk)
    await desk.sessions.end(desk.citizen, desk.citizen.session)

    assert await refusal(desk, ticket) == "ended"
    assert "ticket.redeemed" not in await trail(desk.ledger)


@pytest.mark.parametrize("row", [pytest.param("N28", id="N28"), pytest.param("N86", id="N86")])
async def test_a_ticket_dies_with_the_consent(desk: Desk, row: str) -> None:
    """Withdrawn between tap and redemption, or another text asked meanwhile: nothing is told."""
    ticket, later = await ticket_of(desk), await ticket_of(desk)
    await desk.consents.withdraw(desk.citizen.id, GJJ)
    assert await refusal(desk, ticket) == "withdrawn"

    await desk.agree()
    desk.live = generation(("找账户", "找账户和贷款"))
    assert await refusal(desk, later) == "withdrawn"
    assert "ticket.redeemed" not in await trail(desk.ledger)


async def test_what_is_told_is_what_is_agreed_at_that_moment(desk: Desk) -> None:
    """An optional item that she added after the tap is told; one that she took away is not."""
    ticket = await ticket_of(desk)
    await desk.agree("phone")
    assert (await redeem(desk, ticket)).claims["phone"] == CLAIMS["phone"]

    ticket = await ticket_of(desk)
    await desk.agree()
    assert "phone" not in (await redeem(desk, ticket)).claims


@pytest.mark.parametrize("row", [pytest.param("N79", id="N79")])
async def test_a_switched_off_service_redeems_nothing(desk: Desk, row: str) -> None:
    """The kill switch reaches tickets that are already out."""
    ticket = await ticket_of(desk)
    off = "    visibility: [{state: suspended, reason: leak}]\n"
    desk.live = generation(entry=("    lane: ticket\n", "    lane: ticket\n" + off))

    assert await refusal(desk, ticket) == "withdrawn"


async def test_it_is_noted_who_was_told_what_and_where_she_was(desk: Desk) -> None:
    """One disclosure, one visit with subject, consent and assurance, one audit event without values."""
    told = await redeem(desk, await ticket_of(desk))
    (disclosed,) = await desk.disclosures.mine(desk.citizen.id)
    (visit,) = await desk.tickets.visited(desk.citizen.id)
    rows = await desk.ledger.read(
        lambda c: (
            c.execute(select(audit.c.json).where(audit.c.name == "ticket.redeemed")).scalars().all()
        )
    )

    assert (disclosed.items, disclosed.count) == (("id_number", "name"), 1)
    assert (visit.subject, visit.session) == (told.subject, desk.citizen.session)
    assert (visit.level, visit.consent) == (3, desk.entry().consent_digest)
    assert CLAIMS["name"] not in rows[0]
    assert f'"{desk.citizen.id}"' not in rows[0]


async def test_used_tickets_and_old_visits_are_swept(desk: Desk) -> None:
    """Marks of used tickets go after their minute, visits after a day."""
    await redeem(desk, await ticket_of(desk))
    await ticket_of(desk)
    assert await desk.tickets.sweep() == 0
    desk.clock.offset += 61 * SECOND
    assert await desk.tickets.sweep() == 2
    desk.clock.offset += 25 * 3600 * SECOND
    assert await desk.tickets.visited(desk.citizen.id) == []
    assert await desk.tickets.sweep() == 1
    assert await desk.volatile.ask(("KEYS", "ticket:*"), ("KEYS", "visits:*")) == [[], []]


async def test_a_value_that_we_did_not_seal_is_no_ticket(desk: Desk) -> None:
    """Who can write to the volatile store cannot make tickets, nor move one to another handle."""
    ticket = await ticket_of(desk)
    (names,) = await desk.volatile.ask(("KEYS", "ticket:*"))
    (value,) = await desk.volatile.ask(("GET", names[0]))
    forged = new_token()
    await desk.volatile.ask(("SET", f"ticket:{digest(forged)}", value))
    assert await refusal(desk, forged) == "unknown"
    assert (await redeem(desk, ticket)).service == "gjj"


@pytest.mark.parametrize("id_", ["N107"], ids=["N107"])
async def test_a_server_gone_wild_does_not_fill_the_trail(
    desk: Desk, clock: OffsetClock, monkeypatch: pytest.MonkeyPatch, id_: str
) -> None:
    """Refused too often it hears 429 and nothing more is noted; others and good tickets pass."""
    assert id_
    monkeypatch.setattr(tickets, "REFUSED_PER_MINUTE", 3)
    old = await ticket_of(desk)
    await redeem(desk, old)
    for _ in range(3):
        assert await refusal(desk, old) == "used"
    noted = await trail(desk.ledger)
    for _ in range(5):
        with pytest.raises(TooMany) as refused:
            await redeem(desk, old)
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert await trail(desk.ledger) == noted
    assert await refusal(desk, old, by="move") == "used"
    assert (await redeem(desk, await ticket_of(desk))).service == "gjj"
    clock.offset += 61_000_000
    again = await ticket_of(desk)
    await redeem(desk, again)
    assert await refusal(desk, again) == "used"
