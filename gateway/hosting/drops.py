"""Files that departments leave in a folder, for those without a live back end.

The newest whole file replaces all rows of its plugin at once; a file that is unfinished (no marker),
cut off, in another charset, too short, or without too many of the people it held before is refused
and the rows before it stay. The key (an identity number) is kept as a keyed HMAC only, the rest of
a row sealed.
"""

import asyncio
import hashlib
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from gateway.clock import Clock, instant, microseconds
from gateway.contract.block import seconds
from gateway.contract.failure import CallOwner
from gateway.contract.ids import PluginId
from gateway.contract.recipe import Drop
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package
from gateway.hosting.recipes.decode import csv_rows, decoded
from gateway.hosting.recipes.places import Values, plain, template
from gateway.hosting.recipes.values import moment
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import dropped

MAX_BYTES: Final = 64 << 20
MAX_ROWS: Final = 200_000
MAX_CANDIDATES: Final = 10_000
CHUNK: Final = 2000  # rows a transaction: others may write in between
AGE_SECONDS: Final = 10.0  # how long the age of a drop is believed without looking
_STAGED: Final = "+"  # behind a plugin's id, which cannot hold it: rows that do not count yet
_NOBODY: Final = ""
_log = structlog.get_logger(__name__)


class DropRefused(Exception):
    """A file is not what was agreed; the rows before it stay. The text holds no value of it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken in."""

    file: str
    rows: int


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    changed: int  # microseconds
    size: int


class Drops:
    """Takes files in (on the leader) and finds rows (everywhere)."""

    def __init__(self, ledger: Ledger, keys: Keys, clock: Clock) -> None:
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._seen: dict[str, _File] = {}  # by plugin: taken, or refused and unchanged since
        self._ages: dict[str, tuple[float, int | None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drops")

    async def take_in(self, package: Package) -> Taken | None:
        """Take the newest file in, if there is one that was not looked at yet.

        Raises:
            DropRefused: it is not what was agreed (said once for each file), or the recipe does not
                say where to look.
            LedgerAway: it could not be kept; the next call tries again.
        """
        drop = package.recipe.drop if package.recipe else None
        if drop is None:
            return None
        loop = asyncio.get_running_loop()
        now = instant(self._clock.now())
        values = Values(None, now, package.settings, lambda _: "")
        try:
            folder = Path(template(drop.folder, allowed=("setting",)).fill(values, plain))
            file = await loop.run_in_executor(self._thread, newest, folder, drop)
        except CallOwner as error:
            raise DropRefused(error.what) from None
        except ValueError as error:  # a pattern or name that no folder knows
            raise DropRefused(f"`folder`, `files` or `done`: {error}") from None
        if file is None or self._seen.get(package.id) == file:
            return None
        before = await self._ledger.read(lambda c: _people(c, package.id))
        try:
            digest, rows = await loop.run_in_executor(
                self._thread, self._read, package.id, drop, file
            )
            if digest in before.digests:
                self._seen[package.id] = file
                return None
            after = {row["key_hmac"] for row in rows} - {_NOBODY}
            _changed_little(drop, before.keys, after)
        except DropRefused as error:
            self._seen[package.id] = file
            _log.warning("drops.refused", plugin=package.id, what=str(error))
            raise
        await self._keep(package.id, rows)
        self._seen[package.id] = file
        self._ages.pop(package.id, None)
        _log.info("drops.taken", plugin=package.id, rows=len(rows) - 1)
        return Taken(file.path.name, len(rows) - 1)

    def _read(self, plugin: str, drop: Drop, file: _File) -> tuple[str, list[dict[str, Any]]]:
        """A file's rows, sealed, on a thread."""
        if file.size > MAX_BYTES:
            raise DropRefused(f"the file has more than {MAX_BYTES >> 20} MiB")
        try:
            raw = file.path.read_bytes()
        except OSError as error:
            raise DropRefused(f"the file cannot be read ({error.strerror})") from None
        digest = hashlib.sha256(raw).hexdigest()
        base = {"plugin": plugin + _STAGED, "file": file.path.name[:200], "file_digest": digest}
        rows: list[dict[str, Any]] = []
        try:
            for line, row in enumerate(_rows(decoded(raw, drop.charset), drop), start=2):
                if len(rows) >= MAX_ROWS:
                    raise DropRefused(f"the file has more than {MAX_ROWS} rows")
                rows.append({**base, "line": line, **self._sealed(plugin, drop, row, file)})
        except CallOwner as error:
            raise DropRefused(error.what) from None
        if len(rows) < drop.min_rows:
            raise DropRefused(f"{len(rows)} rows; at least {drop.min_rows} were agreed")
        # the header line stands for the file itself: nobody's key, and when it was written
        head = {**base, "line": 1, "key_hmac": _NOBODY, "row": b"", "as_of": file.changed}
        return digest, [head, *rows]

    def _sealed(self, plugin: str, drop: Drop, row: dict[str, str], file: _File) -> dict[str, Any]:
        """One row as it is kept: findable by its key, which itself is not kept."""
        key = self._key(plugin, row.pop(drop.key))
        as_of = file.changed
        if drop.as_of is not None:
            as_of = microseconds(moment(row[drop.as_of], drop.as_of_format, drop.as_of))
        sealed = self._keys.ledger.seal(orjson.dumps(row), aad=_place(plugin, key))
        return {"key_hmac": key, "row": sealed, "as_of": as_of}

    def _key(self, plugin: str, key: str) -> str:
        return self._keys.blind("dropped", plugin, key.strip().upper())

    async def _keep(self, plugin: str, rows: list[dict[str, Any]]) -> None:
        """Put rows aside in parts, then let them replace the old ones in one transaction."""
        await self._ledger.write(lambda c: _forget(c, plugin + _STAGED))
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            await self._ledger.write(_adding(part))
        await self._ledger.write(lambda c: _swap(c, plugin))

    async def find(self, plugin: PluginId, key: str) -> tuple[dict[str, str], int] | None:
        """The row of a key, by the recipe's own column names, and when it was true (µs)."""
        name = self._key(plugin, key)
        found = await self._ledger.read(lambda c: _found(c, plugin, name))
        if found is None:
            return None
        row: dict[str, str] = orjson.loads(
            self._keys.ledger.open(found[0], aad=_place(plugin, name))
        )
        return row, found[1]

    async def row(self, package: Package, key: str) -> tuple[dict[str, str], datetime] | None:
        """As `find`, for a department's card.

        Raises:
            NoAnswer: no file was taken in yet, or the last one is older than was agreed.
        """
        drop = package.recipe.drop if package.recipe else None
        age = await self._newest(package.id)
        if drop is None or age is None:
            raise NoAnswer(Reason.UNREACHABLE, Sent.NO, "no file was taken in yet")
        if self._clock.now() - age > seconds(drop.max_age) * 1_000_000:
            raise NoAnswer(
                Reason.UNREACHABLE, Sent.NO, f"the last file is older than {drop.max_age}"
            )
        found = await self.find(package.id, key)
        return None if found is None else (found[0], instant(found[1]))

    async def _newest(self, plugin: str) -> int | None:
        """When a plugin's last file was written, looked up now and then."""
        kept = self._ages.get(plugin)
        now = self._clock.monotonic()
        if kept is not None and now - kept[0] < AGE_SECONDS:
            return kept[1]
        age = await self._ledger.read(lambda c: _age(c, plugin))
        self._ages[plugin] = (now, age)
        return age

    def close(self) -> None:
        """End the reading thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def newest(folder: Path, drop: Drop) -> _File | None:
    """The newest finished file of a drop; links and what is no plain file do not count."""
    best: _File | None = None
    try:
        for number, path in enumerate(folder.glob(drop.files)):
            if number >= MAX_CANDIDATES:
                break
            seen = path.lstat()
            if not stat.S_ISREG(seen.st_mode) or not _finished(path, drop):
                continue
            file = _File(path, seen.st_mtime_ns // 1000, seen.st_size)
            if best is None or (file.changed, path.name) > (best.changed, best.path.name):
                best = file
    except OSError:  # the folder is not there, or a file went while we looked: the next look sees
        return best
    return best


def _finished(path: Path, drop: Drop) -> bool:
    """Whether the department's marker stands beside a file."""
    if drop.done is None:
        return True
    return path.with_name(drop.done.replace("{file}", path.name)).is_file()


def _rows(text: str, drop: Drop) -> Iterator[dict[str, str]]:
    """The file's rows by our column names."""
    for number, row in enumerate(csv_rows(text, drop.delimiter), start=2):
        lost = [ours for ours, theirs in drop.columns.items() if theirs not in row]
        if lost:
            raise DropRefused(f"there is no column for {', '.join(lost[:5])}")
        named = {ours: row[theirs] for ours, theirs in drop.columns.items()}
        if not named[drop.key]:
            raise DropRefused(f"line {number} has no key")
        yield named


def _changed_little(drop: Drop, before: set[str], after: set[str]) -> None:
    """Refuse a file in which too many of those before are gone: it is more likely half a file."""
    if drop.max_change is None or not before:
        return
    gone = len(before - after) * 100 / len(before)
    if gone > drop.max_change:
        raise DropRefused(
            f"{gone:.0f} % of the rows before are gone; at most {drop.max_change} % may go"
        )


def _place(plugin: str, key: str) -> bytes:
    return f"dropped\0{plugin}\0{key}".encode()


@dataclass(frozen=True, slots=True)
class _Before:
    keys: set[str]
    digests: set[str]


def _people(connection: Connection, plugin: str) -> _Before:
    rows = connection.execute(
        select(dropped.c.key_hmac, dropped.c.file_digest).where(dropped.c.plugin == plugin)
    ).all()
    keys = {row.key_hmac for row in rows} - {_NOBODY}
    return _Before(keys, {row.file_digest for row in rows})


def _adding(rows: list[dict[str, Any]]) -> Callable[[Connection], None]:
    def add(connection: Connection) -> None:
        connection.execute(insert(dropped), rows)

    return add


def _forget(connection: Connection, plugin: str) -> None:
    connection.execute(delete(dropped).where(dropped.c.plugin == plugin))


def _swap(connection: Connection, plugin: str) -> None:
    _forget(connection, plugin)
    staged = dropped.c.plugin == plugin + _STAGED
    connection.execute(update(dropped).where(staged).values(plugin=plugin))


def _found(connection: Connection, plugin: str, key: str) -> tuple[bytes, int] | None:
    row = connection.execute(
        select(dropped.c.row, dropped.c.as_of)
        .where(dropped.c.plugin == plugin, dropped.c.key_hmac == key)
        .order_by(dropped.c.line)
        .limit(1)
    ).first()
    return None if row is None else (bytes(row.row), int(row.as_of))


def _age(connection: Connection, plugin: str) -> int | None:
    found = connection.execute(
        select(func.max(dropped.c.as_of)).where(
            dropped.c.plugin == plugin, dropped.c.key_hmac == _NOBODY
        )
    ).scalar()
    return None if found is None else int(found)
