"""Where I am signed in: a citizen's own sessions, each of which she can end."""

from starlette.responses import Response

from gateway.contract.citizen import Citizen
from gateway.errors import NotSignedIn
from gateway.web.signin import clear_session
from gateway.web.visit import Visit


async def sessions(visit: Visit) -> Response:
    """All her live sessions, this one first."""
    rows = await visit.parts.sessions.listed(_citizen(visit))
    names = {
        one.id: one.name_en if visit.language == "en" else one.name_zh
        for one in visit.parts.signin.upstreams
    }
    return visit.page(
        "signin/sessions.html",
        title=visit.say("sessions.title"),
        rows=sorted(rows, key=lambda row: not row.current),
        names=names,
    )


async def end_sessions(visit: Visit) -> Response:
    """End one of them, or all; only her own are found."""
    citizen, kept = _citizen(visit), visit.parts.sessions
    if visit.form.get("all") == "1":
        await kept.end_all(citizen)
        return clear_session(visit, visit.to("/"))
    wanted = visit.form.get("session", "")
    mine = {row.session for row in await kept.listed(citizen)}
    if wanted in mine:
        await kept.end(citizen, wanted)
    response = visit.to("/" if wanted == citizen.session else "/me/sessions")
    return clear_session(visit, response) if wanted == citizen.session else response


def _citizen(visit: Visit) -> Citizen:
    if visit.visitor.citizen is None:
        raise NotSignedIn
    return visit.visitor.citizen
