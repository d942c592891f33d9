"""Backup and restore of the embedded ledger, while the gateway runs or not.

An archive is a tar file with `facts.json` and `ledger.db`: people, consents, reports, the trail, and
every registry revision with its plugins. The key file is never in it; a copy is laid beside it, to
be kept elsewhere, because without the key an archive cannot be read by anybody.

Restoring is one transaction on the live file, so that readers see the old state or the new one. The
row that voids every older session and the audit event are written into the copy before.
"""

import fcntl
import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.engine import Connection

from gateway.audit import trail
from gateway.audit.events import BackupRestored
from gateway.clock import Clock, rfc3339
from gateway.store.away import LedgerAway
from gateway.store.schema import HEAD, migrate, version_of
from gateway.store.sealing import BadKek, BadSeal, FileKek
from gateway.store.tables import metadata, revocation, secret

FORMAT: Final = 1
_MOST_FACTS: Final = 1 << 20
_WRITER_SECONDS: Final = 10.0


class CannotBackUp(Exception):
    """It was not done and nothing was changed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made or put back."""

    archive: Path
    digest: str
    rows: int
    key: Path | None = None  # the key's copy beside it
    kept: Path | None = None  # what was there before a restore


def make(ledger: Path, kek: Path, target: Path, clock: Clock) -> Made:
    """Copy the ledger into an archive and look the copy over.

    Args:
        ledger: the live file; others may write to it meanwhile.
        kek: the key file, copied beside the archive where it is a file.
        target: the archive, or a folder to make one in.
        clock: names the archive.

    Raises:
        CannotBackUp: no ledger, no room, or the copy is not whole.
    """
    if not ledger.exists():
        raise CannotBackUp(f"there is no ledger at {ledger}; nothing was ever kept here")
    stamp = rfc3339(clock.now()).replace(":", "").replace("-", "")[:15]
    archive = target / f"citygate-{stamp}.backup" if target.is_dir() else target
    with _words(), tempfile.TemporaryDirectory(dir=archive.parent, prefix=".citygate-") as scratch:
        copy = Path(scratch) / "ledger.db"
        _copy(ledger, copy)
        rows, head = _look_over(copy)
        facts = {
            "format": FORMAT,
            "schema": HEAD,
            "at": clock.now(),
            "rows": rows,
            "audit": {"seq": head.seq, "hash": head.hash},
            "sha256": _digest(copy),
        }
        fresh = Path(scratch) / "archive"
        _pack(fresh, facts, copy)
        digest = _digest(fresh)
        fresh.chmod(0o600)
        fresh.replace(archive)
    key = copy_key(kek, archive) if kek.exists() else None
    return Made(archive, digest, rows, key)


def copy_key(kek: Path, archive: Path) -> Path:
    """Lay the key's copy beside an archive, readable by its owner only."""
    key = archive.with_name(f"{archive.name}.kek")
    with suppress(FileNotFoundError):
        key.unlink()
    with _words():
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(kek.read_bytes())
    return key


def restore(
    archive: Path, ledger: Path, kek: Path, *, author: str, reason: str, clock: Clock
) -> Made:
    """Put an archive's ledger in place of the live one; every session before now is void.

    What is there now is kept beside it first.

    Raises:
        CannotBackUp: the archive is no backup, damaged, newer, broken in its trail, of another key,
            or the live file cannot be written.
    """
    ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _words(), tempfile.TemporaryDirectory(dir=ledger.parent, prefix=".restore-") as scratch:
        copy = Path(scratch) / "ledger.db"
        facts = _unpack(archive, copy)
        _look_over(copy)
        key = _right_key(copy, kek, archive)
        digest = _digest(archive)
        with _only_writer(ledger):
            kept = _keep_present(ledger, clock)
            _prepare(copy, ledger, digest, facts["rows"], author, reason, clock)
            _put_in_place(copy, ledger)
            if key is not None:
                copied = copy_key(key, Path(scratch) / "key")
                copied.replace(kek)
    return Made(archive, digest, facts["rows"], key, kept)


def _copy(source: Path, target: Path) -> None:
    """SQLite's own online backup: one state, however much is written meanwhile."""
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=5)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def _look_over(path: Path) -> tuple[int, trail.Head]:
    """Rows and end of the trail of a copy that is whole.

    Raises:
        CannotBackUp: it is damaged, or its trail is broken.
    """
    with closing(sqlite3.connect(path)) as raw:
        (found,) = raw.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise CannotBackUp(f"the copy is damaged ({found})")
    with _opened(path) as connection:
        version = version_of(connection)
        if version is None or int(version) > int(HEAD):
            raise CannotBackUp(
                f"its ledger has version {version}, this program knows {HEAD}; run the newer program"
            )
        broken = trail.verify(connection)
        if broken is not None:
            raise CannotBackUp(f"its trail is broken at event {broken.seq} ({broken.why})")
        counts = (
            connection.execute(select(func.count()).select_from(table)).scalar() or 0
            for table in metadata.sorted_tables
        )
        return sum(counts), trail.head(connection)


@contextmanager
def _opened(path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite+pysqlite:///{path}")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _pack(target: Path, facts: dict[str, Any], copy: Path) -> None:
    body = orjson.dumps(facts, option=orjson.OPT_INDENT_2)
    with tarfile.open(target, "w") as archive:
        entry = tarfile.TarInfo("facts.json")
        entry.size, entry.mode = len(body), 0o600
        archive.addfile(entry, io.BytesIO(body))
        archive.add(copy, "ledger.db")


def _unpack(archive: Path, copy: Path) -> dict[str, Any]:
    """Take facts and ledger out; nothing else of the archive is ever written anywhere.

    Raises:
        CannotBackUp: it is no backup of ours, or damaged.
    """
    try:
        with tarfile.open(archive) as opened:
            told = opened.extractfile("facts.json")
            ledger = opened.extractfile("ledger.db")
            if told is None or ledger is None:
                raise CannotBackUp(f"{archive} is no backup of Citygate")
            facts = orjson.loads(told.read(_MOST_FACTS))
            with copy.open("wb") as out:
                shutil.copyfileobj(ledger, out)
        whole = facts["sha256"] == _digest(copy) and isinstance(facts["rows"], int)
        newer = facts["format"] > FORMAT
    except (tarfile.TarError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise CannotBackUp(f"{archive} is no backup of Citygate") from error
    if newer:
        raise CannotBackUp(f"{archive} was made by a newer program; restore it with that one")
    if not whole:
        raise CannotBackUp(f"{archive} is damaged: its ledger is not the one that was put in")
    found: dict[str, Any] = facts
    return found


def _right_key(copy: Path, kek: Path, archive: Path) -> Path | None:
    """Where the key of this archive lies, if it is not the one in place already.

    Raises:
        CannotBackUp: neither the key in place nor the one beside the archive opens it.
    """
    with _opened(copy) as connection:
        wrapped = connection.execute(select(secret.c.wrapped).limit(1)).scalar()
    beside = archive.with_name(f"{archive.name}.kek")
    if wrapped is None or _opens(kek, wrapped):
        return None
    if _opens(beside, wrapped):
        return beside
    raise CannotBackUp(
        f"neither the key file {kek} nor {beside} belongs to this backup; "
        "put the key that was kept with it into the second place"
    )


def _opens(kek: Path, wrapped: bytes) -> bool:
    try:
        FileKek.load(kek).unwrap(wrapped)
    except (BadKek, BadSeal):
        return False
    return True


@contextmanager
def _only_writer(ledger: Path) -> Iterator[None]:
    """Hold the lock that every writing process takes."""
    descriptor = os.open(f"{ledger}.writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keep_present(ledger: Path, clock: Clock) -> Path | None:
    if not ledger.exists() or ledger.stat().st_size == 0:
        return None
    kept = ledger.with_name(f"ledger-before-restore-{clock.now() // 1_000_000}.db")
    try:
        _copy(ledger, kept)
    except sqlite3.DatabaseError:  # it is damaged, which may be why there is a restore: as it is
        shutil.copyfile(ledger, kept)
    kept.chmod(0o600)
    return kept


def _prepare(
    copy: Path, ledger: Path, digest: str, rows: int, author: str, reason: str, clock: Clock
) -> None:
    """Bring the copy to this program's version and write into it what a restore means."""
    newest = _newest_revocation(ledger)
    with _opened(copy) as connection:
        migrate(connection)
        held = connection.execute(select(func.max(revocation.c.id))).scalar() or 0
        # Workers follow revocations by number: this one must come after all that they have seen.
        row = {"id": max(newest, held) + 1, "session": None, "citizen": None, "at": clock.now()}
        connection.execute(insert(revocation).values(row))
        event = BackupRestored(digest=digest, rows=rows, author=author, reason=reason)
        trail.append(connection, event, at=clock.now())


def _newest_revocation(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(ledger)) as raw:
        return int(raw.execute("SELECT coalesce(max(id), 0) FROM revocation").fetchone()[0])
    return 0


def _put_in_place(copy: Path, ledger: Path) -> None:
    """Overwrite the live file in one transaction.

    Raises:
        CannotBackUp: the live file is damaged and still open in other processes.
    """
    try:
        with (
            closing(sqlite3.connect(copy)) as source,
            closing(sqlite3.connect(ledger, timeout=_WRITER_SECONDS)) as live,
        ):
            source.backup(live)
            live.execute("PRAGMA journal_mode=WAL")
            live.execute("PRAGMA wal_checkpoint(PASSIVE)")
        ledger.chmod(0o600)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        if _held(ledger.parent / "lock"):
            raise CannotBackUp(
                "the ledger is damaged and in use; end citygate first, then restore"
            ) from None
        for name in (f"{ledger}-wal", f"{ledger}-shm"):
            Path(name).unlink(missing_ok=True)
        copy.chmod(0o600)
        copy.replace(ledger)


def _held(path: Path) -> bool:
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _words() -> Iterator[None]:
    """Turn what disks and SQLite say into one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error, LedgerAway) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise CannotBackUp(said) from error
