"""Every page: headers, frame, modes, budgets; nothing from outside is drawn unescaped."""

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from gateway.cards.item import Feed, Freshness
from gateway.routes import ENDPOINTS
from gateway.settings import Settings
from gateway.web import pages
from gateway.web.appearance import Look
from gateway.web.statics import by_address
from gateway.web.visit import host_of
from tests.gateway.web.front import Front

TEMPLATES = Path(pages.__file__).parent / "templates"
STATIC = Path(pages.__file__).parent / "static"
PAGES = {
    "/": 200,
    "/search": 200,
    "/search?q=gjj": 200,
    "/s/id-card": 200,
    "/s/id-card/renew": 200,
    "/s/gjj": 200,
    "/s/enrol": 200,
    "/s/senior-pass-office": 410,
    "/s/no-such": 404,
    "/s/id-card/no-such": 404,
    "/feedback": 200,
    "/me/display": 200,
    "/me/consents": 401,
    "/me/sessions": 401,
    "/me/where": 401,
    "/consent/gjj": 401,
    "/admin/": 401,
    "/dev/cards": 200,
    "/no-such-page": 404,
}


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.row("B50", "B51")
async def test_every_page_is_sealed(front: Front, path: str) -> None:
    """A strict CSP, no referrer, no sniffing, nothing kept by caches: on pages and error pages."""
    async with front.browser() as browser:
        answer = await browser.get(path)
    assert answer.status_code == PAGES[path]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "nonce" not in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]
    assert "permissions-policy" in answer.headers


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/admin/"])
async def test_every_page_has_its_frame(front: Front, path: str) -> None:
    """One h1, a title, a language, a way past the masthead, a telephone number; also for elders."""
    async with front.browser(cookie="citygate-look=elder.2.high.zh.0.") as browser:
        text = (await browser.get(path)).text
    assert 'data-mode="elder" data-size="2" data-contrast="high"' in text
    assert text.count("<h1") == 1
    assert re.search(r"<title>[^<]+</title>", text)
    assert '<html lang="zh-CN"' in text
    assert '<a class="skip" href="#main">' in text
    assert 'href="tel:12345"' in text
    assert "演示系统，非政府网站" in text
    assert "user-scalable" not in text


def test_every_citizens_page_of_the_table_is_walked() -> None:
    """A page added to the endpoint table is added here, or named as no page."""
    others = {"/s/{service}/launch", "/go/{id}", "/sign-in", "/sign-in/{upstream}/callback",
              "/embed/cards/{service}", "/oembed", "/api/v1/cards", "/api/v1/cards/{service}",
              "/openapi.json", "/static/{name}", "/icons/{digest}", "/.well-known/{name}"}  # fmt: skip
    shapes = [re.compile(re.sub(r"\{\w+\}", "[^/]+", row.path) + "$") for row in ENDPOINTS
              if row.zone == "citizen" and row.method == "GET" and row.path not in others]  # fmt: skip
    walked = [path.partition("?")[0] for path in PAGES]
    assert [s.pattern for s in shapes if not any(s.match(path) for path in walked)] == []


@pytest.mark.row("B51")
async def test_what_people_type_is_text(front: Front) -> None:
    """Markup in a query, a report or an address stays text."""
    evil = '<script>alert(1)</script>"onfocus="x'
    async with front.browser() as browser:
        found = await browser.get("/search", params={"q": evil})
        form = await browser.get("/feedback", params={"trace": evil, "service": evil})
        lost = await browser.get("/s/%3Cscript%3E")
    for answer in (found, form, lost):
        assert "<script>alert" not in answer.text
        assert '"onfocus' not in answer.text
    assert "&lt;script&gt;" in found.text


async def test_the_hall_keeps_its_budget(front: Front) -> None:
    """Hall ≤ 14 KB, sheet ≤ 10 KB, scripts ≤ 20 KB, all gzipped; three requests before it shows."""
    async with front.browser() as browser:
        out = await browser.get("/")
    async with await front.signed_in("budget") as browser:
        inside = await browser.get(
            "/",
            headers={
                "cookie": f"citygate={browser.cookies['citygate']}; citygate-look=elder.1.normal.zh.0."
            },
        )
    for answer in (out, inside):
        assert answer.status_code == 200
        assert answer.text.count('href="/s/') > 60
        assert len(gzip.compress(answer.content)) <= 14 * 1024
        assert len(re.findall(r'<link rel="stylesheet"|<script src', answer.text)) == 2
    sizes = {static.name.split("-")[0]: len(static.zipped) for static in by_address().values()}
    assert sizes["app"] <= 10 * 1024
    scripts = [s for s in by_address().values() if s.name.endswith(".js")]
    assert (
        sum(len(s.zipped) for s in scripts if s.name.startswith(("app", "bridge", "htmx")))
        <= 20 * 1024
    )
    assert len(gzip.compress((STATIC / "app.js").read_bytes())) <= 2048
    assert len(gzip.compress((STATIC / "bridge.js").read_bytes())) <= 2048


async def test_the_signed_in_hall_greets_and_counts(front: Front) -> None:
    """Her name, what is to be done, her cards; and one form for all buttons."""
    async with await front.signed_in("greeted") as browser:
        text = (await browser.get("/")).text
    assert "李伟" in text
    assert "没有待办" in text
    assert 'data-state="needs_consent"' in text
    assert text.count('name="form_token"') == 1


async def test_inside_the_host_app_our_bars_go(front: Front) -> None:
    """By User-Agent or header; back leads to the app, the way to large letters stays."""
    agents = {"user_agent": "Mozilla/5.0 AnlanGuancha/3.2.1 (iPhone)"}
    async with front.browser(**agents, x_citygate_font_scale="1.4") as browser:
        inside = (await browser.get("/")).text
    async with front.browser(x_citygate_host="AnlanGuancha/3.2.1") as browser:
        by_header = (await browser.get("/")).text
    async with front.browser() as browser:
        outside = (await browser.get("/")).text
    assert 'class="brand"' in outside
    for text in (inside, by_header):
        assert "data-host" in text
        assert 'class="brand"' not in text
        assert "target=" not in text
        assert "bridge-" in text
        assert "长辈版" in text
    assert 'data-size="3"' in inside


@pytest.mark.parametrize(
    ("agent", "version"),
    [("AnlanGuancha/3.2.1", "3.2.1"), ("x AnlanGuancha", "0"), ("AnlanGuancha/..", "0")],
)
async def test_the_hosts_version_is_read(front: Front, agent: str, version: str) -> None:
    """What `min_host` is compared with."""
    scope = {"type": "http", "headers": [(b"user-agent", agent.encode())]}
    assert host_of(Request(scope), ("AnlanGuancha",)) == (True, version)
    assert host_of(Request(scope), ("Other",)) == (False, "")


async def test_one_tap_switches_to_large_letters(front: Front) -> None:
    """The switch stands in every page's head and needs no script."""
    async with front.browser() as browser:
        text = (await browser.get("/s/id-card")).text
        assert re.search(
            r'<button form="act" formaction="/me/display" name="edition" value="elder">', text
        )
        found = re.search(r'name="form_token" value="([^"]+)"', text)
        assert found
        fields = {"form_token": found[1], "back": "/s/id-card", "edition": "elder"}
        answer = await browser.post("/me/display", data=fields)
        assert answer.headers["location"] == "/s/id-card"
        assert 'data-mode="elder"' in (await browser.get("/s/id-card")).text


@pytest.mark.row("B51")
def test_templates_hold_nothing_inline() -> None:
    """No style attribute, no handler, no script of their own; htmx elements name their target."""
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"""\sstyle\s*=|\son[a-z]+=["']|<style|javascript:""", text), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), path
        assert 'target="_blank"' not in text, path
        for tag in re.findall(r"<[a-z]+[^>]*\shx-(?:get|post)=[^>]*>", text):
            assert "hx-target" in tag, (path, tag)
            assert "hx-swap" in tag, (path, tag)


def test_own_scripts_stay_old() -> None:
    """ES2017: what phones of elder people read."""
    for name in ("app.js", "bridge.js", "service-card.js"):
        text = re.sub(r"//[^\n]*", "", (STATIC / name).read_text("utf-8").replace("https://", ""))
        assert not re.search(r"\?\.[a-z\[(]|\?\?|\*\*=|#[a-z]+\s*[=;(]|\bimport\b|`", text), name
        assert "innerHTML" not in text, name


def test_a_footer_says_who_runs_the_site(tmp_path: Path) -> None:
    """主办单位, registrations and the site's code come from the installation's file."""
    file = tmp_path / "footer.json"
    file.write_text(
        '{"host":{"zh":"某市人民政府办公室","en":"Office"},"icp":"某ICP备00000000号",'
        '"police":"某公网安备 000000号","site_code":"0000000000"}'
    )
    settings = Settings(profile="production", footer_file=file, public_url="https://a.example")
    frame = pages.frame_of(settings, Look())
    text = pages.render("problem.html", frame, title="t", text="x", code="gone", status=410,
                        sign_in="", consent="", successor=None, again="", home="/")  # fmt: skip
    for said in (
        "主办单位：某市人民政府办公室",
        "某ICP备00000000号",
        "某公网安备 000000号",
        "0000000000",
    ):
        assert said in text
    assert "演示系统" not in text
    (tmp_path / "bad.json").write_text('{"owner": 1}')
    with pytest.raises(ValueError, match="CITYGATE_FOOTER_FILE"):
        pages.read_footer(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="CITYGATE_FOOTER_FILE"):
        pages.read_footer(tmp_path / "missing.json")


def test_a_store_that_is_away_is_said() -> None:
    """The banner tells what holds and what to do."""
    frame = pages.Frame(away=True)
    text = pages.render("problem.html", frame, title="t", text="x", code="gone", status=410,
                        sign_in="", consent="", successor=None, again="", home="/")  # fmt: skip
    assert "不必重新登录" in text


async def test_deep_links_end_in_words(front: Front) -> None:
    """Retired names the successor, suspended says so, unknown and hidden are the same 404."""
    async with front.browser() as browser:
        gone = await browser.get("/s/senior-pass-office")
        away = await browser.get("/s/hospital-booking")
        unknown = await browser.get("/s/no-such")
    assert gone.status_code == 410
    assert 'href="/s/senior-bus-card"' in gone.text
    assert away.status_code == 200
    assert 'data-state="suspended"' in away.text
    assert unknown.status_code == 404


async def test_a_service_page_holds_its_sheet(front: Front) -> None:
    """Signed out too: who, what, fee, time, place, telephone; functions lead to pages of their own."""
    async with front.browser() as browser:
        text = (await browser.get("/s/id-card")).text
        one = (await browser.get("/s/gjj/withdraw")).text
    for label in ("办理对象", "所需材料", "收费", "承诺时限", "办理结果", "办理地点", "咨询电话"):
        assert label in text
    assert 'href="/s/id-card/renew"' in text
    assert "/sign-in?next=/s/gjj/withdraw" in one


async def test_search_answers_with_links_or_a_way_on(front: Front) -> None:
    """Found: links; not found: the telephone and a place to say what is missing."""
    async with front.browser() as browser:
        found = await browser.get("/search?q=gongjijin")
        part = await browser.get("/search?q=gjj", headers={"hx-request": "true"})
        nothing = await browser.get("/search?q=qqxxzzyy")
    assert 'href="/s/gjj"' in found.text
    assert "<html" not in part.text
    assert 'href="/s/gjj"' in part.text
    assert 'href="tel:12345"' in nothing.text
    assert 'href="/feedback"' in nothing.text


async def test_what_is_pending_is_filled_in_once_for_all(front: Front) -> None:
    """One asking brings the cards that came and the next asking; after the fourth there is 再试."""
    async with await front.signed_in("filled") as browser:
        first = await browser.get("/?fill=1&services=gjj,property", headers={"hx-request": "true"})
        plain = await browser.get("/?fill=1&services=gjj")
    assert first.text.count('hx-swap-oob="true"') == 3
    assert 'id="fill"' in first.text
    assert "<html" not in first.text
    assert "<html" in plain.text


async def test_cards_are_read_aloud_where_she_wants_it(front: Front) -> None:
    """The page says that it is wanted, the card what is said; the button comes with the script."""
    async with front.browser(cookie="citygate-look=standard.1.normal.zh.1.") as browser:
        wanted = (await browser.get("/")).text
    async with front.browser() as browser:
        usual = (await browser.get("/")).text
    assert 'data-speech="朗读"' in wanted
    assert "data-speech" not in usual
    assert wanted.count('data-speak="') >= 6


async def test_copies_that_are_being_asked_for_again_fill_themselves_in(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back from a department: the copy is shown, and the page asks for what is newer."""
    feed = front.parts.cards.feed

    async def with_copies(*args: Any, **kwargs: Any) -> Feed:
        found = await feed(*args, **kwargs)
        asked = Freshness("copy", front.clock.now(), "asked")
        items = (
            replace(item, freshness=asked, fragment=None) if item.service == "water" else item
            for item in found.items
        )
        return Feed(tuple(items), found.revision)

    monkeypatch.setattr(front.parts.cards, "feed", with_copies)
    async with await front.signed_in("back") as browser:
        page = (await browser.get("/")).text
        part = await browser.get("/?fill=1&services=gjj,water", headers={"hx-request": "true"})
    assert "fill=1&amp;services=water" in page
    assert "services=water" in part.text
    assert 'id="c-water"' not in part.text
