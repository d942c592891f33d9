"""One request on its way through a handler: who, in which look and language, over which generation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.cards.viewer import Viewer
from gateway.contract.ids import CitizenId
from gateway.contract.manifest import Text
from gateway.registry.generation import Generation
from gateway.sso.visitor import Form, Visitor
from gateway.store.away import LedgerAway
from gateway.web import pages
from gateway.web.appearance import Look
from gateway.web.look import read_look
from gateway.web.pages import Frame
from gateway.web.parts import Parts
from gateway.words.loader import Language, say

__all__ = ["Look", "Visit", "frame_for", "host_of", "open_visit"]

_VERSION: Final = re.compile(r"/([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})")
_HOST_HEADER: Final = "x-citygate-host"  # a host app that cannot set its User-Agent
_SCALE_HEADER: Final = "x-citygate-font-scale"
_ONCE: Final = ("/go/", "/sign-in")  # addresses that serve once: nobody comes back to them
_SCALES: Final = ((1.7, 4), (1.35, 3), (1.1, 2))  # the host's font scale -> our step


@dataclass(slots=True)
class Visit:
    """What a handler is given."""

    request: Request
    parts: Parts
    visitor: Visitor
    form: Form
    trace: str
    look: Look
    generation: Generation  # taken once
    container: bool  # inside the host app: our title and tab bars go
    viewer: Viewer

    @property
    def language(self) -> Language:
        """The language of this page."""
        return self.look.language

    @property
    def frame(self) -> Frame:
        """What stands around this page."""
        frame = frame_for(self.parts, self.look, self.generation, container=self.container)
        return replace(
            frame,
            signed_in=self.visitor.citizen is not None,
            away=self.visitor.store_away,
            form_token=self.visitor.form_token,
            path=_way_back(self.request.url.path),
            trace=self.trace,
        )

    def place(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value

    def say(self, key: str, **places: object) -> str:
        """A text of the words files in this page's language."""
        return say(self.language, key, **places)

    def text(self, text: Text) -> str:
        """A text in both languages, in this page's."""
        return text.en if self.language == "en" else text.zh

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Render a template of `web/templates` as a whole page."""
        content = pages.render(
            template, self.frame, visit=self, generation=self.generation, **values
        )
        return pages.html(content, status=status, headers=headers)

    def to(self, path: str) -> Response:
        """303 to a path of ours."""
        return RedirectResponse(path, status_code=303, headers={"Cache-Control": pages.PRIVATE})


def _way_back(path: str) -> str:
    """Where this page's forms and links come back to: the page itself, unless it serves once."""
    return "/" if path.startswith(_ONCE) else path


async def open_visit(
    request: Request, parts: Parts, visitor: Visitor, form: Form, trace: str
) -> Visit:
    """Gather what a handler needs of one request; the generation is taken here, once."""
    host, version = host_of(request, parts.settings.host_app_agents)
    look = await read_look(parts, visitor, request)
    if host:
        look = _scaled(look, request.headers.get(_SCALE_HEADER, ""))
    testers: frozenset[str] = frozenset()
    if visitor.citizen is not None:
        testers = await _testers(parts, visitor.citizen.id)
    viewer = Viewer(
        citizen=visitor.citizen,
        language=look.language,
        host_version=version if host else None,
        region=look.region or None,
        testers=testers,
        trace=trace,
        store_away=visitor.store_away,
    )
    return Visit(
        request=request,
        parts=parts,
        visitor=visitor,
        form=form,
        trace=trace,
        look=look,
        generation=parts.live.current,
        container=host,
        viewer=viewer,
    )


async def _testers(parts: Parts, citizen: CitizenId) -> frozenset[str]:
    """Her groups of testers; reading goes on without the ledger, and then she is in none."""
    try:
        return await parts.staff.groups(citizen)
    except LedgerAway:
        return frozenset()


def frame_for(
    parts: Parts, look: Look, generation: Generation, *, container: bool = False
) -> Frame:
    """The frame of this installation over one generation, for nobody known."""
    frame = pages.frame_of(parts.settings, look)
    if generation.revision:
        frame = replace(frame, city=generation.city.name, hotline=generation.city.hotline)
    return replace(frame, container=container)


def host_of(request: Request, agents: tuple[str, ...]) -> tuple[bool, str]:
    """Whether the page is shown inside a host app, and that app's version ("0" where unsaid)."""
    said = request.headers.get(_HOST_HEADER) or request.headers.get("user-agent", "")
    for agent in agents:
        at = said.find(agent)
        if at >= 0:
            version = _VERSION.match(said, at + len(agent))
            return True, version.group(1) if version else "0"
    return False, ""


def _scaled(look: Look, scale: str) -> Look:
    """The host's own font setting holds where it asks for larger letters than ours."""
    try:
        wanted = float(scale)
    except ValueError:
        return look
    step = next((step for least, step in _SCALES if wanted >= least), 1)
    return replace(look, size=max(look.size, step))
