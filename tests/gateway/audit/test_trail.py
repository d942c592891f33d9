"""Whatever is done to a past row of the trail is found, and where."""

import dataclasses
import random
import typing
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from gateway.audit import events, trail
from gateway.audit.events import RoleGranted
from gateway.audit.trail import Break, Head
from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.tables import audit

ROWS = 40


@pytest.fixture
async def book(ledger_url: str, clock: OffsetClock) -> AsyncIterator[Ledger]:
    """A ledger of each kind with forty events."""

    def fill(connection: Connection) -> None:
        for number in range(ROWS):
            event = RoleGranted(
                citizen=CitizenId(f"c{number}"), role="viewer", author="cli", reason="原因"
            )
            trail.append(connection, event, at=1_700_000_000_000_000 + number)

    async with open_ledger(ledger_url, clock=clock) as opened:
        await opened.write(fill)
        yield opened


async def test_a_whole_trail_is_whole(book: Ledger) -> None:
    """Numbers without gaps, each row linked to the one before it."""
    assert await book.read(trail.verify) is None
    seqs = await book.read(
        lambda c: c.execute(select(audit.c.seq).order_by(audit.c.seq)).scalars().all()
    )
    assert list(seqs) == list(range(1, ROWS + 1))


@pytest.mark.parametrize(
    ("column", "value"),
    [("at", 5), ("name", "role.removed"), ("json", "{}"), ("prev", "0" * 64), ("hash", "f" * 64)],
)
async def test_one_changed_value_is_found(book: Ledger, column: str, value: object) -> None:
    """The first row that does not hold is named."""
    seq = random.randint(2, ROWS - 1)
    change = update(audit).where(audit.c.seq == seq).values({column: value})
    await book.write(lambda c: c.execute(change).rowcount)
    found = await book.read(trail.verify)
    assert found is not None
    assert found.seq == seq


async def test_a_removed_row_is_found(book: Ledger) -> None:
    """A gap is a break."""
    seq = random.randint(1, ROWS - 1)
    await book.write(lambda c: c.execute(delete(audit).where(audit.c.seq == seq)).rowcount)
    assert await book.read(trail.verify) == Break(seq, "missing")


async def test_two_swapped_rows_are_found(book: Ledger) -> None:
    """Contents in another order do not fit their hashes."""
    seq = random.randint(1, ROWS - 2)

    def swap(connection: Connection) -> None:
        query = select(audit).where(audit.c.seq.in_((seq, seq + 1))).order_by(audit.c.seq)
        one, two = (dict(r) for r in connection.execute(query).mappings())
        connection.execute(delete(audit).where(audit.c.seq.in_((seq, seq + 1))))
        one["seq"], two["seq"] = seq + 1, seq
        connection.execute(insert(audit), [two, one])

    await book.write(swap)
    found = await book.read(trail.verify)
    assert found is not None
    assert found.seq == seq


async def test_a_cut_or_rewritten_trail_is_found_by_a_known_end(book: Ledger) -> None:
    """Against who rewrites everything, an end noted elsewhere helps."""
    known = await book.read(trail.head)
    await book.write(lambda c: c.execute(delete(audit).where(audit.c.seq > ROWS - 3)).rowcount)
    assert await book.read(trail.verify) is None  # the chain alone cannot know
    assert await book.read(lambda c: trail.verify(c, known)) == Break(ROWS - 2, "cut")

    def rewritten(connection: Connection) -> None:
        connection.execute(delete(audit))
        for number in range(ROWS + 5):
            event = RoleGranted(citizen=CitizenId("x"), role="v", author="a", reason="r")
            trail.append(connection, event, at=number)

    await book.write(rewritten)
    assert await book.read(trail.verify) is None
    assert await book.read(lambda c: trail.verify(c, known)) == Break(known.seq, "edited")


async def test_an_event_stands_or_falls_with_its_change(book: Ledger) -> None:
    """What fails after the event was written leaves no event."""

    def fails(connection: Connection) -> None:
        event = RoleGranted(citizen=CitizenId("x"), role="v", author="a", reason="r")
        trail.append(connection, event, at=1)
        raise LookupError

    with pytest.raises(LookupError):
        await book.write(fails)
    assert (await book.read(trail.head)).seq == ROWS


async def test_an_empty_trail_has_an_end(ledger: Ledger) -> None:
    """Nothing yet is a head of its own."""
    assert await ledger.read(trail.head) == Head(0, trail.GENESIS)
    assert await ledger.read(trail.verify) is None


EVENTS = [e for e in vars(events).values() if isinstance(e, type) and dataclasses.is_dataclass(e)]
ALLOWED = {
    "citizen", "session", "upstream", "level", "reason", "before", "after", "service",
    "department", "items", "digest", "function", "lane", "ticket", "subject", "revision", "base",
    "author", "of", "role", "scope", "settings", "number", "state", "key", "use", "rows",
    "plugin", "first", "last", "act",
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.__name__)
def test_no_event_has_a_place_for_a_personal_value(event: type) -> None:
    """Fields are of a closed list of names, none of which could be a name, number or address."""
    assert {f.name for f in dataclasses.fields(event)} <= ALLOWED
    assert event.__doc__
    names = [typing.get_type_hints(event).get(f.name) for f in dataclasses.fields(event)]
    assert dict not in names


def test_event_names_are_told_apart() -> None:
    """Each kind has a name of its own: noun.past_tense."""
    names = [e.name for e in EVENTS if "name" in vars(e)]
    assert len(set(names)) == len(names)
    assert all(len(n.split(".")) == 2 for n in names)
