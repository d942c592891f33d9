"""Values in the volatile store that serve once: tickets, launches in hand, ids of assertions.

Kept as `sso.kept` says: a format byte, when it ends, and here a sealed document. What was taken
leaves its head alone until that end, so that a second use is told from an unknown handle.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from gateway.clock import Clock
from gateway.sso.kept import pack, sweep, unpack
from gateway.store.ids import digest, new_token
from gateway.store.sealing import BadSeal, Sealer
from gateway.store.volatile import Script, Volatile

_TOKEN: Final = 43  # characters of a handle
_SECOND: Final = 1_000_000

# Reads and burns in one step: of many who come at once exactly one is given the document.
_TAKE: Final = Script(
    """
local value = redis.call('GET', KEYS[1])
if value and #value > 9 then redis.call('SET', KEYS[1], string.sub(value, 1, 9)) end
return value
"""
)


class Found(StrEnum):
    """What became of a handle."""

    FRESH = "fresh"
    USED = "used"
    UNKNOWN = "unknown"  # or ended, or another's


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to one try; `value` only where it was fresh."""

    found: Found
    value: dict[str, Any]


class OneTime:
    """One kind of such values; `kind` is the keys' prefix."""

    def __init__(self, kind: str, *, volatile: Volatile, sealer: Sealer, clock: Clock) -> None:
        self._kind = kind
        self._volatile = volatile
        self._sealer = sealer
        self._clock = clock

    async def keep(self, value: dict[str, Any], seconds: float) -> str:
        """Keep a document under a new handle; only the handle's digest is stored.

        Raises:
            Away: it may not have been kept.
        """
        handle = new_token()
        key, until = self._key(handle), self._until(seconds)
        sealed = self._sealer.seal(orjson.dumps(value), aad=pack(until, key.encode()))
        await self._volatile.ask(("SET", key, pack(until, sealed)))
        return handle

    async def take(self, handle: str) -> Taken:
        """Take the document out; whoever comes later finds it used.

        Raises:
            Away: it may have been burnt all the same.
        """
        if len(handle) != _TOKEN or not handle.isascii():
            return Taken(Found.UNKNOWN, {})
        key = self._key(handle)
        raw: bytes | None = await self._volatile.script(_TAKE, [key], [])
        sealed = unpack(raw, self._clock.now())
        if raw is None or sealed is None:
            return Taken(Found.UNKNOWN, {})
        if not sealed:
            return Taken(Found.USED, {})
        until = int.from_bytes(raw[1:9], "big")
        try:
            plain = self._sealer.open(sealed, aad=pack(until, key.encode()))
        except BadSeal:  # not written by us
            return Taken(Found.UNKNOWN, {})
        value: dict[str, Any] = orjson.loads(plain)
        return Taken(Found.FRESH, value)

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this name comes for the first time; it is remembered for so long.

        Raises:
            Away: it may have been claimed.
        """
        mark = pack(self._until(seconds), b"")
        (reply,) = await self._volatile.ask(("SET", self._key(name), mark, "NX"))
        return reply is not None

    async def sweep(self) -> int:
        """Take away what has ended; the leader's work.

        Raises:
            Away: some are still there.
        """
        return await sweep(self._volatile, self._clock.now(), (f"{self._kind}:",))

    def _key(self, name: str) -> str:
        return f"{self._kind}:{digest(name)}"

    def _until(self, seconds: float) -> int:
        return self._clock.now() + int(seconds * _SECOND)
