"""One request on its way through a handler: who, in which look and language, over which generation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.cards.viewer import Viewer
from gateway.guards import Form
from gateway.registry.generation import Generation
from gateway.sso.visitor import Visitor
from gateway.web.parts import Parts
from gateway.words.loader import Language, say


@dataclass(frozen=True, slots=True)
class Look:
    """How pages look for this visitor: server state on every page (design 15)."""

    edition: Literal["standard", "elder"] = "standard"
    size: int = 1  # font steps 1-4
    contrast: Literal["normal", "high"] = "normal"
    language: Language = "zh"
    speech: bool = False
    region: str = ""  # GB/T 2260 code she chose; "": not said


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

    def place(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value

    def say(self, key: str, **places: object) -> str:
        """A text of the words files in this page's language."""
        return say(self.language, key, **places)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Render a template of `web/templates` as a whole page."""
        raise NotImplementedError

    def to(self, path: str) -> Response:
        """303 to a path of ours."""
        return RedirectResponse(path, status_code=303)
