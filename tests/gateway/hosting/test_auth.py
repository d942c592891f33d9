"""How we prove ourselves: against scripted departments and the simulated city on real ports."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.clock import OffsetClock
from gateway.conformance.opening import open_package
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import PluginId, Subject
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Reason
from gateway.hosting.package import Package
from gateway.simulated.people import BY_ID
from tests.department import Department
from tests.gateway.hosting.offices import RECIPE, Hands, opened, package
from tests.gateway.simulated.conftest import start, stop

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def office() -> Iterator[Department]:
    """A department that is well."""
    with Department() as made:
        yield made


def folder(tmp_path: Path, **secrets: str) -> Path:
    """The office's secrets."""
    (tmp_path / "office").mkdir(exist_ok=True)
    for name, value in secrets.items():
        (tmp_path / "office" / name).write_text(value)
    return tmp_path


@pytest.mark.parametrize(
    ("auth", "header", "said"),
    [
        ({"kind": "header", "name": "X-Key", "value": "k {secret.word}"}, "x-key", "k geheim"),
        (
            {"kind": "basic", "user": "me", "password": "{secret.word}"},
            "authorization",
            "Basic " + base64.b64encode(b"me:geheim").decode(),
        ),
    ],
)
async def test_fixed_credentials_go_along(
    office: Department, tmp_path: Path, auth: dict[str, Any], header: str, said: str
) -> None:
    """From the secret's file into the request and nowhere else."""
    async with opened(
        package(office.port, auth=auth), secrets=folder(tmp_path, word="geheim")
    ) as hands:
        assert await hands.value() == "100"
        assert "geheim" not in repr(hands.departments.health())

    assert office.requests[0][2][header] == said


async def test_a_missing_secret_sends_nothing_and_is_named(office: Department) -> None:
    """The owner reads which file is not there; the citizen's card says it is not her fault."""
    auth = {"kind": "header", "name": "X-Key", "value": "{secret.word}"}
    async with opened(package(office.port, auth=auth)) as hands:
        outcome = await hands.card()

        assert isinstance(outcome, Failed)
        assert outcome.reason is Reason.CREDENTIALS
        assert "office/word" in outcome.what
        assert hands.reports == [("office", "credentials", outcome.what)]
    assert office.calls == 0


@pytest.mark.parametrize("row", [pytest.param(0, id="F11-storm")])
async def test_refused_credentials_make_no_storm(office: Department, row: int) -> None:
    """The breaker opens, the owner is told, the citizen is not asked to sign in."""
    office.behave("401")
    async with opened(package(office.port)) as hands:
        outcomes = [await hands.card() for _ in range(50)]

        assert {type(outcome) for outcome in outcomes} == {Failed}, row
        assert hands.health()["breaker"] == "open"
    assert office.calls == 5


LOGIN = {
    "kind": "login",
    "path": "/login",
    "json": {"user": "me", "word": "{secret.word}"},
    "token_at": "data.token",
    "valid_for": "20min",
    "header": "X-Token",
    "prefix": "T ",
}


class Desk:
    """Answers a log-in with a token that holds for some calls."""

    def __init__(self, office: Department, *, calls: int = 1_000_000) -> None:
        self.office = office
        self.logins = 0
        self.left = 0
        self.calls = calls
        office.answer = self.answer
        office.behaviour = "well"

    def answer(self) -> Any:
        """By path; without a fresh token the next answer is 401."""
        _, path, headers, _ = self.office.requests[-1]
        if path == "/login":
            self.logins += 1
            self.left = self.calls
            return {"data": {"token": f"t{self.logins}"}}
        assert headers["x-token"] == f"T t{self.logins}"
        self.left -= 1
        return {"code": "0", "data": {"value": "in"}}


async def test_a_session_is_kept_and_shared(office: Department, tmp_path: Path) -> None:
    """One log-in for all citizens that come at once, and for those after them."""
    desk = Desk(office)
    async with opened(
        package(office.port, auth=LOGIN), secrets=folder(tmp_path, word="w")
    ) as hands:
        outcomes = await asyncio.gather(*(hands.card(who=str(n)) for n in range(6)))
        assert all(isinstance(outcome, Answered) for outcome in outcomes), outcomes
        assert await hands.value() == "in"

    assert desk.logins == 1
    assert orjson.loads(office.requests[0][3]) == {"user": "me", "word": "w"}


async def test_a_session_ends_and_is_made_anew(
    office: Department, tmp_path: Path, clock: OffsetClock
) -> None:
    """After its time, and once more after a 401; a second 401 is the owner's."""
    desk = Desk(office)
    auth = {**LOGIN, "valid_for": "1s"}
    async with opened(package(office.port, auth=auth), secrets=folder(tmp_path, word="w")) as hands:
        assert await hands.value() == "in"
        await asyncio.sleep(1.05)
        assert await hands.value() == "in"
        assert desk.logins == 2

        office.behave("401")
        outcome = await hands.card()
        assert isinstance(outcome, Failed)
        assert outcome.reason is Reason.CREDENTIALS
        assert [path for _, path, _, _ in office.requests][-2:] == ["/ask", "/login"]
        office.behave("well")
        assert await hands.value() == "in"


async def test_a_401_once_is_mended_without_anybody_noticing(
    office: Department, tmp_path: Path
) -> None:
    """The department forgot the session: one log-in, one more call."""
    desk = Desk(office)
    async with opened(
        package(office.port, auth=LOGIN), secrets=folder(tmp_path, word="w")
    ) as hands:
        assert await hands.value() == "in"
        answer = office.answer

        def forgotten() -> Any:
            office.behaviour = "well"
            return answer()

        office.answer = forgotten
        office.behaviour = "401"
        # the scripted 401 is answered once: `forgotten` runs for it and turns the page
        outcome = await hands.card()

        assert isinstance(outcome, Answered), outcome
        assert desk.logins == 2


def assertion_package(port: int, **more: Any) -> Package:
    """A package with client credentials at the same office."""
    auth = {
        "kind": "client_assertion",
        "key": "{secret.key}",
        "client_id": "citygate",
        "token_url": f"http://office.localhost:{port}/token",
        "aud": "https://office.example/token",
        "early": "10s",
    }
    return package(port, auth={**auth, **more})


async def test_client_assertions_are_made_for_one_endpoint(
    office: Department, tmp_path: Path
) -> None:
    """Signed with our key, for a minute, never twice the same; the token is kept."""
    key = ECKey.generate_key("P-256", private=True)
    tokens = iter(range(100))

    def answer() -> Any:
        if office.requests[-1][1] == "/token":
            return {"access_token": f"a{next(tokens)}", "expires_in": 300, "token_type": "Bearer"}
        return {"code": "0", "data": {"value": "in"}}

    office.answer = answer
    secrets = folder(
        tmp_path, key=orjson.dumps(key.as_dict(private=True), option=orjson.OPT_INDENT_2).decode()
    )
    async with opened(assertion_package(office.port), secrets=secrets) as hands:
        assert [await hands.value() for _ in range(3)] == ["in"] * 3

    assert [path for _, path, _, _ in office.requests] == ["/token", "/ask", "/ask", "/ask"]
    assert office.requests[1][2]["authorization"] == "Bearer a0"
    form = dict(pair.split("=") for pair in office.requests[0][3].decode().split("&"))
    claims = jwt.decode(form["client_assertion"], key, algorithms=["ES256"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "citygate",
        "citygate",
        "https://office.example/token",
    )
    assert claims["exp"] - claims["iat"] == 60
    assert form["grant_type"] == "client_credentials"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("401", Reason.CREDENTIALS), ("500", Reason.TRY_LATER), ("silent", Reason.TIMEOUT),
     ("login-page", Reason.CONTRACT), ("null", Reason.CONTRACT), ("huge", Reason.TOO_BIG)],
)  # fmt: skip
async def test_a_token_endpoint_that_misbehaves_is_said(
    office: Department, tmp_path: Path, kind: str, reason: Reason
) -> None:
    """No token, no call; the reason is the endpoint's."""
    key = ECKey.generate_key("P-256", private=True)
    secrets = folder(tmp_path, key=orjson.dumps(key.as_dict(private=True)).decode())
    office.behave(kind)
    async with opened(assertion_package(office.port), secrets=secrets) as hands:
        outcome = await hands.card(seconds=0.9)

    assert isinstance(outcome, Failed)
    assert outcome.reason is reason, outcome


@pytest.mark.parametrize("text", ["no key", "{}", '{"kty":"EC"}', '{"kty":"oct","k":"AAAA"}'])
async def test_a_key_that_is_none_is_said_without_its_text(
    office: Department, tmp_path: Path, text: str
) -> None:
    """The owner's file is wrong."""
    async with opened(assertion_package(office.port), secrets=folder(tmp_path, key=text)) as hands:
        outcome = await hands.card()

    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.CREDENTIALS
    assert text not in outcome.what
    assert office.calls == 0


# --- the simulated city -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The departments of the city on real ports."""
    made = tmp_path_factory.mktemp("city")
    process = start(made, "--control")
    yield made
    stop(process)


def city_package(city: Path, plugin: str) -> Package:
    """A shipped plugin, its back end where this city listens."""
    source = ROOT / "plugins" / plugin
    files = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    at = orjson.loads((city / "addresses.json").read_bytes())
    ports = {f"PORT_{name.upper()}": url.rpartition(":")[2] for name, url in at.items()}
    made, findings = open_package(files, environment="demo", variables=ports)
    assert made is not None, findings
    return made


def about(plugin: str, card: str, person: str = "li-wei") -> CardAsk:
    """A question about one of the city's people."""
    one = BY_ID[person]
    return CardAsk(
        service=plugin,
        card=card,
        subject=Subject("s" * 26),
        claims={"name": one.name, "id_number": one.id_number},
        level=3,
        language="zh",
        trace="t-1",
        seconds=3.0,
    )


async def shown(hands: Hands, plugin: str, card: str, **claims: str) -> Any:
    """What a plugin's department answers about 李伟."""
    asked = about(plugin, card)
    asked = CardAsk(
        **{
            **{n: getattr(asked, n) for n in CardAsk.__slots__},
            **({"claims": claims} if claims else {}),
        }
    )
    return await hands.departments.card(PluginId(plugin), asked, who="a", seconds=3)


@pytest.mark.parametrize(
    ("plugin", "card"), [("gjj", "account"), ("property", "holdings"), ("jobs", "events")]
)
async def test_shipped_recipes_are_answered(city: Path, plugin: str, card: str) -> None:
    """Signature, WS-Security and nothing at all: each department takes us for who we are."""
    async with opened(city_package(city, plugin), secrets=city / "secrets") as hands:
        outcome = await shown(hands, plugin, card)
        assert isinstance(outcome, Answered), outcome
        assert (await hands.departments.probe(PluginId(plugin))).ok


async def test_business_errors_inside_200_are_told_apart(city: Path) -> None:
    """Name and number do not belong together: the citizen can mend it, the breaker hears nothing."""
    async with opened(city_package(city, "gjj"), secrets=city / "secrets") as hands:
        number = BY_ID["li-wei"].id_number
        outcome = await shown(hands, "gjj", "account", name="王某", id_number=number)
        assert outcome == NeedsCitizen("field", "account.mismatch")


async def test_a_wrong_secret_is_refused_by_every_department(city: Path, tmp_path: Path) -> None:
    """401, a SOAP fault: our credentials, not the citizen's."""
    for name, value in {"gjj/app_secret": "wrong", "property/password": "wrong"}.items():
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(value)
    for plugin, card in (("gjj", "account"), ("property", "holdings")):
        async with opened(city_package(city, plugin), secrets=tmp_path) as hands:
            outcome = await shown(hands, plugin, card)
            assert isinstance(outcome, Failed)
            assert outcome.reason in (Reason.CREDENTIALS, Reason.CONTRACT), outcome


async def test_client_credentials_open_legal_services(city: Path) -> None:
    """The token endpoint of department 2 takes our assertion, its interface the token."""
    legal = city_package(city, "legal")
    recipe = {
        **RECIPE,
        "calls": {
            "ask": {
                "method": "POST",
                "path": "/api/cases/query",
                "idempotent": True,
                "json": {"name": "{citizen.name}", "id_number": "{citizen.id_number}"},
            }
        },
        "cards": {"main": {"from": "ask", "facts": {"value": "total"}}},
    }
    port = legal.network[0][1]
    connect = {"base": f"http://legal.localhost:{port}"}
    made = package(
        port,
        recipe,
        plugin="legal",
        host="legal.localhost",
        connect=connect,
        auth=legal.manifest.auth.model_dump(by_alias=True) if legal.manifest.auth else None,
    )
    async with opened(made, secrets=city / "secrets") as hands:
        outcome = await shown(hands, "legal", "main")
        assert isinstance(outcome, Answered), outcome
