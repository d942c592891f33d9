"""`/dev/cards`: every state and template as people see them; also what `plugin preview` shows.

Contract and templates only: no store, no sign-in, no registry is needed to draw it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.web import fragments, pages
from gateway.web.appearance import Look
from gateway.web.fragments import View
from gateway.web.gallery_samples import TOPIC, states, templates, unusual
from gateway.web.statics import by_address
from gateway.words.loader import LANGUAGES, Language, say

MODES: Final[Mapping[str, Look]] = {
    "standard": Look(),
    "elder": Look(edition="elder"),
    "high": Look(contrast="high"),
    "elder-high": Look(edition="elder", contrast="high"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One card to be shown, in both languages."""

    name: str
    views: Mapping[Language, View]


Source = Callable[[], Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One part of the gallery."""

    heading: str
    cards: Sequence[tuple[str, Markup]]


def everything(language: Language) -> list[Shelf]:
    """The eighteen states, the nine templates in each state that has a body, and the odd ones."""
    return [
        _shelf("states", states(language), language),
        _shelf("templates", templates(language), language),
        _shelf("fallbacks", unusual(language), language),
    ]


def samples_of(source: Source, language: Language) -> list[Shelf]:
    """One shelf of samples."""
    views = [(sample.name, sample.views[language]) for sample in source()]
    return [_shelf("samples", views, language)]


def _shelf(heading: str, views: Sequence[tuple[str, View]], language: Language) -> Shelf:
    cards = [
        # One service may stand here often: each card has an id of its own on the page.
        (name, _draw(replace(view, service=f"{heading}-{at}"), language))
        for at, (name, view) in enumerate(views)
    ]
    return Shelf(say(language, f"gallery.{heading}"), cards)


def page(shelves: Sequence[Shelf], look: Look, mode: str, frame: pages.Frame) -> str:
    """The gallery as a page in one mode and language."""
    return pages.render(
        "gallery.html",
        replace(frame, look=look),
        title=say(look.language, "gallery.title"),
        shelves=shelves,
        mode=mode,
        modes=list(MODES),
        languages=LANGUAGES,
        sprite=fragments.draw([(TOPIC, "grid")]),
    )


def wanted(request: Request, look: Look | None = None) -> tuple[Look, str]:
    """Which mode and language the address asks for; where it does not, the visitor's own look."""
    look = look or Look()
    mode = request.query_params.get("mode", "")
    language = request.query_params.get("lang", "")
    if language in LANGUAGES:
        look = replace(look, language=language)
    if mode in MODES:
        asked = MODES[mode]
        return replace(look, edition=asked.edition, contrast=asked.contrast), mode
    own = (look.edition, look.contrast)
    return look, next(name for name, m in MODES.items() if (m.edition, m.contrast) == own)


def gallery_app(source: Source) -> Starlette:
    """The gallery of one plugin's samples, for `plugin preview`: asked anew at each view."""

    async def samples(request: Request) -> Response:
        look, mode = wanted(request)
        frame = pages.Frame(look=look, alone=True, path="/")
        shelves = [*samples_of(source, look.language), *everything(look.language)]
        return pages.html(page(shelves, look, mode, frame))

    async def static(request: Request) -> Response:
        found = by_address().get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return Response(found.plain, media_type=found.media, headers=headers)

    return Starlette(routes=[Route("/", samples), Route("/static/{name}", static)])


def _draw(view: View, language: Language) -> Markup:
    return pages.markup(fragments.render_view(view, language))
