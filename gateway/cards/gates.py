"""States 1-11: what is decided from entry, viewer and clock alone, without asking anybody.

Pure functions. The order of `_GATES` is the order of precedence.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from gateway.cards.calendar import closed_until, window_end
from gateway.cards.saying import clip, day_text, moment_text, other_way, sentence, text_of
from gateway.cards.state import Code, State
from gateway.cards.viewer import Me, Viewer
from gateway.clock import instant
from gateway.registry.agreed import agreed
from gateway.registry.entry import Entry, Shown, Visibility
from gateway.words.loader import say

_DIGITS: Final = re.compile(r"[0-9]+")
_NEW_DAYS: Final = 14
_DRAFTED: Final = (Visibility.TRIAL, Visibility.GRAY)


def shown_now(entry: Entry, now: datetime) -> Shown:
    """Which line of the entry's visibility holds: the last one whose `since` has come."""
    held = entry.shown[0]
    for line in entry.shown[1:]:
        if line.since is not None and line.since <= now:
            held = line
    return held


def hidden(shown: Shown) -> bool:
    """Whether nobody may know of it: like a service that does not exist."""
    return shown.state is Visibility.HIDDEN


def listed(shown: Shown, viewer: Viewer) -> bool:
    """Whether it stands in lists; what is on trial does so for its testers only."""
    if shown.state is Visibility.HIDDEN:
        return False
    return shown.state not in _DRAFTED or not viewer.testers.isdisjoint(shown.testers)


def badges_of(entry: Entry, shown: Shown, now: datetime) -> tuple[str, ...]:
    """At most two of trial, gray, new."""
    if shown.state in _DRAFTED:
        return (shown.state.value,)
    fresh = shown.state is Visibility.PUBLISHED and shown.since is not None
    first = fresh and not any(
        line.state is Visibility.PUBLISHED for line in entry.shown if line is not shown
    )
    if first and shown.since is not None and (now - shown.since).days < _NEW_DAYS:
        return ("new",)
    return ()


def about_citizen(entry: Entry) -> bool:
    """Whether what it shows depends on who looks."""
    return entry.personal or entry.proxy == "only"


def gate(entry: Entry, viewer: Viewer, me: Me | None, now: int) -> State | None:
    """The first of states 1-11 that holds; None when the department may be asked.

    `me` None means that her consents are not known yet: state 11 is left open.
    """
    moment = instant(now)
    shown = shown_now(entry, moment)
    for decide in _BY_ENTRY:
        state = decide(entry, shown, viewer, moment)
        if state is not None:
            return state
    return personal_gate(entry, viewer, me)


def personal_gate(entry: Entry, viewer: Viewer, me: Me | None) -> State | None:
    """States 8-11 alone: for entries that have no rules of time, place or host."""
    if not about_citizen(entry):
        return None
    citizen = viewer.citizen
    if citizen is None:
        return _needs_login(entry, viewer)
    if citizen.level < entry.level:
        level = say(viewer.language, f"state.level_{entry.level}")
        return _state(entry, viewer, Code.NEEDS_IDENTITY, "level", level=level)
    if entry.proxy == "only":
        return _state(entry, viewer, Code.NEEDS_PROXY_RIGHT, "proxy_only")
    if me is None:
        return None
    return consent_gate(entry, viewer, me)


def consent_gate(entry: Entry, viewer: Viewer, me: Me) -> State | None:
    """State 11 alone."""
    agreement = me.agreements.get(entry.id)
    if agreed(entry, agreement):
        return None
    reason = "not_given" if agreement is None else "changed"
    items = (", " if viewer.language == "en" else "、").join(
        text_of(item.label, viewer.language) for item in entry.data if item.required
    )
    owner = text_of(entry.owner.name, viewer.language)
    return _state(entry, viewer, Code.NEEDS_CONSENT, reason, owner=owner, items=items)


def _retired(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    if shown.state is not Visibility.RETIRED:
        return None
    said = text_of(shown.sentence, viewer.language) if shown.sentence else ""
    return _state(entry, viewer, Code.RETIRED, "retired", said=said)


def _suspended(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:
    if shown.state is not Visibility.SUSPENDED:
        return None
    back = next(
        (
            line.since
            for line in entry.shown
            if line.since is not None and line.since > now and line.state is Visibility.PUBLISHED
        ),
        None,
    )
    said = text_of(shown.sentence, viewer.language) if shown.sentence else ""
    key, since = "suspended", ""
    if shown.since is not None:
        key, since = "suspended_since", day_text(shown.since, viewer.language)
    return _state(
        entry, viewer, Code.SUSPENDED, "suspended", said=said, until=back, key=key, since=since
    )


def _maintenance(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    found = window_end(entry.maintenance, now) if entry.maintenance else None
    if found is None:
        return None
    window, until = found
    said = text_of(window.note, viewer.language) if window.note else ""
    key, when = "maintenance", ""
    if until is not None:
        key, when = "maintenance_until", moment_text(until, viewer.language)
    return _state(
        entry, viewer, Code.MAINTENANCE, "window", said=said, until=until, key=key, when=when
    )


def _closed(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    found = closed_until(entry.hours, now) if entry.hours is not None else None
    if found is None:
        return None
    reason, opens = found
    if opens is None:
        return _state(entry, viewer, Code.CLOSED, reason, key="closed")
    when = moment_text(opens, viewer.language)
    return _state(
        entry, viewer, Code.CLOSED, reason, until=opens, key=f"closed_{reason}", when=when
    )


def _upgrade(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    if entry.min_host is None or viewer.host_version is None:
        return None
    if version(viewer.host_version) >= version(entry.min_host):
        return None
    return _state(entry, viewer, Code.UPGRADE_REQUIRED, "host_version", version=entry.min_host)


def _elsewhere(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    if not entry.region or viewer.region is None or serves(entry.region, viewer.region):
        return None
    return _state(entry, viewer, Code.OUT_OF_REGION, "region")


def _not_in_release(entry: Entry, shown: Shown, viewer: Viewer, now: datetime) -> State | None:  # noqa: ARG001 - one signature
    if shown.state not in _DRAFTED or listed(shown, viewer):
        return None
    return _state(entry, viewer, Code.NOT_IN_RELEASE, shown.state.value)


_Gate = Callable[[Entry, Shown, Viewer, datetime], State | None]
_BY_ENTRY: Final[tuple[_Gate, ...]] = (
    _retired,
    _suspended,
    _maintenance,
    _closed,
    _upgrade,
    _elsewhere,
    _not_in_release,
)


def _needs_login(entry: Entry, viewer: Viewer) -> State:
    if viewer.store_away:
        return _state(entry, viewer, Code.NEEDS_LOGIN, "store_away", key="needs_login_away")
    return _state(entry, viewer, Code.NEEDS_LOGIN, "no_session")


def version(said: str) -> tuple[int, ...]:
    """A version's numbers, trailing noughts left out; what cannot be read is older than anything."""
    numbers = []
    for part in said.split(".")[:4]:
        digits = _DIGITS.match(part)
        if digits is None:
            break
        numbers.append(int(digits[0][:9]))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def serves(codes: tuple[str, ...], here: str) -> bool:
    """Whether one of these GB/T 2260 codes covers a place, or lies inside it.

    A city's code ends in 00 and stands for all its districts; who only says "the city" is not
    known to be elsewhere.
    """
    place = _stem(here)
    return any(place.startswith(_stem(code)) or _stem(code).startswith(place) for code in codes)


def _stem(code: str) -> str:
    while len(code) > 2 and code.endswith("00"):  # noqa: PLR2004 - pairs of digits
        code = code[:-2]
    return code


def _state(
    entry: Entry,
    viewer: Viewer,
    code: Code,
    reason: str,
    *,
    said: str = "",
    until: datetime | None = None,
    key: str = "",
    **places: str,
) -> State:
    """A state in words: what the admin said, else our own sentence; the other way is spoken."""
    language = viewer.language
    name = text_of(entry.short, language)
    own = say(language, f"state.{key or code.value}", **{"name": name, **places})
    message = sentence(said, language) if said else clip(own, language)
    spoken = say(
        language, "state.spoken", name=name, said=message, way=other_way(entry.way, language)
    )
    return State(code, reason, message, spoken, until)
