"""The citizen's row: a random id, found by a blind index of who the upstream says she is.

Neither her name nor the upstream's number for her is kept; the row carries the key under which all
that is hers is sealed.
"""

from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.store.ids import new_id
from gateway.store.sealing import Keys
from gateway.store.tables import citizen as table

ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"


class NotActive(Exception):
    """This person's access was suspended, or she was erased."""


def find_or_make(
    connection: Connection, keys: Keys, clock: Clock, *, upstream: str, sub: str
) -> CitizenId:
    """The row of this person at this upstream; made with a key of its own where it is new.

    Two upstreams never meet in one row, whatever telephone or name they tell (N59).

    Raises:
        NotActive: she may not come in.
    """
    index = keys.blind("citizen", upstream, sub)
    query = select(table.c.id, table.c.status).where(
        table.c.upstream == upstream, table.c.sub_index == index
    )
    known = connection.execute(query).first()
    if known is not None:
        if known.status != ACTIVE:
            raise NotActive
        return CitizenId(known.id)
    made = CitizenId(new_id(clock))
    row = {
        "id": made,
        "upstream": upstream,
        "sub_index": index,
        "dek": keys.new_dek(),
        "level": 0,
        "status": ACTIVE,
        "created": clock.now(),
    }
    connection.execute(insert(table).values(row))
    return made


def note_level(connection: Connection, citizen: CitizenId, level: int) -> None:
    """Keep how sure the upstream was at the last sign-in."""
    connection.execute(update(table).where(table.c.id == citizen).values(level=level))


def set_status(connection: Connection, citizen: CitizenId, status: str) -> bool:
    """Suspend or let in again; False where there is no such person."""
    unit = update(table).where(table.c.id == citizen).values(status=status)
    return bool(connection.execute(unit).rowcount)
