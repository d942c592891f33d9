"""The citizen's own pages: hall, search, one service or one thing to do in it."""

from asyncio import gather
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from starlette.responses import Response

from gateway.cards.item import ActionKind, Feed, Item
from gateway.cards.search import Hit
from gateway.cards.state import Code
from gateway.clock import instant
from gateway.contract.ids import ServiceId
from gateway.contract.manifest import Function, Sheet
from gateway.errors import NotFound
from gateway.registry.entry import Entry, Lane
from gateway.store.away import Away, LedgerAway
from gateway.web import fragments, pages, prepared
from gateway.web.visit import Visit

SCRIPTS: Final = "citygate-scripts"  # set by app.js: scripts run on this device
FILLS: Final = (1, 2, 4, 8)  # seconds before each asking for what is still missing
FILL_WAIT: Final = 0.25  # seconds that one asking waits
MAX_QUERY: Final = 60
HITS: Final = 20
_MAX_MISSING: Final = 200
_GONE: Final = 410


async def hall(visit: Visit) -> Response:
    """Every service at once: cards with what is true for her now, then the directory."""
    if "fill" in visit.request.query_params and "hx-request" in visit.request.headers:
        return await _fill(visit)
    settings = visit.parts.settings
    scripts = visit.request.cookies.get(SCRIPTS) == "1"
    wait = settings.hall_wait_ms if scripts else settings.page_budget_ms
    feed, name = await gather(
        visit.parts.cards.feed(visit.generation, visit.viewer, seconds=wait / 1000, fragments=True),
        _name(visit),
    )
    items = {item.service: item for item in feed.items}
    whole = [item for item in feed.items if prepared.connected(item.entry)]
    waiting = [item.service for item in whole if item.in_air]
    return visit.page(
        "hall.html",
        title=visit.say("page.hall"),
        greeting=_greeting(visit, name),
        sprite=prepared.sprite(visit.generation),
        cards=Markup("\n").join(_card(visit, item) for item in whole),
        directory=_directory(visit, items),
        count=len(items),
        waiting=waiting,
        turn=1,
        delay=FILLS[0],
        **_to_do(feed, oob=False),
    )


async def search(visit: Visit) -> Response:
    """Services and things to do by name, pinyin, initials or words of life."""
    text = " ".join(visit.request.query_params.get("q", "").split())[:MAX_QUERY]
    hits: list[Hit] = []
    items: dict[ServiceId, Item] = {}
    if text:
        hits = visit.parts.search.find(text, visit.language, HITS)
        items = await _visible(visit, [hit.service for hit in hits])
    found = [row for hit in hits if (row := _row(visit, hit, items)) is not None]
    return visit.page(
        "_results.html" if "hx-request" in visit.request.headers else "search.html",
        title=visit.say("search.results", text=text) if text else visit.say("search.title"),
        text=text,
        rows=found,
    )


async def service(visit: Visit) -> Response:
    """One service, or one thing to do in it: its state, its sheet, and a way on in every state."""
    budget = visit.parts.settings.page_budget_ms / 1000
    name = visit.place("service")
    item = await visit.parts.cards.one(
        visit.generation, visit.viewer, ServiceId(name), seconds=budget
    )
    if item is None:
        raise NotFound
    entry = item.entry
    function = _function(entry, visit.request.path_params.get("function"))
    retired = item.state.code is Code.RETIRED
    title = visit.text(function.name if function else entry.name)
    opening = _opening(visit, item, function)
    # This page is the details; a function's own button leads further than the service's.
    here = {ActionKind.DETAILS} | ({ActionKind.LAUNCH, ActionKind.SIGN_IN} if opening else set())
    onward = [action for action in item.actions if action.kind not in here]
    return visit.page(
        "service.html",
        status=_GONE if retired else 200,
        title=title,
        entry=entry,
        item=item,
        function=function,
        sheet=_sheet(visit, function, entry),
        retired=retired,
        card=_card(visit, replace(item, actions=tuple(onward), fragment=None))
        if _shows_card(item)
        else "",
        sprite=prepared.sprite(visit.generation),
        actions=fragments.buttons(onward),
        opening=opening,
        report=f"/feedback?service={entry.id}",
    )


async def _fill(visit: Visit) -> Response:
    """The cards that have come meanwhile, and the next asking for those that have not."""
    turn = visit.request.query_params["fill"]
    nth = int(turn) if turn in ("1", "2", "3", "4") else len(FILLS)
    asked = visit.request.query_params.get("services", "").split(",")[:_MAX_MISSING]
    feed = await visit.parts.cards.feed(visit.generation, visit.viewer, seconds=FILL_WAIT)
    missing = [item for item in feed.items if item.service in asked]
    waiting = [item.service for item in missing if item.in_air]
    come = [item for item in missing if not item.in_air]
    last = nth >= len(FILLS)
    content = pages.render(
        "_filled.html",
        visit.frame,
        cards=Markup("\n").join(_swapped(visit, item) for item in come),
        waiting=waiting,
        turn=0 if last else nth + 1,
        delay=0 if last else FILLS[nth],
        **_to_do(feed, oob=True),
    )
    return pages.html(content, headers={"Vary": "HX-Request"})


def _to_do(feed: Feed, *, oob: bool) -> dict[str, Any]:
    first = next((item.service for item in feed.items if item.to_do), "")
    return {"to_do": feed.to_do, "first_to_do": first, "oob": oob}


def _card(visit: Visit, item: Item) -> Markup:
    return fragments.markup_of(item, visit.language)


def _swapped(visit: Visit, item: Item) -> Markup:
    fragment = fragments.render_item(item, visit.language)
    return pages.markup(fragment.replace(b"<article ", b'<article hx-swap-oob="true" ', 1))


def _directory(visit: Visit, items: dict[ServiceId, Item]) -> Markup:
    language = visit.language

    def exchange(service: str, tile: bytes) -> bytes:
        if service == prepared.COUNT:
            return visit.say("hall.count", count=len(items)).encode()
        item = items.get(ServiceId(service))
        if item is None:
            return b""
        if item.state.code is Code.READY or prepared.connected(item.entry):
            return tile
        return fragments.tagged(tile, item.state.code, language)

    shown = prepared.directory(visit.generation, language, visit.look.edition, exchange)
    return pages.markup(shown)


def _greeting(visit: Visit, name: str) -> str:
    greeting = visit.say(f"hall.{part_of_day(instant(visit.parts.clock.now()))}")
    return visit.say("hall.hello", greeting=greeting, name=name) if name else greeting


def part_of_day(moment: datetime) -> str:
    """What one says at this hour."""
    for until, word in ((5, "evening"), (11, "morning"), (13, "noon"), (18, "afternoon")):
        if moment.hour < until:
            return word
    return "evening"


async def _name(visit: Visit) -> str:
    """Her own name as her identity provider told it; a page does without."""
    citizen = visit.visitor.citizen
    if citizen is None:
        return ""
    try:
        claims = await visit.parts.sessions.claims(citizen)
    except (Away, LedgerAway):
        return ""
    return claims.get("name", "")


async def _visible(visit: Visit, services: list[ServiceId]) -> dict[ServiceId, Item]:
    """Those that this visitor may see; nobody is asked anything for a list of names."""
    feed = await visit.parts.cards.feed(
        visit.generation, visit.viewer, services=list(dict.fromkeys(services)), seconds=0
    )
    return {item.service: item for item in feed.items}


def _row(visit: Visit, hit: Hit, items: dict[ServiceId, Item]) -> dict[str, str] | None:
    item = items.get(hit.service)
    if item is None or item.state.code is Code.NOT_IN_RELEASE:
        return None
    entry = item.entry
    function = next((f for f in entry.functions if f.id == hit.function), None)
    gated = item.state.code if item.state.code in fragments.CLOSED_TO_ALL else ""
    return {
        "href": f"/s/{entry.id}/{function.id}" if function else f"/s/{entry.id}",
        "title": visit.text(function.name if function else entry.name),
        "below": visit.say("service.part_of", name=visit.text(entry.name))
        if function
        else visit.text(entry.summary),
        "code": gated,
        "owner": visit.text(entry.owner.name),
    }


def _function(entry: Entry, name: str | None) -> Function | None:
    if name is None:
        return None
    found = next((function for function in entry.functions if function.id == name), None)
    if found is None:
        raise NotFound
    return found


def _shows_card(item: Item) -> bool:
    return prepared.connected(item.entry) or item.state.code is not Code.READY


def _sheet(visit: Visit, function: Function | None, entry: Entry) -> list[tuple[str, list[str]]]:
    """办事指南 as labelled rows."""
    sheet: Sheet = function.sheet if function and function.sheet else entry.sheet
    documents = [visit.text(document) for document in sheet.documents]
    rows = [
        ("audience", [visit.text(sheet.audience)]),
        ("documents", documents or [visit.say("service.no_documents")]),
        ("fee", [visit.text(sheet.fee)]),
        ("promised", [visit.text(sheet.promised)]),
        ("result", [visit.text(sheet.result)]),
        ("place", [visit.text(sheet.place)]),
        ("hours", [visit.text(sheet.hours)] if sheet.hours else []),
        ("item_code", [code] if (code := (function or entry).item_code or "") else []),
    ]
    return [(visit.say(f"service.{key}"), values) for key, values in rows if values]


def _opening(visit: Visit, item: Item, function: Function | None) -> fragments.Button | None:
    """The button that leads to one function's own page at the department."""
    entry = item.entry
    if function is None or entry.launch is None or item.state.code in fragments.CLOSED_TO_ALL:
        return None
    label = visit.say("service.open")
    if entry.launch.lane is Lane.LINK:
        return fragments.Button(label, entry.launch.address, posts=False, outside=True, quiet=False)
    if visit.visitor.citizen is None:
        here = f"/sign-in?next=/s/{entry.id}/{function.id}"
        return fragments.Button(label, here, posts=False, outside=False, quiet=False)
    return fragments.Button(label, f"/s/{entry.id}/launch", posts=True, outside=False, quiet=False)
