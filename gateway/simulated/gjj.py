"""1 Provident fund: JSON over REST, HMAC headers, HTTP 200 for business errors."""

import hmac
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import last_night, stamp
from gateway.simulated.people import BY_ID, BY_ID_NUMBER
from gateway.simulated.records import Matter
from gateway.simulated.replay import Seen
from gateway.simulated.site import json_object
from gateway.simulated.world import World

PREFIXES: Final = ("/open/v2",)
SKEW_MS: Final = 90_000
REASONS: Final = {
    "rent": ("租房提取", "租房", 18000),
    "purchase": ("购房提取", "购房", 500000),
    "loan": ("偿还贷款提取", "偿还住房贷款", 100000),
    "retire": ("退休提取", "退休", 1000000),
}
STAGES: Final = {"10": "审核中", "20": "待划款", "90": "已到账", "91": "不予提取"}
REVIEW, PAID = timedelta(hours=4), timedelta(hours=24)
LOANS: Final = {"01": "审批中", "02": "待放款", "05": "还款中", "06": "逾期", "09": "已结清"}


def said(code: str, msg: str, data: object = None, status: int = 200) -> JSONResponse:
    """The system's envelope."""
    answer = JSONResponse({"code": code, "msg": msg, "data": data}, status)
    answer.headers["content-type"] = "application/json;charset=UTF-8"
    answer.set_cookie("JSESSIONID", sha256(msg.encode()).hexdigest()[:32].upper(), httponly=True)
    return answer


def busy() -> Response:
    """How it says that it is busy: with 200."""
    return said("9001", "系统繁忙，请稍后再试")


def stage_of(matter: Matter, now: datetime) -> str:
    """Where a withdrawal stands: reviewed in 4 hours, paid within a day."""
    age = now - matter.at
    return "10" if age < REVIEW else "20" if age < PAID else "90"


def workdays_later(start: date, days: int) -> date:
    """That many days later, weekends not counted."""
    while days:
        start += timedelta(days=1)
        days -= start.weekday() < 5
    return start


class Fund:
    """The provident fund's accounts and its API."""

    def __init__(self, world: World) -> None:
        """Keep the world and the nonces that were seen."""
        self.world = world
        self.seen = Seen()

    def routes(self) -> list[Route]:
        """The API's addresses."""
        return [
            Route("/open/v2/ping", self.ping),
            Route("/open/v2/person/account", self.account, methods=["POST"]),
            Route("/open/v2/person/business/{grzh}", self.business),
        ]

    async def signed(self, request: Request) -> Response | None:
        """None if the request is signed as it must be, else what is wrong."""
        head = request.headers
        time, nonce = head.get("x-time", ""), head.get("x-nonce", "")
        if head.get("x-app-id") != "citygate":
            return said("0401", "验签失败: unknown X-App-Id", status=401)
        if not (time.isascii() and time.isdigit() and len(time) <= 16):
            return said("0401", "验签失败: X-Time is not unix milliseconds", status=401)
        if abs(int(time) - self.world.clock.seconds() * 1000) > SKEW_MS:
            return said("0401", "验签失败: X-Time is more than 90 s off", status=401)
        path, _, query = request.scope["raw_path"].partition(b"?")
        query = request.scope["query_string"] or query
        text = "\n".join(
            (
                request.method,
                path.decode("ascii", "replace"),
                "&".join(
                    sorted(part for part in query.decode("ascii", "replace").split("&") if part)
                ),
                sha256(await request.body()).hexdigest(),
                time,
                nonce,
            )
        )
        key = self.world.secret("gjj", "app_secret").encode()
        good = hmac.new(key, text.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(good.encode(), head.get("x-sign", "").encode()):
            return said("0401", "验签失败: X-Sign", status=401)
        if not 8 <= len(nonce) <= 64 or not self.seen.first(nonce, self.world.clock.seconds(), 200):
            return said("0401", "验签失败: X-Nonce was used before", status=401)
        return None

    async def ping(self, request: Request) -> Response:
        """For probes."""
        return await self.signed(request) or said("0000", "成功")

    async def account(self, request: Request) -> Response:
        """`POST /person/account`."""
        if wrong := await self.signed(request):
            return wrong
        asked = json_object(await request.body())
        if (
            asked is None
            or not isinstance(asked.get("zjhm"), str)
            or not isinstance(asked.get("xm"), str)
        ):
            return said("1001", "请求报文错误: zjhm, xm")
        person = BY_ID_NUMBER.get(asked["zjhm"].upper())
        if person is None or not self.world.get("gjj", person.id, "account"):
            return said("1404", "未查询到该职工的账户")
        if self.world.get("gjj", person.id, "batch") or self.world.get("gjj", "*", "batch"):
            return self._night()
        registered = self.world.get("gjj", person.id, "registered_name") or person.name
        if registered != asked["xm"]:
            return said("1101", "姓名与证件号码不一致")
        return said("0000", "成功", self.account_data(person.id))

    def account_data(self, person: str) -> dict[str, str]:
        """What the fund knows about an account, all of it text."""
        get = self.world.get
        return {
            "grzh": get("gjj", person, "account"),
            "grzhye": self.balance(person),
            "yjce": str(get("gjj", person, "monthly", "0.00")),
            "dwmc": str(get("gjj", person, "employer", "")),
            "grzhzt": str(get("gjj", person, "status", "01")),
            "gxsj": stamp(last_night(self.world.clock.matters())),
        }

    def balance(self, person: str) -> str:
        """What is left once the withdrawals that were paid are taken off."""
        now = self.world.clock.matters()
        paid = sum(
            Decimal(one.body["amount"])
            for one in self.world.records.matters("gjj", person, "tq")
            if stage_of(one, now) == "90"
        )
        start = Decimal(str(self.world.get("gjj", person, "balance", "0")))
        return f"{max(start - paid, Decimal(0)):.2f}"

    def _night(self) -> Response:
        now = self.world.clock.matters()
        opens = now.replace(hour=6, minute=0, second=0, microsecond=0)
        opens = opens if opens > now else opens + timedelta(days=1)
        return said("2001", "夜间批处理中，暂停查询", {"kfsj": stamp(opens)})

    async def business(self, request: Request) -> Response:
        """`GET /person/business/{grzh}`."""
        if wrong := await self.signed(request):
            return wrong
        number = request.path_params["grzh"]
        person = next(
            (one for one in BY_ID if self.world.get("gjj", one, "account") == number), None
        )
        if person is None:
            return said("1404", "未查询到该职工的账户")
        if self.world.get("gjj", person, "batch") or self.world.get("gjj", "*", "batch"):
            return self._night()
        return said("0000", "成功", {"tq": self.withdrawal(person), "dk": self.loan_data(person)})

    def withdrawal(self, person: str) -> dict[str, str] | None:
        """The latest withdrawal of the last 30 days."""
        now = self.world.clock.matters()
        latest = next(iter(self.world.records.matters("gjj", person, "tq")), None)
        if latest is None or now - latest.at > timedelta(days=30):
            return None
        stage = stage_of(latest, now)
        return {
            "slh": latest.id,
            "tqyy": latest.body["reason"],
            "tqje": latest.body["amount"],
            "zt": stage,
            "ztmc": STAGES[stage],
            "slsj": stamp(latest.at),
            "yjbj": workdays_later(latest.at.date(), 3).isoformat(),
        }

    def loan_data(self, person: str) -> dict[str, str] | None:
        """The loan, if there is one."""
        loan = self.world.get("gjj", person, "loan")
        if not isinstance(loan, dict):
            return None
        due = self.world.clock.matters().date() + timedelta(days=int(loan.get("days", 20)))
        status = str(loan.get("status", "05"))
        return {
            "dkzh": f"DK{self.world.get('gjj', person, 'account', '')[-6:]}",
            "zt": status,
            "ztmc": LOANS.get(status, "未知"),
            "dkye": str(loan.get("left", "0.00")),
            "yhke": str(loan.get("instalment", "0.00")),
            "xckr": due.isoformat(),
            "dqqs": str(loan.get("paid", 0)),
            "zqs": str(loan.get("total", 0)),
        }
