"""Legal services: several cases a person, of which the card shows the one that presses most.

What presses: papers that are missing, by when they are due; then an appointment, by when it is;
then what is being worked on, the latest change first; and only then what is closed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from gateway.contract import (
    AnswerState,
    AskCitizen,
    Asked,
    CallOwner,
    CardAnswer,
    CardAsk,
    Context,
    Empty,
    EmptyReason,
    Probe,
    Reply,
    TryAgain,
)

MOST_PAGES: Final = 10
MOST_ROWS: Final = 20
LONGEST_TEXT: Final = 60
OK: Final = 200
TOO_MANY: Final = 429
FAULT: Final = 500

KINDS: Final = frozenset({"legal_aid", "appointment", "mediation", "notary"})
STATES: Final = {
    "supplement": AnswerState.ACTION_REQUIRED,
    "booked": AnswerState.IN_PROGRESS,
    "received": AnswerState.IN_PROGRESS,
    "reviewing": AnswerState.IN_PROGRESS,
    "assigned": AnswerState.IN_PROGRESS,
    "mediating": AnswerState.IN_PROGRESS,
    "closed": AnswerState.DONE,
    "refused": AnswerState.DONE,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One matter as the centre tells it."""

    kind: str
    title: str
    status: str
    handler: str
    updated: datetime
    missing: str = ""
    due: date | None = None
    at: datetime | None = None

    def pressing(self) -> tuple[int, float]:
        """What sorts first presses most."""
        if self.due is not None:
            return 0, self.due.toordinal()
        if self.at is not None and self.status == "booked":
            return 1, self.at.timestamp()
        over = STATES[self.status] is AnswerState.DONE
        return 3 if over else 2, -self.updated.timestamp()


async def card(ctx: Context, ask: CardAsk) -> CardAnswer | Empty:
    """Ask for all cases of this person and show the one that presses most."""
    try:
        person = {"name": ask.claims["name"], "id_number": ask.claims["id_number"]}
    except KeyError:
        raise AskCitizen(need="consent") from None
    cases, as_of = await _all(ctx, person)
    if not cases:
        return Empty(reason=EmptyReason.NO_RECORD, words="cases.none")
    first, *others = sorted(cases, key=Case.pressing)
    facts: dict[str, str | int | float | bool | None] = {
        "matter": first.title,
        "kind": f"@kind.{first.kind}",
    }
    if first.missing:
        facts["missing"] = first.missing
    if first.at is not None:
        facts["appointment"] = first.at.isoformat()
    rows = [
        {
            "title": one.title,
            "kind": f"@kind.{one.kind}",
            "stage": f"@stage.{one.status}",
            "updated": one.updated.date().isoformat(),
        }
        for one in others[:MOST_ROWS]
    ]
    return CardAnswer(
        facts=facts,
        items=tuple(rows),
        state=STATES[first.status],
        due=first.due,
        stage=f"@stage.{first.status}",
        holder=first.handler or None,
        as_of=as_of,
    )


async def probe(ctx: Context) -> Probe:
    """Whether the centre answers and takes our credentials."""
    answer = _good(await ctx.http.send(Asked("GET", "/health")))
    return Probe(ok=answer.get("ok") is True)


async def _all(ctx: Context, person: Mapping[str, str]) -> tuple[list[Case], datetime]:
    """Every case, page by page."""
    cases: list[Case] = []
    cursors: set[str] = set()
    body = dict(person)
    while True:
        asked = Asked("POST", "/cases/query", json=body, idempotent=True)
        page = _good(await ctx.http.send(asked))
        found = page.get("cases")
        if not isinstance(found, list):
            raise CallOwner(what="cases: not a list")
        cases += [_case(one) for one in found]
        cursor = page.get("next")
        if cursor is None:
            return cases, _instant(page, "as_of")
        # A cursor seen before would go on for ever.
        if not isinstance(cursor, str) or cursor in cursors or len(cursors) == MOST_PAGES:
            raise CallOwner(what="next: pages without end")
        cursors.add(cursor)
        body = {**person, "cursor": cursor}


def _good(reply: Reply) -> Mapping[str, Any]:
    """The answer's document, if it is one and says no error."""
    if reply.status == TOO_MANY or reply.status >= FAULT:
        after = reply.headers.get("retry-after", "")
        seconds = float(after) if re.fullmatch(r"[0-9]{1,4}", after) else None
        raise TryAgain(after=seconds, words="busy")
    if reply.status != OK:
        raise CallOwner(what=f"status {reply.status}")
    told = reply.json()
    if not isinstance(told, Mapping):
        raise CallOwner(what="answer: not an object")
    if told.get("error") == "server_error":  # said with 200
        raise TryAgain(words="busy")
    if "error" in told:
        raise CallOwner(what="answer: an error that is not agreed")
    return told


def _case(told: Any) -> Case:
    if not isinstance(told, Mapping):
        raise CallOwner(what="cases: a row that is no object")
    kind, status = _text(told, "kind"), _text(told, "status")
    if status not in STATES:
        raise CallOwner(what="status: one that is not agreed")
    missing, due, at = "", None, None
    if status == "supplement":
        wanted = _part(told, "supplement")
        missing, due = _text(wanted, "what"), _day(wanted, "due")
    if status == "booked":
        at = _instant(_part(told, "appointment"), "at")
    return Case(
        kind=kind if kind in KINDS else "other",
        title=_text(told, "title"),
        status=status,
        handler=_text(told, "handler"),
        updated=_instant(told, "updated_at"),
        missing=missing,
        due=due,
        at=at,
    )


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    if not isinstance(value, Mapping):
        raise CallOwner(what=f"{name}: missing")
    return value


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise CallOwner(what=f"{name}: not a text")
    # A department's text that begins like a key of ours stays a text.
    return value.strip().lstrip("@")[:LONGEST_TEXT]


def _day(told: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(_text(told, name))
    except ValueError:
        raise CallOwner(what=f"{name}: not a date") from None


def _instant(told: Mapping[str, Any], name: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(told, name))
    except ValueError:
        raise CallOwner(what=f"{name}: not a time") from None
    if found.tzinfo is None:
        raise CallOwner(what=f"{name}: a time without a zone")
    return found
