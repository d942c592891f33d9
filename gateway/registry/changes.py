"""Which revision changed an entry last, for the console's list.

Told from the lines of each entry and the digests of its plugin's files, never from a full reading:
fifty revisions of three thousand entries are looked through in a moment, and each text only once.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from gateway.registry.gather import PLUGINS
from gateway.registry.revisions import Revision, history
from gateway.store.tables import blob

LOOKED_BACK: Final = 50  # revisions
_KEPT: Final = 256  # texts
_SERVICES: Final = re.compile(r"^services[ \t]*:")
_ENTRY: Final = re.compile(r"^([ ]+)([\"']?)([A-Za-z0-9_-]+)\2[ \t]*:")


class Changes:
    """Looks through the history; keeps what it learned of each text."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Mapping[str, bytes]] = OrderedDict()
        self._turn = threading.Lock()  # the ledger's readers are threads

    def last(self, connection: Connection, plugins: Mapping[str, str]) -> dict[str, Revision]:
        """The revision that each service was changed by last, as far as is looked back.

        Args:
            connection: of the ledger.
            plugins: service to plugin; directory entries may be absent or "".
        """
        found: dict[str, Revision] = {}
        revisions = history(connection, LOOKED_BACK + 1)
        for newer, older in zip(revisions, _shifted(revisions), strict=True):
            if len(found) == len(plugins):
                break
            for service in self._changed(connection, newer, older, plugins):
                found.setdefault(service, newer)
        return found

    def _changed(
        self,
        connection: Connection,
        newer: Revision,
        older: Revision | None,
        plugins: Mapping[str, str],
    ) -> Iterator[str]:
        if older is None and newer.base != 0:
            return  # the one before it was not looked at
        before = older.manifest if older is not None else {}
        paths = [p for p in newer.manifest if newer.manifest[p] != before.get(p)]
        paths += [p for p in before if p not in newer.manifest]
        touched = {p.split("/")[1] for p in paths if p.startswith(PLUGINS)}
        now = self._entries(connection, newer, paths)
        was = self._entries(connection, older, paths) if older is not None else {}
        for service, plugin in plugins.items():
            if plugin in touched or now.get(service) != was.get(service):
                yield service

    def _entries(
        self, connection: Connection, revision: Revision, paths: Sequence[str]
    ) -> dict[str, bytes]:
        merged: dict[str, bytes] = {}
        for path in paths:
            digest = revision.manifest.get(path)
            if digest is not None and not path.startswith(PLUGINS):
                merged.update(self._of_text(connection, digest))
        return merged

    def _of_text(self, connection: Connection, digest: str) -> Mapping[str, bytes]:
        with self._turn:
            known = self._known.get(digest)
            if known is None:
                query = select(blob.c.bytes).where(blob.c.sha256 == digest)
                content = connection.execute(query).scalar()
                known = entries_of(bytes(content or b"").decode("utf-8", "replace"))
                self._known[digest] = known
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return known


def _shifted(revisions: Sequence[Revision]) -> list[Revision | None]:
    return [*revisions[1:], None] if revisions else []


def entries_of(text: str) -> dict[str, bytes]:
    """Each entry's digest over its lines; comments and blank lines do not count."""
    lines = iter(text.splitlines())
    for line in lines:
        if _SERVICES.match(line):
            break
    bodies: dict[str, list[str]] = {}
    body: list[str] = []
    indent: str | None = None
    for line in lines:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if not line.startswith(" "):
            break  # the next part of the document
        key = _ENTRY.match(line)
        if key and (indent is None or key[1] == indent):
            indent = key[1]
            body = bodies.setdefault(key[3], [])
            body.append(line[key.end() :].partition(" #")[0].strip())
        else:
            body.append(line.rstrip())
    return {
        service: hashlib.sha256("\n".join(rows).encode()).digest()
        for service, rows in bodies.items()
    }
