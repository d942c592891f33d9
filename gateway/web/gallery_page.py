"""The gallery inside the gateway: profiles demo and test only."""

from starlette.responses import Response

from gateway.errors import NotFound
from gateway.web import gallery as cards
from gateway.web import pages
from gateway.web.visit import Visit


async def gallery(visit: Visit) -> Response:
    """Every state, template, mode and language.

    Raises:
        NotFound: in profile production.
    """
    if visit.parts.settings.profile == "production":
        raise NotFound
    look, mode = cards.wanted(visit.request, visit.look)
    return pages.html(cards.page(cards.everything(look.language), look, mode, visit.frame))
