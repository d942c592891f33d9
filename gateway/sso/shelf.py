"""Where sessions lie in the volatile store.

`session:<h>` says whose it is and dies by itself. `sessions:{c}` lists a citizen's, `claims:{c}:<h>`
holds sealed what the upstream told about her; these two live in one hash tag.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from gateway.clock import Clock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId
from gateway.sso.kept import pack, unpack
from gateway.store.sealing import BadSeal, Keys
from gateway.store.volatile import Script, Volatile

AT_MOST: Final = 20  # sessions of one citizen; the oldest gives way
MINUTE: Final = 60_000_000

# sessions:{c}, claims:{c}:<h> · handle, until, sealed claims, now, most → handles too many
_ADD: Final = Script(
    """
redis.call('SET', KEYS[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[5])
if over > 0 then return redis.call('ZRANGE', KEYS[1], 0, over - 1) end
return {}
"""
)
# sessions:{c}, claims:{c}:<h> · handle
_REMOVE: Final = Script("redis.call('ZREM', KEYS[1], ARGV[1]) return redis.call('DEL', KEYS[2])")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What `session:<h>` holds."""

    citizen: Citizen
    seen: int  # UTC microseconds
    until: int
    device: str  # a word of a closed list


@dataclass(frozen=True, slots=True)
class Told:
    """What the upstream told at one sign-in."""

    claims: Mapping[str, str]
    hint: str  # the ID token, where it may stand in an address; else ""


class Shelf:
    """Puts, finds and drops sessions; every method raises `Away` when the store is away."""

    def __init__(
        self, volatile: Volatile, keys: Keys, clock: Clock, *, idle: int, life: int
    ) -> None:
        self._volatile = volatile
        self._keys = keys
        self._clock = clock
        self._idle = idle  # microseconds
        self._life = life

    async def run_id(self) -> str:
        """Which run of the store this is."""
        return await self._volatile.run_id()

    async def find(self, handle: str) -> Kept | None:
        """What is kept under a handle and has not expired."""
        (raw,) = await self._volatile.ask(("GET", f"session:{handle}"))
        body = unpack(raw, self._clock.now())
        if body is None:
            return None
        read = orjson.loads(body)
        citizen = Citizen(CitizenId(read["c"]), read["l"], read["u"], handle, read["in"])
        return Kept(citizen, read["seen"], read["until"], read["d"])

    async def keep_awake(self, kept: Kept) -> None:
        """Note that it was used, at most once a minute."""
        now = self._clock.now()
        if now - kept.seen > min(MINUTE, self._idle // 10):
            value = self._packed(kept.citizen, now, kept.until, kept.device)
            # XX: what was ended meanwhile stays ended.
            await self._volatile.ask(("SET", f"session:{kept.citizen.session}", value, "XX"))

    async def put(self, citizen: Citizen, told: Told, device: str) -> Sequence[str]:
        """Keep a new session; the handles of her oldest ones where there are too many now."""
        now, until = self._clock.now(), citizen.signed_in_at + self._life
        listed, name = _hers(citizen.id, citizen.session)
        plain = orjson.dumps({"claims": dict(told.claims), "hint": told.hint})
        sealed = pack(until, self._keys.volatile.seal(plain, aad=name.encode()))
        args = (citizen.session, until, sealed, now, AT_MOST)
        too_many = await self._volatile.script(_ADD, [listed, name], args)
        value = self._packed(citizen, now, until, device)
        await self._volatile.ask(("SET", f"session:{citizen.session}", value))
        return [handle.decode() for handle in too_many]

    def _packed(self, citizen: Citizen, seen: int, until: int, device: str) -> bytes:
        body = {
            "c": citizen.id,
            "l": citizen.level,
            "u": citizen.upstream,
            "in": citizen.signed_in_at,
            "seen": seen,
            "until": until,
            "d": device,
        }
        return pack(min(seen + self._idle, until), orjson.dumps(body))

    async def told(self, citizen: Citizen) -> Told:
        """What the upstream told at this sign-in; nothing where it is gone."""
        _, name = _hers(citizen.id, citizen.session)
        (raw,) = await self._volatile.ask(("GET", name))
        sealed = unpack(raw, self._clock.now())
        if sealed is None:
            return Told({}, "")
        try:
            read: Any = orjson.loads(self._keys.volatile.open(sealed, aad=name.encode()))
        except BadSeal:
            _log.warning("session.claims_unreadable")
            return Told({}, "")
        return Told(read["claims"], read["hint"])

    async def handles(self, citizen: CitizenId) -> list[str]:
        """The handles of all sessions of hers, live or not."""
        (handles,) = await self._volatile.ask(("ZRANGE", f"sessions:{{{citizen}}}", 0, -1))
        return [handle.decode() for handle in handles]

    async def drop(self, citizen: CitizenId, session: str) -> None:
        """Forget one session and what was told at it."""
        await self._volatile.ask(("DEL", f"session:{session}"))
        await self._volatile.script(_REMOVE, _hers(citizen, session), [session])


def _hers(citizen: str, session: str) -> list[str]:
    return [f"sessions:{{{citizen}}}", f"claims:{{{citizen}}}:{session}"]
