"""The trail: audit rows, each with the hash of the one before it.

Who edits, deletes or reorders a row breaks the chain there. Who can write to the ledger could still
write the whole chain anew, or cut off its end: against that the last hash is kept elsewhere too
(backups carry it, `audit verify` prints it) and `verify` can be given it.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson
from sqlalchemy import insert, select, text
from sqlalchemy.engine import Connection

from gateway.audit.events import AuditEvent
from gateway.store.postgresql import ONE_WRITER
from gateway.store.tables import audit

GENESIS: Final = "0" * 64  # what the first row stands on
_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain; (0, GENESIS) while it is empty."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """The first row at which the chain does not hold."""

    seq: int
    why: Literal["edited", "missing", "unlinked", "cut"]


def append(connection: Connection, event: AuditEvent, *, at: int) -> None:
    """Write one event inside the caller's transaction, so that both stand or neither.

    `at`: UTC microseconds. The one before it is read in the same transaction, in which nobody else
    can write: SQLite has one writer, PostgreSQL gets a lock until the commit.
    """
    if connection.dialect.name == "postgresql":
        turn = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(turn, {"key": ONE_WRITER})
    last = head(connection)
    body = orjson.dumps(asdict(event), option=orjson.OPT_SORT_KEYS).decode()
    row = {"seq": last.seq + 1, "at": at, "name": event.name, "json": body, "prev": last.hash}
    connection.execute(insert(audit), row | {"hash": _hash(row)})


def head(connection: Connection) -> Head:
    """The last row's number and hash."""
    query = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def verify(connection: Connection, known: Head | None = None) -> Break | None:
    """The first bad row, or None.

    With `known`, an end of the chain noted earlier, also a chain that was cut or written anew
    before it is found.
    """
    expected = Head(0, GENESIS)
    while True:
        query = select(audit).where(audit.c.seq > expected.seq).order_by(audit.c.seq).limit(_BATCH)
        rows = connection.execute(query).mappings().all()
        for row in rows:
            found = _look(row, expected)
            if found is not None:
                return found
            expected = Head(row["seq"], row["hash"])
            if known is not None and known.seq == expected.seq and known.hash != expected.hash:
                return Break(expected.seq, "edited")
        if len(rows) < _BATCH:
            break
    if known is not None and known.seq > expected.seq:
        return Break(expected.seq + 1, "cut")
    return None


def _look(row: Any, before: Head) -> Break | None:
    if row["seq"] != before.seq + 1:
        return Break(before.seq + 1, "missing")
    if row["hash"] != _hash(row):
        return Break(row["seq"], "edited")
    if row["prev"] != before.hash:
        return Break(row["seq"], "unlinked")
    return None


def _hash(row: Any) -> str:
    """SHA-256 over the canonical JSON of everything in the row, the hash before it included."""
    whole = {name: row[name] for name in ("seq", "at", "name", "json", "prev")}
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()
