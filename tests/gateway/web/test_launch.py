"""From a tap to the department's own page, through the front door and over there."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from typing_extensions import override

from gateway.clock import OffsetClock
from gateway.contract.ids import ServiceId
from gateway.registry.gather import gather
from gateway.registry.generation import Generation
from gateway.registry.prepare import prepare
from gateway.simulated.city import City
from gateway.simulated.people import BY_ID
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import CLAIMS, LANDING, assertion, generation, trail
from tests.gateway.web.lobby import Browser, Lobby

ROOT = Path(__file__).resolve().parents[3]
GATEWAY = "http://localhost:8080"
LI_WEI = BY_ID["li-wei"]


class Streets(httpx.AsyncBaseTransport):
    """Where addresses lead: to the gateway, or to one of the city's systems."""

    def __init__(self) -> None:
        self.places: dict[str, httpx.ASGITransport] = {}

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.places[request.url.netloc.decode()].handle_async_request(request)


@pytest.fixture(scope="module")
def shipped() -> Generation:
    """The registry and the plugins that come with the program."""
    files, _ = gather(ROOT / "service_registry.yaml", ROOT / "plugins")
    done = prepare(files, environment="demo", variables={}, revision=1, tolerant=True)
    assert done.artefact is not None
    return Generation.load(done.artefact)


@pytest.fixture
async def lobby(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Lobby:
    """The citizen's door over the two offices."""
    return Lobby(volatile, ledger, keys, clock)


class Town:
    """The gateway and the simulated city in memory, and one browser for both."""

    def __init__(self, lobby: Lobby, city: City, streets: Streets, browser: Browser) -> None:
        self.lobby, self.city, self.browser = lobby, city, browser
        browser.client._transport = streets

    async def walk(self, address: str) -> httpx.Response:
        """Follow redirects and `Refresh` as a browser does; every address is remembered."""
        self.addresses = [address]
        for _ in range(10):
            answer = await self.browser.client.get(address)
            onward = answer.headers.get("location")
            if refresh := answer.headers.get("refresh"):
                onward = refresh.partition("url=")[2]
                assert f'href="{onward.replace("&", "&amp;")}"' in answer.text
            if onward is None:
                return answer
            address = urljoin(address, onward)
            self.addresses.append(address)
        raise AssertionError(self.addresses)

    async def tap(self, service: str, function: str = "") -> httpx.Response:
        """Tap a service and end where that leads."""
        answer = await self.browser.post(f"/s/{service}/launch", function=function)
        assert answer.status_code == 303, answer.text
        return await self.walk(urljoin(GATEWAY, answer.headers["location"]))


@pytest.fixture
async def town(
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    shipped: Generation,
) -> AsyncIterator[Town]:
    """李伟 signed in at level 3, in front of the shipped registry."""
    lobby = Lobby(volatile, ledger, keys, clock, shipped, GATEWAY)
    streets = Streets()
    city = City(tmp_path / "city", gateway=GATEWAY, fast=True, now=clock.now, transport=streets)
    streets.places[urlsplit(GATEWAY).netloc] = httpx.ASGITransport(lobby.app)
    for name, app in city.apps.items():
        streets.places[urlsplit(city.addresses[name]).netloc] = httpx.ASGITransport(app)
    browser = await lobby.signed_in(name=LI_WEI.name, id_number=LI_WEI.id_number)
    yield Town(lobby, city, streets, browser)
    await browser.close()
    await city.close()


async def agree(town: Town, service: str) -> None:
    """李伟 agrees to everything that the service asks."""
    entry = town.lobby.desk.live.entry(service)
    assert entry is not None
    await town.lobby.desk.consents.give(
        town.lobby.desk.citizen.id or "c1",
        entry,
        [item.id for item in entry.data],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("service", ["gjj", "legal", "property"])
async def test_one_tap_opens_the_departments_page_signed_in(town: Town, service: str) -> None:
    """A real department takes 李伟 in by his ticket; no number stands in any address on the way."""
    entry = town.lobby.desk.live.entry(service)
    if entry is None or entry.launch is None:
        pytest.skip(f"{service} is not in this registry yet")
    await agree(town, service)

    page = await town.tap(service)

    subject = town.lobby.desk.keys.subject(entry.owner.id, "c1")
    assert page.status_code == 200
    assert f"<span data-name>{LI_WEI.name}</span>" in page.text
    assert f'data-subject="{subject}"' in page.text
    assert str(page.url) == town.city.addresses[service] + "/"
    for address in town.addresses:
        assert LI_WEI.id_number not in address
        assert "c1" not in urlsplit(address).query


async def test_a_function_opens_its_own_page(town: Town) -> None:
    """提取 leads to the page for withdrawing."""
    await agree(town, "gjj")
    page = await town.tap("gjj", "withdraw")
    assert urlsplit(str(page.url)).path == "/withdraw"


async def test_a_browser_nonce_binds_ticket_and_browser(town: Town) -> None:
    """户政: the browser fetches its nonce first, and ends signed in."""
    entry = town.lobby.desk.live.entry("huzheng")
    assert entry is not None
    assert entry.launch is not None
    await agree(town, "huzheng")

    page = await town.tap("huzheng")

    assert page.status_code == 200
    assert "data-subject=" in page.text
    steps = [urlsplit(address).path for address in town.addresses]
    assert steps[1:5] == ["/citygate/start", steps[2], "/citygate/ticket", "/"]
    assert re.fullmatch(r"/go/[A-Za-z0-9_-]{43}", steps[2])


@pytest.mark.parametrize("row", [pytest.param("N77", id="N77")])
async def test_a_ticket_in_another_browser_is_found_out(town: Town, row: str) -> None:
    """A ticket slipped into a browser that did not fetch its nonce signs nobody in."""
    await agree(town, "huzheng")
    answer = await town.browser.post("/s/huzheng/launch")
    first = await town.browser.client.get(answer.headers["location"])
    start = await town.browser.client.get(first.headers["refresh"].partition("url=")[2])
    last = await town.browser.client.get(start.headers["location"])
    ticket = last.headers["refresh"].partition("url=")[2]
    victim = town.lobby.browser()
    victim.client._transport = town.browser.client._transport

    answer = await victim.client.get(ticket)
    assert answer.status_code == 403
    assert "data-subject" not in answer.text
    await victim.close()


async def test_without_consent_it_is_asked_and_then_goes_on(lobby: Lobby) -> None:
    """A tap leads to the question, 同意 leads onward to the department in one go."""
    browser = await lobby.signed_in()
    answer = await browser.post("/s/gjj/launch", function="withdraw")
    assert answer.headers["location"] == "/consent/gjj?then=launch&function=withdraw"

    page = await browser.get(answer.headers["location"])
    assert page.status_code == 200
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', page.text)[0]
    answer = await browser.post(
        "/consent/gjj",
        digest=digest,
        answer="agree",
        then="launch",
        function="withdraw",
        items=["id_number"],
    )
    assert answer.headers["location"].startswith("/go/")
    page = await browser.get(answer.headers["location"])
    assert "/landing?ticket=" in page.headers["refresh"]
    await browser.close()


async def test_too_low_a_level_leads_to_signing_in_higher(lobby: Lobby) -> None:
    """Level 2 sees the card, but 提取 needs level 3; the way back is the function's page."""
    browser = await lobby.signed_in(level=2)
    answer = await browser.post("/s/gjj/launch", function="withdraw")
    assert answer.headers["location"] == "/sign-in?level=3&next=/s/gjj/withdraw"
    await browser.close()


@pytest.mark.parametrize("row", [pytest.param("N68", id="N68"), pytest.param("N78", id="N78")])
async def test_the_page_with_the_ticket_is_kept_nowhere(lobby: Lobby, row: str) -> None:
    """No store, no referrer, no frame, no script; and the ticket is in no header but Refresh."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give("c1", lobby.desk.entry(), ["name", "id_number"])  # type: ignore[arg-type]
    answer = await browser.post("/s/gjj/launch")
    page = await browser.get(answer.headers["location"])

    assert page.headers["cache-control"] == "private, no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert 'rel="noreferrer"' in page.text
    await browser.close()


async def test_a_launch_address_serves_once_and_says_so(lobby: Lobby) -> None:
    """Opened again it explains itself and offers a way on."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give("c1", lobby.desk.entry(), ["name", "id_number"])  # type: ignore[arg-type]
    go = (await browser.post("/s/gjj/launch")).headers["location"]
    assert (await browser.get(go)).status_code == 200
    again = await browser.get(go)

    assert again.status_code == 410
    assert "只能用一次" in again.text
    assert go not in again.text
    assert (await trail(lobby.desk.ledger)).count("service.launched") == 1
    await browser.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"sec-fetch-dest": "image"}, 400, id="N72-image"),
        pytest.param({"sec-fetch-dest": "iframe"}, 400, id="B46"),
        pytest.param({"sec-purpose": "prefetch"}, 204, id="N72-prefetch"),
        pytest.param({"purpose": "prefetch"}, 204, id="N72-older-prefetch"),
    ],
)
async def test_only_a_page_that_is_opened_uses_a_launch(
    lobby: Lobby, headers: dict[str, str], status: int
) -> None:
    """A picture, a frame or a prefetch burns nothing and gets no ticket."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give("c1", lobby.desk.entry(), ["name", "id_number"])  # type: ignore[arg-type]
    go = (await browser.post("/s/gjj/launch")).headers["location"]

    assert (await browser.get(go, **headers)).status_code == status
    assert (await browser.client.head(go)).status_code == 204
    assert (await browser.get(go)).status_code == 200
    await browser.close()


async def test_another_browser_cannot_open_it(lobby: Lobby) -> None:
    """[N74] The address is of no use to who reads it over a shoulder."""
    browser, stranger = await lobby.signed_in(), await lobby.signed_in("c2")
    await lobby.desk.consents.give("c1", lobby.desk.entry(), ["name", "id_number"])  # type: ignore[arg-type]
    go = (await browser.post("/s/gjj/launch")).headers["location"]

    assert (await stranger.get(go)).status_code == 410
    assert (await lobby.browser().get(go)).status_code == 401
    assert (await browser.get(go)).status_code == 410
    await browser.close()
    await stranger.close()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param("{state: suspended, reason: leak}", 409, id="N79-suspended"),
        pytest.param("{state: retired, reason: over, successor: plain}", 410, id="N79-retired"),
        pytest.param("{state: hidden}", 404, id="N79-hidden"),
        pytest.param("{state: trial, testers: [a]}", 409, id="N79-trial"),
    ],
)
async def test_what_is_off_is_explained_and_not_launched(
    lobby: Lobby, line: str, status: int
) -> None:
    """A page with another way, and no ticket."""
    browser = await lobby.signed_in()
    await lobby.desk.consents.give("c1", lobby.desk.entry(), ["name", "id_number"])  # type: ignore[arg-type]
    lobby.desk.live = generation(
        entry=("    lane: ticket\n", f"    lane: ticket\n    visibility: [{line}]\n")
    )
    answer = await browser.post("/s/gjj/launch")

    assert answer.status_code == status
    if status != 404:
        assert "tel:" in answer.text
    assert await lobby.desk.volatile.ask(("KEYS", "go:*")) == [[]]
    await browser.close()


@pytest.mark.parametrize("service", ["nope", "plain", "a" * 200])
async def test_what_cannot_be_launched_is_said(lobby: Lobby, service: str) -> None:
    """Unknown is not found; a directory entry without a link has other ways."""
    browser = await lobby.signed_in()
    answer = await browser.post(f"/s/{service}/launch")
    assert answer.status_code == (409 if service == "plain" else 404)
    assert (await browser.post("/s/gjj/launch", function="nope")).status_code == 404
    await browser.close()


@pytest.mark.parametrize("row", [pytest.param("B45", id="B45"), pytest.param("N65", id="N65")])
async def test_another_sites_form_launches_nothing(lobby: Lobby, row: str) -> None:
    """Without our token, or from elsewhere, a tap is refused."""
    browser = await lobby.signed_in()
    assert (await browser.client.post("/s/gjj/launch", data={"a": "b"})).status_code == 403
    await browser.get("/me/display")
    answer = await browser.client.post(
        "/s/gjj/launch",
        data={"form_token": browser.token},
        headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    )
    assert answer.status_code == 403
    await browser.close()


async def redeemed(lobby: Lobby, ticket: str, **more: str) -> httpx.Response:
    """What the fund's server gets over HTTP."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(lobby.app), base_url=lobby.origin)
    form = {"ticket": ticket, "address": LANDING, **assertion(lobby.desk.clock), **more}
    answer = await client.post("/api/v1/tickets/redeem", data=form)
    await client.aclose()
    return answer


async def test_the_departments_server_is_answered_as_agreed(lobby: Lobby) -> None:
    """The whole answer, field by field; it is kept by nobody on the way."""
    citizen = await lobby.desk.sign_in()
    await lobby.desk.consents.give(citizen.id, lobby.desk.entry(), ["name", "id_number"])
    ticket = await lobby.desk.tickets.mint(citizen, lobby.desk.entry(), function="withdraw")
    answer = await redeemed(lobby, ticket)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    session = told.pop("session")
    assert re.fullmatch("[0-9a-f]{32}", session)
    assert told == {
        "subject": lobby.desk.keys.subject("gjj-centre", "c1"),
        "department": "gjj-centre",
        "service": "gjj",
        "level": 3,
        "claims": {"name": CLAIMS["name"], "id_number": CLAIMS["id_number"]},
        "function": "withdraw",
        "nonce": None,
    }
    again = await redeemed(lobby, ticket)
    assert (again.status_code, again.json()["reason"]) == (403, "used")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        pytest.param({}, 403, id="N74-unknown"),
        pytest.param({"client_assertion": ""}, 401, id="N30-missing"),
        pytest.param({"client_assertion": "a.b.c"}, 401, id="N32-rubbish"),
        pytest.param({"client_assertion_type": "x"}, 401, id="N30-type"),
    ],
)
async def test_a_wrong_redemption_is_told_no_more_than_that(
    lobby: Lobby, more: dict[str, str], status: int
) -> None:
    """401 without a proof, 403 with one and a wrong ticket; problem details and nothing inside."""
    answer = await redeemed(lobby, "A" * 43, **more)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "assertion" not in answer.text
    assert "ticket:" not in answer.text


async def test_only_a_posted_form_redeems(lobby: Lobby) -> None:
    """[N04] Another method or media type is refused before anything is looked at."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(lobby.app), base_url=lobby.origin)
    assert (await client.get("/api/v1/tickets/redeem")).status_code == 405
    assert (await client.post("/api/v1/tickets/redeem", json={})).status_code == 415
    twice = b"ticket=a&ticket=b"
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/api/v1/tickets/redeem", content=twice, headers=form)
    assert answer.status_code == 400
    await client.aclose()


def test_the_service_is_known_by_its_id() -> None:
    """The two offices of these tests are what they say."""
    assert set(generation().services) >= {ServiceId("gjj"), ServiceId("move")}
