"""The provident fund's own site: account, withdrawal, loan."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.gjj import REASONS, STAGES, Fund, stage_of, workdays_later
from gateway.simulated.site import Site
from gateway.simulated.world import World


class Gjj:
    """The provident fund: API and site."""

    def __init__(self, world: World) -> None:
        """Keep the accounts."""
        self.world = world
        self.fund = Fund(world)
        self.site = Site(world, "gjj", {"balance": "/", "withdraw": "/withdraw", "loan": "/loan"})

    def app(self) -> Starlette:
        """API and pages."""
        return Starlette(
            routes=[
                *self.fund.routes(),
                Route("/", self.home),
                Route("/withdraw", self.withdraw, methods=["GET", "POST"]),
                Route("/withdrawals", self.withdrawals),
                Route("/loan", self.loan),
                *self.site.routes(),
            ]
        )

    async def home(self, request: Request) -> Response:
        """The account."""
        who = self.site.who(request)
        if who is None:
            return self.site.page(request, "stranger")
        has = bool(who.person and self.world.get("gjj", who.person, "account"))
        return self.site.page(
            request,
            "home",
            account=self.fund.account_data(who.person) if has else None,
            withdrawal=self.fund.withdrawal(who.person) if has else None,
            loan=self.fund.loan_data(who.person) if has else None,
            once=self.site.once(who),
        )

    async def withdraw(self, request: Request) -> Response:
        """The withdrawal form, and what it is sent to."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        if not who.person or not self.world.get("gjj", who.person, "account"):
            return self.site.refused(
                request, 403, "没有可提取的账户", "未查询到您名下的公积金账户。"
            )
        wrong: dict[str, str] = {}
        fields: dict[str, str] = {"reason": "rent", "amount": ""}
        if request.method == "POST":
            sent = await self.site.form(request, who)
            if sent is None:
                return self.site.refused(request, 403, "页面已过期", "请回到提取页面重新填写。")
            fields |= sent
            wrong = self.mistakes(who.person, fields)
            if not wrong:
                self.world.records.hand_in(
                    "gjj",
                    who.person,
                    "tq",
                    self.world.clock.matters(),
                    {
                        "reason": REASONS[fields["reason"]][1],
                        "amount": f"{float(fields['amount']):.2f}",
                    },
                    fields["once"],
                )
                return RedirectResponse("/withdrawals?new=1", 303)
        return self.site.page(
            request,
            "withdraw",
            status=422 if wrong else 200,
            reasons=REASONS,
            fields=fields,
            wrong=wrong,
            balance=self.fund.balance(who.person),
            once=self.site.once(who),
        )

    def mistakes(self, person: str, fields: dict[str, str]) -> dict[str, str]:
        """What is wrong with a withdrawal, by field."""
        reason = REASONS.get(fields["reason"])
        if reason is None:
            return {"reason": "请选择提取原因"}
        text = fields["amount"].replace(",", "")
        whole, _, cents = text.partition(".")
        if (
            not text.isascii()
            or not whole.isdigit()
            or len(whole) > 9
            or not (cents.isdigit() or not cents)
            or len(cents) > 2
        ):
            return {"amount": "请填写金额，例如 1200.00"}
        fields["amount"] = text
        amount = float(text)
        if amount <= 0:
            return {"amount": "金额要大于 0"}
        if (self.fund.withdrawal(person) or {}).get("zt") in ("10", "20"):
            return {"amount": "您有一笔提取正在办理，办结后才能再次申请"}
        if amount > float(self.fund.balance(person)):
            return {"amount": "不能超过账户余额"}
        if amount > reason[2]:
            return {"amount": f"{reason[0]}每年不超过 {reason[2]:,} 元"}
        return {}

    async def withdrawals(self, request: Request) -> Response:
        """What was handed in and where it stands."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        now = self.world.clock.matters()
        rows: list[dict[str, Any]] = [
            {"matter": one, "stage": stage_of(one, now), "due": workdays_later(one.at.date(), 3)}
            for one in self.world.records.matters("gjj", who.person, "tq")
        ]
        return self.site.page(
            request, "withdrawals", rows=rows, stages=STAGES, new="new" in request.query_params
        )

    async def loan(self, request: Request) -> Response:
        """The loan's progress."""
        who = self.site.who(request)
        if who is None:
            return self.site.stranger(request)
        return self.site.page(
            request, "loan", loan=self.fund.loan_data(who.person) if who.person else None
        )
