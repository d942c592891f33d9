"""2 Legal services: JSON behind client credentials with private_key_jwt; legal-aid pages."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import rfc3339
from gateway.simulated.records import Matter
from gateway.simulated.replay import Seen
from gateway.simulated.site import Site, fields_of, json_object
from gateway.simulated.tickets import ASSERTION_TYPE
from gateway.simulated.world import World

PREFIXES: Final = ("/oauth", "/api")
PAGE: Final = 5
TOKEN_SECONDS: Final = 300
KINDS: Final = {
    "legal_aid": "法律援助",
    "appointment": "咨询预约",
    "mediation": "人民调解",
    "notary": "公证",
}
STATUSES: Final = {
    "received": "已受理",
    "reviewing": "审查中",
    "supplement": "待补正",
    "assigned": "已指派律师",
    "mediating": "调解中",
    "booked": "已预约",
    "closed": "已办结",
    "refused": "不予援助",
}
TOPICS: Final = ("劳动争议", "婚姻家庭", "房产纠纷", "合同债务", "其他")
SLOTS: Final = ("09:30", "10:30", "14:30", "16:00")


def busy() -> Response:
    """How it says that something is wrong: with 200."""
    return JSONResponse({"error": "server_error", "message": "数据库连接超时，请稍后再试"})


def _instant(moment: datetime) -> str:
    return rfc3339(moment)


class Legal:
    """The legal services centre's API and site."""

    def __init__(self, world: World) -> None:
        """Keep the world, tokens given out, assertions seen."""
        self.world = world
        self.seen = Seen()
        self.tokens: dict[str, float] = {}
        self.site = Site(
            world, "legal", {"aid": "/aid", "cases": "/", "appointment": "/appointment"}
        )

    def app(self) -> Starlette:
        """API and pages."""
        return Starlette(
            routes=[
                Route("/oauth/token", self.token, methods=["POST"]),
                Route("/api/health", self.health),
                Route("/api/cases/query", self.query, methods=["POST"]),
                Route("/", self.home),
                Route("/aid", self.aid, methods=["GET", "POST"]),
                Route("/appointment", self.appointment, methods=["GET", "POST"]),
                Route("/cases/{id}", self.case),
                Route("/cases/{id}/supplement", self.supplement, methods=["POST"]),
                *self.site.routes(),
            ]
        )

    # The API

    async def token(self, request: Request) -> Response:
        """Client credentials, proven with private_key_jwt."""
        form = await fields_of(request)
        if form.get("grant_type") != "client_credentials":
            return _no(400, "unsupported_grant_type", "client_credentials only")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return _no(401, "invalid_client", "client_assertion_type")
        if wrong := self._prove(form.get("client_assertion", "")):
            return _no(401, "invalid_client", wrong)
        made = secrets.token_urlsafe(32)
        now = self.world.clock.seconds()
        self.tokens = {one: until for one, until in self.tokens.items() if until > now}
        self.tokens[made] = now + TOKEN_SECONDS
        answer = JSONResponse(
            {"access_token": made, "token_type": "Bearer", "expires_in": 300, "scope": "cases"}
        )
        answer.headers["cache-control"] = "no-store"
        return answer

    def _prove(self, assertion: str) -> str:
        """What is wrong with an assertion; "" if nothing."""
        # The centre was given the public half only; here both lie in one folder.
        whole = ECKey.import_key(orjson.loads(self.world.secret("legal", "client_key")))
        public = ECKey.import_key(whole.as_dict(private=False))
        try:
            claims = jwt.decode(assertion, public, algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            return "assertion: signature"
        now = self.world.clock.seconds()
        audience = claims.get("aud")
        mine = f"{self.world.addresses['legal']}/oauth/token"
        expires, jti = claims.get("exp"), claims.get("jti")
        if claims.get("iss") != "citygate" or claims.get("sub") != "citygate":
            return "assertion: iss and sub must be citygate"
        if audience not in (mine, [mine]):
            return f"assertion: aud must be {mine}"
        if not isinstance(expires, int | float) or not now < expires <= now + 330:
            return "assertion: exp"
        if not isinstance(jti, str) or not jti or not self.seen.first(jti, now, 400):
            return "assertion: jti missing or used before"
        return ""

    def _bearer(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self.tokens.get(token.strip(), 0.0)
        return scheme.lower() == "bearer" and until > self.world.clock.seconds()

    async def health(self, request: Request) -> Response:
        """For probes."""
        return JSONResponse({"ok": True}) if self._bearer(request) else _stranger()

    async def query(self, request: Request) -> Response:
        """`POST /api/cases/query`."""
        if not self._bearer(request):
            return _stranger()
        asked = json_object(await request.body()) or {}
        name, number = asked.get("name"), asked.get("id_number")
        if not isinstance(name, str) or not isinstance(number, str) or not name or not number:
            return _no(422, "invalid_request", "name, id_number")
        person = self.world.whois(number, name)
        cases = self.cases(person.id) if person else []
        cursor = asked.get("cursor")
        start = (
            int(cursor) if isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() else 0
        )
        shown = cases[start : start + PAGE]
        rest = str(start + PAGE) if start + PAGE < len(cases) else None
        now = _instant(self.world.clock.matters())
        return JSONResponse({"total": len(cases), "next": rest, "as_of": now, "cases": shown})

    # The cases

    def cases(self, person: str) -> list[dict[str, Any]]:
        """All cases of a person: what was there and what was handed in here."""
        now = self.world.clock.matters()
        old = self.world.get("legal", person, "cases") or []
        made = [_made(one, now) for one in self.world.records.matters("legal", person)]
        return made + [_old(one, n, now) for n, one in enumerate(old)]

    # The pages

    async def home(self, request: Request) -> Response:
        """My cases."""
        who = self.site.who(request)
        if who is None:
            return self.site.page(request, "stranger")
        return self.site.page(
            request,
            "home",
            cases=self.cases(who.person) if who.person else [],
            kinds=KINDS,
            statuses=STATUSES,
            once=self.site.once(who),
        )

    async def aid(self, request: Request) -> Response:
        """Apply for legal aid."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        fields, wrong = {"title": "", "facts": ""}, {}
        if request.method == "POST":
            sent = await self.site.form(request, who)
            if sent is None:
                return self.site.refused(request, 403, "页面已过期", "请回到申请页面重新填写。")
            fields |= sent
            if not fields["title"]:
                wrong["title"] = "请写一句话说明是什么纠纷"
            if len(fields["facts"]) < 4:
                wrong["facts"] = "请写明事情的经过"
            if not wrong:
                now = self.world.clock.matters()
                body = {"title": fields["title"][:40], "facts": fields["facts"]}
                made = self.world.records.hand_in(
                    "legal", who.person, "fy", now, body, fields["once"]
                )
                return RedirectResponse(f"/cases/{made.id}?new=1", 303)
        return self.site.page(
            request,
            "aid",
            status=422 if wrong else 200,
            fields=fields,
            wrong=wrong,
            once=self.site.once(who),
        )

    async def appointment(self, request: Request) -> Response:
        """Book a consultation."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        slots = self.slots()
        wrong: dict[str, str] = {}
        fields = {"topic": TOPICS[0], "slot": ""}
        if request.method == "POST":
            sent = await self.site.form(request, who)
            if sent is None:
                return self.site.refused(request, 403, "页面已过期", "请回到预约页面重新选择。")
            fields |= sent
            if fields["slot"] not in slots:
                wrong["slot"] = "请选择一个时间"
            elif fields["topic"] not in TOPICS:
                wrong["topic"] = "请选择咨询内容"
            else:
                now = self.world.clock.matters()
                body = {
                    "title": f"{fields['topic']}咨询",
                    "slot": slots[fields["slot"]].isoformat(),
                }
                made = self.world.records.hand_in(
                    "legal", who.person, "yy", now, body, fields["once"]
                )
                return RedirectResponse(f"/cases/{made.id}?new=1", 303)
        return self.site.page(
            request,
            "appointment",
            status=422 if wrong else 200,
            slots=slots,
            topics=TOPICS,
            fields=fields,
            wrong=wrong,
            once=self.site.once(who),
        )

    def slots(self) -> dict[str, datetime]:
        """Free times of the next three working days."""
        day = self.world.clock.matters()
        found: dict[str, datetime] = {}
        while len(found) < 3 * len(SLOTS):
            day += timedelta(days=1)
            if day.weekday() < 5:
                for text in SLOTS:
                    hour, minute = map(int, text.split(":"))
                    at = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
                    found[f"{at:%Y%m%d-%H%M}"] = at
        return found

    async def case(self, request: Request) -> Response:
        """One case."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        case = self._mine(who.person, request.path_params["id"])
        if case is None:
            return self.site.refused(request, 404, "没有这件事项", "请从我的事项中打开。")
        return self.site.page(
            request,
            "case",
            case=case,
            kinds=KINDS,
            statuses=STATUSES,
            new="new" in request.query_params,
            wrong={},
            once=self.site.once(who),
        )

    def _mine(self, person: str, number: str) -> dict[str, Any] | None:
        return next((one for one in self.cases(person) if one["id"] == number), None)

    async def supplement(self, request: Request) -> Response:
        """What was asked for in addition."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        sent = await self.site.form(request, who)
        case = self._mine(who.person, request.path_params["id"])
        if sent is None or case is None:
            return self.site.refused(request, 403, "页面已过期", "请从我的事项中重新打开。")
        if case["status"] == "supplement" and sent.get("text"):
            self._supplied(who.person, case["id"], sent["text"])
        return RedirectResponse(f"/cases/{case['id']}", 303)

    def _supplied(self, person: str, number: str, text: str) -> None:
        for one in self.world.records.matters("legal", person, "fy"):
            if one.id == number:
                at = self.world.clock.matters().isoformat()
                self.world.records.change(number, {**one.body, "supplied": text, "supplied_at": at})
                return
        cases = self.world.get("legal", person, "cases") or []
        for n, case in enumerate(cases):
            if _old_id(n, case, self.world.clock.matters()) == number:
                case["status"] = "reviewing"
        self.world.records.set_fact("legal", person, "cases", cases)


def _shape(number: str, kind: str, title: str, status: str, handler: str) -> dict[str, Any]:
    return {
        "id": number,
        "kind": kind,
        "title": title,
        "status": status,
        "updated_at": "",
        "supplement": None,
        "appointment": None,
        "handler": handler,
    }


def _made(one: Matter, now: datetime) -> dict[str, Any]:
    if one.kind == "yy":
        at = datetime.fromisoformat(one.body["slot"])
        case = _shape(
            one.id,
            "appointment",
            one.body["title"],
            "booked" if at > now else "closed",
            "公共法律服务中心",
        )
        case["appointment"] = {
            "at": _instant(at),
            "place": "公共法律服务中心 3 号窗口",
            "lawyer": "周律师",
        }
        case["updated_at"] = _instant(one.at)
        return case
    case = _shape(one.id, "legal_aid", one.body["title"], "supplement", "城东法律援助站")
    case["updated_at"] = _instant(one.at)
    if "supplied_at" in one.body:
        supplied = datetime.fromisoformat(one.body["supplied_at"])
        assigned = now - supplied >= timedelta(days=3)
        case["status"] = "assigned" if assigned else "reviewing"
        case["updated_at"] = _instant(supplied)
    else:
        due = (one.at + timedelta(days=10)).date().isoformat()
        case["supplement"] = {"what": "劳动合同或工资流水复印件", "due": due}
    return case


def _old_id(n: int, one: Mapping[str, Any], now: datetime) -> str:
    start = now - timedelta(days=int(one.get("since", 1)))
    head = {"legal_aid": "FY", "appointment": "YY", "mediation": "TJ"}.get(str(one["kind"]), "GZ")
    return str(one.get("id") or f"{head}{start:%Y}0000{n + 1:04d}")


def _old(one: Mapping[str, Any], n: int, now: datetime) -> dict[str, Any]:
    start = now - timedelta(days=int(one.get("since", 1)))
    case = _shape(
        _old_id(n, one, now),
        str(one["kind"]),
        str(one["title"]),
        str(one["status"]),
        str(one.get("handler", "")),
    )
    case["updated_at"] = _instant(start.replace(hour=16, minute=20, second=0, microsecond=0))
    ahead = now + timedelta(days=int(one.get("in_days", 5)))
    if case["status"] == "supplement":
        case["supplement"] = {
            "what": one.get("what", "身份证复印件"),
            "due": ahead.date().isoformat(),
        }
    if case["status"] == "booked":
        at = ahead.replace(hour=14, minute=30, second=0, microsecond=0)
        case["appointment"] = {
            "at": _instant(at),
            "place": "公共法律服务中心 3 号窗口",
            "lawyer": one.get("lawyer", "值班律师"),
        }
    return case


def _no(status: int, error: str, why: str) -> Response:
    return JSONResponse({"error": error, "error_description": why}, status)


def _stranger() -> Response:
    answer = JSONResponse({"error": "invalid_token"}, 401)
    answer.headers["www-authenticate"] = 'Bearer error="invalid_token"'
    return answer
