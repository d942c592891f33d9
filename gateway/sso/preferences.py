"""What a citizen likes: how pages look, her favourites, what she used last; sealed under her key."""

from collections import OrderedDict
from typing import Any, Final, Literal

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from gateway.audit.events import DisplayChanged
from gateway.audit.trail import append
from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.errors import Invalid, NotFound
from gateway.store.ledger import Ledger
from gateway.store.sealing import BadSeal, Keys
from gateway.store.tables import citizen as citizens
from gateway.store.tables import preference as table

Name = Literal["look", "favourites", "recents"]
MAX_BYTES: Final = 8192
_REMEMBERED: Final = 20_000  # values kept in memory


class Preferences:
    """Reads and writes; remembers what it read, because every page asks how it should look."""

    def __init__(self, *, ledger: Ledger, keys: Keys, clock: Clock) -> None:
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._recent: OrderedDict[tuple[str, str], tuple[float, bytes | None]] = OrderedDict()

    async def read(self, citizen: CitizenId, name: Name, *, age: float = 0.0) -> Any | None:
        """One preference, or None where she has not said.

        `age`: what was read so many seconds ago is good enough; another worker may have changed it.

        Raises:
            LedgerAway: the ledger cannot be read.
        """
        place = (citizen, name)
        known = self._recent.get(place)
        if known is None or self._clock.monotonic() - known[0] >= age:
            plain = await self._ledger.read(lambda c: self._open(c, citizen, name))
            self._remember(place, plain)
        else:
            plain = known[1]
        return orjson.loads(plain) if plain is not None else None

    async def write(self, citizen: CitizenId, name: Name, value: Any) -> None:
        """Keep one preference.

        Raises:
            Invalid: it is too large.
            NotFound: no such citizen.
            LedgerAway: nothing was written, or it is not known whether it was.
        """
        plain = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        if len(plain) > MAX_BYTES:
            raise Invalid(detail="preference too large")
        await self._ledger.write(lambda c: self._keep(c, citizen, name, plain))
        self._remember((citizen, name), plain)

    def _keep(self, connection: Connection, citizen: CitizenId, name: Name, plain: bytes) -> None:
        before = self._open(connection, citizen, name)
        if before == plain:
            return
        dek = connection.execute(select(citizens.c.dek).where(citizens.c.id == citizen)).scalar()
        if not dek:
            raise NotFound(detail="citizen")
        sealed = self._keys.for_citizen(dek).seal(plain, aad=_aad(citizen, name))
        now = self._clock.now()
        here = (table.c.citizen == citizen, table.c.name == name)
        done = connection.execute(update(table).where(*here).values(sealed=sealed, at=now))
        if done.rowcount == 0:
            row = {"citizen": citizen, "name": name, "sealed": sealed, "at": now}
            connection.execute(insert(table).values(row))
        if name == "look":
            append(
                connection,
                DisplayChanged(citizen=citizen, settings=_changed(before, plain)),
                at=now,
            )

    def _open(self, connection: Connection, citizen: CitizenId, name: Name) -> bytes | None:
        query = (
            select(table.c.sealed, citizens.c.dek)
            .join(citizens, citizens.c.id == table.c.citizen)
            .where(table.c.citizen == citizen, table.c.name == name)
        )
        row = connection.execute(query).one_or_none()
        if row is None or not row.dek:
            return None
        try:
            return self._keys.for_citizen(row.dek).open(row.sealed, aad=_aad(citizen, name))
        except BadSeal:  # her key was erased, or the row was put there by somebody else
            return None

    def _remember(self, place: tuple[str, str], plain: bytes | None) -> None:
        self._recent.pop(place, None)
        self._recent[place] = (self._clock.monotonic(), plain)
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)


def _aad(citizen: str, name: str) -> bytes:
    return f"preference:{citizen}:{name}".encode()


def _changed(before: bytes | None, after: bytes) -> tuple[str, ...]:
    """Names of the settings that differ, never their values."""
    old = orjson.loads(before) if before is not None else {}
    new = orjson.loads(after)
    return tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))
