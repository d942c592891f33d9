"""11 Jobs and training: public RSS and JSON feeds; pages on which one can book a seat."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import rfc3339
from gateway.simulated.site import STATIC, Site, fields_of
from gateway.simulated.world import World

PREFIXES: Final = ("/feed.xml", "/feed.json")


@dataclass(frozen=True, slots=True)
class Plan:
    """One event that comes again, so that there is always a next one."""

    id: str
    title: str
    kind: str  # 招聘会 | 培训
    text: str
    place: str
    seats: int
    day: int  # counted from a Monday, 1 = Monday
    hour: int
    hours: int
    every: int = 14  # days


# fmt: off
PLANS: Final = (
    Plan("e01", "冬季大型招聘会", "招聘会", "126 家单位，2,300 个岗位，含制造、物流、教育、医护。带身份证和简历即可入场。", "市人力资源市场一楼", 800, 6, 9, 7, every=7),
    Plan("e02", "养老护理员技能培训（第 18 期）", "培训", "10 天，免费，考核合格发证书，推荐上岗。", "安澜技师学院 3 号楼", 40, 2, 8, 8),
    Plan("e03", "高校毕业生专场招聘", "招聘会", "58 家单位，面向两年内毕业生，现场可做职业测评。", "安澜大学体育馆", 500, 5, 13, 4),
    Plan("e04", "短视频与直播带货培训", "培训", "5 天，面向返乡青年和个体经营者，免费。", "青溪县创业园", 60, 7, 9, 6),
    Plan("e05", "残疾人就业专场", "招聘会", "21 家单位，全程手语翻译，无障碍通道在东门。", "市残联服务中心", 120, 8, 9, 4),
    Plan("e06", "电工（初级）取证班", "培训", "15 天，理论和实操各半，培训费由失业保险基金补贴。", "安澜技师学院实训楼", 36, 9, 8, 8),
    Plan("e07", "䶮湖区夜市招聘", "招聘会", "下班后也能来：家门口的岗位，18 点到 21 点。", "䶮湖广场", 300, 10, 18, 3),
    Plan("e08", "数控机床操作培训", "培训", "20 天，港务集团订单班，结业即签约。", "安澜港务集团培训中心", 30, 11, 8, 8),
    Plan("e09", "4050 人员公益岗位招聘", "招聘会", "社区网格、图书馆、交通劝导等 180 个岗位。", "城东区就业服务大厅", 200, 12, 9, 5),
    Plan("e10", "小微企业开办辅导", "培训", "半天，从登记到报税，现场有专人答疑。", "市政务服务中心 5 楼", 50, 13, 14, 3),
)
# fmt: on


def busy() -> Response:
    """What such a site shows with 200 when it is being rebuilt."""
    return HTMLResponse("<html><head><title>系统升级</title></head><body>系统升级中</body></html>")


class Jobs:
    """The employment service's feeds and pages."""

    def __init__(self, world: World) -> None:
        """Keep the world."""
        self.world = world
        self.site = Site(world, "jobs")

    def app(self) -> Starlette:
        """Feeds and pages."""
        return Starlette(
            routes=[
                Route("/feed.xml", self.rss),
                Route("/feed.json", self.json),
                Route("/", self.home),
                Route("/events/{id}", self.event, methods=["GET", "POST"]),
                STATIC,
            ]
        )

    def events(self) -> list[dict[str, Any]]:
        """What comes next, soonest first."""
        now = self.world.clock.matters()
        found = [_next(plan, now) for plan in PLANS]
        for one in found:
            one["url"] = f"{self.world.addresses['jobs']}/events/{one['id']}"
            one["left"] = one["seats"] - len(self.world.records.matters("jobs", one["id"]))
        return sorted(found, key=lambda one: one["start"])

    async def rss(self, request: Request) -> Response:
        """RSS 2.0."""
        del request
        here = self.world.addresses["jobs"]
        items = "".join(
            f"<item><title>{escape(one['title'])}</title><link>{one['url']}</link>"
            f'<guid isPermaLink="false">{one["id"]}-{one["start"]:%Y%m%d}</guid>'
            f"<category>{one['kind']}</category>"
            f"<pubDate>{format_datetime(one['published'])}</pubDate>"
            f"<description>{escape(one['text'])}</description>"
            f"<ev:startdate>{rfc3339(one['start'])}</ev:startdate>"
            f"<ev:enddate>{rfc3339(one['end'])}</ev:enddate>"
            f"<ev:location>{escape(one['place'])}</ev:location></item>"
            for one in self.events()
        )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<rss version="2.0" xmlns:ev="http://purl.org/rss/1.0/modules/event/"><channel>'
            f"<title>安澜就业 · 招聘与培训</title><link>{here}/</link>"
            "<description>安澜市就业和人才服务中心发布的招聘会与培训</description>"
            f"<language>zh-cn</language>{items}</channel></rss>\n"
        )
        return Response(text, media_type="application/rss+xml")

    async def json(self, request: Request) -> Response:
        """JSON Feed 1.1."""
        del request
        here = self.world.addresses["jobs"]
        items = [
            {
                "id": f"{one['id']}-{one['start']:%Y%m%d}",
                "url": one["url"],
                "title": one["title"],
                "content_text": one["text"],
                "date_published": rfc3339(one["published"]),
                "tags": [one["kind"]],
                "_event": {
                    "start": rfc3339(one["start"]),
                    "end": rfc3339(one["end"]),
                    "place": one["place"],
                    "seats": one["left"],
                },
            }
            for one in self.events()
        ]
        return JSONResponse(
            {
                "version": "https://jsonfeed.org/version/1.1",
                "title": "安澜就业 · 招聘与培训",
                "home_page_url": f"{here}/",
                "feed_url": f"{here}/feed.json",
                "language": "zh-CN",
                "items": items,
            },
            media_type="application/feed+json",
        )

    async def home(self, request: Request) -> Response:
        """All events."""
        kind = request.query_params.get("kind", "")
        shown = [one for one in self.events() if kind in ("", one["kind"])]
        return self.site.page(request, "home", events=shown, kind=kind)

    async def event(self, request: Request) -> Response:
        """One event; booking needs a name and a telephone, no signing in."""
        found = next((one for one in self.events() if one["id"] == request.path_params["id"]), None)
        if found is None:
            return self.site.page(request, "home", status=404, events=self.events(), kind="")
        wrong: dict[str, str] = {}
        fields = {"name": "", "phone": ""}
        if request.method == "POST":
            fields |= await fields_of(request)
            if not fields["name"]:
                wrong["name"] = "请填写姓名"
            if not (
                fields["phone"].isascii()
                and fields["phone"].isdigit()
                and len(fields["phone"]) == 11
            ):
                wrong["phone"] = "请填写 11 位手机号"
            if not wrong:
                now = self.world.clock.matters()
                body = {"name": fields["name"][:30], "phone": fields["phone"]}
                once = fields.get("once") or secrets.token_urlsafe(12)
                made = self.world.records.hand_in("jobs", found["id"], "zx", now, body, once)
                return RedirectResponse(f"/events/{found['id']}?booked={made.id[-6:]}", 303)
        return self.site.page(
            request,
            "event",
            status=422 if wrong else 200,
            event=found,
            fields=fields,
            wrong=wrong,
            booked=request.query_params.get("booked", "")[:6],
            once=secrets.token_urlsafe(12),
        )


def _next(plan: Plan, now: datetime) -> dict[str, Any]:
    """The next time a plan takes place: counted from a fixed Monday."""
    monday = datetime(2026, 1, 5, tzinfo=now.tzinfo)
    start = monday + timedelta(days=plan.day - 1, hours=plan.hour)
    rounds = max(0, -(-(now - start) // timedelta(days=plan.every)))
    start += timedelta(days=plan.every * rounds)
    return {
        "id": plan.id,
        "title": plan.title,
        "kind": plan.kind,
        "text": plan.text,
        "place": plan.place,
        "seats": plan.seats,
        "start": start,
        "end": start + timedelta(hours=plan.hours),
        "published": (start - timedelta(days=12)).replace(hour=8, minute=0),
    }
