"""The question is plain, nothing is ticked beforehand, and both answers are equally near."""

import re

import pytest

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId, ServiceId
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import generation, trail
from tests.gateway.web.lobby import Lobby

HER = CitizenId("c1")
GJJ = ServiceId("gjj")


@pytest.fixture
async def lobby(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Lobby:
    """The citizen's door over the two offices."""
    return Lobby(volatile, ledger, keys, clock)


def digest_in(text: str) -> str:
    """What the page says it showed."""
    found = re.findall(r'name="digest" value="([0-9a-f]{64})"', text)
    assert len(found) == 1
    return str(found[0])


async def items_of(lobby: Lobby) -> frozenset[str] | None:
    """What she has agreed to."""
    agreement = (await lobby.desk.consents.agreements(HER)).get(GJJ)
    return agreement.items if agreement is not None else None


async def test_the_page_says_who_gets_what_why_and_how_long(lobby: Lobby) -> None:
    """Recipient, telephone, purpose, retention, how to take back; and no box is ticked."""
    browser = await lobby.signed_in()
    page = (await browser.get("/consent/gjj")).text

    for words in (
        "公积金中心",
        "10000002000",
        "核对本人",
        "找账户",
        "发短信",
        "保存 30 天",
        "用完即删",
        "随时可以",
    ):
        assert words in page
    assert "checked" not in page
    assert "autofocus" not in page
    assert re.findall(r'name="items\[\]" value="(\w+)"', page) == ["id_number", "phone"]
    assert page.count('name="answer"') == 2
    await browser.close()


async def test_agreeing_takes_what_is_needed_and_what_was_ticked(lobby: Lobby) -> None:
    """The optional item stays out unless she ticks it."""
    browser = await lobby.signed_in()
    shown = digest_in((await browser.get("/consent/gjj")).text)
    answer = await browser.post("/consent/gjj", digest=shown, answer="agree", items=["id_number"])

    assert answer.headers["location"] == "/s/gjj"
    assert await items_of(lobby) == {"name", "id_number"}
    await browser.post("/consent/gjj", digest=shown, answer="agree", items=["id_number", "phone"])
    assert await items_of(lobby) == {"name", "id_number", "phone"}
    await browser.close()


async def test_a_needed_item_without_its_tick_is_asked_again(lobby: Lobby) -> None:
    """The page names the item; what she ticked stays ticked; nothing is agreed."""
    browser = await lobby.signed_in()
    shown = digest_in((await browser.get("/consent/gjj")).text)
    answer = await browser.post("/consent/gjj", digest=shown, answer="agree", items=["phone"])

    assert answer.status_code == 422
    assert 'href="#item-id_number"' in answer.text
    assert re.search(r'value="phone" checked', answer.text)
    assert await items_of(lobby) is None
    await browser.close()


@pytest.mark.parametrize("answer", ["refuse", "", "AGREE", "yes"])
async def test_anything_but_agreement_is_refusal(lobby: Lobby, answer: str) -> None:
    """Nothing is agreed, nothing is written, and other ways are shown."""
    browser = await lobby.signed_in()
    shown = digest_in((await browser.get("/consent/gjj")).text)
    before = await trail(lobby.desk.ledger)
    page = await browser.post("/consent/gjj", digest=shown, answer=answer, items=["id_number"])

    assert page.status_code == 200
    assert "您选择了不同意" in page.text
    assert "tel:" in page.text
    assert await items_of(lobby) is None
    assert await trail(lobby.desk.ledger) == before
    await browser.close()


@pytest.mark.parametrize("row", [pytest.param("N86", id="N86")])
async def test_a_text_that_changed_while_she_read_is_shown_again(lobby: Lobby, row: str) -> None:
    """She agrees to what she saw or to nothing."""
    browser = await lobby.signed_in()
    shown = digest_in((await browser.get("/consent/gjj")).text)
    lobby.desk.live = generation(("找账户", "找账户和贷款"))
    answer = await browser.post("/consent/gjj", digest=shown, answer="agree", items=["id_number"])

    assert answer.status_code == 409
    assert "请再看一遍" in answer.text
    assert "找账户和贷款" in answer.text
    assert await items_of(lobby) is None
    await browser.close()


async def test_later_only_the_difference_is_asked(lobby: Lobby) -> None:
    """One changed item is the only question; agreeing keeps the others."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give(HER, lobby.desk.entry(), ["name", "id_number", "phone"])
    lobby.desk.live = generation(("找账户", "找账户和贷款"))
    page = (await browser.get("/consent/gjj")).text

    assert re.findall(r'name="items\[\]" value="(\w+)"', page) == ["id_number"]
    assert "以前同意过的 2 项" in page
    await browser.post("/consent/gjj", digest=digest_in(page), answer="agree", items=["id_number"])
    assert await items_of(lobby) == {"name", "id_number", "phone"}
    await browser.close()


async def test_she_may_choose_again_from_the_start(lobby: Lobby) -> None:
    """With `change` everything is asked, still with no box ticked."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give(HER, lobby.desk.entry(), ["name", "id_number", "phone"])
    page = (await browser.get("/consent/gjj?change=1")).text

    assert re.findall(r'name="items\[\]" value="(\w+)"', page) == ["id_number", "phone"]
    assert "checked" not in page
    shown = digest_in(page)
    await browser.post(
        "/consent/gjj", digest=shown, answer="agree", change="1", items=["id_number"]
    )
    assert await items_of(lobby) == {"name", "id_number"}
    await browser.close()


async def test_a_service_that_asks_for_nothing_has_no_question(lobby: Lobby) -> None:
    """It leads to the service; unknown ones are not found; signed out one must sign in."""
    browser = await lobby.signed_in()
    assert (await browser.get("/consent/move")).headers["location"] == "/s/move"
    assert (await browser.get("/consent/nope")).status_code == 404
    assert (await lobby.browser().get("/consent/gjj")).status_code == 401
    await browser.close()


@pytest.mark.parametrize("row", [pytest.param("B45", id="B45"), pytest.param("N65", id="N65")])
async def test_consent_needs_our_own_form(lobby: Lobby, row: str) -> None:
    """Neither another site's form nor one without the session's token agrees to anything."""
    browser, other = await lobby.signed_in(), await lobby.signed_in("c2")
    shown = digest_in((await browser.get("/consent/gjj")).text)
    await other.get("/consent/gjj")
    data = {"digest": shown, "answer": "agree", "items[]": "id_number"}
    for token, origin in (
        ("", "null"),
        (other.token, "null"),
        (browser.token, "https://evil.example"),
    ):
        answer = await browser.client.post(
            "/consent/gjj", data={**data, "form_token": token}, headers={"origin": origin}
        )
        assert answer.status_code == 403
    assert await items_of(lobby) is None
    await browser.close()
    await other.close()


@pytest.mark.parametrize("row", [pytest.param("N67", id="N67"), pytest.param("B46", id="B46")])
async def test_the_question_cannot_be_framed_or_kept(lobby: Lobby, row: str) -> None:
    """No frame of another site can lay itself over 同意."""
    browser = await lobby.signed_in()
    page = await browser.get("/consent/gjj")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "private, no-store"
    await browser.close()
