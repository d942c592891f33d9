"""One-time tickets: how a department's server learns who came, without a word in the browser.

A ticket holds for 60 s and serves once, only for the department's server of its service, at the
address it was made for, while the session lives and the consent stands. Whatever is wrong with the
one who redeems it, it is burnt. What is told is read at that moment, never kept in the ticket.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NoReturn

import orjson
import structlog
from sqlalchemy.engine import Connection

from gateway.audit.events import Refused, TicketRedeemed
from gateway.audit.trail import append
from gateway.clock import Clock, instant
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId, DepartmentId, ServiceId, Subject
from gateway.errors import NotAllowed, TooMany
from gateway.registry.agreed import agreed, shared
from gateway.registry.entry import Entry, Visibility
from gateway.registry.generation import Generation
from gateway.sso.consent import standing
from gateway.sso.onetime import Found, OneTime
from gateway.sso.rates import Rates
from gateway.sso.session import SessionRow
from gateway.sso.visitor import DepartmentServer
from gateway.store.ids import digest
from gateway.store.ledger import Ledger
from gateway.store.sealing import BadSeal, Keys
from gateway.store.volatile import Script, Volatile

SECONDS: Final = 60.0
REFUSED_PER_MINUTE: Final = 60  # that one department's server may have refused to it
MAX_VISITED: Final = 64  # departments remembered for one citizen
_DAY: Final = 24 * 3600 * 1_000_000
_SID: Final = 32
_OPEN: Final = (Visibility.PUBLISHED, Visibility.TRIAL, Visibility.GRAY)
_log = structlog.get_logger(__name__)

# Adds one visit; beyond the bound the whole is begun anew, because a citizen has no 64 departments.
_VISIT: Final = Script(
    """
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('DEL', KEYS[1]) end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""
)


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What the department's server is told; see the handbook for its JSON."""

    subject: Subject
    department: DepartmentId
    service: ServiceId
    level: int
    claims: Mapping[str, str]
    session: str  # a name of her session for this department alone
    function: str | None
    nonce: str | None

    def document(self) -> dict[str, Any]:
        """The answer's JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Visited:
    """One way in that was used: session x department x subject x consent x assurance."""

    service: ServiceId
    department: DepartmentId
    subject: Subject
    session: str
    consent: str  # digest of what she had agreed to; "": nothing was asked
    level: int
    lane: str
    at: int  # UTC microseconds


@dataclass(frozen=True, slots=True)
class _Ticket:
    citizen: str
    level: int
    upstream: str
    session: str
    signed_in_at: int
    service: str
    client: str
    address: str
    function: str
    nonce: str

    @property
    def bearer(self) -> Citizen:
        """Who it was made for."""
        return Citizen(
            id=CitizenId(self.citizen),
            level=self.level,
            upstream=self.upstream,
            session=self.session,
            signed_in_at=self.signed_in_at,
        )


class Tickets:
    """Makes and redeems tickets; one in each worker."""

    def __init__(
        self,
        *,
        volatile: Volatile,
        ledger: Ledger,
        keys: Keys,
        clock: Clock,
        live: Callable[[], Generation],
        sessions: Callable[[Citizen], Awaitable[Sequence[SessionRow]]],
        claims: Callable[[Citizen], Awaitable[Mapping[str, str]]],
        disclosed: Callable[[CitizenId, Entry, Collection[str]], None],
    ) -> None:
        """`sessions` and `claims` are those of `sso.session`."""
        self._once = OneTime("ticket", volatile=volatile, sealer=keys.volatile, clock=clock)
        self._volatile = volatile
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._live = live
        self._sessions = sessions
        self._claims = claims
        self._disclosed = disclosed
        self._rates = Rates(volatile, clock)

    async def mint(
        self, citizen: Citizen, entry: Entry, *, function: str = "", nonce: str = ""
    ) -> str:
        """A ticket for this service's launch address; the caller has decided that she may go.

        Raises:
            Away: there is no ticket.
            ValueError: the service is not launched by ticket.
        """
        if entry.launch is None:
            raise ValueError("this service has no launch address")
        ticket = _Ticket(
            citizen=citizen.id,
            level=citizen.level,
            upstream=citizen.upstream,
            session=citizen.session,
            signed_in_at=citizen.signed_in_at,
            service=entry.id,
            client=client_of(entry),
            address=entry.launch.address,
            function=function,
            nonce=nonce,
        )
        return await self._once.keep(asdict(ticket), SECONDS)

    async def redeem(self, ticket: str, address: str, department: DepartmentServer) -> Redeemed:
        """Exchange a ticket for who the citizen is over there.

        Raises:
            NotAllowed: `members["reason"]`: used, unknown (expired, foreign, of another address),
                ended (the session) or withdrawn (the consent, the service).
            TooMany: this server was refused too often within a minute.
            Away, LedgerAway: nothing was told; the ticket may be burnt.
        """
        taken = await self._once.take(ticket)
        if taken.found is Found.USED:
            await self._refuse_aloud("used", "used", department, None)
        if taken.found is not Found.FRESH:
            _refuse("unknown", taken.found)
        known = _Ticket(**taken.value)
        server = self._live().entry(department.service)
        entry = self._live().entry(known.service)
        if server is None or client_of(server) != known.client:
            await self._refuse_aloud("unknown", "foreign", department, None)
        if address != known.address:
            await self._refuse_aloud("unknown", "address", department, known)
        if entry is None or not open_at(entry, instant(self._clock.now())):
            _refuse("withdrawn", "service")
        return await self._tell(known, entry, digest(ticket))

    async def visited(self, citizen: CitizenId) -> list[Visited]:
        """Where she was signed in within the last day, the newest first.

        Raises:
            Away: it cannot be read now.
        """
        key = _visits(citizen)
        (raw,) = await self._volatile.ask(("HVALS", key))
        found = []
        for sealed in raw:
            try:
                row = orjson.loads(self._keys.volatile.open(sealed[8:], aad=key.encode()))
            except BadSeal:
                continue
            if row["at"] > self._clock.now() - _DAY:
                found.append(Visited(**row))
        return sorted(found, key=lambda visit: visit.at, reverse=True)

    async def sweep(self) -> int:
        """Take away tickets that have ended, and visits of yesterday."""
        gone = await self._once.sweep()
        cursor = b"0"
        while True:
            scan = ("SCAN", cursor, "MATCH", "visits:*", "COUNT", 500)
            ((cursor, names),) = await self._volatile.ask(scan)
            for name in names:
                gone += await self._sweep_visits(name)
            if cursor == b"0":
                return gone

    async def _sweep_visits(self, name: bytes) -> int:
        (pairs,) = await self._volatile.ask(("HGETALL", name))
        fields = (
            pairs.items() if isinstance(pairs, dict) else zip(pairs[::2], pairs[1::2], strict=True)
        )
        edge = self._clock.now() - _DAY
        old = [field for field, raw in fields if int.from_bytes(raw[:8], "big") <= edge]
        if old:
            await self._volatile.ask(("HDEL", name, *old))
        return len(old)

    async def _tell(self, known: _Ticket, entry: Entry, ticket: str) -> Redeemed:
        citizen = known.bearer
        if not await self._alive(citizen):
            _refuse("ended", "session")
        hers = await self._claims(citizen)
        subject = Subject(self._keys.subject(entry.owner.id, citizen.id))

        def unit(connection: Connection) -> tuple[tuple[str, ...], str] | None:
            # In the transaction that notes it: no withdrawal can come between look and deed.
            agreement = standing(connection, citizen.id, entry.id)
            if not agreed(entry, agreement):
                return None
            told = tuple(
                item.id
                for item in entry.data
                if item.id in shared(entry, agreement) and item.claim in hers
            )
            event = TicketRedeemed(
                service=entry.id,
                department=entry.owner.id,
                subject=subject,
                ticket=ticket,
                items=told,
            )
            append(connection, event, at=self._clock.now())
            return told, agreement.digest if agreement is not None and entry.data else ""

        done = await self._ledger.write(unit)
        if done is None:
            _refuse("withdrawn", "consent")
        told, consent = done
        visit = Visited(
            service=entry.id,
            department=entry.owner.id,
            subject=subject,
            session=citizen.session,
            consent=consent,
            level=citizen.level,
            lane="ticket",
            at=self._clock.now(),
        )
        await self._visit(citizen.id, visit)
        if not await self._alive(citizen):  # signed out while this was under way
            _refuse("ended", "session")
        self._disclosed(citizen.id, entry, told)
        return Redeemed(
            subject=subject,
            department=entry.owner.id,
            service=entry.id,
            level=citizen.level,
            claims={item.claim: hers[item.claim] for item in entry.data if item.id in told},
            session=self._keys.blind("department-session", entry.owner.id, citizen.session)[:_SID],
            function=known.function or None,
            nonce=known.nonce or None,
        )

    async def _alive(self, citizen: Citizen) -> bool:
        return any(row.session == citizen.session for row in await self._sessions(citizen))

    async def _visit(self, citizen: CitizenId, visit: Visited) -> None:
        key = _visits(citizen)
        sealed = self._keys.volatile.seal(orjson.dumps(asdict(visit)), aad=key.encode())
        field = digest(f"{visit.session} {visit.service}")
        args: list[str | bytes | int] = [field, visit.at.to_bytes(8, "big") + sealed, MAX_VISITED]
        await self._volatile.script(_VISIT, [key], args)

    async def _refuse_aloud(
        self, public: str, why: str, department: DepartmentServer, known: _Ticket | None
    ) -> NoReturn:
        # Refusals are remembered for good: a server gone wild must not fill the trail with them.
        caller = digest(department.service)
        if wait := await self._rates.wait("redeem", caller, most=REFUSED_PER_MINUTE, seconds=60):
            raise TooMany(detail="tickets refused", headers={"Retry-After": str(wait)})
        event = Refused(
            act="ticket.redeem",
            reason=why,
            citizen=CitizenId(known.citizen) if known is not None else None,
            service=department.service,
            department=department.department,
        )
        await self._ledger.write(lambda c: append(c, event, at=self._clock.now()))
        _refuse(public, why)


def client_of(entry: Entry) -> str:
    """Which department's server may redeem: `<plugin>/<service>`."""
    return f"{entry.plugin}/{entry.service}"


def open_at(entry: Entry, moment: datetime) -> bool:
    """Whether the registry lets anybody into the service at all: the kill switch ends tickets too."""
    current = entry.shown[0]
    for line in entry.shown:
        if line.since is None or line.since <= moment:
            current = line
    return current.state in _OPEN


def _visits(citizen: CitizenId) -> str:
    return f"visits:{{{citizen}}}"


def _refuse(public: str, why: str) -> NoReturn:
    _log.info("ticket.refused", why=str(why))
    raise NotAllowed(detail=f"ticket: {why}", members={"reason": public})
