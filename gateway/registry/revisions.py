"""Revisions in the ledger: manifests {path: sha256}, contents in `blob`, one row each, without gaps.

Functions of a Core connection, to be handed to `ledger.write` and `ledger.read`. Writing functions
never overlap, so what is read here before writing stays true until the commit; the unique column
`base` says the same once more.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection, RowMapping

from gateway.audit import trail
from gateway.audit.events import AuditEvent
from gateway.contract.ids import RevisionId
from gateway.errors import StaleEdit
from gateway.registry.prepare import manifest_of
from gateway.store.tables import blob, revision

_AT_ONCE: Final = 400  # SQLite takes 999 values in one statement
Event = Callable[[RevisionId, str], AuditEvent]  # of the new revision and its manifest's digest


@dataclass(frozen=True, slots=True)
class Revision:
    """One saved state of the registry and its plugins."""

    id: RevisionId
    base: RevisionId
    manifest: Mapping[str, str]
    author: str
    reason: str
    at: int  # UTC microseconds


def append(
    connection: Connection,
    files: Mapping[str, bytes],
    *,
    base: int,
    author: str,
    reason: str,
    at: int,
    event: Event,
) -> RevisionId:
    """Make `files` the revision after `base`, with its audit event, in this transaction.

    Raises:
        StaleEdit: another revision came after `base`; nothing was written.
    """
    current = latest_id(connection)
    if current != base:
        raise StaleEdit(
            detail=f"based on revision {base}, but {current} is the latest",
            members={"base": base, "current": current},
        )
    manifest = manifest_of(files)
    _keep(connection, {manifest[path]: content for path, content in files.items()})
    body = orjson.dumps(manifest).decode()
    row = {
        "id": base + 1,
        "base": base,
        "manifest": body,
        "author": author,
        "reason": reason,
        "at": at,
    }
    connection.execute(insert(revision).values(row))
    made = RevisionId(base + 1)
    trail.append(connection, event(made, manifest_digest(manifest)), at=at)
    return made


def manifest_digest(manifest: Mapping[str, str]) -> str:
    """One digest for a whole manifest."""
    return hashlib.sha256(orjson.dumps(dict(manifest), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _keep(connection: Connection, contents: Mapping[str, bytes]) -> None:
    """Store contents that are not there yet."""
    digests = list(contents)
    there: set[str] = set()
    for begin in range(0, len(digests), _AT_ONCE):
        some = digests[begin : begin + _AT_ONCE]
        query = select(blob.c.sha256).where(blob.c.sha256.in_(some))
        there.update(connection.execute(query).scalars())
    new = [{"sha256": key, "bytes": contents[key]} for key in digests if key not in there]
    if new:
        connection.execute(insert(blob), new)


def latest_id(connection: Connection) -> RevisionId:
    """The latest revision's number; 0 where there is none."""
    return RevisionId(connection.execute(select(func.max(revision.c.id))).scalar() or 0)


def latest(connection: Connection) -> Revision | None:
    """The latest revision; None where there is none."""
    return show(connection, latest_id(connection))


def show(connection: Connection, number: int) -> Revision | None:
    """One revision; None where there is none of that number."""
    row = connection.execute(select(revision).where(revision.c.id == number)).mappings().first()
    return _made(row) if row else None


def history(connection: Connection, most: int = 50, before: int | None = None) -> list[Revision]:
    """The latest revisions, newest first; `before` goes on from an earlier list."""
    query = select(revision).order_by(revision.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(revision.c.id < before)
    return [_made(row) for row in connection.execute(query).mappings()]


def _made(row: RowMapping) -> Revision:
    return Revision(
        id=RevisionId(int(str(row["id"]))),
        base=RevisionId(int(str(row["base"]))),
        manifest=orjson.loads(str(row["manifest"])),
        author=str(row["author"]),
        reason=str(row["reason"]),
        at=int(str(row["at"])),
    )


def same_content(connection: Connection, manifest: Mapping[str, str]) -> RevisionId | None:
    """The newest revision with exactly these contents, if there is one."""
    body = orjson.dumps({path: manifest[path] for path in sorted(manifest)}).decode()
    query = select(func.max(revision.c.id)).where(revision.c.manifest == body)
    found = connection.execute(query).scalar()
    return RevisionId(found) if found else None


def files_of(connection: Connection, number: int) -> dict[str, bytes]:
    """Every file of a revision.

    Raises:
        LookupError: no such revision, or a content is missing (a damaged ledger).
    """
    found = show(connection, number)
    if found is None:
        raise LookupError(f"there is no revision {number}")
    digests = sorted(set(found.manifest.values()))
    contents: dict[str, bytes] = {}
    for begin in range(0, len(digests), _AT_ONCE):
        some = digests[begin : begin + _AT_ONCE]
        query = select(blob.c.sha256, blob.c.bytes).where(blob.c.sha256.in_(some))
        contents.update((row[0], bytes(row[1])) for row in connection.execute(query))
    lost = [path for path, digest in found.manifest.items() if digest not in contents]
    if lost:
        raise LookupError(f"revision {number} has lost the content of {lost[0]}")
    return {path: contents[digest] for path, digest in found.manifest.items()}
