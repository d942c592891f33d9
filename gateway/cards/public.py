"""Cards that are the same for everybody: `pub:<service>:<language>`, and what this worker has read.

They hold nothing personal and are not sealed. Memory answers within the fresh window; after it the
store is looked at, because another worker may have asked; only then the department.
"""

import hashlib
from typing import Final

from gateway.cards.copies import FORMAT, Copy, States, unpacked
from gateway.cards.rows import Row
from gateway.store.away import Away
from gateway.store.volatile import Command, Volatile

_MOST: Final = 4096
_DIGEST: Final = 32  # bytes of the entry's digest in hex that stand before the value


class Public:
    """The public cards of one worker."""

    def __init__(self, volatile: Volatile, states: States) -> None:
        self._volatile = volatile
        self._states = states
        self._known: dict[str, Copy] = {}
        self._fragments: dict[bytes, bytes] = {}

    def recall(self, row: Row, now: int) -> Copy | None:
        """What this worker knows, fresh or not."""
        copy = self._known.get(row.field)
        return copy if copy is not None and now < copy.expires else None

    def command(self, row: Row) -> Command:
        """How the store is asked."""
        return ("GET", f"pub:{row.entry.id}:{row.language}")

    def take(self, row: Row, value: bytes | None, now: int) -> Copy | None:
        """What the store answered, remembered if it is newer than what is known."""
        known = self.recall(row, now)
        if value is None or value[:1] != FORMAT:
            return known
        if value[1 : 1 + _DIGEST] != row.entry.digest[:_DIGEST].encode():
            return known
        plain = value[1 + _DIGEST :]
        copy = unpacked(plain, hashlib.blake2b(plain, digest_size=16).digest(), self._states)
        if now >= copy.expires or (known is not None and known.asked >= copy.asked):
            return known
        self._remember(row, copy)
        return copy

    async def keep(self, row: Row, copy: Copy) -> None:
        """Remember what was just asked, here and for the others."""
        plain = copy.packed()
        copy.mark = hashlib.blake2b(plain, digest_size=16).digest()
        self._remember(row, copy)
        value = FORMAT + row.entry.digest[:_DIGEST].encode() + plain
        milliseconds = max((copy.expires - copy.asked) // 1000, 1000)
        key = f"pub:{row.entry.id}:{row.language}"
        try:
            await self._volatile.ask(("SET", key, value, "PX", milliseconds))
        except Away:
            return  # the other workers ask for themselves

    def _remember(self, row: Row, copy: Copy) -> None:
        prefix = row.field.rpartition(":")[0] + ":"
        for field in [f for f in self._known if f.startswith(prefix)]:
            del self._known[field]
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[row.field] = copy

    def fragment(self, version: bytes) -> bytes | None:
        """HTML made of this version, kept in memory: it is the same for everybody."""
        return self._fragments.get(version)

    def paint(self, version: bytes, html: bytes) -> None:
        """Keep HTML."""
        while len(self._fragments) >= _MOST:
            del self._fragments[next(iter(self._fragments))]
        self._fragments[version] = html
