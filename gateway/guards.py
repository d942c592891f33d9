"""Who may enter: one guard in each row of the endpoint table, and what every unsafe request passes.

A guard turns a request into a `Visitor` or raises a `Problem`. It decides on the routed endpoint,
never on a prefix of the path.
"""

import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.clock import Clock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId
from gateway.errors import (
    ForeignOrigin,
    Malformed,
    NotAllowed,
    NotSignedIn,
    TooMany,
    Unavailable,
)
from gateway.sso import cookies
from gateway.sso.visitor import DepartmentServer, Form, Visitor
from gateway.store.away import Away
from gateway.store.ids import digest, new_token

MAX_FIELDS: Final = 64
MISSES_PER_MINUTE: Final = 20
TOKEN_LENGTH: Final = 43  # 256 bits in base64url


class FindsSessions(Protocol):
    """What a guard needs of `sso.session`."""

    async def find(self, token: str) -> Citizen | None:
        """The citizen of a live session; raises `Away`."""
        ...


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What all guards share; made once in `app`."""

    clock: Clock
    origin: str
    secure: bool  # https: cookies carry `__Host-` and Secure
    sessions: FindsSessions
    roles: Callable[
        [CitizenId], Awaitable[frozenset[str]]
    ]  # read from the ledger at each admin door
    prove: Callable[[Form], Awaitable[DepartmentServer]]  # a department's client assertion
    bind: Callable[..., str]  # keyed digest of parts, for form tokens
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    misses: "Misses" = field(default_factory=lambda: Misses())  # noqa: PLW0108 - defined below

    @property
    def session_cookie(self) -> str:
        """Name of the session's cookie."""
        return cookies.session_cookie(secure=self.secure)

    @property
    def browser_cookie(self) -> str:
        """Name of the cookie that tells browsers apart before anybody is signed in."""
        return cookies.browser_cookie(secure=self.secure)


Guard = Callable[[Request, Doorkeeper, Form], Awaitable[Visitor]]


@dataclass(slots=True)
class Misses:
    """Unknown session tokens by address: guessing is slowed down (B44)."""

    seen: "OrderedDict[str, dict[str, float]]" = field(default_factory=OrderedDict)

    def count(self, address: str, token: str, now: float) -> None:
        """Note one unknown token; a page that asks again and again with its ended one is one.

        Raises:
            TooMany: more than twenty different ones within a minute from this address.
        """
        known = self.seen.pop(address, {})
        tokens = {one: at for one, at in known.items() if now - at < 60}  # noqa: PLR2004 - a minute
        if len(tokens) <= MISSES_PER_MINUTE:
            tokens.setdefault(digest(token), now)
        self.seen[address] = tokens
        while len(self.seen) > 10_000:  # noqa: PLR2004 - bound of the table
            self.seen.popitem(last=False)
        if len(tokens) > MISSES_PER_MINUTE:
            raise TooMany(headers={"Retry-After": "60"})


async def anyone(request: Request, door: Doorkeeper, form: Form) -> Visitor:
    """Everybody; a citizen is recognised when she is signed in."""
    return await _visitor(request, door, form)


async def counted(request: Request, door: Doorkeeper, form: Form) -> Visitor:
    """Everybody, at a door that counts how often one address comes."""
    visitor = await _visitor(request, door, form)
    return replace(visitor, peer=door.bind("peer", _neighbourhood(peer(request, door))))


async def signed_in(request: Request, door: Doorkeeper, form: Form) -> Visitor:
    """Signed-in citizens only."""
    visitor = await _visitor(request, door, form)
    if visitor.citizen is None:
        if visitor.store_away:
            raise Unavailable(detail="sessions cannot be read", headers={"Retry-After": "5"})
        raise NotSignedIn
    return visitor


def staff(*roles: str) -> Guard:
    """Signed-in staff with one of these roles, as the ledger says at this moment."""

    async def guard(request: Request, door: Doorkeeper, form: Form) -> Visitor:
        visitor = await signed_in(request, door, form)
        assert visitor.citizen is not None  # noqa: S101 - signed_in saw to it
        held = await door.roles(visitor.citizen.id)
        if not held.intersection(roles):
            raise NotAllowed(detail=f"needs one of {roles}")
        return Visitor(citizen=visitor.citizen, roles=held, form_token=visitor.form_token)

    return guard


async def department_server(request: Request, door: Doorkeeper, form: Form) -> Visitor:  # noqa: ARG001 - one signature
    """A department's server that proves itself by its registered key; no cookies, no origin."""
    return Visitor(department=await door.prove(form))


async def _visitor(request: Request, door: Doorkeeper, form: Form) -> Visitor:
    citizen: Citizen | None = None
    away = False
    token = one_cookie(request, door.session_cookie)
    if token is not None and len(token) == TOKEN_LENGTH:
        try:
            citizen = await door.sessions.find(token)
        except Away:
            away = True
        else:
            if citizen is None:
                _count_miss(request, door, token)
    browser = one_cookie(request, door.browser_cookie)
    fresh = ""
    if citizen is None and (browser is None or len(browser) != TOKEN_LENGTH):
        fresh = browser = new_token()
    form_token = door.bind("form", citizen.session if citizen else f"browser:{browser}")
    if request.method not in ("GET", "HEAD"):
        _same_origin(request, door)
        if not hmac.compare_digest(form.get("form_token", ""), form_token):
            raise ForeignOrigin(detail="form token")
    return Visitor(citizen=citizen, store_away=away, form_token=form_token, fresh_browser=fresh)


def _count_miss(request: Request, door: Doorkeeper, token: str) -> None:
    try:
        door.misses.count(peer(request, door), token, door.clock.monotonic())
    except TooMany as error:
        # Many people behind one address whose sessions ended: without the cookie they get on.
        gone = cookies.taken_away(door.session_cookie, secure=door.secure)
        raise TooMany(headers={**error.headers, "Set-Cookie": gone}) from None


def _same_origin(request: Request, door: Doorkeeper) -> None:
    """Refuse what another site's page sent (CSRF); the form token is checked besides.

    Pages carry `Referrer-Policy: no-referrer`, for which browsers send `Origin: null` with our own
    forms: then `Sec-Fetch-Site` decides, and where an old browser sends neither, the token alone.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise ForeignOrigin(detail="sec-fetch-site")
    if origin not in (None, "null", door.origin) and not _own_host(request, origin or ""):
        raise ForeignOrigin(detail="origin")


def _own_host(request: Request, origin: str) -> bool:
    # The Host was already checked against the names that this installation answers to.
    return origin == f"{request.url.scheme}://{request.headers['host']}"


def one_cookie(request: Request, name: str) -> str | None:
    """The cookie's value; two of one name are refused, because one may be tossed in (B43)."""
    values = [
        part.partition("=")[2].strip()
        for line in request.headers.getlist("cookie")
        for part in line.split(";")
        if part.partition("=")[0].strip() == name
    ]
    if len(values) > 1:
        raise Malformed(400, "the session cookie stands twice")
    return values[0] if values else None


def peer(request: Request, door: Doorkeeper) -> str:
    """The caller's address: the connection's, or what a trusted proxy says of it."""
    address = request.client.host if request.client else ""
    lines = ",".join(request.headers.getlist("x-forwarded-for"))  # some proxies add a line
    hops = [hop.strip() for hop in lines.split(",")]
    while hops and hops[-1] and _trusted(address, door):
        address = hops.pop()
    return address


def _neighbourhood(address: str) -> str:
    """What one caller holds as a whole: an IPv4 address, a /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)  # noqa: PLR2004 - IPv6


def _trusted(address: str, door: Doorkeeper) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in door.proxies)


async def read_form(request: Request) -> Form:
    """The fields of a posted form; the edge already bounds its bytes.

    Raises:
        Malformed: another media type (415), coded body (415), a field twice or too many (400).
    """
    if request.method in ("GET", "HEAD"):
        return {}
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Malformed(415, "coded request body")
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise Malformed(415, "not a form")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise Malformed(400, "form cannot be read") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form and not name.endswith("[]"):
            raise Malformed(400, "a field stands twice")
        form[name] = f"{form[name]}\n{value}" if name in form else value
    return form
