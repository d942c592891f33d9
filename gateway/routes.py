"""Every endpoint in one table: zone, method, path, who may enter, handler.

A request goes: edge checks (host, path, coding) → row of the table → guard → handler → answer; what
is raised on the way becomes a problem (RFC 9457), as JSON or page.
"""

import re
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import guards
from gateway.errors import Malformed, NotFound, Problem, Unavailable, code_of, status_of
from gateway.guards import Doorkeeper, Guard, anyone, counted, department_server, signed_in, staff
from gateway.observe.log import trace_id
from gateway.observe.metrics import request_children
from gateway.store.away import Away, LedgerAway
from gateway.store.ids import new_token
from gateway.web import (
    api,
    assets,
    citizen,
    consent,
    embed,
    feedback,
    gallery_page,
    internal,
    launch,
    me,
    me_sessions,
    problems,
    redeem,
    signin,
)
from gateway.web.admin import feedback as admin_feedback
from gateway.web.admin import health, registry, revisions
from gateway.web.parts import Parts
from gateway.web.visit import Visit, open_visit

Handler = Callable[[Visit], Awaitable[Response]]

CITIZEN: Final = "citizen"
ADMIN: Final = "admin"
INTERNAL: Final = "internal"
EVERY: Final = "every"
GET: Final = "GET"
POST: Final = "POST"

viewer = staff("viewer", "editor", "publisher", "auditor")
editor = staff("editor", "publisher")
publisher = staff("publisher")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One door."""

    zone: str
    method: str
    path: str
    guard: Guard
    handler: Handler

    @property
    def guard_name(self) -> str:
        """Who may enter, in one word."""
        return _GUARD_NAMES.get(self.guard, self.guard.__name__)

    @property
    def handler_name(self) -> str:
        """`module.function` of the handler."""
        return f"{self.handler.__module__.removeprefix('gateway.')}.{self.handler.__name__}"


_GUARD_NAMES: Final[dict[Guard, str]] = {
    counted: "anyone, counted",
    viewer: "staff: viewer",
    editor: "staff: editor",
    publisher: "staff: publisher",
}

# fmt: off
ENDPOINTS: Final = (
    #        zone      method path                                guard              handler
    Endpoint(CITIZEN,  GET,   "/",                                anyone,            citizen.hall),
    Endpoint(CITIZEN,  GET,   "/search",                          anyone,            citizen.search),
    Endpoint(CITIZEN,  GET,   "/s/{service}",                     anyone,            citizen.service),
    Endpoint(CITIZEN,  GET,   "/s/{service}/{function}",          anyone,            citizen.service),
    Endpoint(CITIZEN,  POST,  "/s/{service}/launch",              signed_in,         launch.launch),
    Endpoint(CITIZEN,  GET,   "/go/{id}",                         anyone,            launch.go),
    Endpoint(CITIZEN,  GET,   "/consent/{service}",               signed_in,         consent.ask),
    Endpoint(CITIZEN,  POST,  "/consent/{service}",               signed_in,         consent.decide),
    Endpoint(CITIZEN,  GET,   "/sign-in",                         counted,           signin.choose),
    Endpoint(CITIZEN,  GET,   "/sign-in/{upstream}/callback",     anyone,            signin.callback),
    Endpoint(CITIZEN,  POST,  "/sign-out",                        anyone,            signin.sign_out),
    Endpoint(CITIZEN,  GET,   "/me/consents",                     signed_in,         me.consents),
    Endpoint(CITIZEN,  POST,  "/me/consents",                     signed_in,         me.withdraw),
    Endpoint(CITIZEN,  GET,   "/me/display",                      anyone,            me.display),
    Endpoint(CITIZEN,  POST,  "/me/display",                      anyone,            me.change_display),
    Endpoint(CITIZEN,  GET,   "/me/sessions",                     signed_in,         me_sessions.sessions),
    Endpoint(CITIZEN,  POST,  "/me/sessions",                     signed_in,         me_sessions.end_sessions),
    Endpoint(CITIZEN,  GET,   "/me/where",                        signed_in,         me.where),
    Endpoint(CITIZEN,  GET,   "/feedback",                        anyone,            feedback.form),
    Endpoint(CITIZEN,  POST,  "/feedback",                        anyone,            feedback.hand_in),
    Endpoint(CITIZEN,  GET,   "/embed/cards/{service}",           anyone,            embed.card),
    Endpoint(CITIZEN,  GET,   "/oembed",                          anyone,            embed.oembed),
    Endpoint(CITIZEN,  GET,   "/api/v1/cards",                    anyone,            api.feed),
    Endpoint(CITIZEN,  GET,   "/api/v1/cards/{service}",          anyone,            api.card),
    Endpoint(CITIZEN,  POST,  "/api/v1/tickets/redeem",           department_server, redeem.redeem),
    Endpoint(CITIZEN,  GET,   "/openapi.json",                    anyone,            api.openapi),
    Endpoint(CITIZEN,  GET,   "/dev/cards",                       anyone,            gallery_page.gallery),
    Endpoint(CITIZEN,  GET,   "/static/{name}",                   anyone,            assets.static),
    Endpoint(ADMIN,    GET,   "/static/{name}",                   anyone,            assets.static),
    Endpoint(CITIZEN,  GET,   "/icons/{digest}",                  anyone,            assets.icon),
    Endpoint(CITIZEN,  GET,   "/.well-known/{name}",              anyone,            assets.site_file),
    Endpoint(ADMIN,    GET,   "/admin/",                          viewer,            health.board),
    Endpoint(ADMIN,    GET,   "/admin/registry",                  viewer,            registry.entries),
    Endpoint(ADMIN,    GET,   "/admin/registry/{service}",        viewer,            registry.entry),
    Endpoint(ADMIN,    POST,  "/admin/registry/{service}/suspend", publisher,        registry.suspend),
    Endpoint(ADMIN,    POST,  "/admin/registry/{service}/resume", publisher,         registry.resume),
    Endpoint(ADMIN,    GET,   "/admin/revisions",                 viewer,            revisions.history),
    Endpoint(ADMIN,    GET,   "/admin/revisions/{revision}",      viewer,            revisions.show),
    Endpoint(ADMIN,    POST,  "/admin/revisions/{revision}/restore", publisher,      revisions.restore),
    Endpoint(ADMIN,    GET,   "/admin/feedback",                  viewer,            admin_feedback.reports),
    Endpoint(ADMIN,    POST,  "/admin/feedback/{id}",             editor,            admin_feedback.mark),
    Endpoint(INTERNAL, GET,   "/metrics",                         anyone,            internal.metrics),
    Endpoint(EVERY,    GET,   "/livez",                           anyone,            internal.live),
    Endpoint(EVERY,    GET,   "/readyz",                          anyone,            internal.ready),
    Endpoint(CITIZEN,  GET,   "/{name}",                          anyone,            assets.site_file),
)
# fmt: on

_PLAIN_PATH: Final = re.compile(r"/(?:[^/]+/)*[^/]*")
_log = structlog.get_logger()


class Router:
    """The ASGI application of one worker: answers requests, never lets an exception out."""

    def __init__(
        self, parts: Parts, door: Doorkeeper, zones: Mapping[tuple[str, int], frozenset[str]]
    ) -> None:
        self._parts = parts
        self._door = door
        self._zones = zones
        self._tables = {zone: _Table(zone) for zone in (CITIZEN, ADMIN, INTERNAL)}
        self._hosts = _own_hosts(parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        request = Request(scope, receive)
        trace = new_token()[:16]
        token = trace_id.set(trace)
        route = "-"
        response: Response
        try:
            endpoint, places = self._find(request)
            route = endpoint.path
            request.scope["path_params"] = places
            response = await self._answer(endpoint, request, trace)
        except ClientDisconnect:
            trace_id.reset(token)
            return
        except Exception as error:  # noqa: BLE001 - the last door: whatever it is gets an answer
            response = await self._problem(request, error, trace)
        await response(scope, receive, send)
        seconds = time.perf_counter() - began
        counter, histogram = request_children(route, _known(request.method), response.status_code)
        counter.inc()
        histogram.observe(seconds)
        _log.info(
            "request",
            route=route,
            method=_known(request.method),
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
        trace_id.reset(token)

    async def _answer(self, endpoint: Endpoint, request: Request, trace: str) -> Response:
        form = await guards.read_form(request)
        visitor = await endpoint.guard(request, self._door, form)
        visit = await open_visit(request, self._parts, visitor, form, trace)
        response = await endpoint.handler(visit)
        if visitor.fresh_browser and _is_own_page(response):
            response.set_cookie(
                self._door.browser_cookie,
                visitor.fresh_browser,
                max_age=31_536_000,
                secure=self._door.secure,
                httponly=True,
                samesite="lax",
            )
        return response

    def _find(self, request: Request) -> tuple[Endpoint, dict[str, str]]:
        zones = self._zones_at(*request.scope["server"][:2])
        request.scope["zones"] = zones
        host = request.headers.get("host", "").lower()
        if INTERNAL not in zones and host not in self._hosts:
            raise Malformed(421, "host")
        path = _checked_path(request)
        allowed: set[str] = set()
        method = GET if request.method == "HEAD" else request.method
        for zone in zones:
            endpoint, places, methods = self._tables[zone].find(method, path)
            if endpoint is not None:
                return endpoint, places
            allowed |= methods
        if allowed:
            names = ", ".join(sorted(allowed | ({"HEAD"} if GET in allowed else set())))
            raise Malformed(405, headers={"Allow": names})
        raise NotFound

    def _zones_at(self, host: str, port: int) -> frozenset[str]:
        """What is answered at the address that a connection came in by, also under `0.0.0.0`."""
        everywhere = "::" if ":" in host else "0.0.0.0"  # noqa: S104 - looked up, not bound
        bound = self._zones.get((host, port)) or self._zones.get((everywhere, port))
        return bound or frozenset({CITIZEN})

    async def _problem(self, request: Request, error: Exception, trace: str) -> Response:
        problem: Problem
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, Away | LedgerAway):
            problem = Unavailable(detail=type(error).__name__, headers={"Retry-After": "5"})
        else:
            problem = Problem(detail=type(error).__name__)
            _log.error("unexpected", error=type(error).__name__, where=_where(error))
        if problem.detail:
            _log.info("problem", problem=code_of(problem), detail=problem.detail)
        try:
            return await problems.respond(request, problem, self._parts, trace)
        except Exception as again:  # noqa: BLE001 - the error page itself failed: a bare status
            _log.error("problem_page", error=type(again).__name__, where=_where(again))
            return Response(status_code=status_of(problem), headers={"X-Trace-Id": trace})


class _Table:
    """The rows of one zone: exact paths by dictionary, the rest by one pattern each."""

    def __init__(self, zone: str) -> None:
        self._exact: dict[str, dict[str, Endpoint]] = {}
        patterns: dict[str, dict[str, Endpoint]] = {}
        for row in ENDPOINTS:
            if row.zone in (zone, EVERY):
                table = patterns if "{" in row.path else self._exact
                table.setdefault(row.path, {})[row.method] = row
        self._patterns = [
            (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), rows)
            for path, rows in patterns.items()
        ]

    def find(self, method: str, path: str) -> tuple[Endpoint | None, dict[str, str], set[str]]:
        """The row for a request; where only the method differs, the methods there are."""
        rows = self._exact.get(path)
        if rows is not None:
            return rows.get(method), {}, set(rows)
        allowed: set[str] = set()
        for pattern, candidates in self._patterns:
            if match := pattern.fullmatch(path):
                if method in candidates:
                    return candidates[method], match.groupdict(), set()
                allowed |= set(candidates)
        return None, {}, allowed


def _checked_path(request: Request) -> str:
    """The path, or a refusal of what two readers could read in two ways (B29)."""
    raw: bytes = request.scope.get("raw_path", b"")
    path: str = request.scope["path"]
    lowered = raw.lower()
    if b"%2f" in lowered or b"%5c" in lowered or b"%00" in lowered or b"\\" in raw or b";" in raw:
        raise Malformed(400, "path")
    if not _PLAIN_PATH.fullmatch(path) or "\ufffd" in path:
        raise Malformed(400, "path")
    if any(part in (".", "..") for part in path.split("/")):
        raise Malformed(400, "path")
    if any(unicodedata.category(char) == "Cc" for char in path):
        raise Malformed(400, "path")
    return path


def _own_hosts(parts: Parts) -> frozenset[str]:
    settings = parts.settings
    hosts = {urlsplit(url).netloc.lower() for url in (settings.origin, settings.admin_url) if url}
    if settings.profile != "production":
        for listen in f"{settings.listen},{settings.admin_listen}".split(","):
            port = listen.rpartition(":")[2].strip()
            if port:
                hosts |= {f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")}
    return frozenset(hosts)


def _is_own_page(response: Response) -> bool:
    """A page for one browser; what caches keep for everybody sets no cookie."""
    headers = response.headers
    public = headers.get("cache-control", "").startswith("public")
    return headers.get("content-type", "").startswith("text/html") and not public


def _known(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST") else "other"


def _where(error: BaseException) -> str:
    """Module and line where an unexpected error rose: no values, no arguments."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
