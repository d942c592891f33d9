"""Programs get the same values as pages: the feed, one card, and a document that is true."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.hosting.outcome import Failed, Reason
from gateway.routes import CITIZEN, ENDPOINTS, Router
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from gateway.web.openapi import document
from tests.gateway.cards.stage import Stage, directory, entry, figure, generation
from tests.gateway.web.lobby import Lobby

CITY = generation(
    entry("gjj"), entry("old", "visibility: retired\nsuccessor: care"),
    entry("secret", "visibility: hidden"), directory(),
)  # fmt: skip
DOCUMENT = orjson.loads(document())


def check(answer: httpx.Response, model: str) -> Any:
    """The answer, after the published schema said yes to it."""
    schema = {**DOCUMENT["components"]["schemas"][model], "components": DOCUMENT["components"]}
    said = answer.json()
    jsonschema_rs.validate(schema, said)
    return said


@pytest.fixture
async def lobby(
    volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> AsyncIterator[Lobby]:
    """The router over real stores and a scripted department."""
    made = Lobby(volatile, ledger, keys, clock, live=CITY)
    stage = Stage(volatile, keys, clock)
    stage._agreements = made.desk.consents.agreements  # type: ignore[method-assign]  # real ones
    stage._claims = made.desk.sessions.claims  # type: ignore[method-assign]  # real ones
    stage.cards = stage.another()
    made.stage = stage  # type: ignore[attr-defined]  # for the tests here
    made.parts = replace(made.parts, cards=stage.cards)
    made.app = Router(made.parts, made.app._door, made.app._zones)
    yield made
    await stage.cards.close()


def stage_of(lobby: Lobby) -> Stage:
    """The scripted department."""
    found: Stage = lobby.stage  # type: ignore[attr-defined]  # see the fixture
    return found


async def agreed(lobby: Lobby) -> Any:
    """A signed-in browser whose citizen has consented."""
    browser = await lobby.signed_in()
    found = CITY.entry("gjj")
    assert found is not None
    await lobby.desk.consents.give(CitizenId("c1"), found, ["name"])
    return browser


async def test_the_feed_signed_out(lobby: Lobby) -> None:
    """Everybody gets every service, with what she must do to see more."""
    answer = await lobby.browser().get("/api/v1/cards")
    said = check(answer, "Feed")
    assert {c["service"]: c["state"]["code"] for c in said["cards"]} == {
        "gjj": "needs_login", "old": "retired", "care": "ready",
    }  # fmt: skip
    assert said["complete"] is True
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Cookie, User-Agent, X-Citygate-Host"
    assert stage_of(lobby).asks == []


async def test_the_feed_signed_in_and_unchanged(lobby: Lobby) -> None:
    """A citizen's figures; the same again is a 304 without a body."""
    browser = await agreed(lobby)
    answer = await browser.get("/api/v1/cards")
    said = check(answer, "Feed")
    gjj = next(c for c in said["cards"] if c["service"] == "gjj")
    assert gjj["card"]["facts"][0]["value"] == "52,340.18 元"
    assert gjj["freshness"]["source"] == "live"
    etag = answer.headers["etag"]
    for names in (etag, f'W/{etag}, "other"', "*"):
        again = await browser.get("/api/v1/cards", **{"if-none-match": names})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert again.headers["cache-control"] == "private, no-cache"
    assert (await browser.get("/api/v1/cards", **{"if-none-match": '"other"'})).status_code == 200


async def test_a_failure_is_in_the_answer_and_not_the_answer(lobby: Lobby) -> None:
    """[F22] A dead department is a state of its own card; the request is well."""
    browser = await agreed(lobby)
    stage_of(lobby).answer = Failed(Reason.UNREACHABLE)
    said = check(await browser.get("/api/v1/cards"), "Feed")
    assert said["complete"] is False
    assert [c["state"]["code"] for c in said["cards"]] == ["unavailable", "retired", "ready"]


@pytest.mark.row("B34")
async def test_one_card(lobby: Lobby) -> None:
    """The same envelope as in the feed, never stored by anybody."""
    browser = await agreed(lobby)
    feed = (await browser.get("/api/v1/cards?services=gjj")).json()
    answer = await browser.get("/api/v1/cards/gjj")
    assert check(answer, "Envelope") == feed["cards"][0]
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/cards?topic=health", 200),
        ("/api/v1/cards?topic=nowhere", 404),
        ("/api/v1/cards?services=gjj,care", 200),
        ("/api/v1/cards?services=secret,nothing", 200),
        ("/api/v1/cards?services=", 400),
        ("/api/v1/cards?services=GJJ", 400),
        ("/api/v1/cards?services=" + ",".join(["a"] * 201), 400),
        ("/api/v1/cards?services=gjj&services=care", 400),
        ("/api/v1/cards?lang=en", 400),
        ("/api/v1/cards/gjj?x=1", 400),
        ("/api/v1/cards/secret", 404),
        ("/api/v1/cards/nothing", 404),
        ("/api/v1/cards/old", 410),
        ("/api/v1/cards.css", 404),
    ],
)
@pytest.mark.row("B35")
async def test_what_is_asked_for(lobby: Lobby, path: str, status: int) -> None:
    """[B28] Unknown, doubled and unreadable parameters are refused; hidden is unknown."""
    answer = await lobby.browser().get(path)
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        check(answer, "Problem")
    if status == 410:
        assert answer.json()["successor"] == "care"
    if "secret" in path and status == 200:
        assert answer.json()["cards"] == []


@pytest.mark.row("B34")
async def test_one_citizen_after_another_on_one_browser(lobby: Lobby) -> None:
    """[B34] An answer made for one is not a 304 for the next."""
    browser = await agreed(lobby)
    etag = (await browser.get("/api/v1/cards")).headers["etag"]
    browser.cookies.clear()
    assert (await browser.get("/api/v1/cards", **{"if-none-match": etag})).status_code == 200


async def test_the_document_is_served_and_describes_every_api_row(lobby: Lobby) -> None:
    """Every row for programs in the endpoint table is described, and nothing else."""
    answer = await lobby.browser().get("/openapi.json")
    assert answer.json()["openapi"] == "3.1.0"
    rows = {
        (row.path, row.method.lower())
        for row in ENDPOINTS
        if row.zone == CITIZEN and row.path.startswith(("/api/", "/oembed", "/openapi.json"))
    }
    said = {(path, method) for path, ways in DOCUMENT["paths"].items() for method in ways}
    assert said == rows
    again = await lobby.browser().get("/openapi.json", **{"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


def test_the_document_needs_no_reference_from_outside() -> None:
    """Every $ref leads somewhere in it."""

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [r for v in value.values() for r in references(v)]
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    schemas = DOCUMENT["components"]["schemas"]
    found = {r.removeprefix("#/components/schemas/") for r in references(DOCUMENT)}
    assert found <= set(schemas)
    for name, schema in schemas.items():
        jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}), name


async def test_a_changed_figure_changes_the_tag(lobby: Lobby) -> None:
    """The tag is of the bytes."""
    browser = await agreed(lobby)
    first = (await browser.get("/api/v1/cards")).headers["etag"]
    lobby.desk.clock.offset = 600_000_000
    stage_of(lobby).answer = figure(100)
    assert (await browser.get("/api/v1/cards")).headers["etag"] != first
