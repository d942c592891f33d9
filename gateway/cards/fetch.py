"""One question to one department: consent looked at last, asked, made into a card, kept."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.cards.body import BadAnswer, Made, Maker
from gateway.cards.coalesce import Flights
from gateway.cards.copies import Copies, Copy, new_copy
from gateway.cards.forgotten import Forgotten
from gateway.clock import Clock
from gateway.contract.citizen import Agreement, Citizen
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import CitizenId, PluginId, ServiceId, Subject
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Nothing, Outcome, Reason
from gateway.registry.agreed import agreed, shared
from gateway.registry.entry import Entry
from gateway.store.away import Away, LedgerAway
from gateway.words.loader import Language

Agreements = Callable[[CitizenId], Awaitable[Mapping[ServiceId, Agreement]]]
Claims = Callable[[Citizen], Awaitable[Mapping[str, str]]]
AskDepartment = Callable[..., Awaitable[Outcome]]
Disclosed = Callable[[CitizenId, Entry, Collection[str]], None]
Report = Callable[[str, str, str], None]

# With these reasons nothing left the gateway, so nobody was told anything.
_NEVER_SENT: Final = frozenset({Reason.BUSY, Reason.PAUSED, Reason.PARKED, Reason.REFUSED_ADDRESS})
_GRACE: Final = 2.0  # seconds beyond a department's own timeout; past that hosting itself hangs
_HERS_FRESH: Final = 60.0  # what she has to mend over there is asked again after a minute
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """What a flight came back with: one of copy, failed, refused, void, away."""

    copy: Copy | None = None
    failed: Failed | None = None
    refused: Mapping[ServiceId, Agreement] | None = None  # her consents, which no longer cover it
    void: bool = False  # forgotten while it was in the air
    away: bool = False  # our own stores did not say what we need to ask
    kept: bool = False  # it stands in the store


@dataclass(frozen=True, slots=True)
class Question:
    """What one flight asks."""

    entry: Entry
    field: str
    language: Language
    words: Mapping[str, str]  # the plugin's own
    trace: str


class Fetch:
    """Asks departments for the feed; never raises."""

    def __init__(  # noqa: PLR0913 - everything that an ask stands on
        self,
        *,
        departments_card: AskDepartment,
        copies: Copies,
        forgotten: Forgotten,
        clock: Clock,
        agreements: Agreements,
        claims: Claims,
        subject: Callable[[str, str], str],
        disclosed: Disclosed,
        report: Report,
    ) -> None:
        """Take what lies beside and below as plain callables."""
        self._card = departments_card
        self._copies = copies
        self._forgotten = forgotten
        self._clock = clock
        self._agreements = agreements
        self._claims = claims
        self._subject = subject
        self._disclosed = disclosed
        self._report = report
        self._reads: Flights[Mapping[ServiceId, Agreement] | None] = Flights(
            clock.monotonic, worth_keeping=lambda _: False
        )

    async def personal(self, question: Question, citizen: Citizen, epoch: bytes) -> Brought:
        """Ask for one citizen's card and keep it under her epoch (none: keep nothing)."""
        began = self._clock.monotonic()
        entry = question.entry
        claims: Mapping[str, str] = {}
        if entry.data:
            try:
                claims = await self._claims(citizen)
            except (Away, LedgerAway):
                return Brought(away=True)
        # From here to the call nothing else is awaited but the ledger's word on her consent.
        agreements = await self._consents(citizen.id, entry, epoch)
        if agreements is None:
            return Brought(away=True)
        if self._forgotten.since(citizen.id, began):
            return Brought(void=True)
        agreement = agreements.get(entry.id)
        if not agreed(entry, agreement):
            return Brought(refused=agreements)
        items = shared(entry, agreement)
        told = {i.id: claims[i.claim] for i in entry.data if i.id in items and i.claim in claims}
        ask = self._ask(question, Subject(self._subject(entry.owner.id, citizen.id)), told, citizen)
        asked = self._clock.now()
        outcome = await self._sent(question, ask, citizen.id, tuple(told))
        if self._forgotten.since(citizen.id, began):
            return Brought(void=True)
        brought = self._made(question, outcome, asked)
        if brought.copy is None or not epoch:
            return brought
        return await self._landed(question, citizen.id, epoch, brought.copy)

    async def everybody(self, question: Question) -> Brought:
        """Ask for a card that is the same for everybody."""
        asked = self._clock.now()
        ask = self._ask(question, Subject(""), {}, None)
        return self._made(question, await self._asked(question, ask), asked)

    def _ask(
        self, question: Question, subject: Subject, told: Mapping[str, str], citizen: Citizen | None
    ) -> CardAsk:
        entry = question.entry
        return CardAsk(
            service=entry.service or "",
            card=entry.card.id if entry.card is not None else "",
            subject=subject,
            claims=told,
            level=citizen.level if citizen is not None else 0,
            language=question.language,
            trace=question.trace,
            seconds=entry.timeout,
            because="view" if question.trace else "refresh",
        )

    async def _consents(
        self, citizen: CitizenId, entry: Entry, epoch: bytes
    ) -> Mapping[ServiceId, Agreement] | None:
        """Her consents as the ledger has them now; flights that leave together share one reading.

        Where the ledger is away, what is kept counts if her epoch still stands: every withdrawal
        removes both. None: neither can be read.
        """
        if not entry.data:
            return {}
        read = self._reads.join(citizen, lambda: self._read(citizen))
        try:
            found = await asyncio.shield(read)
        finally:
            self._reads.leave(citizen)
        if found is not None or not epoch or citizen in self._forgotten.owed:
            return found
        try:
            shelf, _ = await self._copies.shelf(citizen, (), "zh", ())
        except Away:
            return None
        kept = self._copies.me(citizen, shelf.me) if shelf.epoch == epoch else None
        return kept.agreements() if kept is not None else None

    async def _read(self, citizen: CitizenId) -> Mapping[ServiceId, Agreement] | None:
        try:
            return await self._agreements(citizen)
        except LedgerAway as away:
            _log.warning("cards.ledger_away", reason=str(away))
            return None

    async def _sent(
        self, question: Question, ask: CardAsk, citizen: CitizenId, items: Collection[str]
    ) -> Outcome:
        told = True
        try:
            outcome = await self._asked(question, ask)
            told = not (isinstance(outcome, Failed) and outcome.reason in _NEVER_SENT)
        finally:
            if told and items:
                self._disclosed(citizen, question.entry, items)
        return outcome

    async def _asked(self, question: Question, ask: CardAsk) -> Outcome:
        entry = question.entry
        plugin = PluginId(entry.plugin or "")
        try:
            async with self._clock.within(entry.timeout + _GRACE):
                return await self._card(plugin, ask, who=ask.subject, seconds=entry.timeout)
        except TimeoutError:
            return Failed(Reason.TIMEOUT)

    def _made(self, question: Question, outcome: Outcome, asked: int) -> Brought:
        if isinstance(outcome, Failed):
            return Brought(failed=outcome)
        entry = question.entry
        maker = Maker(entry, question.language, question.words, self._clock.now())
        try:
            made = _card_of(maker, outcome)
        except BadAnswer as error:
            return self._bad(entry, str(error))
        hers = isinstance(outcome, NeedsCitizen)
        fresh = min(entry.fresh, _HERS_FRESH) if hers else entry.fresh
        return Brought(copy=_copy(made, entry, asked, fresh))

    def _bad(self, entry: Entry, what: str) -> Brought:
        _log.warning("cards.bad_answer", service=entry.id, plugin=entry.plugin, what=what)
        self._report(entry.plugin or "", Reason.CONTRACT, what)
        return Brought(failed=Failed(Reason.CONTRACT, what=what))

    async def _landed(
        self, question: Question, citizen: CitizenId, epoch: bytes, copy: Copy
    ) -> Brought:
        if citizen in self._forgotten.owed:
            return Brought(copy=copy)
        try:
            kept = await self._copies.land(citizen, epoch, question.field, copy)
        except Away:
            return Brought(copy=copy)
        # Refused: she withdrew or signed out everywhere while it was in the air.
        return Brought(copy=copy, kept=True) if kept else Brought(void=True)


def _card_of(maker: Maker, outcome: Answered | Nothing | NeedsCitizen) -> Made:
    if isinstance(outcome, Answered):
        return maker.answered(outcome.answer)
    if isinstance(outcome, Nothing):
        return maker.nothing(outcome.answer)
    return maker.for_citizen(outcome.need, outcome.words)


def _copy(made: Made, entry: Entry, asked: int, fresh: float) -> Copy:
    keep = max(entry.keep, fresh)
    return new_copy(made.state, made.body, asked=asked, as_of=made.as_of, fresh=fresh, keep=keep)
