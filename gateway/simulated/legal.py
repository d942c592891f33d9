"""2 Legal services: JSON behind client credentials with private_key_jwt."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import rfc3339
from gateway.simulated.records import Matter
from gateway.simulated.replay import Seen
from gateway.simulated.site import fields_of, json_object
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


def busy() -> Response:
    """How it says that something is wrong: with 200."""
    return JSONResponse({"error": "server_error", "message": "数据库连接超时，请稍后再试"})


def _instant(moment: datetime) -> str:
    return rfc3339(moment)


class Cases:
    """The legal services centre's cases and its API."""

    def __init__(self, world: World) -> None:
        """Keep the world, tokens given out, assertions seen."""
        self.world = world
        self.seen = Seen()
        self.tokens: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """The API's addresses."""
        return [
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/api/health", self.health),
            Route("/api/cases/query", self.query, methods=["POST"]),
        ]

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

    def cases(self, person: str) -> list[dict[str, Any]]:
        """All cases of a person: what was there and what was handed in here."""
        now = self.world.clock.matters()
        old = self.world.get("legal", person, "cases") or []
        made = [_made(one, now) for one in self.world.records.matters("legal", person)]
        return made + [_old(one, n, now) for n, one in enumerate(old)]

    def supplied(self, person: str, number: str, text: str) -> None:
        """Note that somebody handed in what was missing."""
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
