"""6 Household registration: a site of its own, nothing to read; ticket with browser nonce."""

import re
import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.site import Site, nonce_of
from gateway.simulated.world import World

STATIONS: Final = ("望江派出所", "城东派出所", "䶮湖派出所", "青溪县石桥派出所")
KINDS: Final = {"hk": "户口迁移", "jz": "居住证签注"}


class Huzheng:
    """The household registration site."""

    def __init__(self, world: World) -> None:
        """Keep the world."""
        self.world = world
        self.site = Site(
            world, "huzheng", {"move": "/move", "permit": "/permit"}, browser_nonce=True
        )

    def app(self) -> Starlette:
        """The pages."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/citygate/start", self.start),
                Route("/move", self.move, methods=["GET", "POST"]),
                Route("/permit", self.permit, methods=["GET", "POST"]),
                *self.site.routes(),
            ]
        )

    async def start(self, request: Request) -> Response:
        """Step 0 of the launch: put a nonce into this browser, send its digest on."""
        go = request.query_params.get("go", "")
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,64}", go):
            return self.site.refused(request, 400, "地址不完整", "请返回城市服务重新进入。")
        cookie = secrets.token_urlsafe(32)
        to = f"{self.world.gateway}/go/{go}?nonce={quote(nonce_of(cookie))}"
        answer = RedirectResponse(
            to, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        )
        answer.set_cookie("hz_nonce", cookie, max_age=300, httponly=True, samesite="lax", path="/")
        return answer

    async def home(self, request: Request) -> Response:
        """What was handed in."""
        who = self.site.who(request)
        if who is None:
            return self.site.page(request, "stranger")
        return self.site.page(
            request,
            "home",
            rows=self._rows(who.person),
            new="new" in request.query_params,
            once=self.site.once(who),
        )

    def _rows(self, person: str) -> list[dict[str, Any]]:
        now = self.world.clock.matters()
        return [
            {
                "matter": one,
                "kind": KINDS[one.kind],
                "stage": _stage(one.at, now),
                "due": one.at + timedelta(days=7),
            }
            for one in self.world.records.matters("huzheng", person)
        ]

    async def move(self, request: Request) -> Response:
        """Move one's registration."""
        return await self._hand_in(request, "hk", "move")

    async def permit(self, request: Request) -> Response:
        """Renew a residence permit."""
        return await self._hand_in(request, "jz", "permit")

    async def _hand_in(self, request: Request, kind: str, page: str) -> Response:
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        wrong: dict[str, str] = {}
        fields = {"place": "", "station": STATIONS[0]}
        if request.method == "POST":
            sent = await self.site.form(request, who)
            if sent is None:
                return self.site.refused(request, 403, "页面已过期", "请重新填写。")
            fields |= sent
            if len(fields["place"]) < 4:
                wrong["place"] = "请写明详细地址"
            elif fields["station"] not in STATIONS:
                wrong["station"] = "请选择派出所"
            else:
                body = {"place": fields["place"][:80], "station": fields["station"]}
                now = self.world.clock.matters()
                self.world.records.hand_in("huzheng", who.person, kind, now, body, fields["once"])
                return RedirectResponse("/?new=1", 303)
        return self.site.page(
            request,
            page,
            status=422 if wrong else 200,
            stations=STATIONS,
            fields=fields,
            wrong=wrong,
            once=self.site.once(who),
        )


def _stage(at: datetime, now: datetime) -> str:
    age = now - at
    if age < timedelta(days=1):
        return "已受理"
    return "审核中" if age < timedelta(days=7) else "可到派出所领取"
