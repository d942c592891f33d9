"""Signing in and out: a choice of providers, the way back from one, the way out.

Whatever goes wrong ends on a page with one button that mends it; nothing of the request is shown.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Malformed
from gateway.settings import Upstream
from gateway.sso.cookies import browser_cookie, session_cookie
from gateway.sso.paths import HOME, own_path
from gateway.sso.stopped import Reason, Stopped
from gateway.sso.visitor import Visitor
from gateway.store.away import Away, LedgerAway
from gateway.store.ids import new_token
from gateway.web.visit import Visit

_TOKEN: Final = 43
_YEAR: Final = 31_536_000
_MAX_QUERY: Final = 8_192
_MAX_FIELDS: Final = 30
_STATUS: Final[dict[Reason, int]] = {
    "cancelled": 200,
    "expired": 400,
    "spent": 400,
    "other_browser": 400,
    "too_low": 403,
    "not_active": 403,
    "away": 503,
    "refused": 502,
    "store": 503,
}
# Nothing is lost by these when she is in already: double tap, back button, a second tab.
_HARMLESS: Final[tuple[Reason, ...]] = ("spent", "expired", "other_browser")


async def choose(visit: Visit) -> Response:
    """Send the browser to its identity provider; where there are several, ask which."""
    _only_by_hand(visit.request)
    asked = _query(visit.request) or {}
    next_path = own_path(asked.get("next", HOME))
    level = int(asked["level"]) if asked.get("level") in ("1", "2", "3", "4", "5") else None
    prompt = asked.get("prompt") if asked.get("prompt") in ("login", "select_account") else None
    citizen = visit.visitor.citizen
    if citizen is not None and prompt is None and (level is None or citizen.level >= level):
        return visit.to(next_path)
    offered = _offered(visit, level)
    wanted = asked.get("upstream")
    if wanted is None and len(offered) > 1:
        rows = [(one, _link(next_path, level, prompt, one.id)) for one in offered]
        return visit.page(
            "signin/choose.html", title=visit.say("signin.choose_title"), rows=rows, level=level
        )
    if not offered:
        reason: Reason = "too_low" if visit.parts.signin.upstreams else "away"
        return _stopped(visit, Stopped(reason, next_path=next_path, level=level))
    browser, new = _browser(visit)
    try:
        address = await visit.parts.signin.begin(
            wanted if wanted is not None else offered[0].id,
            browser=browser,
            next_path=next_path,
            level=level,
            prompt=prompt,
            peer=visit.visitor.peer,
        )
    except Stopped as stopped:
        return _stopped(visit, stopped)
    except Away:
        return _stopped(visit, Stopped("store", next_path=next_path, level=level))
    response = _away_to(visit, address)
    if new:
        _set(visit, response, browser_cookie(secure=_secure(visit)), browser, _YEAR)
    return response


async def callback(visit: Visit) -> Response:
    """Take in who comes back from a provider: a new session in a new cookie."""
    _only_by_hand(visit.request)
    name = session_cookie(secure=_secure(visit))
    browser, _ = _browser(visit)
    try:
        query = _query(visit.request)
        if query is None:
            raise Stopped("spent", "query")  # noqa: TRY301 - one way to its page
        arrived = await visit.parts.signin.finish(
            visit.place("upstream"),
            query,
            browser=browser,
            old=visit.request.cookies.get(name) if visit.visitor.citizen is not None else None,
            device=_device(visit),
        )
    except Stopped as stopped:
        if visit.visitor.citizen is not None and stopped.reason in _HARMLESS:
            return visit.to(stopped.next_path)
        # What was refused came in this address, which anybody may have written: no fault of ours.
        return _stopped(visit, stopped, 400 if stopped.reason == "refused" else None)
    except (Away, LedgerAway):
        return _stopped(visit, Stopped("store"))
    response = _away_to(visit, arrived.next_path)
    _set(visit, response, name, arrived.token, None)
    return response


async def sign_out(visit: Visit) -> Response:
    """End this session; offer to sign out at the provider too."""
    parts, citizen = visit.parts, visit.visitor.citizen
    name = session_cookie(secure=_secure(visit))
    token = visit.request.cookies.get(name, "")
    farewell, written = "", True
    try:
        if citizen is not None:
            farewell = await parts.signin.farewell(citizen)
            await parts.sessions.end(citizen, citizen.session)
        elif visit.visitor.store_away and len(token) == _TOKEN:
            await parts.sessions.end_unseen(token)
    except LedgerAway:
        written = False
    # From here on nobody is known: the page must not look signed in.
    nobody = replace(visit, visitor=Visitor(store_away=visit.visitor.store_away))
    response = nobody.page(
        "signin/out.html",
        status=200 if written else 503,
        headers={"Clear-Site-Data": '"cache"'},
        title=visit.say("signin.out_title"),
        farewell=farewell,
        written=written,
        provider=_provider_name(visit, citizen.upstream if citizen else ""),
    )
    response.delete_cookie(name, secure=_secure(visit), httponly=True, samesite="lax")
    return response


def clear_session(visit: Visit, response: Response) -> Response:
    """Take the session cookie away with this answer."""
    name = session_cookie(secure=_secure(visit))
    response.delete_cookie(name, secure=_secure(visit), httponly=True, samesite="lax")
    return response


def _away_to(visit: Visit, address: str) -> Response:
    """303 from an address that holds a state or a code: nobody is told it as referrer."""
    response = visit.to(address)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _only_by_hand(request: Request) -> None:
    """Only a navigation that somebody sees may begin or finish a sign-in (N72).

    Raises:
        Malformed: an image, a frame, a script or a prefetch asked, or HEAD.
    """
    if request.method != "GET":
        raise Malformed(405, headers={"Allow": "GET"})
    headers = request.headers
    mode, dest = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    if mode not in (None, "navigate") or dest not in (None, "document"):
        raise Malformed(400, "not a navigation")
    if "prefetch" in headers.get("sec-purpose", headers.get("purpose", "")):
        raise Malformed(400, "prefetch")


def _query(request: Request) -> Mapping[str, str] | None:
    """The query, each name once; None where it cannot be read in one way only."""
    raw: bytes = request.scope["query_string"]
    if len(raw) > _MAX_QUERY:
        return None
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError:
        return None
    read = dict(pairs)
    return read if len(read) == len(pairs) else None


def _offered(visit: Visit, level: int | None) -> tuple[Upstream, ...]:
    """The providers to choose from: for a step-up her own one, where it can vouch for so much."""
    citizen = visit.visitor.citizen
    able = visit.parts.signin.able(level)
    own = tuple(one for one in able if citizen is not None and one.id == citizen.upstream)
    return own or able


def _browser(visit: Visit) -> tuple[str, bool]:
    """What tells this browser apart, and whether it has to be told so."""
    known = visit.request.cookies.get(browser_cookie(secure=_secure(visit)), "")
    if len(known) == _TOKEN:
        return known, False
    return visit.visitor.fresh_browser or new_token(), True


def _stopped(visit: Visit, stopped: Stopped, status: int | None = None) -> Response:
    """The page that says why she is not in, with one button."""
    if stopped.reason == "not_active":
        again = HOME
    else:
        prompt = "login" if stopped.reason == "too_low" else None
        again = _link(stopped.next_path, stopped.level, prompt)
    status = status or _STATUS[stopped.reason]
    return visit.page(
        "signin/stopped.html",
        status=status,
        headers={"Retry-After": "5"} if status == 503 else None,  # noqa: PLR2004
        title=visit.say(f"signin.{stopped.reason}_title"),
        reason=stopped.reason,
        again=again,
    )


def _link(
    next_path: str, level: int | None = None, prompt: str | None = None, upstream: str = ""
) -> str:
    asked = {"next": next_path} if next_path != HOME else {}
    asked |= {"level": str(level)} if level is not None else {}
    asked |= {"prompt": prompt} if prompt else {}
    asked |= {"upstream": upstream} if upstream else {}
    return f"/sign-in?{urlencode(asked)}" if asked else "/sign-in"


def _provider_name(visit: Visit, upstream: str) -> str:
    for one in visit.parts.signin.upstreams:
        if one.id == upstream:
            return one.name_en if visit.language == "en" else one.name_zh
    return ""


def _device(visit: Visit) -> str:
    """What kind of device this is, in a word of a closed list; no more of it is kept."""
    agent = visit.request.headers.get("user-agent", "")
    if visit.container:
        return "app"
    if "iPad" in agent or ("Android" in agent and "Mobile" not in agent):
        return "tablet"
    if "Mobi" in agent:
        return "phone"
    return "computer" if agent.startswith("Mozilla/") else "other"


def _set(visit: Visit, response: Response, name: str, value: str, seconds: int | None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=_secure(visit),
        httponly=True,
        samesite="lax",
    )


def _secure(visit: Visit) -> bool:
    return visit.parts.settings.origin.startswith("https:")
