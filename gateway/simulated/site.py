"""What every department's own site needs: pages, its session, its landing for tickets."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.records import Known
from gateway.simulated.tickets import redeem
from gateway.simulated.world import World

HERE: Final = Path(__file__).parent
MAX_FORM: Final = 4000  # characters of one field
MAX_FIELDS: Final = 40
MAX_BODY: Final = 200_000
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".js": "text/javascript",
}


@cache
def _pages() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["yuan"] = lambda text: f"{float(text):,.2f}"
    made.filters["day"] = lambda moment: f"{moment.month}月{moment.day}日"
    made.filters["minute"] = lambda moment: f"{moment.month}月{moment.day}日 {moment:%H:%M}"
    made.filters["place"] = hide_place
    return made


def hide_place(address: str) -> str:
    """Street kept, house hidden."""
    shown = next((n for n, char in enumerate(address) if char.isdigit()), len(address))
    return address[:shown] + "***" if shown < len(address) else address


async def static_file(request: Request) -> Response:
    """One of the sites' own files; flat folder, so no path can leave it."""
    path = HERE / "static" / request.path_params["name"]
    if path.suffix not in KINDS or not path.is_file():
        return Response("not found", 404)
    headers = {"cache-control": "max-age=300"}
    return Response(path.read_bytes(), 200, headers, media_type=KINDS[path.suffix])


STATIC: Final = Route("/static/{name}", static_file)


@dataclass(slots=True)
class Site:
    """One department's site."""

    world: World
    system: str
    functions: Mapping[str, str] = field(default_factory=dict)  # function → page
    browser_nonce: bool = False

    @property
    def cookie(self) -> str:
        """The name of its own session cookie."""
        return f"{self.system}_session"

    def page(
        self, request: Request, name: str, *, status: int = 200, **values: object
    ) -> HTMLResponse:
        """One of its pages; the template's folder is the system's name."""
        known: object = values.pop("who", None) or self.who(request)
        shown = (
            _pages()
            .get_template(f"{self.system}/{name}.html")
            .render(
                who=known,
                gateway=self.world.gateway,
                addresses=self.world.addresses,
                path=request.url.path,
                now=self.world.clock.matters(),
                **values,
            )
        )
        headers = {"cache-control": "no-store", "referrer-policy": "same-origin"}
        return HTMLResponse(shown, status, headers)

    def who(self, request: Request) -> Known | None:
        """Whose session this browser holds here."""
        token = request.cookies.get(self.cookie, "")
        return self.world.records.known(self.system, token) if token else None

    def once(self, who: Known) -> str:
        """A value for one form: only this session can send it, and it counts once."""
        number = secrets.token_urlsafe(12)
        return f"{number}.{_proof(who, number)}"

    async def form(self, request: Request, who: Known) -> dict[str, str] | None:
        """The fields of a form that this session was given; None if it is somebody else's."""
        fields = await fields_of(request)
        number, _, proof = fields.get("once", "").partition(".")
        return fields if hmac.compare_digest(proof, _proof(who, number)) else None

    def stranger(self, request: Request) -> Response:
        """Said to somebody without a session who opened a personal page."""
        return self.page(request, "stranger", status=401)

    def refused(self, request: Request, status: int, title: str, text: str) -> Response:
        """Something did not work, in words."""
        return self.page(request, "said", status=status, title=title, text=text, good=False)

    async def landing(self, request: Request) -> Response:
        """`GET /citygate/ticket?ticket=…`: redeem, begin a session, go to a clean address."""
        ticket = request.query_params.get("ticket", "")
        told = await redeem(self.world, self.system, ticket) if 16 <= len(ticket) <= 512 else None
        if told is None:
            return self.refused(
                request,
                401,
                "票据已失效",
                "登录票据只能用一次，60 秒内有效。请返回城市服务重新进入。",
            )
        if self.browser_nonce and not _same_browser(request, told.nonce):
            # Login CSRF: somebody else's ticket was put into this browser.
            return self.refused(
                request,
                403,
                "不是您本人打开的",
                "这次进入不是从您的浏览器发起的，已经拒绝。请返回城市服务重新进入。",
            )
        if not told.name or not told.id_number:
            return self.refused(
                request,
                403,
                "缺少必要信息",
                "没有得到您的姓名和证件号码，无法找到您的记录。请返回城市服务同意后再来。",
            )
        person = self.world.whois(told.id_number, told.name)
        old = request.cookies.get(self.cookie, "")
        if old:
            self.world.records.end(old)
        # Somebody without a record here still has matters of her own, never another's.
        key = person.id if person else f"?{told.subject}"
        token = self.world.records.begin(self.system, key, told.name, told.subject, told.level)
        answer = RedirectResponse(self.functions.get(told.function, "/"), 303)
        answer.headers["referrer-policy"] = "no-referrer"
        answer.headers["cache-control"] = "no-store"
        answer.set_cookie(self.cookie, token, httponly=True, samesite="lax", path="/")
        if self.browser_nonce:
            answer.delete_cookie("hz_nonce", path="/")
        return answer

    async def leave(self, request: Request) -> Response:
        """`POST /leave`: end the session here."""
        who = self.who(request)
        if who is not None and await self.form(request, who) is not None:
            self.world.records.end(who.token)
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self.cookie, path="/")
        return answer

    def routes(self) -> list[Route]:
        """What every department's site has."""
        return [
            STATIC,
            Route("/citygate/ticket", self.landing),
            Route("/leave", self.leave, methods=["POST"]),
        ]


def nonce_of(cookie: str) -> str:
    """What of the browser's cookie travels: its digest, so that an address gives nothing away."""
    return urlsafe_b64encode(sha256(cookie.encode()).digest()).decode().rstrip("=")


async def fields_of(request: Request) -> dict[str, str]:
    """Text fields of a form, trimmed and bounded."""
    return {name: value.strip() for name, value in await pairs_of(request)}


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a form in their order, bounded; nothing of what is no plain form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind != "application/x-www-form-urlencoded" or len(body) > MAX_BODY:
        return []
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        return []
    return [(name, value[:MAX_FORM]) for name, value in pairs]


def _proof(who: Known, number: str) -> str:
    return hmac.new(who.token.encode(), number.encode(), "sha256").hexdigest()[:32]


def _same_browser(request: Request, nonce: str) -> bool:
    cookie = request.cookies.get("hz_nonce", "")
    return bool(cookie) and hmac.compare_digest(nonce_of(cookie), nonce)


def json_object(raw: bytes) -> dict[str, Any] | None:
    """A JSON object, or None."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
