"""A citizen's first day (A2), in a real browser: from a piece of news to signing out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Locator, expect

from gateway.simulated.people import BY_ID
from tests.browsing import PATIENCE, Traveller
from tests.city import City, browser, forms

LI_WEI: Final = BY_ID["li-wei"]
PERSONAL: Final = ("gjj", "property", "legal", "water")  # departments 1, 3, 2, 8
HOUR: Final = 3600
FRESH: Final = 301.0  # a card's fresh window and a second


@dataclass
class Journey:
    """Her phone, in this city."""

    city: City
    phone: Traveller

    def card(self, service: str) -> Locator:
        """A card of the hall."""
        return self.phone.page.locator(f"#c-{service}")

    def hall(self) -> None:
        """Open the hall."""
        self.phone.go(f"{self.city.gateway}/")

    def stands(self, service: str, state: str, *words: str) -> None:
        """The card says so, at the latest when it has filled itself in."""
        card = self.card(service)
        expect(card).to_have_attribute("data-state", state, timeout=PATIENCE)
        for word in words:
            expect(card).to_contain_text(word)

    def launch(self, service: str) -> str:
        """One tap on the card; the subject that the department knows her by."""
        with self.phone.page.expect_navigation():
            self.card(service).locator(".act--1").click()
        return self.arrived(service)

    def arrived(self, service: str) -> str:
        """Signed in over there, at a clean address; the subject she is known by."""
        page = self.phone.page
        page.wait_for_url(re.compile(re.escape(self.city.addresses[service]) + "/"))
        page.wait_for_load_state()
        assert page.url.partition("?")[2] == "", "the landing was not cleaned"
        expect(page.locator("[data-name]")).to_have_text(LI_WEI.name)
        subject = page.locator("[data-subject]").get_attribute("data-subject")
        assert subject
        return subject

    def come_back(self) -> None:
        """By the department's own way back."""
        self.phone.tap("返回城市服务", within="main, header", role="link")
        assert self.phone.page.url == f"{self.city.gateway}/"


@pytest.mark.browser
def test_a_citizens_first_day(a_city: City, phone: Callable[[], Traveller]) -> None:
    """News → hall → sign-in → consents → figures → launch → hand in → progress → withdraw → out."""
    starts_anew(a_city)
    her = Journey(a_city, phone())
    finds_the_hall(her)
    signs_in(her)
    agrees_to_each(her)
    sees_a_figure_change(her)
    subjects = [withdraws_from_the_fund(her), asks_for_legal_aid(her), asks_for_a_certificate(her)]
    waits_for_the_certificate(her)
    subjects.append(opens_household_registration(her))
    takes_her_consent_back(her)
    signs_out(her)
    assert len({*subjects}) == len(subjects), "two departments know her by one number"
    assert all(re.fullmatch(r"[A-Za-z2-7]{26}", one) for one in subjects)
    visited = her.phone.visited()
    for value in (LI_WEI.id_number, LI_WEI.name, LI_WEI.phone, LI_WEI.sub):
        assert value not in visited
    unticked = [one for one in her.phone.complaints if "422" in one]
    assert her.phone.complaints == unticked[:1]


def starts_anew(city: City) -> None:
    """Nothing agreed to, nothing handed in: other journeys may have come first."""
    city.reset()
    before = city.person()
    before.sign_in(LI_WEI.id)
    for form in forms(before.get("/me/consents").text):
        if "service" in form.fields:
            assert before.post(form.action, service=form.fields["service"]).status_code == 303


def finds_the_hall(her: Journey) -> None:
    """From the news, by the tab 服务; what is personal asks for a sign-in, events are for all."""
    her.phone.go(her.city.addresses["app"])
    her.phone.tap("服务", within="nav.tabs", role="link")
    assert her.phone.page.url == f"{her.city.gateway}/"
    for service in PERSONAL:
        her.stands(service, "needs_login")
    her.stands("jobs", "ready", "招聘会")
    expect(her.phone.page.locator("h1")).not_to_contain_text(LI_WEI.name)


def signs_in(her: Journey) -> None:
    """As 李伟: events as before, everything personal wants her consent first, nobody was asked."""
    before = her.city.calls()
    her.phone.tap("登录", within="header")
    expect(her.phone.page).to_have_title(re.compile("统一身份认证"))
    her.phone.page.locator("label.person", has_text=LI_WEI.name).click()
    her.phone.tap("登录", within="main", role="button")
    assert her.phone.page.url == f"{her.city.gateway}/"
    expect(her.phone.page.locator("h1")).to_contain_text(LI_WEI.name)
    her.stands("jobs", "ready", "招聘会")
    for service in PERSONAL:
        her.stands(service, "needs_consent")
    after = her.city.calls()
    assert [after[name]["total"] - before[name]["total"] for name in ("gjj", "property")] == [0, 0]


def agrees_to_each(her: Journey) -> None:
    """公积金 item by item; nothing stands ticked; the figures are his."""
    page = her.phone.page
    her.phone.tap("查看并授权", within="#c-gjj")
    boxes = page.locator("main input[type=checkbox]")
    assert [boxes.nth(n).is_checked() for n in range(boxes.count())] == [False, False]
    her.phone.tap("同意", within="main", role="button")
    expect(page.locator("#wrong")).to_contain_text("身份证号")
    page.locator("label", has_text="身份证号").first.click()
    her.phone.tap("同意", within="main", role="button")
    her.hall()
    her.stands("gjj", "ready", "52,340.18", "2,480.00")
    for service in ("property", "legal", "water"):
        her.phone.tap("查看并授权", within=f"#c-{service}")
        for box in page.locator("main input[type=checkbox]").all():
            box.check()
        her.phone.tap("同意", within="main", role="button")
        her.hall()
    her.stands("property", "ready", "望江路18号")
    her.stands("legal", "in_progress", "房屋买卖合同咨询")
    her.stands("water", "action_required", _bill(her.city))


def _bill(city: City) -> str:
    with browser() as client:
        asked = {"system": "water", "person": LI_WEI.id}
        return str(
            client.get(f"{city.addresses['panel']}/control/get", params=asked).json()["amount"]
        )


def sees_a_figure_change(her: Journey) -> None:
    """Changed over there by the panel, it is changed here once the fresh window has passed."""
    her.phone.go(f"{her.city.addresses['panel']}/")
    her.phone.page.get_by_label("新余额").fill("60000.25")
    her.phone.tap("改", within="main", role="button")
    her.city.move_clock(FRESH)
    her.hall()
    her.stands("gjj", "ready", "60,000.25")


def withdraws_from_the_fund(her: Journey) -> str:
    """One tap, signed in over there; hands in a withdrawal; back here it is in hand."""
    subject = her.launch("gjj")
    page = her.phone.page
    expect(page.locator("main, header").get_by_text("60,000.25").first).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("link", name=re.compile("申请提取")).click()
    page.get_by_label("租房").check()
    page.get_by_label(re.compile("提取金额")).fill("1200.00")
    her.phone.tap("提交申请", within="main", role="button")
    expect(page.get_by_text("已受理")).to_be_visible()
    her.come_back()
    her.stands("gjj", "in_progress", "审核中")
    return subject


def asks_for_legal_aid(her: Journey) -> str:
    """The department wants a paper more: here it stands as hers to do, and counts as a 待办."""
    waiting = _todo(her)
    subject = her.launch("legal")
    page = her.phone.page
    with page.expect_navigation():
        page.get_by_role("link", name=re.compile("申请法律援助")).click()
    page.get_by_label("是什么纠纷").fill("被拖欠三个月工资")
    page.get_by_label("事情的经过").fill("九月起没有发工资。")
    her.phone.tap("提交申请", within="main", role="button")
    her.come_back()
    her.stands("legal", "action_required")
    assert _todo(her) == waiting + 1
    return subject


def _todo(her: Journey) -> int:
    found = re.search(r"待办\s*(\d+)\s*件", her.phone.page.locator("main").inner_text())
    return int(found[1]) if found else 0


def asks_for_a_certificate(her: Journey) -> str:
    """Handed in over there; here it is in hand."""
    subject = her.launch("property")
    with her.phone.page.expect_navigation():
        her.phone.page.get_by_role("link", name="申请查询证明").click()
    her.phone.page.locator("label.choice").first.click()
    her.phone.tap("提交申请", within="main", role="button")
    her.come_back()
    her.stands("property", "in_progress")
    return subject


def waits_for_the_certificate(her: Journey) -> None:
    """Five hours later she has been signed out; signed in again, the certificate is done."""
    her.city.move_clock(5 * HOUR)
    her.hall()
    for service in PERSONAL:
        her.stands(service, "needs_login")
    her.phone.tap("登录", within="header")
    if "统一身份认证" in her.phone.page.title():
        her.phone.page.locator("label.person", has_text=LI_WEI.name).click()
        her.phone.tap("登录", within="main", role="button")
    her.stands("property", "done")
    her.stands("gjj", "in_progress", "待划款")


def opens_household_registration(her: Journey) -> str:
    """Asked on the way, then launched with a nonce: its cookie and our ticket in one browser."""
    began = len(her.phone.addresses)
    her.phone.tap("去办理", within="#c-huzheng")
    her.phone.page.get_by_role("checkbox").check()
    her.phone.tap("同意", within="main", role="button")
    subject = her.arrived("huzheng")
    hops = her.phone.addresses[began:]
    place = her.city.addresses["huzheng"]
    start = next(n for n, one in enumerate(hops) if one.startswith(f"{place}/citygate/start?go="))
    back = next(n for n, one in enumerate(hops) if re.search(r"/go/[^?]+\?nonce=[\w-]{43}$", one))
    last = next(n for n, one in enumerate(hops) if one.startswith(f"{place}/citygate/ticket?"))
    assert start < back < last
    her.come_back()
    return subject


def takes_her_consent_back(her: Journey) -> None:
    """From that moment nothing more is asked of the department, and the card says why."""
    her.city.move_clock(FRESH)  # whoever looks now would have to ask
    her.phone.tap("我的", within="header")
    page = her.phone.page
    before = her.city.calls()["gjj"]["total"]
    section = page.locator("section", has=page.locator("#c-gjj"))
    with page.expect_navigation():
        section.get_by_role("button", name="撤回授权").click()
    for _ in range(10):  # on whichever worker
        answer = page.request.get(f"{her.city.gateway}/api/v1/cards?services=gjj").json()
        assert answer["cards"][0]["state"]["code"] == "needs_consent"
    assert her.city.calls()["gjj"]["total"] == before
    expect(page.get_by_text("已撤回“住房公积金”的授权。")).to_be_visible()
    her.hall()
    her.stands("gjj", "needs_consent")


def signs_out(her: Journey) -> None:
    """Out: neither the page before nor her own pages show anything of hers any more."""
    her.phone.tap("退出登录", within="footer", role="button")
    expect(her.phone.page.locator("h1")).to_have_text("已退出登录")
    her.phone.page.go_back()
    for service in PERSONAL:
        her.stands(service, "needs_login")
    expect(her.phone.page.locator("h1")).not_to_contain_text(LI_WEI.name)
    assert her.phone.page.request.get(f"{her.city.gateway}/me/consents").status == 401
