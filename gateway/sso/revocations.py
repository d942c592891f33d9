"""Which sessions were ended, as the ledger says; held in memory by each worker.

The volatile store forgets: killed, it may bring back what was deleted in its last second, and a
restored copy much more. So every ending is a ledger row, and a session is trusted only after the
rows of its whole possible life were read in this run of the store.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, insert, or_, select
from sqlalchemy.engine import Connection

from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.store.ledger import Ledger
from gateway.store.tables import revocation as table

_MANY: Final = 50_000  # entries in memory before old ones are dropped
_PAGE: Final = 10_000  # rows read at once


def revoke(
    connection: Connection, *, at: int, session: str | None = None, citizen: str | None = None
) -> None:
    """Write that a session, or every session of a citizen opened until now, has ended."""
    connection.execute(insert(table).values(session=session, citizen=citizen, at=at))


def last_end(connection: Connection, citizen: CitizenId) -> int:
    """When all sessions of this citizen were ended last; 0: never."""
    hers = table.c.citizen == citizen
    everybody = table.c.citizen.is_(None) & table.c.session.is_(None)
    query = select(func.max(table.c.at)).where(or_(hers, everybody))
    found: int | None = connection.execute(query).scalar()
    return found or 0


@dataclass(slots=True)
class Revocations:
    """One worker's view of the ledger's rows, at most a second old."""

    ledger: Ledger
    clock: Clock
    life: int  # microseconds: no session gets older
    _run: str | None = None  # the run of the volatile store in which the rows were read
    _last: int = 0
    _sessions: dict[str, int] = field(default_factory=dict)
    _citizens: dict[str, int] = field(default_factory=dict)
    _everybody: int = 0

    def trusts(self, run: str) -> bool:
        """Whether the rows were read since this run of the store began."""
        return self._run == run

    async def read_all(self, run: str) -> None:
        """Read the rows of the longest life that a session can have.

        Raises:
            LedgerAway: then no session can be trusted yet.
        """
        since = self.clock.now() - self.life
        newest = 0
        while True:
            rows = await self.ledger.read(lambda c, after=newest: _rows(c, after, since))  # type: ignore[misc]  # the default binds the loop's value
            for row in rows:
                self._note(row)
                newest = row.id
            if len(rows) < _PAGE:
                break
        self._last = max(self._last, newest)
        self._run = run

    async def read_new(self) -> None:
        """Read what was written since.

        Raises:
            LedgerAway: what is known stays.
        """
        after = self._last
        for row in await self.ledger.read(lambda c: _rows(c, after, 0)):
            self._note(row)
            self._last = max(self._last, row.id)

    def note(self, *, at: int, session: str | None = None, citizen: str | None = None) -> None:
        """Know at once what this worker has just written."""
        if session is not None:
            self._sessions[session] = at
        if citizen is not None:
            self._citizens[citizen] = max(at, self._citizens.get(citizen, 0))
        if session is None and citizen is None:
            self._everybody = max(at, self._everybody)

    def ended(self, session: str, citizen: str, opened: int) -> bool:
        """Whether a session that was opened then has been ended."""
        return (
            session in self._sessions
            or opened <= self._everybody
            or opened <= self._citizens.get(citizen, 0)
        )

    def _note(self, row: Any) -> None:
        self.note(at=row.at, session=row.session, citizen=row.citizen)
        if len(self._sessions) + len(self._citizens) > _MANY:
            since = self.clock.now() - self.life
            self._sessions = {k: at for k, at in self._sessions.items() if at > since}
            self._citizens = {k: at for k, at in self._citizens.items() if at > since}


def _rows(connection: Connection, after: int, since: int) -> list[Any]:
    query = select(table).where(table.c.id > after, table.c.at > since)
    return list(connection.execute(query.order_by(table.c.id).limit(_PAGE)).all())
