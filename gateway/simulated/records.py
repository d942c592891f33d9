"""What citizens did and what the control set, in one SQLite file that survives a restart."""

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

_SCHEMA: Final = """
create table if not exists fact(system text, person text, field text, value text,
    primary key (system, person, field));
create table if not exists matter(number integer primary key autoincrement, id text unique,
    system text, person text, kind text, at text, once text unique, body text);
create table if not exists session(token text primary key, system text, person text, name text,
    subject text, level integer);
create table if not exists meta(key text primary key, value text);
"""


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that somebody handed in at one department."""

    id: str
    person: str
    kind: str
    at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a department's own session stands for."""

    token: str
    person: str  # "?<subject>": nobody here has that name and number
    name: str
    subject: str
    level: int


def digest(token: str) -> str:
    """Tokens are stored hashed, as they should be."""
    return sha256(token.encode()).hexdigest()


class Records:
    """The file; every method is one short statement and commits."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        for table in ("fact", "matter", "session", "meta"):
            self._db.execute(f"delete from {table}")

    def fact(self, system: str, person: str, field: str) -> tuple[bool, Any]:
        """Whether a value was set, and which."""
        row = self._db.execute(
            "select value from fact where system=? and person=? and field=?",
            (system, person, field),
        ).fetchone()
        return (False, None) if row is None else (True, orjson.loads(row[0]))

    def set_fact(self, system: str, person: str, field: str, value: object) -> None:
        """Set one value of one person at one department."""
        self._db.execute(
            "insert or replace into fact values (?,?,?,?)",
            (system, person, field, orjson.dumps(value).decode()),
        )

    def meta(self, key: str, default: str = "") -> str:
        """One value about the city itself."""
        row = self._db.execute("select value from meta where key=?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep one value about the city itself."""
        self._db.execute("insert or replace into meta values (?,?)", (key, value))

    def hand_in(
        self, system: str, person: str, kind: str, at: datetime, body: Mapping[str, Any], once: str
    ) -> Matter:
        """Keep a new matter; the same `once` again gives the first one back."""
        row = self._db.execute(
            "select id,person,kind,at,body from matter where once=?", (once,)
        ).fetchone()
        if row is not None:
            return _matter(row)
        number = self._db.execute("select coalesce(max(number),0)+1 from matter").fetchone()[0]
        made = f"{kind.upper()}{at:%Y%m%d}{number:06d}"
        self._db.execute(
            "insert into matter(id,system,person,kind,at,once,body) values (?,?,?,?,?,?,?)",
            (made, system, person, kind, at.isoformat(), once, orjson.dumps(dict(body)).decode()),
        )
        return Matter(made, person, kind, at, dict(body))

    def matters(self, system: str, person: str, kind: str = "") -> list[Matter]:
        """A person's matters at one department, latest first."""
        rows = self._db.execute(
            "select id,person,kind,at,body from matter where system=? and person=?"
            " and (?='' or kind=?) order by number desc",
            (system, person, kind, kind),
        ).fetchall()
        return [_matter(row) for row in rows]

    def change(self, matter: str, body: Mapping[str, Any]) -> None:
        """Replace what is known about a matter."""
        self._db.execute(
            "update matter set body=? where id=?", (orjson.dumps(dict(body)).decode(), matter)
        )

    def begin(self, system: str, person: str, name: str, subject: str, level: int) -> str:
        """A new session at one department; its token."""
        token = secrets.token_urlsafe(32)
        self._db.execute(
            "insert into session values (?,?,?,?,?,?)",
            (digest(token), system, person, name, subject, level),
        )
        return token

    def known(self, system: str, token: str) -> Known | None:
        """Whom a session stands for."""
        row = self._db.execute(
            "select person,name,subject,level from session where token=? and system=?",
            (digest(token), system),
        ).fetchone()
        return None if row is None else Known(token, *row)

    def end(self, token: str) -> None:
        """End a session."""
        self._db.execute("delete from session where token=?", (digest(token),))


def _matter(row: tuple[str, str, str, str, str]) -> Matter:
    return Matter(row[0], row[1], row[2], datetime.fromisoformat(row[3]), orjson.loads(row[4]))
