"""8 Water company: a nightly CSV drop in GB18030 and a small public site."""

import csv
import io
from datetime import date, timedelta
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import last_night
from gateway.simulated.people import BY_ID, WATER_ACCOUNTS
from gateway.simulated.site import STATIC, Site, fields_of
from gateway.simulated.world import World

COLUMNS: Final = (
    "身份证号",
    "户号",
    "户名",
    "用水地址",
    "账期",
    "用水量",
    "应缴金额",
    "截止日期",
    "状态",
)


class Water:
    """Bills, drops and pages."""

    def __init__(self, world: World) -> None:
        """Keep the folder of drops."""
        self.world = world
        self.folder = world.folder / "drops" / "water"
        self.site = Site(world, "water")

    def app(self) -> Starlette:
        """The public site."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/pay", self.pay, methods=["POST"]),
                STATIC,
            ]
        )

    # Drops

    def nightly(self) -> None:
        """Write last night's drop if it is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        night = last_night(self.world.clock.matters())
        if not any(self.folder.glob(f"bills-{night:%Y%m%d}-*.csv")):
            self.drop(night.date())

    def drop(self, day: date | None = None) -> str:
        """Write a drop, then its marker; the file's name. A fault may spoil it."""
        day = day or self.world.clock.matters().date()
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + len(list(self.folder.glob(f"bills-{day:%Y%m%d}-*.csv")))
        path = self.folder / f"bills-{day:%Y%m%d}-{number:02d}.csv"
        fault = self.world.faults.get("water")
        kind = "" if fault is None or fault.over else fault.kind
        if kind == "silent":
            return ""
        text = self.text()
        raw = text.encode("utf-8" if kind == "wrong-charset" else "gb18030")
        fresh = path.with_suffix(".part")
        fresh.write_bytes(raw[: len(raw) * 2 // 3] if kind == "truncated" else raw)
        fresh.replace(path)
        path.with_name(path.name + ".done").touch()
        return path.name

    def text(self) -> str:
        """The CSV."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for person in WATER_ACCOUNTS:
            one, bill = BY_ID[person], self.bill(person)
            writer.writerow(
                (
                    one.id_number,
                    bill["household"],
                    one.name,
                    one.address,
                    bill["period"],
                    bill["usage"],
                    bill["amount"],
                    bill["due"].isoformat(),
                    bill["state"],
                )
            )
        return out.getvalue()

    def bill(self, person: str) -> dict[str, Any]:
        """The household's latest bill."""
        get, today = self.world.get, self.world.clock.matters().date()
        due = today.replace(day=1) + timedelta(days=int(get("water", person, "days", 44)))
        paid = bool(get("water", person, "paid", False))
        last = today.replace(day=1) - timedelta(days=1)
        return {
            "household": get("water", person, "household", WATER_ACCOUNTS[person]),
            "period": f"{last:%Y%m}",
            "usage": get("water", person, "usage", 0),
            "amount": "0.00" if paid else str(get("water", person, "amount", "0.00")),
            "due": due,
            "state": "已缴" if paid else "欠费" if due < today else "未缴",
        }

    # Pages

    async def home(self, request: Request) -> Response:
        """Tariffs, stoppages, paying by household number."""
        return self._page(request)

    def _page(self, request: Request, *, wrong: str = "", paid: str = "") -> Response:
        return self.site.page(
            request,
            "home",
            status=422 if wrong else 200,
            wrong=wrong,
            paid=request.query_params.get("paid", paid)[:12],
        )

    async def pay(self, request: Request) -> Response:
        """Pay a household's bill; the next drop shows it."""
        number = (await fields_of(request)).get("household", "")
        person = next((one for one, known in WATER_ACCOUNTS.items() if known == number), None)
        if person is None:
            return self._page(request, wrong="没有这个户号，请看水费单左上角的 8 位数字。")
        if self.bill(person)["state"] == "已缴":
            return RedirectResponse("/?paid=none", 303)
        self.world.records.set_fact("water", person, "paid", value=True)
        return RedirectResponse("/?paid=done", 303)
