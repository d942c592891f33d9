"""Departments take citizens in by ticket; what is handed in changes what their API says."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.simulated.city import City
from gateway.simulated.keys import public_keys
from gateway.simulated.people import BY_ID
from gateway.simulated.site import fields_of

GATEWAY = "http://gateway.test"
SUBJECT = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class Desk:
    """The gateway's redemption endpoint, checking what WIRE.md promises of departments."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    now: int = 1_795_500_000_000_000

    def mint(self, person: str, **more: Any) -> str:
        one = BY_ID[person]
        ticket = f"ticket-{len(self.tickets):020d}"
        told = {"subject": SUBJECT, "level": 3, "function": None, "nonce": None, "session": "s"}
        told["claims"] = {"name": one.name, "id_number": one.id_number}
        self.tickets[ticket] = {**told, **more}
        return ticket

    async def redeem(self, request: Request) -> Response:
        form = await fields_of(request)
        assertion = str(form["client_assertion"])
        department = str(form["address"]).removeprefix("http://").split(".")[0]
        key = ECKey.import_key(public_keys()[department]["keys"][0])
        token = jwt.decode(assertion, key, algorithms=["ES256"])
        claims = token.claims
        assert token.header["kid"] == f"{department}-demo-1"
        assert claims["iss"] == claims["sub"] == f"{department}/{department}"
        assert claims["aud"] == f"{GATEWAY}/api/v1/tickets/redeem"
        assert claims["exp"] - claims["iat"] <= 60
        assert claims["jti"]
        assert form["address"] == f"{self.addresses[department]}/citygate/ticket"
        told = self.tickets.pop(str(form["ticket"]), None)
        return JSONResponse(told) if told else JSONResponse({"error": "invalid_grant"}, 400)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/v1/tickets/redeem", self.redeem, methods=["POST"])])


@dataclass
class Town:
    """The city in memory, the gateway's desk, and a browser for each department."""

    city: City
    desk: Desk
    clients: dict[str, httpx.AsyncClient]

    def browser(self, system: str) -> httpx.AsyncClient:
        if system not in self.clients:
            self.clients[system] = httpx.AsyncClient(
                transport=httpx.ASGITransport(self.city.apps[system]),
                base_url=self.city.addresses[system],
            )
        return self.clients[system]

    async def come(self, system: str, person: str, **more: Any) -> httpx.Response:
        ticket = self.desk.mint(person, **more)
        return await self.browser(system).get(f"/citygate/ticket?ticket={ticket}")

    async def send(self, system: str, page: str, **fields: str) -> httpx.Response:
        form = await self.browser(system).get(page)
        found = re.findall(r'name="once" value="([^"]+)"', form.text)
        action = fields.pop("action", page)
        return await self.browser(system).post(action, data={"once": found[0], **fields})


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A city whose departments reach the gateway in memory."""
    desk = Desk()
    city = City(
        tmp_path,
        gateway=GATEWAY,
        fast=True,
        now=lambda: desk.now,
        transport=httpx.ASGITransport(desk.app()),
    )
    desk.addresses = city.addresses
    made = Town(city, desk, {})
    yield made
    for client in made.clients.values():
        await client.aclose()
    await city.close()


async def test_a_ticket_begins_a_session_at_a_clean_address(town: Town) -> None:
    """303, own cookie, no ticket in the address; the page knows name and subject."""
    answer = await town.come("gjj", "li-wei", function="withdraw")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/withdraw"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "HttpOnly" in answer.headers["set-cookie"]
    page = await town.browser("gjj").get("/")
    assert "<span data-name>李伟</span>" in page.text
    assert f'<small data-subject="{SUBJECT}">' in page.text
    assert BY_ID["li-wei"].id_number not in page.text


@pytest.mark.parametrize("system", ["gjj", "legal", "property", "huzheng"])
async def test_a_wrong_ticket_lets_nobody_in(town: Town, system: str) -> None:
    """Unknown, used, missing: a page with a way back, no session."""
    for query in ("?ticket=unknown-unknown-unknown", "?ticket=", ""):
        answer = await town.browser(system).get(f"/citygate/ticket{query}")
        assert answer.status_code == 401
        assert "票据已失效" in answer.text
        assert "set-cookie" not in answer.headers


async def test_a_ticket_counts_once(town: Town) -> None:
    """The gateway's answer decides."""
    ticket = town.desk.mint("li-wei")

    assert (await town.browser("gjj").get(f"/citygate/ticket?ticket={ticket}")).status_code == 303
    assert (await town.browser("gjj").get(f"/citygate/ticket?ticket={ticket}")).status_code == 401


async def test_without_consent_to_the_number_nobody_is_found(town: Town) -> None:
    """The department says what is missing."""
    answer = await town.come("gjj", "li-wei", claims={"name": "李伟"})

    assert answer.status_code == 403
    assert "缺少必要信息" in answer.text


async def test_another_persons_session_ends_when_she_comes(town: Town) -> None:
    """A shared device: the new ticket's person, under a new id."""
    await town.come("gjj", "li-wei")
    first = town.browser("gjj").cookies["gjj_session"]
    await town.come("gjj", "wang-fang")

    assert town.browser("gjj").cookies["gjj_session"] != first
    assert "王芳" in (await town.browser("gjj").get("/")).text
    assert town.city.records.known("gjj", first) is None


async def test_a_withdrawal_moves_on_with_the_citys_clock(town: Town) -> None:
    """审核中, 待划款, 已到账; the balance falls when it is paid."""
    await town.come("gjj", "li-wei")
    answer = await town.send("gjj", "/withdraw", reason="rent", amount="1200")
    assert answer.headers["location"] == "/withdrawals?new=1"
    fund = town.city.fund
    told = fund.withdrawal("li-wei")
    assert told is not None
    assert (told["zt"], told["tqje"]) == ("10", "1200.00")

    stages = []
    for hours in (5, 20):
        town.desk.now += hours * 3_600_000_000
        stages.append((fund.withdrawal("li-wei") or {})["zt"])
    assert stages == ["20", "90"]
    assert fund.account_data("li-wei")["grzhye"] == "51140.18"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"amount": "99999999"}, "余额"),
        ({"amount": "-1"}, "金额"),
        ({"amount": "1.234"}, "金额"),
        ({"amount": "٣"}, "金额"),
        ({"amount": ""}, "金额"),
        ({"amount": "20000"}, "每年"),
        ({"reason": "party", "amount": "1"}, "原因"),
    ],
)
async def test_a_wrong_withdrawal_is_explained(
    town: Town, fields: dict[str, str], said: str
) -> None:
    """422, the field, the sentence, what was typed."""
    await town.come("gjj", "li-wei")

    answer = await town.send("gjj", "/withdraw", **{"reason": "rent", **fields})

    assert answer.status_code == 422
    assert said in answer.text


async def test_a_form_sent_twice_counts_once_and_a_strangers_not_at_all(town: Town) -> None:
    """Same hidden value: one matter. A value of another session: refused."""
    await town.come("property", "li-wei")
    browser = town.browser("property")
    page = (await browser.get("/certificate")).text
    once = re.findall(r'name="once" value="([^"]+)"', page)[0]
    for _ in range(2):
        assert (
            await browser.post("/certificate", data={"once": once, "purpose": "落户"})
        ).status_code == 303
    assert len(town.city.records.matters("property", "li-wei")) == 1

    await town.come("property", "wang-fang")
    answer = await browser.post("/certificate", data={"once": once, "purpose": "落户"})
    assert answer.status_code == 403
    assert town.city.records.matters("property", "wang-fang") == []


async def test_legal_aid_asks_for_a_supplement_and_takes_it(town: Town) -> None:
    """Handed in: 待补正 with a date; supplied: 审查中; later: a lawyer."""
    await town.come("legal", "li-wei")
    made = await town.send("legal", "/aid", title="被拖欠工资", facts="一共三个月")
    address = made.headers["location"].split("?")[0]
    assert "已收到申请，还缺一份材料" in (await town.browser("legal").get(address + "?new=1")).text
    office = town.city.office
    case = office.cases("li-wei")[0]
    assert (case["status"], bool(case["supplement"]["due"])) == ("supplement", True)

    await town.send("legal", address, action=f"{address}/supplement", text="已上传")
    assert office.cases("li-wei")[0]["status"] == "reviewing"
    town.desk.now += 4 * 86_400_000_000
    assert office.cases("li-wei")[0]["status"] == "assigned"


async def test_nobody_opens_anothers_case(town: Town) -> None:
    """404 for a number that is not one's own."""
    await town.come("legal", "feng-xia")
    theirs = town.city.office.cases("feng-xia")[0]["id"]
    await town.come("legal", "li-wei")

    assert (await town.browser("legal").get(f"/cases/{theirs}")).status_code == 404


async def test_a_certificate_is_done_hours_later(town: Town) -> None:
    """Applied, checked, issued; then it can be read."""
    await town.come("property", "li-wei")
    await town.send("property", "/certificate", purpose="落户")
    matter = town.city.records.matters("property", "li-wei")[0]
    assert (await town.browser("property").get(f"/certificates/{matter.id}")).status_code == 404

    town.desk.now += 5 * 3_600_000_000
    page = await town.browser("property").get(f"/certificates/{matter.id}")
    assert "不动产登记信息查询证明" in page.text
    assert "<zt>90</zt>" in town.city.estate.result("李伟", BY_ID["li-wei"].id_number)


async def test_the_browser_nonce_binds_the_launch(town: Town) -> None:
    """Step 0 sets a cookie and sends its digest; the right one enters, once."""
    browser = town.browser("huzheng")
    answer = await browser.get("/citygate/start?go=" + "g" * 22)
    location = answer.headers["location"]
    assert location.startswith(f"{GATEWAY}/go/{'g' * 22}?nonce=")
    nonce = location.partition("nonce=")[2]
    assert browser.cookies["hz_nonce"] not in location

    assert (await town.come("huzheng", "li-wei", nonce=nonce)).status_code == 303
    assert "hz_nonce" not in browser.cookies
    assert (await town.come("huzheng", "li-wei", nonce=nonce)).status_code == 403


@pytest.mark.parametrize("nonce", ["", None, "x" * 43])
async def test_another_browsers_ticket_is_refused(town: Town, nonce: str | None) -> None:
    """Login CSRF: a ticket that somebody else started."""
    await town.browser("huzheng").get("/citygate/start?go=" + "g" * 22)

    answer = await town.come("huzheng", "li-wei", nonce=nonce)

    assert answer.status_code == 403
    assert "huzheng_session" not in town.browser("huzheng").cookies


@pytest.mark.parametrize(
    ("system", "path"),
    [("gjj", "/withdraw"), ("legal", "/aid"), ("property", "/certificate"), ("huzheng", "/move")],
)
async def test_personal_pages_need_a_session(town: Town, system: str, path: str) -> None:
    """401 and the way to the gateway; posting likewise."""
    page = await town.browser(system).get(path)

    assert page.status_code == 401
    assert f"{GATEWAY}/s/{system}" in page.text
    assert (await town.browser(system).post(path, data={})).status_code == 401


async def test_what_was_done_survives_a_restart(town: Town, tmp_path: Path) -> None:
    """Matters and the passed time are kept; a signature's clock starts anew."""
    await town.come("gjj", "li-wei")
    await town.send("gjj", "/withdraw", reason="rent", amount="800")
    town.city.clock.offset = 6 * 3600.0
    town.city.keep_clock()

    again = City(tmp_path, gateway=GATEWAY, now=lambda: town.desk.now)
    assert (again.fund.withdrawal("li-wei") or {})["zt"] == "20"
    assert again.clock.offset == 0
    await again.close()
