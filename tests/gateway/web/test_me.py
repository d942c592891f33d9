"""Her own pages: what she agreed to, how pages look, what departments were told."""

import pytest

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId, ServiceId
from gateway.sso.tickets import Tickets, Visited
from gateway.store.away import Away
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from gateway.web.appearance import Look
from gateway.web.look import COOKIE, format_look, parse_look
from tests.gateway.sso.offices import LANDING, server, trail
from tests.gateway.web.lobby import Browser, Lobby

HER = CitizenId("c1")
SECOND = 1_000_000


@pytest.fixture
async def lobby(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Lobby:
    """The citizen's door over the two offices."""
    return Lobby(volatile, ledger, keys, clock)


def look_of(browser: Browser) -> Look:
    """How this device was told to show pages."""
    return parse_look(browser.cookies.get(COOKIE) or "")


async def test_consents_are_listed_and_taken_back_with_one_tap(lobby: Lobby) -> None:
    """What stands, in the words that were shown; afterwards it stands under the past."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give(HER, lobby.desk.entry(), ["name", "id_number"])
    page = (await browser.get("/me/consents")).text
    for words in ("住房公积金", "公积金中心", "姓名、身份证号", "撤回授权"):
        assert words in page

    answer = await browser.post("/me/consents", service="gjj")
    assert answer.headers["location"] == "/me/consents?done=gjj"
    assert await lobby.desk.consents.agreements(HER) == {}
    page = (await browser.get(answer.headers["location"])).text
    assert "已撤回“住房公积金”的授权" in page
    assert "现在没有生效的授权" in page
    assert lobby.desk.forgotten == ["c1", "c1"]
    await browser.close()


@pytest.mark.parametrize("row", [pytest.param("B53", id="B53")])
async def test_nobody_reaches_anothers_consents_or_history(lobby: Lobby, row: str) -> None:
    """Every page is about who asks; naming a service of another does nothing to her."""
    hers, other = await lobby.signed_in(), await lobby.signed_in("c2")
    await lobby.desk.consents.give(HER, lobby.desk.entry(), ["name", "id_number"])
    lobby.desk.disclosures.note(HER, lobby.desk.entry(), ["name"])
    answer = await other.post("/me/consents", service="gjj")

    assert answer.headers["location"] == "/me/consents"
    assert ServiceId("gjj") in await lobby.desk.consents.agreements(HER)
    for path in ("/me/consents", "/me/where"):
        assert "公积金" not in (await other.get(path)).text
        assert "公积金" in (await hers.get(path)).text
        assert (await lobby.browser().get(path)).status_code == 401
    await hers.close()
    await other.close()


async def test_where_i_have_been_shows_what_was_told(lobby: Lobby) -> None:
    """A redeemed ticket stands there with its items and its day, and as a file."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give(HER, lobby.desk.entry(), ["name", "id_number"])
    citizen = await lobby.desk.sign_in()
    ticket = await lobby.desk.tickets.mint(citizen, lobby.desk.entry())
    await lobby.desk.tickets.redeem(ticket, LANDING, server(lobby.desk.live))
    page = (await browser.get("/me/where")).text

    assert "姓名、身份证号" in page
    assert "共 1 次" in page
    assert page.count("住房公积金") == 2
    answer = await browser.get("/me/where?export=json")
    assert answer.headers["content-disposition"].startswith("attachment")
    told = answer.json()
    assert told["disclosures"][0]["items"] == ["id_number", "name"]
    assert told["consents"][0]["shown"][1]["zh"] == "公积金中心"
    assert told["visits"][0]["service"] == "gjj"
    assert citizen.session not in answer.text
    await browser.close()


async def test_visits_that_cannot_be_read_are_said_on_the_page(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger holds is shown all the same."""
    browser = await lobby.signed_in()
    lobby.desk.disclosures.note(HER, lobby.desk.entry(), ["name"])

    async def away(self: Tickets, citizen: CitizenId) -> list[Visited]:
        raise Away("gone")

    monkeypatch.setattr(Tickets, "visited", away)
    page = await browser.get("/me/where")
    assert page.status_code == 200
    assert "暂时读不到" in page.text
    assert "住房公积金" in page.text
    await browser.close()


@pytest.mark.parametrize("signed_in", [False, True])
async def test_the_elder_edition_is_one_tap_and_leads_back(lobby: Lobby, signed_in: bool) -> None:
    """Signed in or out: the switch changes the edition alone and returns to where she was."""
    browser = await lobby.signed_in() if signed_in else lobby.browser()
    page = await browser.get("/me/display?back=/s/gjj")
    assert 'value="/s/gjj"' in page.text
    answer = await browser.post("/me/display", edition="elder", back="/s/gjj")

    assert answer.headers["location"] == "/s/gjj"
    assert look_of(browser) == Look(edition="elder")
    assert 'data-mode="elder"' in (await browser.get("/me/display")).text
    assert ("display.changed" in await trail(lobby.desk.ledger)) == signed_in
    await browser.close()


async def test_every_choice_is_kept(lobby: Lobby) -> None:
    """The whole form, and each of its choices on the next page."""
    browser = lobby.browser()
    await browser.get("/me/display")
    wanted = {"size": "3", "contrast": "high", "language": "en", "speech": "1", "region": "000121"}
    answer = await browser.post("/me/display", whole="1", **wanted)

    assert answer.headers["location"] == "/me/display?saved=1"
    assert look_of(browser) == Look("standard", 3, "high", "en", True, "000121")
    page = (await browser.get("/me/display")).text
    assert 'lang="en"' in page
    assert 'data-size="3"' in page
    assert 'data-contrast="high"' in page
    await browser.post("/me/display", whole="1", size="3")
    assert not look_of(browser).speech
    await browser.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"edition": "x"},
        {"size": "9"},
        {"size": ""},
        {"contrast": "low"},
        {"language": "fr"},
        {"region": "999999"},
        {"region": "1' or"},
        {"region": "٠٠٠١٢١"},
    ],
)
async def test_what_is_no_choice_changes_nothing(lobby: Lobby, wrong: dict[str, str]) -> None:
    """An invented value leaves the look as it was."""
    browser = lobby.browser()
    await browser.get("/me/display")
    assert (await browser.post("/me/display", whole="1", **wrong)).status_code == 303
    assert look_of(browser) == Look()
    await browser.close()


@pytest.mark.parametrize(
    "back",
    [
        pytest.param("//evil.example", id="N66"),
        pytest.param("/\\evil.example", id="N66-backslash"),
        pytest.param("https://evil.example/", id="N66-absolute"),
        pytest.param("/%2f%2fevil.example", id="N66-coded"),
        pytest.param("/s/../../x", id="N66-dots"),
    ],
)
async def test_back_leads_nowhere_else(lobby: Lobby, back: str) -> None:
    """Only pages of ours."""
    browser = lobby.browser()
    await browser.get("/me/display")
    answer = await browser.post("/me/display", edition="elder", back=back)
    assert answer.headers["location"] == "/"
    await browser.close()


async def test_the_look_follows_the_account_and_the_later_choice_holds(
    lobby: Lobby, clock: OffsetClock
) -> None:
    """Another device of hers shows it; what a device was told later wins there."""
    first, second = await lobby.signed_in(), await lobby.signed_in()
    await first.get("/me/display")
    await first.post("/me/display", edition="elder")
    assert 'data-mode="elder"' in (await second.get("/me/display")).text

    clock.offset += 10 * SECOND
    device = lobby.browser()
    await device.get("/me/display")
    await device.post("/me/display", language="en")
    second.cookies.set(COOKIE, device.cookies.get(COOKIE) or "")
    page = (await second.get("/me/display")).text
    assert 'lang="en"' in page
    assert 'data-mode="standard"' in page
    for browser in (first, second, device):
        await browser.close()


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("", id="B43-empty"),
        pytest.param("a.b", id="B43-short"),
        pytest.param("x.9.y.fr.7.abc.-1", id="B43-values"),
        pytest.param("elder" * 900, id="B43-long"),
        pytest.param("elder.2.high.zh.0.000121." + "9" * 40, id="B43-instant"),
        pytest.param('"><script>', id="B43-markup"),
    ],
)
async def test_a_broken_cookie_is_the_default_or_what_can_be_read(
    lobby: Lobby, cookie: str
) -> None:
    """Never an error, never in the page."""
    browser = lobby.browser()
    answer = await browser.get("/me/display", cookie=f"{COOKIE}={cookie}")
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    await browser.close()


def test_a_look_goes_through_its_cookie() -> None:
    """Written and read again it is the same."""
    look = Look("elder", 4, "high", "en", True, "000121")
    assert parse_look(format_look(look, 1_795_400_000)) == look
    assert parse_look("elder.2.high.zh.0.000102").size == 2


async def test_the_cookie_says_nothing_about_her(lobby: Lobby) -> None:
    """[N63] Host only, not readable by scripts, no id in it."""
    browser = await lobby.signed_in()
    await browser.get("/me/display")
    answer = await browser.post("/me/display", edition="elder")
    cookie = answer.headers["set-cookie"]

    for flag in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie
    assert "c1" not in cookie
    await browser.close()


async def test_the_hosts_own_letter_size_is_not_kept(lobby: Lobby) -> None:
    """Inside the host app pages follow its setting; switching the edition there keeps ours."""
    browser = lobby.browser(
        **{"user-agent": "Mozilla AnlanGuancha/6.3", "x-citygate-font-scale": "1.8"}
    )
    assert 'data-size="4"' in (await browser.get("/me/display")).text
    await browser.post("/me/display", edition="elder")
    assert look_of(browser).size == 1
    await browser.close()
