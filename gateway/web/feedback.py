"""报告问题: one field, on every page, signed in or not, with scripts or without."""

import re
from typing import Final

from starlette.responses import Response

from gateway.cards.gates import hidden, shown_now
from gateway.cases.feedback import MAX_TEXT
from gateway.clock import instant
from gateway.errors import Invalid
from gateway.registry.entry import Entry
from gateway.store.ids import new_token
from gateway.web.visit import Visit

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_TRACE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNPROCESSABLE: Final = 422


async def form(visit: Visit) -> Response:
    """The form, with service and trace filled in from the page that led here."""
    said = visit.request.query_params
    return _form(visit, service=said.get("service", ""), trace=said.get("trace", ""))


async def hand_in(visit: Visit) -> Response:
    """Keep the report once, however often it is sent, and say its receipt number."""
    said = visit.form
    key = said.get("key", "")
    service = _service(visit, said.get("service", ""))
    citizen = visit.visitor.citizen
    try:
        number = await visit.parts.feedback.hand_in(
            said.get("text", ""),
            key=key,
            service=service.id if service else "",
            trace=_trace(said.get("trace", "")),
            citizen=citizen.id if citizen else None,
        )
    except Invalid:
        return _form(
            visit,
            service=said.get("service", ""),
            trace=said.get("trace", ""),
            text=said.get("text", ""),
            key=key,
            wrong=True,
        )
    return visit.page(
        "feedback/receipt.html",
        title=visit.say("feedback.thanks"),
        number=number,
        back=f"/s/{service.id}" if service else "/",
    )


def _form(
    visit: Visit,
    *,
    service: str,
    trace: str,
    text: str = "",
    key: str = "",
    wrong: bool = False,
) -> Response:
    about = _service(visit, service)
    return visit.page(
        "feedback/form.html",
        status=_UNPROCESSABLE if wrong else 200,
        title=visit.say("feedback.title"),
        about=about,
        trace=_trace(trace),
        text=text[: MAX_TEXT * 2],
        key=key if _KEY.fullmatch(key) else new_token(),
        wrong=wrong,
        most=MAX_TEXT,
    )


def _service(visit: Visit, service: str) -> Entry | None:
    """The service that it is about, where this visitor may know of it."""
    entry = visit.generation.entry(service) if service else None
    if entry is None or hidden(shown_now(entry, instant(visit.parts.clock.now()))):
        return None
    return entry


def _trace(text: str) -> str:
    return text if _TRACE.fullmatch(text) else ""
