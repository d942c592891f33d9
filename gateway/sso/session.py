"""Sessions: 256-bit opaque tokens, kept hashed in the volatile store, ended for good in the ledger.

A session dies after 30 idle minutes and after 12 hours at most; it gets a new token whenever its
citizen proves who she is. What ends one is written to the ledger first: a store that was killed may
bring back what it had deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.engine import Connection

from gateway.audit.events import SignedIn, SignedOut, StepUp
from gateway.audit.trail import append
from gateway.clock import Clock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId
from gateway.sso.citizens import ACTIVE, SUSPENDED, note_level, set_status
from gateway.sso.kept import LISTS, sweep
from gateway.sso.revocations import Revocations, last_end, revoke
from gateway.sso.shelf import MINUTE, Kept, Shelf, Told
from gateway.store.away import Away, LedgerAway
from gateway.store.ids import digest, new_token
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile

_TAIL_SECONDS: Final = 1.0
SWEPT: Final = ("session:", LISTS, "claims:", "login:")  # prefixes of what has no TTL
_log = structlog.get_logger(__name__)

Forget = Callable[[CitizenId], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: the token goes into the cookie and nowhere else."""

    token: str
    citizen: Citizen


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One live session as its citizen sees it."""

    session: str
    opened: int  # UTC microseconds
    seen: int
    until: int
    level: int
    upstream: str
    device: str  # a word of a closed list
    current: bool


class Sessions:
    """Opens, finds, lists and ends sessions; one for each worker."""

    def __init__(
        self,
        *,
        volatile: Volatile,
        ledger: Ledger,
        keys: Keys,
        clock: Clock,
        idle_minutes: int,
        hours: int,
        forgotten: Forget | None = None,
    ) -> None:
        """`forgotten` is called when what was kept of a citizen's cards must go at once."""
        life = hours * 60 * MINUTE
        self._volatile = volatile
        self._shelf = Shelf(volatile, keys, clock, idle=idle_minutes * MINUTE, life=life)
        self._ledger = ledger
        self._clock = clock
        self._forgotten = forgotten
        self._revocations = Revocations(ledger, clock, life)
        self._reading = asyncio.Lock()

    async def find(self, token: str) -> Citizen | None:
        """The citizen of a live session, which this use keeps awake.

        Raises:
            Away: it cannot be said now; the cookie may well be good.
        """
        kept = await self._kept(digest(token))
        if kept is None:
            return None
        with suppress(Away):  # the next request tries again
            await self._shelf.keep_awake(kept)
        return kept.citizen

    async def _kept(self, handle: str) -> Kept | None:
        kept = await self._shelf.find(handle)
        # Asked after the read: a new run of the store may be the one that answered.
        await self._trust(await self._shelf.run_id())
        if kept is None:
            return None
        citizen = kept.citizen
        if self._revocations.ended(handle, citizen.id, citizen.signed_in_at):
            return None
        return kept

    async def _trust(self, run: str) -> None:
        """Read what was ended, once for each run of the store."""
        if self._revocations.trusts(run):
            return
        async with self._reading:
            if self._revocations.trusts(run):
                return
            try:
                await self._revocations.read_all(run)
            except LedgerAway:
                raise Away("what was ended cannot be read") from None
            _log.info("session.trusted")

    async def open(
        self,
        citizen: CitizenId,
        *,
        level: int,
        upstream: str,
        claims: Mapping[str, str],
        old: str | None = None,
        device: str = "",
    ) -> str:
        """Open a session for a known citizen; returns its token. See `enter`."""
        told = Told(claims, "")
        opened = await self.enter(
            lambda _: citizen, level=level, upstream=upstream, told=told, old=old, device=device
        )
        return opened.token

    async def enter(
        self,
        who: Callable[[Connection], CitizenId],
        *,
        level: int,
        upstream: str,
        told: Told,
        old: str | None = None,
        device: str = "",
    ) -> Opened:
        """Open a session with a new token and end the one that the browser had (`old`).

        `who` finds or makes the citizen in the ledger transaction that also says in the trail what
        happened.

        Raises:
            LedgerAway: not opened.
            Away: not opened, or nobody will know the token: she signs in again.
        """
        kept = await self._kept(digest(old)) if old else None
        before = kept.citizen if kept is not None else None
        token = new_token()
        handle = digest(token)

        def unit(connection: Connection) -> tuple[CitizenId, int]:
            now = self._clock.now()
            found = who(connection)
            note_level(connection, found, level)
            if before is not None:
                revoke(connection, at=now, session=before.session)
            came = Citizen(found, level, upstream, handle, now)
            for event in _story(before, came):
                append(connection, event, at=now)
            # Later than every ending of hers, whatever the clocks say.
            return found, max(now, last_end(connection, found) + 1)

        found, opened = await self._ledger.write(unit)
        citizen = Citizen(found, level, upstream, handle, opened)
        if before is not None:
            self._revocations.note(at=opened, session=before.session)
            with suppress(Away):
                await self._shelf.drop(before.id, before.session)
        for session in await self._shelf.put(citizen, told, device):
            await self.end(citizen, session, reason="too_many")
        if before is not None and (before.id != found or before.level > level):
            await self._forget(before.id)
        return Opened(token, citizen)

    async def claims(self, citizen: Citizen) -> Mapping[str, str]:
        """What the upstream told about her at this sign-in: the names of `upstream.CLAIMS`.

        Raises:
            Away: the store is away.
        """
        return (await self._shelf.told(citizen)).claims

    async def hint(self, citizen: Citizen) -> str:
        """The ID token of this sign-in, for signing out at the upstream; "": none was kept.

        Raises:
            Away: the store is away.
        """
        return (await self._shelf.told(citizen)).hint

    async def listed(self, citizen: Citizen) -> list[SessionRow]:
        """All live sessions of hers, the newest first.

        Raises:
            Away: the store is away.
        """
        rows = []
        for handle in {*await self._shelf.handles(citizen.id), citizen.session}:
            kept = await self._kept(handle)
            if kept is not None and kept.citizen.id == citizen.id:
                rows.append(_row(kept, current=handle == citizen.session))
        return sorted(rows, key=lambda row: row.opened, reverse=True)

    async def end(self, citizen: Citizen, session: str, *, reason: str = "citizen") -> None:
        """End one session of hers.

        Raises:
            LedgerAway: it could not be written. The store forgot the session all the same where it
                could be reached.
        """
        try:
            ended = SignedOut(citizen=citizen.id, session=session, reason=reason)
            await self._write_end(ended, session=session)
        finally:
            await self._drop(citizen.id, [session])
        await self._forget(citizen.id)

    async def end_all(self, citizen: Citizen, *, reason: str = "citizen") -> None:
        """End every session of hers, this one too.

        Raises:
            LedgerAway: it could not be written.
        """
        await self._write_end(SignedOut(citizen=citizen.id, reason=reason), citizen=citizen.id)
        await self._drop(citizen.id)
        await self._forget(citizen.id)

    async def end_unseen(self, token: str) -> None:
        """End a session that cannot be looked up now, by its token: the ledger remembers it.

        Raises:
            LedgerAway: it could not be written.
        """
        handle = digest(token)
        nobody = CitizenId("")  # whose it is stands in the store, which is away
        await self._write_end(SignedOut(citizen=nobody, session=handle), session=handle)

    async def suspend(self, citizen: CitizenId) -> bool:
        """Keep a person out until `resume`, and end her sessions; False: there is nobody.

        Raises:
            LedgerAway: it could not be written.
        """
        if not await self._ledger.write(lambda c: set_status(c, citizen, SUSPENDED)):
            return False
        await self._write_end(SignedOut(citizen=citizen, reason="suspended"), citizen=citizen)
        await self._drop(citizen)
        await self._forget(citizen)
        return True

    async def resume(self, citizen: CitizenId) -> bool:
        """Let a suspended person in again; False: there is nobody."""
        return await self._ledger.write(lambda c: set_status(c, citizen, ACTIVE))

    async def _write_end(
        self, ended: SignedOut, *, session: str | None = None, citizen: CitizenId | None = None
    ) -> None:
        def unit(connection: Connection) -> int:
            now = self._clock.now()
            revoke(connection, at=now, session=session, citizen=citizen)
            append(connection, ended, at=now)
            return now

        at = await self._ledger.write(unit)
        self._revocations.note(at=at, session=session, citizen=citizen)

    async def _drop(self, citizen: CitizenId, sessions: list[str] | None = None) -> None:
        # With the store away the ledger's row stands, and every worker reads it within a second.
        with suppress(Away):
            for handle in sessions or await self._shelf.handles(citizen):
                await self._shelf.drop(citizen, handle)

    async def _forget(self, citizen: CitizenId) -> None:
        if self._forgotten is not None:
            await self._forgotten(citizen)

    async def follow(self) -> None:
        """Read every second, for ever, what other workers and hosts have ended."""
        lost = False
        while True:
            try:
                await self._revocations.read_new()
                lost = False
                await self._trust(await self._shelf.run_id())
            except LedgerAway:
                if not lost:
                    _log.warning("session.tail_lost")
                lost = True
            except Away:
                pass  # whoever asks for a session is told so; the rows were read
            await self._clock.sleep(_TAIL_SECONDS)

    async def sweep(self) -> int:
        """Take away what has expired; the leader's work, every few minutes.

        Raises:
            Away: the store is away; the next turn does it.
        """
        return await sweep(self._volatile, self._clock.now(), SWEPT)


def _story(before: Citizen | None, came: Citizen) -> list[SignedIn | SignedOut | StepUp]:
    """What the trail says of a sign-in in a browser that may have had a session."""
    entered = SignedIn(
        citizen=came.id, session=came.session, upstream=came.upstream, level=came.level
    )
    if before is None:
        return [entered]
    if before.id == came.id and before.level < came.level:
        return [
            StepUp(citizen=came.id, session=came.session, before=before.level, after=came.level)
        ]
    if before.id != came.id:
        reason = "another_person"
    else:
        reason = "step_down" if before.level > came.level else "signed_in_again"
    return [SignedOut(citizen=before.id, session=before.session, reason=reason), entered]


def _row(kept: Kept, *, current: bool) -> SessionRow:
    it = kept.citizen
    return SessionRow(
        it.session,
        it.signed_in_at,
        kept.seen,
        kept.until,
        it.level,
        it.upstream,
        kept.device,
        current,
    )
