"""Buttons, and the states of items that have no answer of their department."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from gateway.cards.item import Action, ActionKind, Item
from gateway.cards.saying import cleaned, moment_text, other_way, sentence, text_of
from gateway.cards.state import Code, State
from gateway.clock import instant
from gateway.hosting.outcome import Failed, Reason
from gateway.registry.entry import Entry, Lane, Shown
from gateway.words.loader import Language, say

_RETRY: Final = 30.0  # seconds, where nobody said
_LONGEST_RETRY: Final = 3600.0
_SOON: Final = 1.0
_FOR_OWNERS: Final = frozenset({Reason.PARKED, Reason.REFUSED_ADDRESS, Reason.CREDENTIALS})
_FOR_OWNERS_RETRY: Final = 300.0


def call(entry: Entry, language: Language) -> Action:
    """The telephone."""
    number = "".join(entry.way.phone.split()).replace("-", "")
    return Action(
        ActionKind.CALL, say(language, "card.call", phone=entry.way.phone), f"tel:{number}"
    )


def details(entry: Entry, language: Language) -> Action:
    """The service's own page."""
    return Action(ActionKind.DETAILS, say(language, "card.details"), f"/s/{entry.id}")


def launch(entry: Entry, language: Language, code: Code = Code.READY) -> Action | None:
    """The way over there, where there is one."""
    if entry.launch is None:
        return None
    if entry.launch.lane is Lane.LINK:
        return Action(ActionKind.LAUNCH, say(language, "card.open_link"), entry.launch.address)
    key = {Code.ACTION_REQUIRED: "handle", Code.IN_PROGRESS: "view", Code.DONE: "view"}.get(
        code, "launch"
    )
    return Action(ActionKind.LAUNCH, say(language, f"card.{key}"), f"/s/{entry.id}/launch")


def retry(entry: Entry, language: Language) -> Action:
    """Ask again: the service's page does."""
    return Action(ActionKind.RETRY, say(language, "card.retry"), f"/s/{entry.id}")


def gate_actions(
    entry: Entry, state: State, shown: Shown, language: Language
) -> tuple[Action, ...]:
    """At most two buttons beside one of the states 1-11."""
    here = f"/s/{entry.id}"
    phone = call(entry, language)
    if state.code is Code.RETIRED and shown.successor is not None:
        label = say(language, "card.successor")
        return Action(ActionKind.SUCCESSOR, label, f"/s/{shown.successor}"), phone
    if state.code is Code.NEEDS_LOGIN:
        label = say(language, "card.sign_in")
        return Action(ActionKind.SIGN_IN, label, f"/sign-in?next={here}"), details(entry, language)
    if state.code is Code.NEEDS_IDENTITY:
        target = f"/sign-in?next={here}&level={entry.level}"
        return Action(ActionKind.RAISE, say(language, "card.raise"), target), phone
    if state.code is Code.NEEDS_CONSENT:
        label = say(language, "card.consent")
        target = f"/consent/{entry.id}"
        return Action(ActionKind.CONSENT, label, target), details(entry, language)
    if state.code is Code.RETIRED:
        return (phone,)
    return details(entry, language), phone


def answer_actions(
    entry: Entry, code: Code, language: Language, *, copy: bool = False
) -> tuple[Action, ...]:
    """At most two buttons beside a department's answer; a copy may be asked for again."""
    there = launch(entry, language, code)
    second = retry(entry, language) if copy else details(entry, language)
    if there is not None:
        return there, second
    return (second, call(entry, language)) if copy else (second,)


def gated(
    entry: Entry, state: State, shown: Shown, badges: tuple[str, ...], language: Language
) -> Item:
    """An item in one of the states 1-11."""
    return Item(entry, state, gate_actions(entry, state, shown, language), badges)


def pending(entry: Entry, badges: tuple[str, ...], language: Language) -> Item:
    """An item whose department has been asked and has not answered yet."""
    said = say(language, "state.pending")
    state = State(Code.PENDING, "asked", said, _spoken(entry, said, language), retry_after=_SOON)
    return Item(entry, state, (details(entry, language), call(entry, language)), badges)


def unavailable(
    entry: Entry,
    failed: Failed | None,
    *,
    badges: tuple[str, ...],
    language: Language,
    trace: str,
    now: int,
    said: str = "",
) -> Item:
    """An item without answer and without a copy; `failed` None: our own store is away."""
    reason: str = failed.reason if failed is not None else "store_away"
    after = _after(failed)
    until = failed.until if failed is not None else None
    why = say(language, f"state.why_{reason}")
    message = said or say(language, "state.unavailable", why=why)
    if until is not None and until > instant(now):
        message = said or say(
            language, "state.unavailable_at", why=why, when=moment_text(until, language)
        )
    else:
        until = instant(now) + timedelta(seconds=after)
    message = sentence(message, language)
    state = State(
        Code.UNAVAILABLE, reason, message, _spoken(entry, message, language), until, after
    )
    actions = (retry(entry, language), call(entry, language))
    return Item(entry, state, actions, badges, trace=trace)


def _after(failed: Failed | None) -> float:
    if failed is None:
        return _RETRY
    after = failed.retry_after
    if after is None or after <= 0:
        after = _FOR_OWNERS_RETRY if failed.reason in _FOR_OWNERS else _RETRY
    return min(after, _LONGEST_RETRY)


def plugin_sentence(failed: Failed, words: Mapping[str, str], language: Language) -> str:
    """What the plugin itself says of a failure; "" where it says nothing that can be shown."""
    if failed.words is None:
        return ""
    return sentence(cleaned(words.get(failed.words.removeprefix("@"), ""), most=400), language)


def _spoken(entry: Entry, said: str, language: Language) -> str:
    name = text_of(entry.short, language)
    return say(language, "state.spoken", name=name, said=said, way=other_way(entry.way, language))
