"""3 Real-estate registration lookup: SOAP 1.1 in GB18030; certificate pages."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any, Final
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated import soap
from gateway.simulated.cityclock import stamp
from gateway.simulated.records import Matter
from gateway.simulated.replay import Seen
from gateway.simulated.site import Site
from gateway.simulated.world import World

PREFIXES: Final = ("/services",)
CERTIFICATE: Final = "不动产登记信息查询证明"
PURPOSES: Final = ("子女入学", "落户", "贷款", "公积金提取", "其他")
CHECKING, ISSUED = timedelta(hours=1), timedelta(hours=4)
STAGES: Final = {"10": "已受理", "20": "核验中", "90": "已出证"}
RIGHTS: Final = {
    "4": "国有建设用地使用权/房屋所有权",
    "6": "集体建设用地使用权/房屋所有权",
    "8": "宅基地使用权",
}
CREATED_SECONDS: Final = 300


def busy() -> Response:
    """How it says that it is closed: with 200."""
    inner = "<result><head><code>99</code><msg>系统维护中，请稍后再试</msg><cxsj></cxsj></head><body/></result>"
    return Response(
        soap.envelope(inner), 200, media_type=None, headers={"content-type": soap.CONTENT_TYPE}
    )


def stage_of(matter: Matter, now: datetime) -> str:
    """Where an application stands: checked after an hour, issued after four."""
    age = now - matter.at
    return "10" if age < CHECKING else "20" if age < ISSUED else "90"


class Estate:
    """The registration centre's SOAP service and site."""

    def __init__(self, world: World) -> None:
        """Keep the world and the nonces that were seen."""
        self.world = world
        self.seen = Seen()
        self.site = Site(world, "property", {"list": "/", "certificate": "/certificate"})

    def app(self) -> Starlette:
        """Service and pages."""
        return Starlette(
            routes=[
                Route("/services/QueryService", self.service, methods=["GET", "POST"]),
                Route("/", self.home),
                Route("/certificate", self.certificate, methods=["GET", "POST"]),
                Route("/certificates/{id}", self.issued),
                *self.site.routes(),
            ]
        )

    # The service

    async def service(self, request: Request) -> Response:
        """`queryByOwner`, slowly."""
        if request.method == "GET":
            return _xml(soap.WSDL, 200, "text/xml;charset=UTF-8")
        await asyncio.sleep(0.05 if self.world.fast else random.uniform(1.0, 3.0))
        body = await request.body()
        if len(body) > 65536:
            return _xml(soap.fault("Client", "请求报文错误: too long"), 500)
        try:
            asked = soap.read(body, request.headers.get("content-type", ""))
        except soap.Unreadable as error:
            return _xml(soap.fault("Client", f"请求报文错误: {error}"), 500)
        if wrong := self._unproven(asked.token):
            return _xml(soap.fault("Client", f"未授权: {wrong}"), 500)
        return _xml(soap.envelope(self.result(asked.name, asked.number)), 200)

    def _unproven(self, token: soap.Token | None) -> str:
        """What is wrong with the credentials; "" if nothing."""
        if token is None or token.user != "citygate":
            return "UsernameToken"
        if not token.proves(self.world.secret("property", "password")):
            return "PasswordDigest"
        made, now = token.at(), self.world.clock.protocol()
        if made is None or abs((now - made).total_seconds()) > CREATED_SECONDS:
            return "Created"
        if not self.seen.first(token.nonce, now.timestamp(), 2 * CREATED_SECONDS):
            return "Nonce"
        return ""

    def result(self, name: str, number: str) -> str:
        """The inner document."""
        now = self.world.clock.matters()
        person = self.world.whois(number, name)
        if self.world.get("property", "*", "maintenance") or (
            person and self.world.get("property", person.id, "maintenance")
        ):
            head = "<head><code>99</code><msg>每日结账，暂停查询</msg><cxsj></cxsj></head>"
            return f"<result>{head}<body/></result>"
        rows = self.rows(person.id) if person else []
        code, msg = ("1", "查询成功") if rows else ("0", "未查询到登记信息")
        body = "".join(
            f"<row><BDCQZH>{escape(row['title'])}</BDCQZH><ZL>{escape(row['place'])}</ZL>"
            f"<JZMJ>{escape(str(row['area']))}</JZMJ><QLLX>{escape(str(row['right']))}</QLLX>"
            f"<SFCF>{int(bool(row['sealed']))}</SFCF></row>"
            for row in rows
        )
        head = f"<head><code>{code}</code><msg>{msg}</msg><cxsj>{stamp(now)}</cxsj></head>"
        applied = self._applied(person.id, now) if person else ""
        return f"<result>{head}<body>{body}</body>{applied}</result>"

    def rows(self, person: str) -> list[dict[str, Any]]:
        """What is registered to a person."""
        found: list[dict[str, Any]] = self.world.get("property", person, "rows") or []
        return found

    def _applied(self, person: str, now: datetime) -> str:
        latest = next(iter(self.world.records.matters("property", person, "cx")), None)
        if latest is None:
            return ""
        stage = stage_of(latest, now)
        done = stamp(latest.at + ISSUED) if stage == "90" else ""
        return (
            f"<sq><slh>{latest.id}</slh><lx>{CERTIFICATE}</lx><zt>{stage}</zt>"
            f"<slsj>{stamp(latest.at)}</slsj><bjsj>{done}</bjsj></sq>"
        )

    # The pages

    async def home(self, request: Request) -> Response:
        """My registered property and my certificates."""
        who = self.site.who(request)
        if who is None:
            return self.site.page(request, "stranger")
        return self.site.page(
            request,
            "home",
            rows=self.rows(who.person) if who.person else [],
            rights=RIGHTS,
            matters=self._matters(who.person),
            stages=STAGES,
            new="new" in request.query_params,
            once=self.site.once(who),
        )

    def _matters(self, person: str) -> list[dict[str, Any]]:
        now = self.world.clock.matters()
        found = self.world.records.matters("property", person, "cx")
        return [
            {"matter": one, "stage": stage_of(one, now), "ready": one.at + ISSUED} for one in found
        ]

    async def certificate(self, request: Request) -> Response:
        """Apply for a certificate of what is registered."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        wrong: dict[str, str] = {}
        fields = {"purpose": PURPOSES[0]}
        if request.method == "POST":
            sent = await self.site.form(request, who)
            if sent is None:
                return self.site.refused(request, 403, "页面已过期", "请回到申请页面重新提交。")
            fields |= sent
            if fields["purpose"] not in PURPOSES:
                wrong["purpose"] = "请选择用途"
            else:
                body = {"purpose": fields["purpose"], "count": len(self.rows(who.person))}
                self.world.records.hand_in(
                    "property", who.person, "cx", self.world.clock.matters(), body, fields["once"]
                )
                return RedirectResponse("/?new=1", 303)
        return self.site.page(
            request,
            "certificate",
            status=422 if wrong else 200,
            purposes=PURPOSES,
            fields=fields,
            wrong=wrong,
            once=self.site.once(who),
        )

    async def issued(self, request: Request) -> Response:
        """A certificate that is done."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        found = next(
            (
                one
                for one in self._matters(who.person)
                if one["matter"].id == request.path_params["id"] and one["stage"] == "90"
            ),
            None,
        )
        if found is None:
            return self.site.refused(request, 404, "证明还没有出具", "请稍后再来查看。")
        return self.site.page(
            request, "issued", one=found, rows=self.rows(who.person), rights=RIGHTS
        )


def _xml(body: bytes, status: int, kind: str = soap.CONTENT_TYPE) -> Response:
    return Response(body, status, headers={"content-type": kind})
