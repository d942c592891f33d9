"""Who was told what: counted in memory, written every five seconds and at the end.

One row is one citizen, service, department, set of data items and day of the city; a call for a
card and a redeemed ticket count alike.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson
import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from gateway.clock import Clock, instant
from gateway.contract.ids import CitizenId, DepartmentId, ServiceId
from gateway.registry.entry import Entry
from gateway.store.away import LedgerAway
from gateway.store.ledger import Ledger
from gateway.store.tables import citizen as citizens
from gateway.store.tables import disclosure as table

EVERY: Final = 5.0  # seconds between two writings
MAX_PENDING: Final = 100_000  # kinds of disclosure kept in memory while the ledger is away
MAX_LISTED: Final = 500
_BATCH: Final = 500  # rows of one transaction: a short one, because others wait behind it
_log = structlog.get_logger(__name__)


class _Key(NamedTuple):
    citizen: str
    service: str
    department: str
    items: str
    day: str


@dataclass(slots=True)
class _Count:
    count: int
    last: int


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One line of what a citizen may read: which department was told what, how often on a day."""

    service: ServiceId
    department: DepartmentId
    items: tuple[str, ...]
    day: str  # YYYY-MM-DD in the city
    count: int
    last: int  # UTC microseconds


class Disclosures:
    """Counts, writes, lists; one in each worker."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pending: dict[_Key, _Count] = {}
        self._lost = 0

    def note(self, citizen: CitizenId, entry: Entry, items: Collection[str]) -> None:
        """Count that the entry's department was told these items of the citizen; never waits."""
        now = self._clock.now()
        day = instant(now).date().isoformat()
        told = orjson.dumps(sorted(items)).decode()
        self._add(_Key(citizen, entry.id, entry.owner.id, told, day), _Count(1, now))

    def _add(self, key: _Key, more: _Count) -> None:
        there = self._pending.get(key)
        if there is not None:
            there.count += more.count
            there.last = max(there.last, more.last)
        elif len(self._pending) < MAX_PENDING:
            self._pending[key] = more
        else:
            self._lost += more.count

    async def follow(self) -> None:
        """Write what has come in, every five seconds, for ever."""
        while True:
            await self._clock.sleep(EVERY)
            try:
                await self.flush()
            except LedgerAway:
                _log.warning("disclosure.waiting", rows=len(self._pending), lost=self._lost)

    async def flush(self) -> None:
        """Write what has come in; call it once more before closing.

        Raises:
            LedgerAway: it is kept for the next time.
        """
        while self._pending:
            batch = dict(list(self._pending.items())[:_BATCH])
            for key in batch:
                del self._pending[key]
            rows = batch.items()
            try:
                await self._ledger.write(lambda c, rows=rows: _write(c, dict(rows)))  # type: ignore[misc]
            except BaseException:
                # After "maybe" it may stand already: a disclosure too many is better than none.
                for key, count in rows:
                    self._add(key, count)
                raise

    async def mine(self, citizen: CitizenId) -> list[Disclosed]:
        """What departments were told about her, the newest first.

        Raises:
            LedgerAway: the ledger cannot be read.
        """
        if any(key.citizen == citizen for key in self._pending):
            await self.flush()

        def unit(connection: Connection) -> list[Disclosed]:
            query = select(table).where(table.c.citizen == citizen)
            newest = query.order_by(table.c.last.desc()).limit(MAX_LISTED)
            return [
                Disclosed(
                    service=ServiceId(row["service"]),
                    department=DepartmentId(row["department"]),
                    items=tuple(orjson.loads(row["items"])),
                    day=row["day"],
                    count=row["count"],
                    last=row["last"],
                )
                for row in connection.execute(newest).mappings()
            ]

        return await self._ledger.read(unit)


def _write(connection: Connection, rows: dict[_Key, _Count]) -> None:
    wanted = {key.citizen for key in rows}
    known = set(
        connection.execute(select(citizens.c.id).where(citizens.c.id.in_(wanted))).scalars()
    )
    for key, more in rows.items():
        if key.citizen not in known:
            continue  # erased meanwhile: nothing is kept of her
        same = [table.c[name] == value for name, value in key._asdict().items()]
        query = select(table.c.count, table.c.last).where(*same)
        there = connection.execute(query).one_or_none()
        if there is None:
            values = {**key._asdict(), "count": more.count, "last": more.last}
            connection.execute(insert(table).values(values))
        else:
            values = {"count": there[0] + more.count, "last": max(there[1], more.last)}
            connection.execute(update(table).where(*same).values(values))
