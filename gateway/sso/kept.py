"""How sign-in keeps values in the volatile store: a format byte, their own expiry, then the body.

These keys carry no TTL, so that a full store evicts cards and never a session (design 7). What has
expired by our clock is a miss at once; the leader takes it away later.
"""

from collections.abc import Sequence
from typing import Final

from gateway.store.volatile import Script, Volatile

_FORMAT: Final = b"\x01"
_HEAD: Final = 9  # format byte and the expiry, 8 bytes big-endian
_PAGE: Final = 500  # keys looked at in one turn

# Only what still is what was looked at: a session may have been prolonged meanwhile.
_DROP: Final = Script(
    "if redis.call('GETRANGE', KEYS[1], 0, 8) == ARGV[1] then "
    "return redis.call('DEL', KEYS[1]) end return 0"
)
# A list of handles by their end; an empty one is no key any more.
_SHORTEN: Final = Script("return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])")
LISTS: Final = "sessions:"  # the one prefix that holds such lists


def pack(until: int, body: bytes) -> bytes:
    """A value that holds until then (UTC microseconds)."""
    return _FORMAT + until.to_bytes(8, "big") + body


def unpack(value: bytes | None, now: int) -> bytes | None:
    """The body; None where there is no value, one of another format, or an expired one."""
    if value is None or len(value) < _HEAD or value[:1] != _FORMAT:
        return None
    if int.from_bytes(value[1:_HEAD], "big") <= now:
        return None
    return value[_HEAD:]


async def sweep(volatile: Volatile, now: int, prefixes: Sequence[str]) -> int:
    """Take away expired values under these prefixes; returns how many. The leader's work.

    Raises:
        Away: the store is away; the next turn does it.
    """
    gone = 0
    for prefix in prefixes:
        cursor = b"0"
        while True:
            (reply,) = await volatile.ask(("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _PAGE))
            cursor, names = reply
            if prefix == LISTS:
                for name in names:
                    gone += int(await volatile.script(_SHORTEN, [name], [now]))
            else:
                gone += await _drop_expired(volatile, now, names)
            if cursor == b"0":
                break
    return gone


async def _drop_expired(volatile: Volatile, now: int, names: Sequence[bytes]) -> int:
    if not names:
        return 0
    heads = await volatile.ask(*[("GETRANGE", name, 0, _HEAD - 1) for name in names])
    gone = 0
    for name, head in zip(names, heads, strict=True):
        if head and unpack(head, now) is None:
            gone += int(await volatile.script(_DROP, [name], [head]))
    return gone
