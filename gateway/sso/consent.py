"""Consents: who may be told what, given item by item, taken back at any time.

The ledger decides. A consent and its audit event stand in one transaction, together with the text
that was shown, kept under its own digest; cards hear of it afterwards.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from gateway.audit.events import ConsentGiven, ConsentWithdrawn
from gateway.audit.trail import append
from gateway.clock import Clock
from gateway.contract.citizen import Agreement
from gateway.contract.ids import CitizenId, DepartmentId, ServiceId
from gateway.errors import Invalid
from gateway.registry.agreed import agreed, asked, not_asked_before, required
from gateway.registry.entry import Entry
from gateway.store.ids import new_id
from gateway.store.ledger import Ledger
from gateway.store.tables import blob
from gateway.store.tables import consent as table

MAX_HISTORY: Final = 500
Forget = Callable[[CitizenId], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Question:
    """What one citizen is asked for one service now."""

    ask: tuple[str, ...]  # ids of the items to show as questions
    kept: frozenset[str]  # agreed to earlier in the same words: not asked again
    standing: Agreement | None  # what holds until she answers


@dataclass(frozen=True, slots=True)
class Given:
    """One consent of the past or present, with the words that were shown."""

    service: ServiceId
    department: DepartmentId
    items: tuple[str, ...]
    given: int  # UTC microseconds
    withdrawn: int | None
    replaced: bool  # ended because she agreed to a newer text
    shown: Any  # the JSON of `registry.agreed.asked`: recipient, privacy address, items


class Consents:
    """Gives, withdraws, lists."""

    def __init__(self, *, ledger: Ledger, clock: Clock, forget: Forget) -> None:
        """`forget` (Cards.forget) ends what was fetched under the consents before."""
        self._ledger = ledger
        self._clock = clock
        self._forget = forget

    async def agreements(self, citizen: CitizenId) -> Mapping[ServiceId, Agreement]:
        """Every consent of hers that stands.

        Raises:
            LedgerAway: the ledger cannot be read.
        """

        def unit(connection: Connection) -> dict[ServiceId, Agreement]:
            query = select(table).where(table.c.citizen == citizen, table.c.withdrawn.is_(None))
            rows = connection.execute(query.order_by(table.c.given)).all()
            return {ServiceId(row.service): _agreement(row) for row in rows}

        return await self._ledger.read(unit)

    async def question(self, citizen: CitizenId, entry: Entry, *, whole: bool = False) -> Question:
        """What to ask: only the difference to what she agreed to, unless the `whole` is wanted.

        Raises:
            LedgerAway: the ledger cannot be read.
        """

        def unit(connection: Connection) -> Question:
            before = standing(connection, citizen, entry.id)
            everything = tuple(item.id for item in entry.data)
            if whole or before is None or agreed(entry, before):
                return Question(everything, frozenset(), before)
            text = _shown(connection, before.digest)
            new = tuple(item.id for item in not_asked_before(entry, text))
            lost = required(entry) - before.items
            ask = tuple(item for item in everything if item in new or item in lost)
            return Question(ask, before.items.intersection(everything) - set(ask), before)

        return await self._ledger.read(unit)

    async def give(self, citizen: CitizenId, entry: Entry, items: Collection[str]) -> None:
        """Agree to exactly these items of what the entry asks today.

        Raises:
            Invalid: an item that is not asked for, or a required one is missing.
            LedgerAway: nothing was written, or it is not known whether it was.
        """
        chosen = tuple(sorted(set(items)))
        if not set(chosen) <= {item.id for item in entry.data}:
            raise Invalid(detail="an item that is not asked for")
        if lost := required(entry) - set(chosen):
            fields = [{"field": item, "message": "required"} for item in sorted(lost)]
            raise Invalid(members={"fields": fields})
        if not entry.data:
            return
        wanted = Agreement(entry.consent_digest, frozenset(chosen), 0)

        def unit(connection: Connection) -> None:
            before = standing(connection, citizen, entry.id)
            if before and (before.digest, before.items) == (wanted.digest, wanted.items):
                return  # a second tap
            now = self._clock.now()
            _end(connection, citizen, entry.id, now)
            _keep_shown(connection, entry)
            row = {
                "id": new_id(self._clock),
                "citizen": citizen,
                "department": entry.owner.id,
                "service": entry.id,
                "items": orjson.dumps(chosen).decode(),
                "manifest_digest": entry.consent_digest,
                "given": now,
            }
            connection.execute(insert(table).values(row))
            event = ConsentGiven(
                citizen=citizen,
                service=entry.id,
                department=entry.owner.id,
                items=chosen,
                digest=entry.consent_digest,
            )
            append(connection, event, at=now)

        await self._ledger.write(unit)
        await self._forget(citizen)

    async def withdraw(self, citizen: CitizenId, service: ServiceId) -> bool:
        """Take a consent back; whether there was one. Holds from the commit on.

        Raises:
            LedgerAway: nothing was written, or it is not known whether it was.
        """

        def unit(connection: Connection) -> bool:
            query = select(table.c.department).where(_stands(citizen, service))
            department = connection.execute(query).scalars().first()
            if department is None:
                return False
            now = self._clock.now()
            _end(connection, citizen, service, now)
            event = ConsentWithdrawn(
                citizen=citizen, service=service, department=DepartmentId(department)
            )
            append(connection, event, at=now)
            return True

        done = await self._ledger.write(unit)
        await self._forget(citizen)
        return done

    async def history(self, citizen: CitizenId) -> list[Given]:
        """Her consents, the newest first, ended ones too.

        Raises:
            LedgerAway: the ledger cannot be read.
        """

        def unit(connection: Connection) -> list[Given]:
            query = select(table, blob.c.bytes).outerjoin(
                blob, blob.c.sha256 == table.c.manifest_digest
            )
            order = (table.c.given.desc(), table.c.id.desc())
            rows = connection.execute(
                query.where(table.c.citizen == citizen).order_by(*order).limit(MAX_HISTORY)
            ).all()
            begun = {(row.service, row.given) for row in rows}
            return [
                Given(
                    service=ServiceId(row.service),
                    department=DepartmentId(row.department),
                    items=tuple(orjson.loads(row.items)),
                    given=row.given,
                    withdrawn=row.withdrawn,
                    replaced=(row.service, row.withdrawn) in begun,
                    shown=orjson.loads(row.bytes) if row.bytes else None,
                )
                for row in rows
            ]

        return await self._ledger.read(unit)


def standing(connection: Connection, citizen: CitizenId, service: ServiceId) -> Agreement | None:
    """The consent that stands, read in the caller's transaction."""
    query = select(table).where(_stands(citizen, service)).order_by(table.c.given.desc())
    row = connection.execute(query).first()
    return _agreement(row) if row is not None else None


def _stands(citizen: CitizenId, service: ServiceId) -> Any:
    return (
        (table.c.citizen == citizen) & (table.c.service == service) & (table.c.withdrawn.is_(None))
    )


def _agreement(row: Any) -> Agreement:
    return Agreement(
        digest=row.manifest_digest, items=frozenset(orjson.loads(row.items)), given=row.given
    )


def _end(connection: Connection, citizen: CitizenId, service: ServiceId, now: int) -> None:
    connection.execute(update(table).where(_stands(citizen, service)).values(withdrawn=now))


def _shown(connection: Connection, text: str) -> bytes | None:
    found: bytes | None = connection.execute(
        select(blob.c.bytes).where(blob.c.sha256 == text)
    ).scalar()
    return found


def _keep_shown(connection: Connection, entry: Entry) -> None:
    if _shown(connection, entry.consent_digest) is None:
        row = {"sha256": entry.consent_digest, "bytes": asked(entry)}
        connection.execute(insert(blob).values(row))
