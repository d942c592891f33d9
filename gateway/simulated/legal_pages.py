"""The legal services centre's own site: my cases, legal aid, appointments."""

from datetime import datetime, timedelta
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.legal import KINDS, STATUSES, Cases
from gateway.simulated.site import Site
from gateway.simulated.world import World

TOPICS: Final = ("劳动争议", "婚姻家庭", "房产纠纷", "合同债务", "其他")
SLOTS: Final = ("09:30", "10:30", "14:30", "16:00")


class Legal:
    """The legal services centre: API and site."""

    def __init__(self, world: World) -> None:
        """Keep the cases."""
        self.world = world
        self.office = Cases(world)
        self.site = Site(
            world, "legal", {"aid": "/aid", "cases": "/", "appointment": "/appointment"}
        )

    def app(self) -> Starlette:
        """API and pages."""
        return Starlette(
            routes=[
                *self.office.routes(),
                Route("/", self.home),
                Route("/aid", self.aid, methods=["GET", "POST"]),
                Route("/appointment", self.appointment, methods=["GET", "POST"]),
                Route("/cases/{id}", self.case),
                Route("/cases/{id}/supplement", self.supplement, methods=["POST"]),
                *self.site.routes(),
            ]
        )

    async def home(self, request: Request) -> Response:
        """My cases."""
        who = self.site.who(request)
        if who is None:
            return self.site.page(request, "stranger")
        return self.site.page(
            request,
            "home",
            cases=self.office.cases(who.person) if who.person else [],
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
        return next((one for one in self.office.cases(person) if one["id"] == number), None)

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
            self.office.supplied(who.person, case["id"], sent["text"])
        return RedirectResponse(f"/cases/{case['id']}", 303)
