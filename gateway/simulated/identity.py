"""The city identity platform: OpenID Connect endpoints and the sign-in page."""

import secrets
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.issuer import Issuer, Login
from gateway.simulated.oidc import CLIENT, Ask, Refusal, one_each, read_ask
from gateway.simulated.people import BY_ID, PEOPLE, Person
from gateway.simulated.site import STATIC, Site, fields_of, pairs_of
from gateway.simulated.world import World

PREFIXES: Final = ("/.well-known", "/jwks", "/token", "/userinfo")
COOKIE: Final = "anlan_id"
LEVELS: Final = (
    ("auto", "默认", "本人"),
    ("1", "1 级", "手机"),
    ("2", "2 级", "实名"),
    ("3", "3 级", "人脸"),
    ("4", "4 级", "证书"),
)


def busy() -> Response:
    """How it says that it is busy: with 200."""
    return JSONResponse({"error": "temporarily_unavailable"})


class Identity:
    """Endpoints and pages."""

    def __init__(self, world: World) -> None:
        """Keep the issuer."""
        self.world = world
        self.issuer = Issuer(world)
        self.site = Site(world, "identity")

    def app(self) -> Starlette:
        """All of it."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/jwks", self.jwks),
                Route("/authorize", self.authorize, methods=["GET", "POST"]),
                Route("/sign-in", self.sign_in, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/userinfo", self.userinfo, methods=["GET", "POST"]),
                Route("/logout", self.logout, methods=["GET", "POST"]),
                STATIC,
            ]
        )

    async def home(self, request: Request) -> Response:
        """What this platform is."""
        return self.site.page(request, "home", login=self._login(request))

    async def metadata(self, request: Request) -> Response:
        """Discovery."""
        del request
        return JSONResponse(self.issuer.metadata())

    async def jwks(self, request: Request) -> Response:
        """Public keys."""
        del request
        return JSONResponse(self.issuer.jwks())

    def _login(self, request: Request) -> Login | None:
        return self.issuer.logins.get(request.cookies.get(COOKIE, ""))

    async def authorize(self, request: Request) -> Response:
        """Check the request; go back at once, or ask who it is."""
        try:
            given = one_each(await _parameters(request))
            ask = read_ask(given, self.issuer.redirect_uris)
        except Refusal as refusal:
            return self._refused(request, refusal)
        login = self._login(request)
        old = login is None or (
            ask.max_age is not None and self.issuer.now() - login.at > ask.max_age
        )
        weak = login is not None and login.level < ask.level
        if (
            login is not None
            and not old
            and not weak
            and not ask.prompt & {"login", "select_account"}
        ):
            return self._back(ask, {"code": self.issuer.grant(ask, login)})
        if "none" in ask.prompt:
            return self._back(
                ask, {"error": "login_required", "error_description": "sign in first"}
            )
        return self._ask(
            request, ask, self.issuer.keep(ask), login.person.id if login else ask.hint
        )

    def _ask(
        self,
        request: Request,
        ask: Ask,
        name: str,
        chosen: str,
        *,
        wrong: str = "",
        level: str = "auto",
    ) -> Response:
        """The page on which a test person is picked or typed."""
        return self.site.page(
            request,
            "sign-in",
            status=422 if wrong else 200,
            ask=ask,
            request_name=name,
            chosen=chosen if chosen in BY_ID else "li-wei",
            typed="" if chosen in BY_ID else chosen,
            level=level,
            levels=LEVELS,
            citizens=[one for one in PEOPLE if one.role == "citizen"],
            officials=[one for one in PEOPLE if one.role != "citizen"],
            wrong=wrong,
        )

    async def sign_in(self, request: Request) -> Response:
        """The form of that page."""
        form = await fields_of(request)
        name = form.get("request", "")
        ask = self.issuer.asked(name)
        if ask is None:
            return self.site.page(
                request,
                "said",
                status=400,
                title="登录已超时",
                text="请返回原来的应用，重新点登录。",
            )
        if form.get("cancel"):
            del self.issuer.asks[name]
            return self._back(ask, {"error": "access_denied", "error_description": "cancelled"})
        typed = form.get("typed", "")
        person = _find(typed or form.get("person", ""))
        level = form.get("level", "auto")
        wrong = _why_not(person, level, ask)
        if wrong or person is None:
            return self._ask(
                request, ask, name, typed or form.get("person", ""), wrong=wrong, level=level
            )
        del self.issuer.asks[name]
        login = Login(person, _level(person, level), self.issuer.now())
        token = secrets.token_urlsafe(32)
        self.issuer.logins.pop(request.cookies.get(COOKIE, ""), None)
        self.issuer.logins[token] = login
        answer = self._back(ask, {"code": self.issuer.grant(ask, login)})
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", path="/")
        return answer

    def _back(self, ask: Ask, values: dict[str, str]) -> Response:
        return self._redirect(ask.redirect_uri, ask.state, values)

    def _redirect(self, to: str, state: str | None, values: dict[str, str]) -> Response:
        """Back to the client, always with `iss` (RFC 9207)."""
        values |= {"iss": self.issuer.address} | ({} if state is None else {"state": state})
        glue = "&" if "?" in to else "?"
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(f"{to}{glue}{urlencode(values)}", 303, headers)

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        if refusal.redirect_uri:
            values = {"error": refusal.error, "error_description": refusal.description}
            return self._redirect(refusal.redirect_uri, refusal.state, values)
        text = f"应用发来的请求不对：{refusal.description}。"
        return self.site.page(request, "said", status=400, title="无法登录", text=text)

    async def token(self, request: Request) -> Response:
        """Tokens for a code."""
        form = await fields_of(request)
        if not self.issuer.prove(form, request.headers.get("authorization", "")):
            return _no(401, "invalid_client")
        if form.get("grant_type") != "authorization_code":
            return _no(400, "unsupported_grant_type")
        told = self.issuer.redeem(form)
        return _json(told) if told is not None else _no(400, "invalid_grant")

    async def userinfo(self, request: Request) -> Response:
        """Who the bearer's person is."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        told = self.issuer.told(token.strip()) if scheme.lower() == "bearer" else None
        if told is None:
            answer = _no(401, "invalid_token")
            answer.headers["www-authenticate"] = 'Bearer error="invalid_token"'
            return answer
        return _json(told)

    async def logout(self, request: Request) -> Response:
        """RP-initiated logout: at once with a good id_token_hint, else after a question."""
        given = dict(await _parameters(request))
        login = self._login(request)
        hinted = self.issuer.hinted(given.get("id_token_hint", ""))
        mine = given.get("client_id", CLIENT) == CLIENT
        back = given.get("post_logout_redirect_uri", "")
        known = {f"{self.world.gateway}{path}" for path in ("", "/", "/signed-out")}
        agreed = given.get("agreed") == "yes" and request.method == "POST"
        if login is not None and not agreed and (hinted is None or hinted.id != login.person.id):
            return self.site.page(request, "logout", login=login, given=given)
        self.issuer.logins.pop(request.cookies.get(COOKIE, ""), None)
        answer: Response
        if back in known and mine and (hinted is not None or agreed):
            state = {"state": given["state"]} if "state" in given else {}
            answer = RedirectResponse(back + (f"?{urlencode(state)}" if state else ""), 303)
        else:
            answer = self.site.page(
                request, "said", title="已退出", text="您已从统一身份认证平台退出。", status=200
            )
        answer.delete_cookie(COOKIE, path="/")
        return answer


async def _parameters(request: Request) -> list[tuple[str, str]]:
    if request.method == "POST":
        return await pairs_of(request)
    query = request.scope["query_string"].decode("ascii", "replace")
    return parse_qsl(query, keep_blank_values=True, max_num_fields=60)


def _find(text: str) -> Person | None:
    """By id, name, identity number or telephone."""
    return next(
        (one for one in PEOPLE if text and text in (one.id, one.name, one.id_number, one.phone)),
        None,
    )


def _level(person: Person, chosen: str) -> int:
    return min(person.max_level, 3) if chosen == "auto" else int(chosen)


def _why_not(person: Person | None, level: str, ask: Ask) -> str:
    """Why this person cannot sign in like this; "" if she can."""
    if person is None:
        return "没有这个测试人员，请从下面选一位，或输入姓名、手机号。"
    if person.suspended:
        return f"{person.name}的账号已被冻结，请到政务服务大厅办理解冻。"
    if level not in {"auto", "1", "2", "3", "4"}:
        return "请选择实名方式。"
    if _level(person, level) > person.max_level:
        return f"{person.name}最高只能到第 {person.max_level} 级。"
    if _level(person, level) < ask.level and person.max_level >= ask.level:
        return f"这项服务要求第 {ask.level} 级，请选择更高的实名方式。"
    if _level(person, level) < ask.level:
        return f"这项服务要求第 {ask.level} 级，{person.name}还没有达到。"
    return ""


def _json(value: dict[str, Any]) -> Response:
    return JSONResponse(value, headers={"cache-control": "no-store", "pragma": "no-cache"})


def _no(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status, {"cache-control": "no-store"})
