"""A launch is decided by one pure function and carried out once, for one session."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.cards.state import Code
from gateway.clock import OffsetClock
from gateway.contract.citizen import Agreement, Citizen
from gateway.contract.ids import CitizenId, ServiceId
from gateway.registry.agreed import agreed
from gateway.registry.entry import Entry, Lane, Launching
from gateway.sso.launch import (
    AskFirst,
    Dead,
    Go,
    NotNow,
    Onward,
    ProveMore,
    Step,
    Stopped,
    decide,
    with_query,
)
from gateway.sso.onetime import Found
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import (
    LANDING,
    Desk,
    desk_with_citizen,
    entry_of,
    generation,
    trail,
)

GENERATION = generation()
GJJ = entry_of(GENERATION, "gjj")
SECOND = 1_000_000
FULL = Agreement(GJJ.consent_digest, frozenset({"name", "id_number"}), 0)


@pytest.fixture
async def desk(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Desk:
    """Everything over real stores, her consent given."""
    made = await desk_with_citizen(volatile, ledger, keys, clock)
    await made.agree()
    return made


async def follow(
    desk: Desk,
    go: str,
    *,
    citizen: Citizen | None = None,
    gate: str | None = None,
    nonce: str | None = None,
) -> Step:
    """Open a one-time address."""
    return await desk.launches.open(
        go,
        citizen or desk.citizen,
        entry_of=desk.live.entry,
        gate_of=lambda _: gate,
        nonce=nonce,
    )


def query(step: Step, name: str) -> str:
    """A query field of the address that the browser is sent to."""
    assert isinstance(step, Onward), step
    return parse_qs(urlsplit(step.address).query)[name][0]


def citizen_at(level: int) -> Citizen:
    """Somebody at this assurance."""
    return Citizen(CitizenId("c1"), level, "anlan", "5" * 64, 0)


entries = st.builds(
    lambda parked, lane, level, launch: GJJ.model_copy(
        update={
            "parked": parked,
            "level": level,
            "launch": Launching(lane=lane, address=LANDING) if launch else None,
        }
    ),
    st.sampled_from([None, "hook"]),
    st.sampled_from(list(Lane)),
    st.integers(0, 5),
    st.booleans(),
)
agreements = st.one_of(
    st.none(),
    st.builds(
        Agreement,
        st.sampled_from([GJJ.consent_digest, "x"]),
        st.frozensets(st.sampled_from(["name", "id_number", "phone"])),
        st.just(0),
    ),
)


@given(
    entry=entries,
    agreement=agreements,
    level=st.integers(0, 5),
    function=st.sampled_from(["", "balance", "withdraw", "nope"]),
    gate=st.one_of(st.none(), st.sampled_from([code.value for code in Code])),
)
def test_every_tap_has_exactly_one_answer(
    entry: Entry, agreement: Agreement | None, level: int, function: str, gate: str | None
) -> None:
    """Total, and nobody goes on a ticket without level and consent, nor through a closed gate."""
    decision = decide(citizen_at(level), entry, agreement, function, gate=gate)

    assert isinstance(decision, NotNow | ProveMore | AskFirst | Go)
    cured = (None, "needs_login", "needs_identity", "needs_consent")
    if isinstance(decision, Go):
        assert gate in cured
        assert entry.launch is not None
        assert entry.parked is None
        if entry.launch.lane is Lane.TICKET:
            needed = 3 if function == "withdraw" else 2 if function else entry.level
            assert level >= needed
            assert agreed(entry, agreement)
        else:
            assert entry.launch.lane is Lane.LINK
    if isinstance(decision, ProveMore):
        assert decision.level > level
    if gate not in cured:
        assert decision == NotNow(gate or "")


@pytest.mark.parametrize(
    ("level", "function", "agreement", "expected"),
    [
        (2, "", FULL, Go),
        (1, "", FULL, ProveMore),
        (2, "withdraw", FULL, ProveMore),
        (3, "withdraw", FULL, Go),
        (1, "", None, ProveMore),
        (2, "", None, AskFirst),
        (2, "nope", FULL, NotNow),
    ],
)
def test_a_function_has_a_level_of_its_own(
    level: int, function: str, agreement: Agreement | None, expected: type
) -> None:
    """The card's level lets one in; a function may ask for more; level comes before consent."""
    assert isinstance(decide(citizen_at(level), GJJ, agreement, function), expected)


async def test_a_tap_ends_at_the_departments_address_with_a_ticket(desk: Desk) -> None:
    """The address holds a ticket and nothing else; the copy is marked; the trail has one event."""
    go = await desk.launches.start(desk.citizen, desk.entry(), "withdraw")
    step = await follow(desk, go)

    assert isinstance(step, Onward)
    assert step.address == f"{LANDING}?ticket={query(step, 'ticket')}"
    assert desk.relaunched == [("c1", "gjj")]
    assert (await trail(desk.ledger)).count("service.launched") == 1


async def test_neither_go_nor_ticket_stands_in_any_store(desk: Desk) -> None:
    """Only digests are kept: who reads the stores cannot launch."""
    go = await desk.launches.start(desk.citizen, desk.entry())
    step = await follow(desk, go)

    (names,) = await desk.volatile.ask(("KEYS", "*"))
    values = await desk.volatile.ask(*(("DUMP", name) for name in names))
    rows = await desk.ledger.read(lambda c: c.execute(select(audit.c.json)).scalars().all())
    for secret in (go, query(step, "ticket")):
        assert secret.encode() not in b"".join([*names, *values])
        assert secret not in "".join(rows)


@pytest.mark.parametrize("times", [pytest.param(50, id="N75")])
async def test_fifty_openings_are_one_launch(desk: Desk, times: int) -> None:
    """A one-time address serves once, however many come at the same moment."""
    go = await desk.launches.start(desk.citizen, desk.entry())
    steps = await asyncio.gather(*(follow(desk, go) for _ in range(times)))

    assert sum(isinstance(step, Onward) for step in steps) == 1
    assert sum(step == Dead(Found.USED) for step in steps) == times - 1
    assert (await trail(desk.ledger)).count("service.launched") == 1


@pytest.mark.parametrize("row", [pytest.param("N74", id="N74")])
async def test_a_launch_belongs_to_one_session_and_one_minute(desk: Desk, row: str) -> None:
    """Another session of hers, another citizen, or an hour later: the address is dead and burnt."""
    elsewhere = await desk.sign_in()
    other = await desk.sign_in("c2")
    for stranger in (elsewhere, other):
        go = await desk.launches.start(desk.citizen, desk.entry())
        assert await follow(desk, go, citizen=stranger) == Dead(Found.UNKNOWN)
        assert await follow(desk, go) == Dead(Found.USED)
    go = await desk.launches.start(desk.citizen, desk.entry())
    desk.clock.offset += 61 * SECOND
    assert await follow(desk, go) == Dead(Found.UNKNOWN)
    assert "service.launched" not in await trail(desk.ledger)


@pytest.mark.parametrize("go", ["", "x", "ü" * 43, "A" * 43, "A" * 5000, "../../x"])
async def test_an_invented_address_is_dead(desk: Desk, go: str) -> None:
    """Nothing is found under what we did not hand out."""
    assert await follow(desk, go) == Dead(Found.UNKNOWN)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        pytest.param("suspended", "suspended", id="N79"),
        ("retired", "retired"),
        ("hidden", "hidden"),
    ],
)
async def test_what_was_switched_off_meanwhile_is_not_launched(
    desk: Desk, gate: str, reason: str
) -> None:
    """No ticket is made for a service that is off by the time the address is opened."""
    go = await desk.launches.start(desk.citizen, desk.entry())
    step = await follow(desk, go, gate=gate)

    assert step == Stopped(NotNow(reason), ServiceId("gjj"), "")
    assert await desk.volatile.ask(("KEYS", "ticket:*")) == [[]]


@pytest.mark.parametrize("row", [pytest.param("B58", id="B58")])
async def test_consent_withdrawn_between_tap_and_opening_stops_it(desk: Desk, row: str) -> None:
    """What holds at the opening counts, not what held at the tap."""
    go = await desk.launches.start(desk.citizen, desk.entry())
    await desk.consents.withdraw(desk.citizen.id, ServiceId("gjj"))

    assert await follow(desk, go) == Stopped(AskFirst(), ServiceId("gjj"), "")


async def test_a_browser_nonce_is_fetched_first_and_bound(desk: Desk) -> None:
    """The browser goes to the department, comes back with its nonce, and only then gets a ticket."""
    go = await desk.launches.start(desk.citizen, desk.entry("move"))
    first = await follow(desk, go)
    assert isinstance(first, Onward)
    assert first.address.startswith("http://move.localhost:18106/start?go=")
    assert await desk.volatile.ask(("KEYS", "ticket:*")) == [[]]

    second = await follow(desk, query(first, "go"), nonce="N" * 43)
    assert isinstance(second, Onward)
    assert second.address.startswith("http://move.localhost:18106/landing?ticket=")
    assert (await trail(desk.ledger)).count("service.launched") == 1


@pytest.mark.parametrize(
    "nonce",
    [pytest.param(None, id="N77"), "", "short", "N" * 42 + "=", "N" * 44, "é" * 43],
)
async def test_without_its_nonce_there_is_no_ticket(desk: Desk, nonce: str | None) -> None:
    """A nonce that is missing or not base64url of a digest burns the launch."""
    go = await desk.launches.start(desk.citizen, desk.entry("move"))
    back = query(await follow(desk, go), "go")

    assert await follow(desk, back, nonce=nonce) == Dead(Found.UNKNOWN, ServiceId("move"))
    assert await follow(desk, back, nonce="N" * 43) == Dead(Found.USED)


async def test_a_plain_link_needs_nothing_and_tells_nobody(desk: Desk) -> None:
    """A directory entry's link is followed without level, consent or ticket."""
    link = desk.entry().model_copy(
        update={"launch": Launching(lane=Lane.LINK, address="https://a.example/?x=公积金")}
    )
    stranger = replace(desk.citizen, level=0)
    assert isinstance(await desk.launches.consider(stranger, link), Go)
    go = await desk.launches.start(stranger, link)
    step = await desk.launches.open(go, stranger, entry_of=lambda _: link, gate_of=lambda _: None)

    assert isinstance(step, Onward)
    assert step.address == "https://a.example/?x=%E5%85%AC%E7%A7%AF%E9%87%91"
    rows = await desk.ledger.read(
        lambda c: c.execute(select(audit.c.json).where(audit.c.name == "service.launched")).all()
    )
    assert orjson.loads(rows[0][0])["lane"] == "plain"


async def test_old_launches_are_swept(desk: Desk) -> None:
    """What nobody opened is taken away after its minute, and not before."""
    await desk.launches.start(desk.citizen, desk.entry())
    assert await desk.launches.sweep() == 0
    desk.clock.offset += 61 * SECOND
    assert await desk.launches.sweep() == 1
    assert await desk.volatile.ask(("KEYS", "go:*")) == [[]]


def test_a_query_is_added_to_an_address_that_has_one() -> None:
    """The department's own query stays."""
    assert (
        with_query("https://a.example/x?y=1", "ticket", "T") == "https://a.example/x?y=1&ticket=T"
    )
