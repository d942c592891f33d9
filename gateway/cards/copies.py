"""What was fetched before: one Valkey hash `cards:{citizen}` for each citizen.

Fields: `<service>:<language>:<service digest>` a sealed copy · `.me` her consents, sealed ·
`.epoch` a random word that every withdrawal removes · `.again` services to be asked again.
A copy is written only while `.epoch` is the one under which its flight began, so what lands late
after a withdrawal lands nowhere. Each value opens only for its own citizen and field (`aad`).
"""

import os
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from gateway.cards.state import State, read_state
from gateway.clock import rfc3339
from gateway.contract.citizen import Agreement
from gateway.contract.ids import CitizenId, ServiceId
from gateway.store.sealing import BadSeal, Sealer
from gateway.store.volatile import Command, Script, Volatile
from gateway.words.loader import LANGUAGES, Language

FORMAT: Final = b"\x01"  # unknown ones are misses
_HEAD: Final = struct.Struct(">qqqqH")  # expires, fresh until, asked, as of, length of the state
_AS_OF: Final = 25  # characters of an RFC 3339 instant with offset
_HASH_MS: Final = 86_400_000
_STATES: Final = 4096  # distinct states remembered in their parsed form

# KEYS cards · ARGV epoch, milliseconds
_BEGIN: Final = Script(
    "if redis.call('HSETNX', KEYS[1], '.epoch', ARGV[1]) == 1 then "
    "redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
    "return redis.call('HGET', KEYS[1], '.epoch')"
)
# KEYS cards · ARGV epoch, milliseconds, prefix of fields that it replaces, field, value
_LAND: Final = Script(
    "if redis.call('HGET', KEYS[1], '.epoch') ~= ARGV[1] then return 0 end "
    "if ARGV[3] ~= '' then for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do "
    "if f ~= ARGV[4] and string.sub(f, 1, #ARGV[3]) == ARGV[3] then "
    "redis.call('HDEL', KEYS[1], f) end end end "
    "redis.call('HSET', KEYS[1], ARGV[4], ARGV[5]) "
    "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then "
    "redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 1"
)
# KEYS cards · ARGV service, instant
_AGAIN: Final = Script(
    "if redis.call('HEXISTS', KEYS[1], '.epoch') == 0 then return 0 end "
    "local m = cjson.decode(redis.call('HGET', KEYS[1], '.again') or '{}') "
    "m[ARGV[1]] = ARGV[2] "
    "redis.call('HSET', KEYS[1], '.again', cjson.encode(m)) return 1"
)
# KEYS cards, html · ARGV epoch, milliseconds, field, value, field, value …
_PAINT: Final = Script(
    "if redis.call('HGET', KEYS[1], '.epoch') ~= ARGV[1] then return 0 end "
    "for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end "
    "redis.call('PEXPIRE', KEYS[2], ARGV[2]) return 1"
)


@dataclass(slots=True)
class Copy:
    """What a department said, with its state at that time. Never changed; many are made."""

    state: State
    state_json: bytes
    body: bytes
    expires: int  # UTC microseconds, as all of these
    fresh_until: int
    asked: int
    as_of: int
    as_of_text: bytes  # RFC 3339
    mark: bytes  # tells this copy from every other

    def packed(self) -> bytes:
        """The plain bytes of a value."""
        head = _HEAD.pack(
            self.expires, self.fresh_until, self.asked, self.as_of, len(self.state_json)
        )
        return head + self.as_of_text + self.state_json + self.body


def new_copy(
    state: State, body: bytes, *, asked: int, as_of: int, fresh: float, keep: float
) -> Copy:
    """A copy of what was just answered; windows in seconds."""
    return Copy(
        state,
        state.json(),
        body,
        asked + int(keep * 1e6),
        asked + int(fresh * 1e6),
        asked,
        as_of,
        rfc3339(as_of).encode(),
        os.urandom(16),
    )


class States:
    """States by the bytes they are kept in: most cards share a few, so few are ever parsed."""

    def __init__(self) -> None:
        self._known: dict[bytes, State] = {}

    def read(self, document: bytes) -> State:
        """The state, parsed once."""
        state = self._known.get(document)
        if state is None:
            if len(self._known) >= _STATES:
                self._known.clear()
            state = self._known[document] = read_state(document)
        return state


def unpacked(plain: bytes, mark: bytes, states: States) -> Copy:
    """The copy in plain bytes."""
    expires, fresh_until, asked, as_of, length = _HEAD.unpack_from(plain)
    at = _HEAD.size + _AS_OF
    state_json = plain[at : at + length]
    return Copy(
        states.read(state_json),
        state_json,
        plain[at + length :],
        expires,
        fresh_until,
        asked,
        as_of,
        plain[_HEAD.size : at],
        mark,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """Her consents as they are kept: by service [digest, items, given], made into values on demand."""

    rows: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, agreements: Mapping[ServiceId, Agreement]) -> Self:
        """What the ledger said."""
        return cls({s: [a.digest, sorted(a.items), a.given] for s, a in agreements.items()})

    def agreements(self) -> dict[ServiceId, Agreement]:
        """As values."""
        return {ServiceId(s): agreement_in(row) for s, row in self.rows.items()}


def agreement_in(row: Sequence[Any]) -> Agreement:
    """One kept consent as a value."""
    digest, items, given = row
    return Agreement(digest, frozenset(items), given)


@dataclass(slots=True)
class Shelf:
    """What was read of one citizen in one round trip."""

    me: bytes | None
    epoch: bytes
    again: Mapping[str, int]
    values: Sequence[bytes | None]
    fragments: Sequence[bytes | None]


class Copies:
    """Reads and writes the hashes; every method raises `Away` where the store does not answer."""

    def __init__(self, volatile: Volatile, sealer: Sealer) -> None:
        self._volatile = volatile
        self._sealer = sealer
        self.states = States()

    async def shelf(
        self,
        citizen: CitizenId,
        fields: Sequence[str],
        language: Language,
        services: Sequence[str],
        *also: Command,
    ) -> tuple[Shelf, list[Any]]:
        """Everything for one feed in one round trip; `services` are those whose HTML is wanted."""
        commands: list[Command] = [
            ("HMGET", f"cards:{{{citizen}}}", ".me", ".epoch", ".again", *fields)
        ]
        if services:
            commands.append(("HMGET", f"html:{{{citizen}}}:{language}", *services))
        replies = await self._volatile.ask(*commands, *also)
        me, epoch, again, *values = replies[0]
        marks = {} if again is None else {k: int(v) for k, v in orjson.loads(again).items()}
        fragments = replies[1] if services else ()
        return Shelf(me, epoch or b"", marks, values, fragments), replies[len(commands) :]

    async def others(self, *commands: Command) -> list[Any]:
        """What is nobody's own."""
        return await self._volatile.ask(*commands)

    def opener(self, citizen: str) -> Callable[[str, bytes, int], Copy | None]:
        """What opens one citizen's values: field, value, now; None where nothing may be shown."""
        unseal, states, prefix = self._sealer.open, self.states, f"cards:{citizen}:"

        def open_copy(field: str, value: bytes, now: int) -> Copy | None:
            if value[:1] != FORMAT:
                return None
            try:
                plain = unseal(value[1:], aad=(prefix + field).encode())
            except BadSeal:
                return None
            copy = unpacked(plain, value[-16:], states)
            return copy if now < copy.expires else None

        return open_copy

    def me(self, citizen: CitizenId, value: bytes | None) -> Kept | None:
        """Her consents as kept; None: ask the ledger."""
        if value is None or value[:1] != FORMAT:
            return None
        try:
            plain = self._sealer.open(value[1:], aad=f"cards:{citizen}:.me".encode())
        except BadSeal:
            return None
        return Kept(orjson.loads(plain))

    async def begin(self, citizen: CitizenId) -> bytes:
        """The epoch that holds, a new one where there was none."""
        epoch = os.urandom(12).hex()
        reply: bytes = await self._volatile.script(_BEGIN, [_cards(citizen)], [epoch, _HASH_MS])
        return reply

    async def keep_me(self, citizen: CitizenId, epoch: bytes, kept: Kept) -> None:
        """Keep her consents as the ledger said after `epoch` was read."""
        plain = orjson.dumps(kept.rows)
        value = FORMAT + self._sealer.seal(plain, aad=f"cards:{citizen}:.me".encode())
        args = (epoch, _HASH_MS, "", ".me", value)
        await self._volatile.script(_LAND, [_cards(citizen)], args)

    async def land(self, citizen: CitizenId, epoch: bytes, field: str, copy: Copy) -> bool:
        """Keep a copy if her epoch is still the same; it replaces those of older digests."""
        sealed = self._sealer.seal(copy.packed(), aad=f"cards:{citizen}:{field}".encode())
        copy.mark = sealed[-16:]  # as whoever reads it will see it
        milliseconds = max((copy.expires - copy.asked) // 1000, _HASH_MS)
        prefix = field.rpartition(":")[0] + ":"
        args = (epoch, milliseconds, prefix, field, FORMAT + sealed)
        return bool(await self._volatile.script(_LAND, [_cards(citizen)], args))

    async def ask_again(self, citizen: CitizenId, service: ServiceId, now: int) -> None:
        """Mark a service as to be asked again: copies asked for before `now` are not fresh."""
        await self._volatile.script(_AGAIN, [_cards(citizen)], [service, now])

    def fragment(
        self,
        citizen: CitizenId,
        language: Language,
        service: str,
        value: bytes | None,
        version: bytes,
    ) -> bytes | None:
        """The HTML in a value, if it was made of this version."""
        if value is None or value[:1] != FORMAT:
            return None
        aad = f"html:{citizen}:{language}:{service}".encode()
        try:
            plain = self._sealer.open(value[1:], aad=aad)
        except BadSeal:
            return None
        return plain[16:] if plain[:16] == version else None

    async def paint(
        self,
        citizen: CitizenId,
        epoch: bytes,
        language: Language,
        made: Collection[tuple[str, bytes, bytes]],
    ) -> None:
        """Keep HTML: service, version, bytes."""
        words: list[str | bytes] = []
        for service, version, html in made:
            aad = f"html:{citizen}:{language}:{service}".encode()
            words += [service, FORMAT + self._sealer.seal(version + html, aad=aad)]
        keys = [_cards(citizen), f"html:{{{citizen}}}:{language}"]
        await self._volatile.script(_PAINT, keys, [epoch, _HASH_MS, *words])

    async def forget(self, citizen: CitizenId) -> None:
        """Remove everything of hers: one command, one hash tag."""
        html = (f"html:{{{citizen}}}:{language}" for language in LANGUAGES)
        await self._volatile.ask(("DEL", _cards(citizen), *html))


def _cards(citizen: CitizenId) -> str:
    return f"cards:{{{citizen}}}"
