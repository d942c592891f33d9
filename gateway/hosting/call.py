"""Every ask of a department goes through `guarded`: one readable stack, outermost last.

    in_our_words   whatever is raised becomes an Outcome
    within         the deadline, even for what forgets to look at it
    few_at_once    the department's cap, with a short queue
    behind_breaker a department that does not answer is left alone
    measured       counted, timed, reported

Nothing here knows recipes, children or HTTP; all waiting goes through the clock.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.contract.answer import CardAnswer, Empty
from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain
from gateway.contract.hooks import CardAsk
from gateway.hosting.breaker import Breaker, Verdict
from gateway.hosting.failures import BadCredentials, MissingClaim, NoAnswer
from gateway.hosting.limits import Places
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Nothing, Outcome, Reason
from gateway.hosting.recipes.decode import WrongEncoding
from gateway.hosting.secrets import MissingSecret

GRACE: Final = 0.1  # seconds: what ends by itself at the deadline may say so in its own words
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """One ask on its way: who asks, and until when an answer is of use."""

    ask: CardAsk
    who: str  # an opaque key of the citizen; "": a card for everybody
    deadline: float  # monotonic


Work = Callable[[Asking], Awaitable[CardAnswer | Empty]]
Call = Callable[[Asking], Awaitable[Outcome]]
Watch = Callable[[Outcome, float], None]


@dataclass(frozen=True, slots=True)
class Guards:
    """What stands around one department's calls."""

    clock: Clock
    places: Places
    breaker: Breaker | None  # None: nothing is called (a drop)
    watch: Watch
    optional: frozenset[str]  # claims that a citizen may withhold


def guarded(work: Work, guards: Guards) -> Call:
    """Every call to a department goes through these, outermost last."""
    call = in_our_words(work, guards.optional)
    call = within(call, guards.clock)
    call = few_at_once(call, guards.places, guards.clock)
    if guards.breaker is not None:
        call = behind_breaker(call, guards.breaker)
    return measured(call, guards.clock, guards.watch)


def in_our_words(work: Work, optional: frozenset[str]) -> Call:
    """Turn what was answered or raised into an Outcome."""

    async def call(asking: Asking) -> Outcome:
        try:
            answer = await work(asking)
        except Exception as error:  # noqa: BLE001 - whatever a plugin does, its own card says so
            return outcome_of(error, optional)
        return Nothing(answer) if isinstance(answer, Empty) else Answered(answer)

    return call


def outcome_of(error: Exception, optional: frozenset[str] = frozenset()) -> Outcome:
    """Any exception as an Outcome; the private text holds no value of a citizen."""
    match error:
        case NoAnswer():
            return Failed(error.reason, error.after, words=error.words, what=error.what)
        case Failure():
            return _meant(error)
        case MissingClaim():
            return NeedsCitizen("consent" if error.claim in optional else "level")
        case MissingSecret():
            return Failed(Reason.CREDENTIALS, what=str(error))
        case TimeoutError():
            return Failed(Reason.TIMEOUT, what="no answer in time")
        case _:
            return _fault(error)


def _meant(failure: Failure) -> Outcome:
    """What a plugin or a recipe's rule raised on purpose."""
    match failure:
        case TryAgain():
            return Failed(Reason.TRY_LATER, failure.after, words=failure.words, what="it is busy")
        case ShowLast():
            return Failed(
                Reason.CLOSED_NOW,
                until=failure.until,
                words=failure.words,
                what=failure.reason[:60],
            )
        case AskCitizen():
            return NeedsCitizen(failure.need, failure.words)
        case CallOwner():
            reason = _REASONS.get(type(failure), Reason.CONTRACT)
            return Failed(reason, words=failure.words, what=failure.what[:200])
        case _:
            return Failed(Reason.PLUGIN, what="a card is never unsure")


_REASONS: Final[dict[type[CallOwner], Reason]] = {
    WrongEncoding: Reason.ENCODING,
    BadCredentials: Reason.CREDENTIALS,
}


def _fault(error: Exception) -> Failed:
    """A fault that nobody foresaw: where it happened, never its text (it may hold a value)."""
    why = getattr(error, "why", None)  # a child that failed says why, in words of ours
    if isinstance(why, str):
        reason = Reason.BUSY if why == "busy" else Reason.PLUGIN
        return Failed(reason, what=str(getattr(error, "what", why))[:200])
    trace, where = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{PurePath(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    what = f"{type(error).__name__} at {where}"
    _log.error("hosting.fault", what=what)
    return Failed(Reason.PLUGIN, what=what)


def within(call: Call, clock: Clock) -> Call:
    """End a call shortly after its deadline, whatever it waits for."""

    async def bounded(asking: Asking) -> Outcome:
        left = asking.deadline - clock.monotonic()
        try:
            async with clock.within(max(0.0, left) + GRACE):
                return await call(asking)
        except TimeoutError:
            return Failed(Reason.TIMEOUT, what="no answer in time")

    return bounded


def few_at_once(call: Call, places: Places, clock: Clock) -> Call:
    """Ask only so many at once; who waits longer than a glance is told that it is busy."""

    async def bounded(asking: Asking) -> Outcome:
        if not await places.take(asking.deadline - clock.monotonic()):
            return Failed(
                Reason.BUSY, retry_after=1.0, what="all places at this department are taken"
            )
        try:
            return await call(asking)
        finally:
            places.give_back()

    return bounded


def behind_breaker(call: Call, breaker: Breaker) -> Call:
    """Leave a department alone that does not answer; its last words are kept for the meantime."""
    last: list[Failed] = []

    async def bounded(asking: Asking) -> Outcome:
        leave = breaker.let_through()
        if leave is None:
            words = last[-1].words if last else None
            wait = max(1.0, breaker.left)
            return Failed(Reason.PAUSED, retry_after=wait, words=words, what="the breaker is open")
        verdict: Verdict = "neither"  # also when the call is cancelled
        try:
            outcome = await call(asking)
            verdict = verdict_of(outcome)
            last[:] = [outcome] if isinstance(outcome, Failed) and verdict != "neither" else []
        finally:
            breaker.saw(verdict, asking.who, leave=leave)
        return outcome

    return bounded


def verdict_of(outcome: Outcome) -> Verdict:
    """What an outcome says about the department, for its breaker."""
    if isinstance(outcome, Answered | Nothing):
        return "good"
    if isinstance(outcome, NeedsCitizen):
        return "neither"
    match outcome.reason:
        case Reason.BUSY | Reason.PAUSED | Reason.PARKED:
            return "neither"  # we did not ask
        case Reason.CLOSED_NOW:
            return "neither" if outcome.until is not None else "failed"
        case Reason.CONTRACT | Reason.ENCODING | Reason.PLUGIN:
            return "odd"
        case _:
            return "failed"


def measured(call: Call, clock: Clock, watch: Watch) -> Call:
    """Tell whoever counts what came and how long it took."""

    async def timed(asking: Asking) -> Outcome:
        begun = clock.monotonic()
        outcome = await call(asking)
        watch(outcome, clock.monotonic() - begun)
        return outcome

    return timed


def label(outcome: Outcome) -> str:
    """An outcome as a word of a closed list, for metrics and logs."""
    match outcome:
        case Answered():
            return "answered"
        case Nothing():
            return "nothing"
        case NeedsCitizen():
            return "needs_citizen"
        case Failed(reason=reason):
            return reason.value
