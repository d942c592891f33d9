"""Cards inside other people's pages: an article's frame, its custom element, oEmbed.

Only what is the same for everybody: the caller's cookies are never looked at here, so a service
about one person shows its name, its department and the way to it.
"""

import hashlib
import re
from dataclasses import replace
from typing import Final

import orjson
from markupsafe import escape
from starlette.responses import Response

from gateway.cards.item import Item
from gateway.cards.viewer import Viewer
from gateway.contract.ids import ServiceId
from gateway.contract.manifest import Text
from gateway.errors import Invalid, Malformed, NotFound
from gateway.web import fragments, pages, prepared
from gateway.web.appearance import Look
from gateway.web.visit import Visit, frame_for
from gateway.words.loader import Language, say

SHORT: Final = "public, max-age=60, stale-while-revalidate=300"
WIDTH: Final = 480
HEIGHT: Final = 260
_LEAST_WIDTH: Final = 240
_PATH: Final = re.compile(r"/s/([a-z0-9][a-z0-9-]{0,62})/?")


async def card(visit: Visit) -> Response:
    """One card for an article: a page of its own in a frame, or JSON for the custom element."""
    item = await _item(visit, visit.place("service"))
    accepted = visit.request.headers.get("accept", "")
    if "application/json" in accepted and "text/html" not in accepted:
        return _revalidated(visit, _json(visit, item), "application/json", {"Vary": "Accept"})
    item = _framed(item)
    # Nothing of the caller's: these bytes are kept by caches and are the same for everybody.
    frame = frame_for(visit.parts, Look(language=language_of(visit)), visit.generation)
    content = pages.render(
        "embed.html",
        replace(frame, alone=True),
        title=_text(visit, item.entry.name),
        card=pages.markup(_linking_out(fragments.render_item(item, language_of(visit)))),
        sprite=prepared.sprite(visit.generation),
        address=f"{visit.parts.settings.origin}/s/{item.service}",
        name=_text(visit, item.entry.short),
    )
    ancestors = visit.parts.settings.embed_ancestors
    headers = {
        **pages.security_headers(ancestors),
        "Vary": "Accept",
        "Cross-Origin-Opener-Policy": "unsafe-none",
    }
    return _revalidated(visit, content.encode(), "text/html; charset=utf-8", headers)


async def oembed(visit: Visit) -> Response:
    """oEmbed 1.0, `rich`: how an article finds the frame of a service's address.

    Raises:
        NotFound: the address is none of ours, or nobody may know of that service.
        Invalid: no address, or a width that is no number.
    """
    said = visit.request.query_params
    if said.get("format", "json") != "json":
        raise Malformed(400, "only json")
    origin = visit.parts.settings.origin
    address = said.get("url", "")
    match = _PATH.fullmatch(address.removeprefix(origin)) if address.startswith(origin) else None
    if match is None:
        raise NotFound
    width = _width(said.get("maxwidth"))
    item = await _item(visit, match[1])
    title = _text(visit, item.entry.name)
    frame = f"{origin}/embed/cards/{item.service}"
    document = {
        "version": "1.0",
        "type": "rich",
        "title": title,
        "provider_name": _text(visit, visit.frame.city) + _say(visit, "page.hall"),
        "provider_url": f"{origin}/",
        "cache_age": 300,
        "width": width,
        "height": HEIGHT,
        "html": f'<iframe src="{escape(frame)}" title="{escape(title)}" width="{width}" '
        f'height="{HEIGHT}" loading="lazy" referrerpolicy="no-referrer" '
        'sandbox="allow-top-navigation-by-user-activation"></iframe>',
    }
    headers = {"Access-Control-Allow-Origin": "*"}
    return _revalidated(visit, orjson.dumps(document), "application/json", headers)


async def _item(visit: Visit, service: str) -> Item:
    """The service as somebody sees it who is not signed in."""
    nobody = Viewer(language=language_of(visit), trace=visit.trace)
    seconds = visit.parts.settings.page_budget_ms / 1000
    item = await visit.parts.cards.one(
        visit.generation, nobody, ServiceId(service), seconds=seconds
    )
    if item is None:
        raise NotFound
    return item


def language_of(visit: Visit) -> Language:
    """By the address alone: what caches keep may not depend on a cookie."""
    return "en" if visit.request.query_params.get("lang") == "en" else "zh"


def _text(visit: Visit, text: Text) -> str:
    return text.en if language_of(visit) == "en" else text.zh


def _say(visit: Visit, key: str, **places: object) -> str:
    return say(language_of(visit), key, **places)


def _framed(item: Item) -> Item:
    """The card without buttons that need a page of ours around them; one link below leads there."""
    return Item(
        entry=item.entry,
        state=item.state,
        actions=(),
        badges=item.badges,
        freshness=item.freshness,
        body=item.body,
    )


def _linking_out(fragment: bytes) -> bytes:
    """Links of a framed card open in the window around it."""
    return fragment.replace(b'<a href="', b'<a target="_top" href="')


def _json(visit: Visit, item: Item) -> bytes:
    entry = item.entry
    view = fragments.view_of(_framed(item), language_of(visit))
    return orjson.dumps(
        {
            "service": item.service,
            "name": _text(visit, entry.name),
            "department": view.department,
            "state": item.state.code,
            "message": item.state.message,
            "summary": _text(visit, entry.summary),
            "facts": [{"label": fact.label, "value": fact.value} for fact in view.facts],
            "items": [{"title": row.title, "when": row.when} for row in view.items],
            "updated": view.when,
            "phone": entry.way.phone,
            "address": f"{visit.parts.settings.origin}/s/{item.service}",
            "label": _say(visit, "embed.open", name=_text(visit, entry.short)),
            "official": _say(visit, "embed.official", city=_text(visit, visit.frame.city)),
        }
    )


def _revalidated(visit: Visit, content: bytes, media: str, headers: dict[str, str]) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    all_headers = {
        "Cache-Control": SHORT,
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
        **headers,
    }
    if visit.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=all_headers)
    return Response(content, media_type=media, headers=all_headers)


def _width(text: str | None) -> int:
    if text is None:
        return WIDTH
    if not text.isascii() or not text.isdecimal() or len(text) > len("100000"):
        raise Invalid(members={"fields": [{"field": "maxwidth", "message": "1-99999"}]})
    return max(_LEAST_WIDTH, min(WIDTH, int(text)))
