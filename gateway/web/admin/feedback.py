"""What citizens reported: unanswered first; 已阅 and 已答复."""

from typing import Final, Literal, cast

from starlette.responses import Response

from gateway.cases.feedback import MAX_TEXT
from gateway.errors import Invalid
from gateway.web.visit import Visit

_STATES: Final = ("read", "answered")


async def reports(visit: Visit) -> Response:
    """List the reports."""
    return await _page(visit)


async def mark(visit: Visit) -> Response:
    """Note one as read, or answered with a text."""
    state = visit.form.get("state", "")
    if state not in _STATES:
        raise Invalid(members={"fields": [{"field": "state", "message": " | ".join(_STATES)}]})
    assert visit.visitor.citizen is not None  # noqa: S101 - the guard saw to it
    answer = visit.form.get("answer", "")
    if len(answer.strip()) > MAX_TEXT or (state == "answered" and not answer.strip()):
        return await _page(visit, wrong=visit.place("id"), typed=answer, status=422)
    await visit.parts.feedback.mark(
        visit.place("id"),
        state=cast("Literal['read', 'answered']", state),
        answer=answer,
        by=visit.visitor.citizen.id,
    )
    return visit.to("/admin/feedback")


async def _page(visit: Visit, *, wrong: str = "", typed: str = "", status: int = 200) -> Response:
    rows = await visit.parts.feedback.recent()
    names = {row.service: _name(visit, row.service) for row in rows}
    return visit.page(
        "admin/feedback.html",
        status=status,
        title=visit.say("admin.feedback.title"),
        rows=rows,
        names=names,
        waiting=sum(row.state != "answered" for row in rows),
        wrong=wrong,
        typed=typed,
        most=MAX_TEXT,
        may_act=bool({"editor", "publisher"} & visit.visitor.roles),
    )


def _name(visit: Visit, service: str) -> str:
    entry = visit.generation.entry(service) if service else None
    return visit.text(entry.name) if entry else service
