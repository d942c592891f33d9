"""Signing in and out as a browser sees it: the real router, a provider on a real port."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from gateway.clock import OffsetClock
from gateway.guards import Doorkeeper
from gateway.registry.generation import Generation
from gateway.routes import Router
from gateway.settings import Settings
from gateway.sso import signin
from gateway.sso.preferences import Preferences
from gateway.sso.staff import Staff
from gateway.store.away import Away, LedgerAway
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from tests.gateway.sso.entrance import ORIGIN, Entrance, entrance, settings_of
from tests.upstream import GONE, Provider

MINUTE = 60_000_000
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def provider(clock: OffsetClock) -> Iterator[Provider]:
    """A provider that goes by the test's clock."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture
def other(clock: OffsetClock) -> Iterator[Provider]:
    """A second provider, for those tests that have two."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture(params=[ORIGIN])
def origin(request: pytest.FixtureRequest) -> str:
    """Where citizens come to."""
    return str(request.param)


@pytest.fixture(params=[1])
def count(request: pytest.FixtureRequest) -> int:
    """How many providers the settings name."""
    return int(request.param)


@pytest.fixture
async def door(
    provider: Provider,
    other: Provider,
    count: int,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> AsyncIterator[Entrance]:
    """What stands behind the pages."""
    rows = [settings_of(provider, tmp_path), settings_of(other, tmp_path, name="village")]
    opened = entrance(rows[:count], volatile=volatile, ledger=ledger, keys=keys, clock=clock)
    async with opened as made:
        yield made


@pytest.fixture
def app(door: Entrance, ledger: Ledger, keys: Keys, clock: OffsetClock, origin: str) -> Router:
    """The router over the parts that these pages use."""
    parts: Any = SimpleNamespace(
        settings=Settings(profile="test", public_url=origin),
        live=SimpleNamespace(current=Generation.empty()),
        staff=Staff(ledger=ledger, keys=keys, clock=clock),
        preferences=Preferences(ledger=ledger, keys=keys, clock=clock),
        sessions=door.sessions,
        signin=door.signin,
    )

    async def prove(form: object) -> Any:
        raise AssertionError(form)

    keeper = Doorkeeper(
        clock=clock,
        origin=origin,
        secure=origin.startswith("https:"),
        sessions=door.sessions,
        roles=parts.staff.roles,
        prove=prove,
        bind=keys.blind,
        proxies=(),
    )
    return Router(parts, keeper, {})


def browser(app: Router, origin: str = ORIGIN) -> httpx.AsyncClient:
    """A browser with a jar of its own."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url=origin,
        headers={"user-agent": "Mozilla/5.0 (Linux; Android 14) Mobile"},
    )


async def come_in(client: httpx.AsyncClient, provider: Provider, **asked: str) -> httpx.Response:
    """From the link to the answer of the way back."""
    sent = await client.get("/sign-in", params=asked)
    assert sent.status_code == 303, sent.text
    return await client.get(back(provider, sent))


def back(provider: Provider, sent: httpx.Response, **changes: Any) -> str:
    """The address that the provider sends the browser back to."""
    to = sent.headers["location"]
    query = provider.approve(to, **changes)
    redirect = dict(parse_qsl(urlsplit(to).query))["redirect_uri"]
    return f"{redirect}?{httpx.QueryParams(query)}"


def token_on(page: str) -> str:
    """The form token of a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def buttons(page: str) -> list[str]:
    """Where the big buttons of the page's own part lead."""
    main = page[page.index("<main") : page.index("</main>")]
    return re.findall(r'<a class="button[^"]*" href="([^"]+)"', main)


async def test_one_provider_means_no_choice(app: Router, provider: Provider) -> None:
    """She is sent over at once and comes back to her page, signed in."""
    async with browser(app) as client:
        arrived = await come_in(client, provider, next="/me/sessions")
        assert arrived.status_code == 303
        assert arrived.headers["location"] == "/me/sessions"
        assert arrived.headers["referrer-policy"] == "no-referrer"
        assert "no-store" in arrived.headers["cache-control"]
        page = await client.get("/me/sessions")
        assert page.status_code == 200
        assert "手机浏览器" in page.text
        again = await client.get("/sign-in", params={"next": "/me/consents"})
        assert again.headers["location"] == "/me/consents"


@pytest.mark.parametrize(
    ("origin", "name", "secure"),
    [
        pytest.param(ORIGIN, "citygate", False, id="N63-http"),
        pytest.param("https://city.test", "__Host-citygate", True, id="N63-https"),
    ],
    indirect=["origin"],
)
async def test_the_cookies_flags(
    app: Router,
    provider: Provider,
    origin: str,
    name: str,
    secure: bool,
    monkeypatch: pytest.MonkeyPatch,
    door: Entrance,
) -> None:
    """HttpOnly, Lax, the whole site and no Domain; Secure and `__Host-` over https (B43)."""
    monkeypatch.setattr(door.signin._providers["town"], "_origin", origin)
    async with browser(app, origin) as client:
        arrived = await come_in(client, provider)
    lines = [line for line in arrived.headers.get_list("set-cookie") if line.startswith(f"{name}=")]
    assert len(lines) == 1
    flags = {part.strip().lower() for part in lines[0].split(";")[1:]}
    assert flags == {"httponly", "path=/", "samesite=lax"} | ({"secure"} if secure else set())


@pytest.mark.parametrize("count", [2], indirect=True)
async def test_two_providers_are_a_choice(app: Router, provider: Provider, other: Provider) -> None:
    """A page with one link each; the choice is kept to, the page she wanted too."""
    async with browser(app) as client:
        page = await client.get("/sign-in", params={"next": "/s/gjj"})
        assert page.status_code == 200
        links = buttons(page.text)
        assert len(links) == 2
        sent = await client.get(links[1].replace("&amp;", "&"))
        assert sent.headers["location"].startswith(other.issuer)
        arrived = await client.get(back(other, sent))
        assert arrived.headers["location"] == "/s/gjj"


async def test_a_higher_level_is_asked_for_and_kept(app: Router, provider: Provider) -> None:
    """Enough already: straight on. Not enough: over, and back to the page with a new session."""
    async with browser(app) as client:
        await come_in(client, provider)
        first = client.cookies["citygate"]
        enough = await client.get("/sign-in", params={"level": "3", "next": "/consent/gjj"})
        assert enough.headers["location"] == "/consent/gjj"
        provider.level = 4
        arrived = await come_in(client, provider, level="4", next="/consent/gjj")
        assert arrived.headers["location"] == "/consent/gjj"
        assert client.cookies["citygate"] != first
        await ends_signed_out(app, first)


async def ends_signed_out(app: Router, token: str) -> None:
    """A token opens nothing any more."""
    async with browser(app) as client:
        client.cookies.set("citygate", token)
        assert (await client.get("/me/sessions")).status_code == 401


async def test_a_level_that_was_not_reached_is_said(app: Router, provider: Provider) -> None:
    """One button, which asks her to prove herself another way."""
    provider.level = 2
    async with browser(app) as client:
        page = await come_in(client, provider, level="3", next="/s/gjj")
        assert page.status_code == 403
        assert buttons(page.text) == ["/sign-in?next=%2Fs%2Fgjj&amp;level=3&amp;prompt=login"]
        assert "citygate" not in client.cookies


async def test_a_double_tap_ends_signed_in_or_on_a_page_with_one_button(
    app: Router, provider: Provider
) -> None:
    """The way back taken twice, with and without the first answer's cookie (N71)."""
    async with browser(app) as client:
        address = back(provider, await client.get("/sign-in", params={"next": "/s/gjj"}))
        before = dict(client.cookies)
        await client.get(address)
        twice = await client.get(address)
        assert (twice.status_code, twice.headers["location"]) == (303, "/")
        client.cookies.clear()
        client.cookies.update(before)
        page = await client.get(address)
        assert page.status_code == 400
        assert buttons(page.text) == ["/sign-in"]
        assert (await come_in(client, provider)).status_code == 303


async def test_too_late_brings_her_back_to_her_page(
    app: Router, provider: Provider, clock: OffsetClock
) -> None:
    """The button still knows where she wanted to go."""
    async with browser(app) as client:
        address = back(provider, await client.get("/sign-in", params={"next": "/s/gjj"}))
        clock.offset += 11 * MINUTE
        page = await client.get(address)
        assert (page.status_code, buttons(page.text)) == (400, ["/sign-in?next=%2Fs%2Fgjj"])


async def test_she_may_say_no(app: Router, provider: Provider) -> None:
    """Cancelling is no error; her step-up cancelled leaves her signed in."""
    async with browser(app) as client:
        sent = await client.get("/sign-in")
        page = await client.get(back(provider, sent, code=GONE, error="access_denied"))
        assert page.status_code == 200
        assert "您没有登录" in page.text
        await come_in(client, provider)
        sent = await client.get("/sign-in", params={"level": "4"})
        await client.get(back(provider, sent, code=GONE, error="access_denied"))
        assert (await client.get("/me/sessions")).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"error={EVIL}&error_description={EVIL}&state=x", id="N56-error"),
        pytest.param(f"state={EVIL}&code={EVIL}", id="N56-state"),
        pytest.param("state=a&state=b&code=1", id="N47-twice"),
        pytest.param("%ff=%fe&state=%00", id="N47-bytes"),
        pytest.param("&" * 200, id="N47-many"),
        pytest.param("state=" + "x" * 9000, id="N47-long"),
        pytest.param("", id="N47-nothing"),
        pytest.param("code=%0d%0aSet-Cookie:%20a=b", id="N47-line-break"),
    ],
)
async def test_nothing_of_a_hostile_address_is_shown(app: Router, query: str) -> None:
    """A page of ours without a byte of the request, never a 5xx, never a session."""
    async with browser(app) as client:
        for upstream in ("town", "nowhere", "%E5%AE%89", "..%252f"):
            page = await client.get(f"/sign-in/{upstream}/callback?{query}")
            assert 400 <= page.status_code < 500
            assert EVIL not in page.text
            assert "alert(1)" not in page.text
            assert "citygate" not in client.cookies
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_an_error_of_the_provider_is_not_echoed(app: Router, provider: Provider) -> None:
    """With a state of ours too: its own text is shown to nobody (N56)."""
    async with browser(app) as client:
        sent = await client.get("/sign-in")
        page = await client.get(back(provider, sent, code=GONE, error=EVIL, error_description=EVIL))
        assert page.status_code == 400
        assert "alert(1)" not in page.text
        assert buttons(page.text) == ["/sign-in"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-dest": "image", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-dest": "iframe", "sec-fetch-mode": "navigate"},
        {"sec-fetch-dest": "empty", "sec-fetch-mode": "cors"},
        {"sec-purpose": "prefetch;prerender"},
    ],
    ids=["N72-image", "N72-frame", "N72-script", "N72-prefetch"],
)
async def test_only_a_navigation_signs_in(
    app: Router, provider: Provider, headers: dict[str, str]
) -> None:
    """What nobody sees begins nothing and finishes nothing."""
    async with browser(app) as client:
        assert (await client.get("/sign-in", headers=headers)).status_code == 400
        address = back(provider, await client.get("/sign-in"))
        assert (await client.get(address, headers=headers)).status_code == 400
        assert (await client.head(address)).status_code == 405
        shown = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate"}
        assert (await client.get(address, headers=shown)).status_code == 303


@pytest.mark.parametrize(
    "changes", [{"code": "made-up"}, {"code": ""}, {"code": "x" * 5000}, {"iss": "https://evil.example"}],
    ids=["P30-code", "P30-no-code", "P30-long-code", "P30-issuer"],
)  # fmt: skip
async def test_an_answer_that_somebody_made_up_is_no_fault_of_ours(
    app: Router, provider: Provider, changes: dict[str, str]
) -> None:
    """A state of ours and the rest invented: 400, never a 5xx."""
    async with browser(app) as client:
        sent = await client.get("/sign-in")
        page = await client.get(back(provider, sent, **changes))
        assert page.status_code == 400
        assert buttons(page.text) == ["/sign-in"]


async def test_a_provider_that_is_down_is_said_so(app: Router, provider: Provider) -> None:
    """503 with a page, one button and when to try again."""
    provider.raw["/.well-known/openid-configuration"] = b"\x00"
    async with browser(app) as client:
        page = await client.get("/sign-in", params={"next": "/s/gjj"})
        assert page.status_code in (502, 503)
        assert buttons(page.text) == ["/sign-in?next=%2Fs%2Fgjj"]


@pytest.mark.parametrize("count", [0], indirect=True)
async def test_without_any_provider_it_is_said_so(app: Router) -> None:
    """An installation that nobody has finished setting up shows no stack trace."""
    async with browser(app) as client:
        assert (await client.get("/sign-in")).status_code == 503


async def test_our_own_stores_down_are_said_so(
    app: Router, provider: Provider, door: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valkey away before, the ledger away on the way back: a page, and nobody is half in."""
    async with browser(app) as client:
        address = back(provider, await client.get("/sign-in"))

        async def full(_: object) -> None:
            raise LedgerAway("disk full")

        monkeypatch.setattr(door.sessions._ledger, "write", full)
        page = await client.get(address)
        assert page.status_code == 503
        assert buttons(page.text) == ["/sign-in"]
        assert "citygate" not in client.cookies

        async def away(*_: object, **__: object) -> None:
            raise Away("gone")

        monkeypatch.setattr(door.signin._volatile, "ask", away)
        page = await client.get("/sign-in")
        assert page.status_code == 503
        assert buttons(page.text) == ["/sign-in"]


async def test_she_signs_out(app: Router, provider: Provider) -> None:
    """The session ends, the cookie goes, and she may sign out over there too."""
    async with browser(app) as client:
        await come_in(client, provider)
        token = client.cookies["citygate"]
        form = {"form_token": token_on((await client.get("/me/sessions")).text)}
        page = await client.post("/sign-out", data=form)
        assert page.status_code == 200
        assert "已退出登录" in page.text
        assert "citygate" not in client.cookies
        there, home = buttons(page.text)
        assert there.startswith(f"{provider.issuer}/logout?")
        assert home == "/"
        assert "/me/consents" not in page.text
    await ends_signed_out(app, token)


async def test_nobody_signs_her_out_from_elsewhere(app: Router, provider: Provider) -> None:
    """A form of another site, or one without our token, ends nothing (B45)."""
    async with browser(app) as client:
        await come_in(client, provider)
        form = {"form_token": token_on((await client.get("/me/sessions")).text)}
        foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert (await client.post("/sign-out", data=form, headers=foreign)).status_code == 403
        assert (await client.post("/sign-out", data={"form_token": "x"})).status_code == 403
        assert (await client.post("/me/sessions", data={"all": "1"})).status_code == 403
        assert (await client.get("/me/sessions")).status_code == 200


async def test_with_the_store_away_she_can_still_sign_out(
    app: Router, provider: Provider, door: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger remembers it by the token; when the store is back the session is dead."""
    async with browser(app) as client:
        await come_in(client, provider)
        token = client.cookies["citygate"]

        async def away(_: str) -> None:
            raise Away("gone")

        with monkeypatch.context() as down:
            down.setattr(door.sessions._shelf, "find", away)
            page = await client.get("/sign-in/town/callback")
            assert page.status_code == 400
            assert client.cookies["citygate"] == token  # kept: it may well be good
            form = {"form_token": token_on(page.text)}
            assert (await client.post("/sign-out", data=form)).status_code == 200
    await ends_signed_out(app, token)


async def test_she_ends_another_device(app: Router, provider: Provider) -> None:
    """Her list shows both; ending one leaves the other; a foreign handle ends nothing."""
    async with browser(app) as phone, browser(app) as tablet, browser(app) as stranger:
        await come_in(phone, provider)
        await come_in(tablet, provider)
        provider.person = "person-2"
        await come_in(stranger, provider)

        page = (await phone.get("/me/sessions")).text
        handles = re.findall(r'name="session" value="([0-9a-f]{64})"', page)
        assert len(handles) == 2
        theirs = {"form_token": token_on((await stranger.get("/me/sessions")).text)}
        await stranger.post("/me/sessions", data={**theirs, "session": handles[1]})
        assert (await tablet.get("/me/sessions")).status_code == 200

        form = {"form_token": token_on(page)}
        ended = await phone.post("/me/sessions", data={**form, "session": handles[1]})
        assert ended.headers["location"] == "/me/sessions"
        assert (await tablet.get("/me/sessions")).status_code == 401
        assert (await phone.get("/me/sessions")).status_code == 200
        out = await phone.post("/me/sessions", data={**form, "all": "1"})
        assert out.headers["location"] == "/"
        assert "citygate" not in phone.cookies
        assert (await stranger.get("/me/sessions")).status_code == 200


async def test_another_browser_is_told_to_begin_again(app: Router, provider: Provider) -> None:
    """Login CSRF: the address of somebody else's sign-in signs nobody in (B45)."""
    async with browser(app) as attacker, browser(app) as victim:
        address = back(provider, await attacker.get("/sign-in"))
        page = await victim.get(address)
        assert page.status_code == 400
        assert "citygate" not in victim.cookies
        assert buttons(page.text) == ["/sign-in"]


@pytest.mark.parametrize("_", [pytest.param(0, id="B44")])
async def test_guessing_sessions_is_slowed_down(app: Router, provider: Provider, _: int) -> None:
    """Twenty different unknown tokens a minute; an ended one used on and on is one of them."""
    async with browser(app) as client:
        for number in range(20):
            client.cookies.set("citygate", f"{number:043d}")
            for _again in range(3):
                assert (await client.get("/me/sessions")).status_code == 401
        client.cookies.set("citygate", f"{20:043d}")
        page = await client.get("/me/sessions")
        assert (page.status_code, page.headers["retry-after"]) == (429, "60")
        assert page.headers["set-cookie"].startswith("citygate=; Max-Age=0")
        client.cookies.clear()
        assert (await come_in(client, provider)).status_code == 303
        assert (await client.get("/me/sessions")).status_code == 200


@pytest.mark.parametrize("id_", ["N107"], ids=["N107"])
async def test_nobody_fills_the_store_with_sign_ins_begun(
    app: Router, door: Entrance, provider: Provider, volatile: Volatile, clock: OffsetClock,
    monkeypatch: pytest.MonkeyPatch, id_: str,
) -> None:  # fmt: skip
    """429 and when again, on a page of ours; others get on, so does she a minute later."""
    assert id_
    monkeypatch.setattr(signin, "PER_MINUTE", 5)
    async with browser(app) as client:
        for _ in range(5):
            assert (await client.get("/sign-in")).status_code == 303
        refused = await client.get("/sign-in")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "操作太频繁" in refused.text
        (names,) = await volatile.ask(("KEYS", "login:*"))
        assert len(names) == 5
        (names,) = await volatile.ask(("KEYS", "rate:*"))
        assert len(names) == 1
        assert b"127.0.0.1" not in names[0]
        assert (await client.get("/")).status_code != 429
        clock.offset += 61_000_000
        assert (await come_in(client, provider)).status_code == 303
        # Who is in already is only sent on: that begins nothing and counts nothing.
        for _ in range(6):
            assert (await client.get("/sign-in")).headers["location"] == "/"


@pytest.mark.parametrize("id_", ["N107"], ids=["N107"])
async def test_what_one_caller_holds_is_counted_as_one(
    app: Router, monkeypatch: pytest.MonkeyPatch, id_: str
) -> None:
    """One IPv4 address, one /64 of IPv6; the next address has a count of its own."""
    assert id_
    monkeypatch.setattr(signin, "PER_MINUTE", 2)

    async def from_(address: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return (await client.get("/sign-in")).status_code

    assert [await from_("192.0.2.1") for _ in range(3)] == [303, 303, 429]
    assert await from_("192.0.2.2") == 303
    assert [await from_(f"2001:db8::{n}") for n in (1, 2, 3)] == [303, 303, 429]
    assert await from_("2001:db8:0:1::1") == 303
