"""What programs call: the feed, one card, tickets, and the document that describes them."""

import re
from typing import Final

from cryptography.hazmat.primitives.poly1305 import Poly1305
from starlette.responses import Response

from gateway.cards.item import ActionKind, envelope
from gateway.cards.state import Code
from gateway.contract.ids import SERVICE_ID_PATTERN, ServiceId
from gateway.errors import Gone, Malformed, NotFound
from gateway.web import openapi as description
from gateway.web import pages
from gateway.web.visit import Visit

# What a feed depends on besides the address: session and look, and the host app with its version.
VARY: Final = "Cookie, User-Agent, X-Citygate-Host"
# Told apart, not proved: a third of what SHA-256 costs, without giving up the interpreter's lock.
_TAG_KEY: Final = b"citygate: a feed's version in 32"
_ID: Final = re.compile(SERVICE_ID_PATTERN)
_LANGUAGES: Final = {"zh": "zh-Hans", "en": "en"}


async def feed(visit: Visit) -> Response:
    """Every service with what is true for the caller now.

    Raises:
        Malformed: a parameter that is unknown, stands twice or cannot be read.
        NotFound: no such topic.
    """
    said = _parameters(visit, "topic", "services")
    topic = said.get("topic")
    if topic is not None and all(topic != known.id for known in visit.generation.topics):
        raise NotFound
    found = await visit.parts.cards.feed(
        visit.generation,
        visit.viewer,
        services=_services(said.get("services")),
        topic=topic,
        seconds=visit.parts.settings.page_budget_ms / 1000,
    )
    content = found.json()
    etag = _tag(content)
    headers = {
        **pages.security_headers(),
        "Cache-Control": "private, no-cache",
        "Content-Language": _LANGUAGES[visit.language],
        "ETag": etag,
        "Vary": VARY,
    }
    if _known(visit.request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


async def card(visit: Visit) -> Response:
    """One service with what is true for the caller now.

    Raises:
        NotFound: unknown and hidden look the same.
        Gone: it was retired.
    """
    _parameters(visit)
    item = await visit.parts.cards.one(
        visit.generation,
        visit.viewer,
        ServiceId(visit.place("service")),
        seconds=visit.parts.settings.page_budget_ms / 1000,
    )
    if item is None:
        raise NotFound
    if item.state.code is Code.RETIRED:
        targets = (a.target for a in item.actions if a.kind is ActionKind.SUCCESSOR)
        successor = next(targets, "").removeprefix("/s/") or None
        raise Gone(members={"successor": successor, "message": item.state.message})
    headers = {
        **pages.security_headers(),
        "Cache-Control": pages.PRIVATE,
        "Content-Language": _LANGUAGES[visit.language],
    }
    return Response(envelope(item), headers=headers, media_type="application/json")


async def openapi(visit: Visit) -> Response:
    """The OpenAPI document; the same for everybody."""
    content = description.document()
    etag = _tag(content)
    headers = {**pages.security_headers(), "Cache-Control": "public, max-age=300", "ETag": etag}
    if _known(visit.request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="application/json")


def _tag(content: bytes) -> str:
    """A strong ETag of these bytes; the key is no secret, so that every worker says the same."""
    return f'"{Poly1305.generate_tag(_TAG_KEY, content).hex()}"'


def _parameters(visit: Visit, *allowed: str) -> dict[str, str]:
    """The query, each of the allowed names at most once (B28)."""
    said: dict[str, str] = {}
    for name, value in visit.request.query_params.multi_items():
        if name not in allowed:
            raise Malformed(400, "unknown parameter")
        if name in said:
            raise Malformed(400, "a parameter stands twice")
        said[name] = value
    return said


def _services(said: str | None) -> list[ServiceId] | None:
    if said is None:
        return None
    names = said.split(",")
    if len(names) > description.MAX_SERVICES or not all(_ID.fullmatch(name) for name in names):
        raise Malformed(400, "services")
    return [ServiceId(name) for name in dict.fromkeys(names)]


def _known(said: str, etag: str) -> bool:
    """Whether If-None-Match names this answer (compared weakly, as RFC 9110 says)."""
    names = {name.strip().removeprefix("W/") for name in said.split(",")}
    return etag in names or "*" in names
