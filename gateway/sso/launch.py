"""From a tap on a card to the department's page: decided by one pure function, carried out once.

The one-time address `/go/{id}` stands between the form and the department, because a form may not
lead away from our own origin. It belongs to one session, serves once, and everything is decided
again when it is opened: a consent withdrawn or a service switched off meanwhile stops it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.audit.events import Launched
from gateway.audit.trail import append
from gateway.clock import Clock
from gateway.contract.citizen import Agreement, Citizen
from gateway.contract.ids import CitizenId, ServiceId
from gateway.registry.agreed import agreed
from gateway.registry.entry import Entry, Lane, Launching
from gateway.sso.onetime import Found, OneTime
from gateway.sso.tickets import Tickets
from gateway.store.ids import digest
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile

SECONDS: Final = 60.0
_NONCE: Final = 43  # base64url of a SHA-256
_BASE64URL: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class NotNow:
    """It cannot be launched; `reason` is a gate state's code or one of ours."""

    reason: str  # retired … needs_proxy_right | no_launch | no_function | lane | parked


@dataclass(frozen=True, slots=True)
class ProveMore:
    """She must sign in again at this level first."""

    level: int


@dataclass(frozen=True, slots=True)
class AskFirst:
    """She must agree first."""


@dataclass(frozen=True, slots=True)
class Go:
    """Nothing stands in the way."""

    launch: Launching
    function: str


LaunchDecision = NotNow | ProveMore | AskFirst | Go


def decide(
    citizen: Citizen,
    entry: Entry,
    agreement: Agreement | None,
    function: str = "",
    *,
    gate: str | None = None,
) -> LaunchDecision:
    """What happens when this citizen taps this service, or one function of it.

    `gate`: the code of the gate state that keeps the card from her, if one does. What is cured by
    signing in or agreeing is decided here, because functions have levels of their own.
    """
    if gate is not None and gate not in ("needs_login", "needs_identity", "needs_consent"):
        return NotNow(gate)
    launch, level = entry.launch, _level(entry, function)
    if launch is None or entry.parked is not None:
        return NotNow("no_launch" if entry.parked is None else "parked")
    if level is None:
        return NotNow("no_function")
    if launch.lane is Lane.LINK:
        return Go(launch, function)  # nobody is told anything
    if launch.lane is not Lane.TICKET:
        return NotNow("lane")
    if citizen.level < level:
        return ProveMore(level)
    return Go(launch, function) if agreed(entry, agreement) else AskFirst()


def _level(entry: Entry, function: str) -> int | None:
    """The assurance that this way in needs; None where there is no such function."""
    if not function:
        return entry.level
    return next((one.level for one in entry.functions if one.id == function), None)


class _Going(NamedTuple):
    """What `go:<h>` holds."""

    citizen: str
    session: str
    service: str
    function: str
    nonce_asked: bool  # the browser was sent to fetch its nonce


@dataclass(frozen=True, slots=True)
class Onward:
    """Where the browser goes now."""

    address: str
    service: ServiceId


@dataclass(frozen=True, slots=True)
class Dead:
    """The one-time address does not serve; `service` where it is known."""

    found: Found
    service: ServiceId | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Something changed between the tap and the opening."""

    decision: NotNow | ProveMore | AskFirst
    service: ServiceId
    function: str


Step = Onward | Dead | Stopped
Agreements = Callable[[CitizenId], Awaitable[Mapping[ServiceId, Agreement]]]


class Launches:
    """Carries launches out; one in each worker."""

    def __init__(
        self,
        *,
        volatile: Volatile,
        ledger: Ledger,
        keys: Keys,
        clock: Clock,
        agreements: Agreements,
        tickets: Tickets,
        launched: Callable[[CitizenId, ServiceId], Awaitable[None]],
    ) -> None:
        """`launched` (Cards.launched) marks the service's copy as to be asked again."""
        self._going = OneTime("go", volatile=volatile, sealer=keys.volatile, clock=clock)
        self._ledger = ledger
        self._clock = clock
        self._agreements = agreements
        self._tickets = tickets
        self._launched = launched

    async def consider(
        self, citizen: Citizen, entry: Entry, function: str = "", *, gate: str | None = None
    ) -> LaunchDecision:
        """`decide`, with her consents as the ledger has them now.

        Raises:
            LedgerAway: the ledger cannot be read.
        """
        agreement = (await self._agreements(citizen.id)).get(entry.id)
        return decide(citizen, entry, agreement, function, gate=gate)

    async def start(self, citizen: Citizen, entry: Entry, function: str = "") -> str:
        """The id of a one-time address `/go/{id}`, after `consider` said go.

        Raises:
            Away: the volatile store is not there; nothing is launched.
        """
        return await self._keep(citizen, entry, function, nonce_asked=False)

    async def open(
        self,
        go: str,
        citizen: Citizen,
        *,
        entry_of: Callable[[str], Entry | None],
        gate_of: Callable[[Entry], str | None],
        nonce: str | None = None,
    ) -> Step:
        """Use a one-time address.

        Raises:
            Away, LedgerAway: it is burnt; she taps again.
        """
        taken = await self._going.take(go)
        if taken.found is not Found.FRESH:
            return Dead(taken.found)
        going = _Going(**taken.value)
        entry = entry_of(going.service)
        if entry is None or (going.citizen, going.session) != (citizen.id, citizen.session):
            return Dead(Found.UNKNOWN)
        decision = await self.consider(citizen, entry, going.function, gate=gate_of(entry))
        if not isinstance(decision, Go):
            return Stopped(decision, entry.id, going.function)
        if going.nonce_asked and not _is_nonce(nonce):
            return Dead(Found.UNKNOWN, entry.id)
        address = await self._address(citizen, entry, decision, going.nonce_asked, nonce or "")
        return Onward(address, entry.id)

    async def sweep(self) -> int:
        """Take away launches that were never opened."""
        return await self._going.sweep()

    async def _address(
        self, citizen: Citizen, entry: Entry, decision: Go, asked: bool, nonce: str
    ) -> str:
        launch = decision.launch
        if launch.lane is Lane.LINK:
            await self._note(citizen, entry, decision.function, lane="plain", ticket="")
            return as_ascii(launch.address)
        if launch.nonce_address is not None and not asked:
            # First the department binds this browser: a ticket slipped into another's is found out.
            back = await self._keep(citizen, entry, decision.function, nonce_asked=True)
            return with_query(launch.nonce_address, "go", back)
        bound = nonce if launch.nonce_address is not None else ""
        await self._launched(citizen.id, entry.id)
        ticket = await self._tickets.mint(citizen, entry, function=decision.function, nonce=bound)
        await self._note(citizen, entry, decision.function, lane="ticket", ticket=digest(ticket))
        return with_query(launch.address, "ticket", ticket)

    async def _keep(
        self, citizen: Citizen, entry: Entry, function: str, *, nonce_asked: bool
    ) -> str:
        going = _Going(citizen.id, citizen.session, entry.id, function, nonce_asked)
        return await self._going.keep(going._asdict(), SECONDS)

    async def _note(
        self, citizen: Citizen, entry: Entry, function: str, *, lane: str, ticket: str
    ) -> None:
        event = Launched(
            citizen=citizen.id, service=entry.id, function=function, lane=lane, ticket=ticket
        )
        await self._ledger.write(lambda c: append(c, event, at=self._clock.now()))


def _is_nonce(nonce: str | None) -> bool:
    return nonce is not None and len(nonce) == _NONCE and _BASE64URL.issuperset(nonce)


def as_ascii(address: str) -> str:
    """An address as it may stand in a header: whatever is not ASCII is percent-encoded."""
    return quote(address, safe="!#$%&'()*+,/:;=?@[]~-._")


def with_query(address: str, name: str, value: str) -> str:
    """The address with one more query field; the value is base64url."""
    return f"{as_ascii(address)}{'&' if '?' in address else '?'}{name}={value}"
