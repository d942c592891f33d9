"""Staff: who may do what in the consoles, and who is in which group of testers.

Roles are ours and stand in the ledger; nothing an identity provider says gives one. A person is
named by her provider and its number for her, of which only a keyed index is kept.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.engine import Connection

from gateway.audit.events import RoleGranted, RoleRemoved
from gateway.audit.trail import append
from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.errors import Invalid
from gateway.sso.citizens import NotActive, find_or_make
from gateway.store.ledger import Ledger, LedgerAway
from gateway.store.sealing import Keys
from gateway.store.tables import citizen as citizens
from gateway.store.tables import staff as table

Role = Literal["viewer", "editor", "publisher", "auditor", "tester"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
TESTER: Final = "tester"  # its scope is the group
_MAX_TEXT: Final = 200
_GROUPS_SECONDS: Final = 5.0
_TESTERS: Final = 50_000  # rows that are read
_IN_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class StaffRow:
    """One role of one person."""

    citizen: CitizenId
    upstream: str
    role: str
    scope: str
    granted_by: str
    reason: str
    at: int  # UTC microseconds


class Staff:
    """Reads and changes roles."""

    def __init__(self, *, ledger: Ledger, keys: Keys, clock: Clock) -> None:
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._testers: Mapping[str, frozenset[str]] = {}
        self._testers_until = float("-inf")  # monotonic; then they are read again
        self._reading = asyncio.Lock()

    async def roles(self, citizen: CitizenId) -> frozenset[str]:
        """Her roles as the ledger says at this moment.

        Raises:
            LedgerAway: it cannot be read.
        """
        query = select(table.c.role).where(
            table.c.citizen == citizen, table.c.role != TESTER, table.c.scope == ""
        )
        found = await self._ledger.read(lambda c: list(c.execute(query).scalars()))
        return frozenset(found)

    async def groups(self, citizen: CitizenId) -> frozenset[str]:
        """The groups of testers she is in, at most 5 s old.

        Every view asks, and testers are few: all of them are read together, so that no view reads
        the ledger for itself. With the ledger away it is what was known last.
        """
        if self._clock.monotonic() >= self._testers_until:
            async with self._reading:
                now = self._clock.monotonic()
                if now >= self._testers_until:  # nobody has read them meanwhile
                    self._testers_until = now + _GROUPS_SECONDS
                    with suppress(LedgerAway):
                        self._testers = await self._ledger.read(_testers)
        return self._testers.get(citizen, _IN_NONE)

    async def grant(
        self, upstream: str, sub: str, role: str, *, scope: str = "", author: str, reason: str
    ) -> bool:
        """Give a role; the person's row is made where it is new. False: she has it already.

        Raises:
            Invalid: no such role, no scope where one is needed, no author or reason.
            LedgerAway: it was not written.
        """
        _check(upstream, sub, role, scope, author, reason)

        def unit(connection: Connection) -> bool:
            citizen = self._person(connection, upstream, sub)
            if connection.execute(select(table.c.at).where(*_which(citizen, role, scope))).first():
                return False
            now = self._clock.now()
            row = {"citizen": citizen, "role": role, "scope": scope, "granted_by": author}
            connection.execute(insert(table).values(**row, reason=reason, at=now))
            given = RoleGranted(
                citizen=citizen, role=role, scope=scope, author=author, reason=reason
            )
            append(connection, given, at=now)
            return True

        return await self._ledger.write(unit)

    async def remove(
        self, upstream: str, sub: str, role: str, *, scope: str = "", author: str, reason: str
    ) -> bool:
        """Take a role away; False: she did not have it.

        Raises:
            Invalid: as `grant`.
            LedgerAway: it was not written.
        """
        _check(upstream, sub, role, scope, author, reason)
        index = self._keys.blind("citizen", upstream, sub)

        def unit(connection: Connection) -> bool:
            query = select(citizens.c.id).where(
                citizens.c.upstream == upstream, citizens.c.sub_index == index
            )
            citizen = connection.execute(query).scalar()
            if citizen is None:
                return False
            if not connection.execute(delete(table).where(*_which(citizen, role, scope))).rowcount:
                return False
            gone = RoleRemoved(
                citizen=CitizenId(citizen), role=role, scope=scope, author=author, reason=reason
            )
            append(connection, gone, at=self._clock.now())
            return True

        return await self._ledger.write(unit)

    async def list(self) -> list[StaffRow]:
        """All roles of everybody.

        Raises:
            LedgerAway: it cannot be read.
        """
        query = (
            select(table, citizens.c.upstream)
            .join(citizens, citizens.c.id == table.c.citizen)
            .order_by(table.c.at, table.c.citizen, table.c.role, table.c.scope)
        )
        rows = await self._ledger.read(lambda c: list(c.execute(query).all()))
        return [
            StaffRow(
                CitizenId(row.citizen),
                row.upstream,
                row.role,
                row.scope,
                row.granted_by,
                row.reason,
                row.at,
            )
            for row in rows
        ]

    def _person(self, connection: Connection, upstream: str, sub: str) -> CitizenId:
        try:
            return find_or_make(connection, self._keys, self._clock, upstream=upstream, sub=sub)
        except NotActive:
            raise _wrong("sub", "this person's access is suspended") from None


def _testers(connection: Connection) -> dict[str, frozenset[str]]:
    query = select(table.c.citizen, table.c.scope).where(table.c.role == TESTER).limit(_TESTERS)
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(query):
        found[row.citizen] = found.get(row.citizen, _IN_NONE) | {row.scope}
    return found


def _which(citizen: str, role: str, scope: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.citizen == citizen, table.c.role == role, table.c.scope == scope


def _check(upstream: str, sub: str, role: str, scope: str, author: str, reason: str) -> None:
    if role not in ROLES:
        raise _wrong("role", f"one of {', '.join(ROLES)}")
    if role == TESTER and not scope:
        raise _wrong("scope", "name the group of testers")
    if role != TESTER and scope:
        raise _wrong("scope", "only testers have one")
    texts = {"upstream": upstream, "sub": sub, "author": author, "reason": reason}
    for name, text in texts.items():
        if not text.strip() or len(text) > _MAX_TEXT or not text.isprintable():
            raise _wrong(name, f"1 to {_MAX_TEXT} characters on one line")


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(members={"fields": [{"field": field, "message": message}]})
