"""授权: who gets what, for what, for how long; nothing is ticked before she ticks it herself."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from gateway.contract.citizen import Citizen
from gateway.contract.manifest import DataItem
from gateway.registry.entry import Entry
from gateway.sso.consent import Question
from gateway.web.launch import begin, citizen_of, entry_of
from gateway.web.visit import Visit

_UNPROCESSABLE: Final = 422
_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Line:
    """One data item on the page."""

    item: DataItem
    tick: bool  # she decides on it by a box of its own: what is sensitive, what may be left out
    wrong: bool = False  # required and not ticked


async def ask(visit: Visit) -> Response:
    """The question."""
    query = visit.request.query_params
    citizen, entry = citizen_of(visit), entry_of(visit, visit.place("service"))
    whole = "change" in query
    question = await visit.parts.consents.question(citizen.id, entry, whole=whole)
    if not entry.data:
        return visit.to(f"/s/{entry.id}")
    aim = _Aim(query.get("then", ""), query.get("function", ""), whole)
    return _page(visit, entry, question, aim)


async def decide(visit: Visit) -> Response:
    """Her answer."""
    citizen, entry = citizen_of(visit), entry_of(visit, visit.place("service"))
    form = visit.form
    aim = _Aim(form.get("then", ""), form.get("function", ""), "change" in form)
    if form.get("answer") != "agree":
        return visit.page(
            "consent/refused.html", title=visit.say("consent.refused"), entry=entry, aim=aim
        )
    question = await visit.parts.consents.question(citizen.id, entry, whole=aim.whole)
    if form.get("digest") != entry.consent_digest:
        # The department changed what it asks while she was reading: she reads it again.
        return _page(visit, entry, question, aim, status=_CONFLICT, newer=True)
    ticked = set(form.get("items[]", "").split("\n"))
    lines = _lines(entry, question, ticked)
    if any(line.wrong for line in lines):
        return _page(visit, entry, question, aim, status=_UNPROCESSABLE, ticked=ticked)
    chosen = {line.item.id for line in lines if not line.tick or line.item.id in ticked}
    await visit.parts.consents.give(citizen.id, entry, chosen | question.kept)
    return await _onward(visit, citizen, entry, aim)


@dataclass(frozen=True, slots=True)
class _Aim:
    """What she was about to do."""

    then: str
    function: str
    whole: bool


async def _onward(visit: Visit, citizen: Citizen, entry: Entry, aim: _Aim) -> Response:
    if aim.then == "launch":
        return await begin(visit, citizen, entry, aim.function)
    return visit.to(f"/s/{entry.id}")


def _lines(entry: Entry, question: Question, ticked: set[str] | None = None) -> tuple[Line, ...]:
    lines = []
    for item in entry.data:
        if item.id in question.ask:
            tick = item.sensitive or not item.required
            missing = ticked is not None and tick and item.required and item.id not in ticked
            lines.append(Line(item, tick, missing))
    return tuple(lines)


def _page(
    visit: Visit,
    entry: Entry,
    question: Question,
    aim: _Aim,
    *,
    status: int = 200,
    ticked: set[str] | None = None,
    newer: bool = False,
) -> Response:
    lines = _lines(entry, question, ticked)
    return visit.page(
        "consent/ask.html",
        status=status,
        title=visit.say("consent.title", owner=visit.text(entry.owner.name)),
        entry=entry,
        lines=lines,
        kept=[item for item in entry.data if item.id in question.kept],
        standing=question.standing,
        aim=aim,
        ticked=ticked or set(),
        newer=newer,
        wrong=[line for line in lines if line.wrong],
    )
