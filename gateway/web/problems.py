"""What could not be done, as problem+json (RFC 9457) or as a page with a way on."""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import NeedsConsent, NotSignedIn, Problem, code_of, status_of
from gateway.sso.paths import own_path
from gateway.web import pages
from gateway.web.look import COOKIE, parse_look
from gateway.web.parts import Parts
from gateway.web.visit import frame_for, host_of
from gateway.words.loader import Language, say

MEDIA: Final = "application/problem+json"
_PROGRAMS: Final = ("/api/", "/oembed", "/openapi.json", "/metrics", "/livez", "/readyz")
_LAUNCH: Final = re.compile(r"/s/[a-z0-9-]+/launch")
_RETRY: Final = frozenset({408, 429, 500, 503})


async def respond(request: Request, problem: Problem, parts: Parts, trace: str) -> Response:
    """The answer to a request that failed; nothing from inside is said."""
    status = status_of(problem)
    headers = {"Cache-Control": "no-store", "X-Trace-Id": trace, **problem.headers}
    look = parse_look(request.cookies.get(COOKIE, ""))
    code = code_of(problem)
    if for_program(request):
        body = document(problem, look.language, trace)
        headers |= pages.security_headers()
        return Response(body, status_code=status, headers=headers, media_type=MEDIA)
    container, _ = host_of(request, parts.settings.host_app_agents)
    frame = frame_for(parts, look, parts.live.current, container=container)
    path = request.url.path
    content = pages.render(
        "problem.html",
        replace(frame, known=False, trace=trace),
        title=say(look.language, f"problem.{code}.title"),
        text=say(look.language, f"problem.{code}.text"),
        code=code,
        status=status,
        sign_in=_sign_in(request) if isinstance(problem, NotSignedIn) else "",
        consent=own_path(str(problem.members.get("address", "")))
        if isinstance(problem, NeedsConsent)
        else "",
        successor=_successor(problem, parts, look.language),
        again=path if status in _RETRY and request.method == "GET" else "",
        home="/admin/" if path.startswith("/admin") else "/",
    )
    return pages.html(content, status=status, headers=headers)


def for_program(request: Request) -> bool:
    """Whether the caller is a program: an address for programs, or one that wants JSON."""
    if request.url.path.startswith(_PROGRAMS):
        return True
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def document(problem: Problem, language: Language, trace: str) -> bytes:
    """The problem as RFC 9457 JSON."""
    code = code_of(problem)
    return orjson.dumps(
        {
            "type": f"urn:citygate:problem:{code}",
            "title": say(language, f"problem.{code}.title"),
            "status": status_of(problem),
            "detail": say(language, f"problem.{code}.text"),
            "trace": trace,
            **problem.members,
        }
    )


def _sign_in(request: Request) -> str:
    """Where signing in leads back to: this page, or the service whose button was pressed."""
    path = request.url.path
    if request.method == "POST":
        path = path.removesuffix("/launch") if _LAUNCH.fullmatch(path) else "/"
    elif request.url.query:
        path = f"{path}?{request.url.query}"
    return f"/sign-in?next={quote(own_path(path), safe='/')}"


def _successor(problem: Problem, parts: Parts, language: Language) -> tuple[str, str] | None:
    entry = parts.live.current.entry(str(problem.members.get("successor") or ""))
    if entry is None:
        return None
    return f"/s/{entry.id}", entry.name.en if language == "en" else entry.name.zh
