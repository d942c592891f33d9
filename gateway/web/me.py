"""我的: consents, how pages look, where I have been."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
from starlette.responses import Response

from gateway.clock import rfc3339
from gateway.contract.ids import ServiceId
from gateway.contract.manifest import Text
from gateway.sso.consent import Given
from gateway.sso.disclosure import Disclosed
from gateway.sso.paths import own_path
from gateway.sso.tickets import Visited
from gateway.store.away import Away
from gateway.web.launch import citizen_of
from gateway.web.look import changed, read_look, write_look
from gateway.web.visit import Visit

_CHOICES: Final = ("edition", "size", "contrast", "language", "speech", "region")
_LONGEST: Final = 63  # of a service's id
_Labels = dict[tuple[str, str], str]  # by service and item


@dataclass(frozen=True, slots=True)
class Told:
    """One consent in words; every text in the page's language."""

    service: ServiceId
    name: str
    recipient: str
    privacy: str
    items: tuple[str, ...]
    given: int
    withdrawn: int | None
    replaced: bool
    here: bool  # the service is still in the hall


async def consents(visit: Visit) -> Response:
    """What she has agreed to, and what she once had."""
    citizen = citizen_of(visit)
    rows = [_told(visit, given) for given in await visit.parts.consents.history(citizen.id)]
    done = visit.request.query_params.get("done", "")
    return visit.page(
        "me/consents.html",
        title=visit.say("me.consents"),
        standing=[row for row in rows if row.withdrawn is None],
        past=[row for row in rows if row.withdrawn is not None],
        done=_name(visit, ServiceId(done), "") if done else "",
    )


async def withdraw(visit: Visit) -> Response:
    """One consent is taken back; one tap, as it was given."""
    citizen = citizen_of(visit)
    service = ServiceId(visit.form.get("service", "")[:_LONGEST])
    there = await visit.parts.consents.withdraw(citizen.id, service)
    return visit.to(f"/me/consents?done={service}" if there else "/me/consents")


async def display(visit: Visit) -> Response:
    """How pages look."""
    back = own_path(visit.request.query_params.get("back", "/"))
    return visit.page(
        "me/display.html",
        title=visit.say("me.display"),
        regions=visit.generation.city.regions,
        back=back,
        saved="saved" in visit.request.query_params,
    )


async def change_display(visit: Visit) -> Response:
    """New choices; what the form does not hold stays (a switch in the page's head sends one)."""
    wanted: dict[str, Any] = {name: visit.form[name] for name in _CHOICES if name in visit.form}
    if "whole" in visit.form:  # a box that is not ticked sends nothing
        wanted.setdefault("speech", "0")
    # As she chose it herself: what the page had may be enlarged by the host app's own setting.
    before = await read_look(visit.parts, visit.visitor, visit.request)
    look = changed(before, wanted)
    if look.region and look.region not in visit.generation.city.regions:
        look = changed(look, {"region": before.region})
    back = own_path(visit.form.get("back", ""))
    response = visit.to("/me/display?saved=1" if "whole" in visit.form else back)
    citizen = visit.visitor.citizen
    await write_look(visit.parts, citizen.id if citizen else None, response, look)
    return response


async def where(visit: Visit) -> Response:
    """Which departments were told what, and where she was signed in; a file of it on request."""
    citizen = citizen_of(visit)
    history = await visit.parts.consents.history(citizen.id)
    told = await visit.parts.disclosures.mine(citizen.id)
    try:
        visited: list[Visited] | None = await visit.parts.tickets.visited(citizen.id)
    except Away:
        visited = None  # said on the page
    if visit.request.query_params.get("export") == "json":
        return _file(history, told, visited or [])
    labels = _labels(visit, history)
    rows = [
        {
            "service": row.service,
            "name": _name(visit, row.service, ""),
            "items": _in_words(visit, row.service, row.items, labels),
            "day": row.day,
            "count": row.count,
            "last": row.last,
        }
        for row in told
    ]
    return visit.page(
        "me/where.html",
        title=visit.say("me.where"),
        rows=rows,
        visited=[] if visited is None else _visits(visit, visited),
        away=visited is None,
    )


def _told(visit: Visit, given: Given) -> Told:
    entry = visit.generation.entry(given.service)
    labels = _labels(visit, [given])
    recipient, privacy = (given.shown[1], given.shown[2]) if given.shown else (None, "")
    return Told(
        service=given.service,
        name=_name(visit, given.service, given.service),
        recipient=_pick(visit, recipient) if recipient else given.department,
        privacy=privacy,
        items=_in_words(visit, given.service, given.items, labels),
        given=given.given,
        withdrawn=given.withdrawn,
        replaced=given.replaced,
        here=entry is not None,
    )


def _labels(visit: Visit, history: list[Given]) -> _Labels:
    """The words of data items as they were shown; the live registry fills what is missing."""
    labels: _Labels = {}
    for given in history:
        entry = visit.generation.entry(given.service)
        for item in entry.data if entry is not None else ():
            labels[given.service, item.id] = visit.text(item.label)
        for shown in given.shown[3] if given.shown else ():
            labels[given.service, shown["id"]] = _pick(visit, shown["label"])
    return labels


def _in_words(
    visit: Visit, service: ServiceId, items: tuple[str, ...], labels: _Labels
) -> tuple[str, ...]:
    """Labels of data items, in the order in which the service asks for them."""
    entry = visit.generation.entry(service)
    order = [item.id for item in entry.data] if entry is not None else []
    ranked = sorted(items, key=lambda item: order.index(item) if item in order else len(order))
    return tuple(labels.get((service, item), item) for item in ranked)


def _visits(visit: Visit, visited: list[Visited]) -> list[dict[str, Any]]:
    citizen = citizen_of(visit)
    return [
        {
            "service": row.service,
            "name": _name(visit, row.service, row.service),
            "at": row.at,
            "now": row.session == citizen.session,
        }
        for row in visited
    ]


def _pick(visit: Visit, text: Mapping[str, str]) -> str:
    return visit.text(Text(zh=text["zh"], en=text["en"]))


def _name(visit: Visit, service: ServiceId, otherwise: str) -> str:
    entry = visit.generation.entry(service)
    return visit.text(entry.name) if entry is not None else otherwise


def _file(history: list[Given], told: list[Disclosed], visited: list[Visited]) -> Response:
    """Everything of hers that this page knows, for programs; instants in RFC 3339."""
    document = {
        "consents": [_dated(asdict(row), "given", "withdrawn") for row in history],
        "disclosures": [_dated(asdict(row), "last") for row in told],
        "visits": [_dated(asdict(row), "at") for row in visited],
    }
    for row in document["visits"]:
        del row["session"]  # a handle of ours that says nothing to anybody else
    return Response(
        orjson.dumps(document, option=orjson.OPT_INDENT_2),
        media_type="application/json",
        headers={
            "Cache-Control": "private, no-store",
            "Content-Disposition": 'attachment; filename="citygate-me.json"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _dated(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return row | {name: rfc3339(row[name]) if row[name] is not None else None for name in names}
