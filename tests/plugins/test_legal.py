"""The code plugin of the legal services centre, in a real child, against the simulated centre."""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.clock import SystemClock, rfc3339
from gateway.conformance.document import read, validate
from gateway.conformance.finding import Finding
from gateway.conformance.opening import open_package
from gateway.contract.answer import AnswerState, CardAnswer, Empty, EmptyReason
from gateway.contract.failure import AskCitizen, CallOwner, Failure, TryAgain
from gateway.contract.hooks import Asked, CardAsk, Reply
from gateway.contract.ids import Subject
from gateway.contract.sample import Recorded, Sample
from gateway.hosting.children.pool import Children
from gateway.hosting.package import Package
from gateway.simulated.city import City
from gateway.simulated.keys import public_keys
from gateway.simulated.people import BY_ID

FOLDER = Path(__file__).parents[2] / "plugins" / "legal"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def opened(**variables: str) -> tuple[Package | None, list[Finding]]:
    """The folder as it lies there, for environment demo."""
    files = {
        str(path.relative_to(FOLDER)): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return open_package(files, environment="demo", variables=variables)


@dataclass
class Centre:
    """The simulated centre, reached as the worker reaches it: token and base added here."""

    city: City
    children: Children
    package: Package
    http: httpx.AsyncClient
    asked: list[Asked] = field(default_factory=list)
    token: str = ""

    async def broker(self, asked: Asked) -> Reply:
        """What the worker does with a request of the plugin."""
        self.asked.append(asked)
        connect = self.package.manifest.connect
        assert connect is not None
        answer = await self.http.request(
            asked.method,
            connect.base + asked.path,
            json=asked.json,
            headers={"authorization": f"Bearer {self.token or await self._proved()}"},
        )
        kept = {"content-type", "retry-after", "date"} & set(answer.headers)
        return Reply(answer.status_code, {name: answer.headers[name] for name in kept}, answer.text)

    async def _proved(self) -> str:
        auth = self.package.manifest.auth
        assert auth is not None
        assert auth.kind == "client_assertion"
        key = ECKey.import_key(orjson.loads(self.city.secret("legal", "client_key")))
        now = int(self.city.clock.seconds())
        claims = {"iss": auth.client_id, "sub": auth.client_id, "aud": auth.aud, "iat": now}
        claims |= {"exp": now + 60, "jti": secrets.token_hex(8)}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": jwt.encode({"alg": auth.alg}, claims, key),
            "scope": auth.scope or "",
        }
        answer = await self.http.post(auth.token_url, data=form)
        self.token = str(answer.json()["access_token"])
        return self.token

    async def card(self, person: str = "", **claims: str) -> CardAnswer | Empty:
        """The card of one of the city's people."""
        if person:
            claims = {"name": BY_ID[person].name, "id_number": BY_ID[person].id_number}
        ask = CardAsk("legal", "cases", Subject("s" * 26), claims, 2, "zh", "t", 3.0)
        return await self.children.card(
            self.package,
            ask,
            broker=self.broker,
            seconds=5.0,
            settings=self.package.settings,
            now=rfc3339(SystemClock().now()),
        )

    def cases(self, person: str, *cases: dict[str, Any]) -> None:
        """What the centre knows of somebody."""
        self.city.records.set_fact("legal", person, "cases", list(cases))


@pytest.fixture(scope="module")
async def children() -> AsyncIterator[Children]:
    """One child for all of these tests."""
    made = Children(clock=SystemClock(), report=lambda *_: None, production=True)
    yield made
    await made.close()


@pytest.fixture
async def centre(tmp_path: Path, children: Children) -> AsyncIterator[Centre]:
    """A city in memory and the plugin in a child."""
    city = City(tmp_path, fast=True)
    package, findings = opened()
    assert findings == []
    assert package is not None
    transport = httpx.ASGITransport(app=city.apps["legal"])
    async with httpx.AsyncClient(transport=transport) as http:
        yield Centre(city, children, package, http)
    await city.close()


async def test_a_booked_consultation(centre: Centre) -> None:
    """李伟 has one appointment: when, with whom."""
    answer = await centre.card("li-wei")

    assert isinstance(answer, CardAnswer)
    assert answer.state is AnswerState.IN_PROGRESS
    assert answer.stage == "@stage.booked"
    assert answer.holder == "公共法律服务中心"
    assert answer.facts["matter"] == "房屋买卖合同咨询"
    assert answer.facts["kind"] == "@kind.appointment"
    assert str(answer.facts["appointment"]).endswith("T14:30:00+08:00")
    assert answer.items == ()


async def test_missing_papers_press_before_all(centre: Centre) -> None:
    """郑浩 must hand in something by a day; the state says so."""
    answer = await centre.card("zheng-hao")

    assert isinstance(answer, CardAnswer)
    assert answer.state is AnswerState.ACTION_REQUIRED
    assert answer.facts["missing"] == "借款合同原件照片"
    assert (answer.due - centre.city.clock.matters().date()).days == 4  # type: ignore[operator]
    assert answer.holder == "䶮湖法律援助站"


async def test_several_cases_and_the_most_urgent_shown(centre: Centre) -> None:
    """冯霞's appointment stands on the card, the others below it."""
    answer = await centre.card("feng-xia")

    assert isinstance(answer, CardAnswer)
    assert answer.facts["matter"] == "遗嘱公证咨询"
    assert [row["title"] for row in answer.items] == ["邻里漏水纠纷", "工伤待遇纠纷"]
    assert answer.items[0]["kind"] == "@kind.mediation"
    assert answer.items[0]["stage"] == "@stage.mediating"


async def test_closed_is_done(centre: Centre) -> None:
    """Nothing but a closed matter: done."""
    answer = await centre.card("abla")

    assert isinstance(answer, CardAnswer)
    assert answer.state is AnswerState.DONE
    assert answer.stage == "@stage.closed"


async def test_no_matter(centre: Centre) -> None:
    """何静 has just moved in: empty, with words."""
    assert await centre.card("he-jing") == Empty(reason=EmptyReason.NO_RECORD, words="cases.none")


async def test_what_is_handed_in_changes_the_card(centre: Centre) -> None:
    """A new application asks for papers, outranks the appointment, then is being looked at."""
    now = centre.city.clock.matters()
    made = centre.city.records.hand_in(
        "legal", "li-wei", "fy", now, {"title": "劳动报酬纠纷"}, "once"
    )

    applied = await centre.card("li-wei")
    centre.city.office.supplied("li-wei", made.id, "流水")
    supplied = await centre.card("li-wei")

    assert isinstance(applied, CardAnswer)
    assert (applied.state, applied.facts["matter"]) == (AnswerState.ACTION_REQUIRED, "劳动报酬纠纷")
    assert isinstance(supplied, CardAnswer)
    assert supplied.facts["matter"] == "房屋买卖合同咨询"
    assert supplied.items[0]["stage"] == "@stage.reviewing"


async def test_all_pages_are_read(centre: Centre) -> None:
    """Thirteen cases on three pages; the urgent one is the last of all."""
    many = [{"kind": "notary", "title": f"公证{n}", "status": "received"} for n in range(12)]
    centre.cases("li-wei", *many, {"kind": "legal_aid", "title": "急", "status": "supplement"})

    answer = await centre.card("li-wei")

    assert isinstance(answer, CardAnswer)
    assert answer.facts["matter"] == "急"
    assert len(answer.items) == 12
    cursors = [one.json.get("cursor") for one in centre.asked]
    assert cursors == [None, "5", "10"]
    assert all(one.idempotent for one in centre.asked)


async def test_neither_secret_nor_token_is_in_what_the_child_asks(centre: Centre) -> None:
    """The worker proves who we are; the plugin sends a person and nothing else."""
    await centre.card("li-wei")

    (asked,) = centre.asked
    assert asked.headers == {}
    assert set(asked.json) == {"name", "id_number"}


async def test_without_consent_nothing_is_sent(centre: Centre) -> None:
    """A claim that was not agreed to is not there: the citizen is asked."""
    with pytest.raises(AskCitizen) as caught:
        await centre.card(name="李伟")

    assert caught.value.need == "consent"
    assert centre.asked == []


async def test_probe_tells_whether_the_centre_takes_our_credentials(centre: Centre) -> None:
    """With a token it is there; with another's it is a fault for the owner."""
    given: dict[str, Any] = {
        "broker": centre.broker,
        "seconds": 3.0,
        "settings": centre.package.settings,
        "now": "",
    }
    assert (await centre.children.probe(centre.package, **given)).ok

    centre.token = "another's"
    with pytest.raises(CallOwner):
        await centre.children.probe(centre.package, **given)


def _page(**more: Any) -> dict[str, Any]:
    return {"total": 0, "next": None, "as_of": "2026-11-23T09:30:00+08:00", "cases": [], **more}


def _case(**more: Any) -> dict[str, Any]:
    base = {"id": "x", "kind": "legal_aid", "title": "t", "status": "received", "handler": "h"}
    nothing = {"supplement": None, "appointment": None}
    return {**base, "updated_at": "2026-11-23T09:30:00+08:00", **nothing, **more}


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Reply(503, {"retry-after": "30"}, ""), TryAgain(30.0, "busy")),
        (Reply(503, {"retry-after": "soon"}, ""), TryAgain(None, "busy")),
        (Reply(429, {}, ""), TryAgain(None, "busy")),
        (Reply(200, {}, '{"error":"server_error"}'), TryAgain(None, "busy")),
        (Reply(200, {}, '{"error":"other"}'), CallOwner("")),
        (Reply(401, {}, '{"error":"invalid_token"}'), CallOwner("")),
        (Reply(302, {}, ""), CallOwner("")),
        (Reply(200, {}, "<html>login</html>"), CallOwner("")),
        (Reply(200, {}, "[]"), CallOwner("")),
        (Reply(200, {}, '{"cases":[],"cases":[],"as_of":""}'), CallOwner("")),
        (Reply(200, {}, "{}"), CallOwner("")),
        (_page(as_of="yesterday"), CallOwner("")),
        (_page(as_of="2026-11-23T09:30:00"), CallOwner("")),
        (_page(cases=[7]), CallOwner("")),
        (_page(cases=[_case(status="archived")]), CallOwner("")),
        (_page(cases=[_case(title=None)]), CallOwner("")),
        (_page(cases=[_case(updated_at="")]), CallOwner("")),
        (_page(cases=[_case(status="supplement")]), CallOwner("")),
        (_page(cases=[_case(status="supplement", supplement={"what": "x", "due": "?"})]), CallOwner("")),
        (_page(cases=[_case(status="booked", appointment={"at": "14:30"})]), CallOwner("")),
        (_page(next="5"), CallOwner("")),
        (_page(next=5), CallOwner("")),
        (_page(cases=[_case(kind="divorce", title="@stage.closed", due="x")]), None),
    ],
)  # fmt: skip
async def test_answers_that_were_not_promised(
    answer: Reply | dict[str, Any], failure: Failure | None, centre: Centre
) -> None:
    """Each in its class; never an error of the plugin, never a value of the citizen in it."""
    given = answer if isinstance(answer, Reply) else Reply(200, {}, json.dumps(answer))

    async def odd(_: Asked) -> Reply:
        return given

    centre.broker = odd  # type: ignore[method-assign]
    if failure is None:
        card = await centre.card("li-wei")
        assert isinstance(card, CardAnswer)
        assert card.facts == {"matter": "stage.closed", "kind": "@kind.other"}
        return
    with pytest.raises(type(failure)) as caught:
        await centre.card("li-wei")

    if isinstance(failure, TryAgain):
        assert vars(caught.value) == vars(failure)
    assert "李伟" not in str(vars(caught.value))


SAMPLES = sorted((FOLDER / "samples").glob("*.yaml"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
async def test_samples_hold(path: Path, centre: Centre) -> None:
    """[C12] Every recorded answer gives exactly the declared card."""
    sample, findings = validate(read(path.read_bytes(), path.name), Sample)
    assert findings == []
    assert sample is not None
    rows = {
        key: list((answers,) if isinstance(answers, Recorded) else answers)
        for key, answers in sample.answers.items()
    }

    async def recorded(asked: Asked) -> Reply:
        one = rows[f"{asked.method} {asked.path}"].pop(0)
        text = one.text if one.json_ is None else json.dumps(one.json_)
        return Reply(one.status, {}, text or "")

    centre.broker = recorded  # type: ignore[method-assign]
    expect = sample.expect
    if expect.failure is not None:
        with pytest.raises(Failure) as caught:
            await centre.card(**sample.citizen)
        kinds = {"try_again": TryAgain, "call_owner": CallOwner, "ask_citizen": AskCitizen}
        assert type(caught.value) is kinds[expect.failure]
        assert getattr(caught.value, "words", None) == expect.words
        return
    answer = await centre.card(**sample.citizen)
    assert answer == (expect.card or Empty(reason=expect.empty or "no_record", words=expect.words))  # type: ignore[arg-type]
    assert rows == {key: [] for key in rows}


def test_the_manifest_says_what_the_centre_and_the_registry_expect() -> None:
    """Lane, functions, keys, ports as they are given."""
    package, findings = opened(PORT_LEGAL="4711")
    assert findings == []
    assert package is not None
    (service,) = package.manifest.services

    assert service.launch.ticket is not None
    assert service.launch.ticket.address == "http://legal.localhost:4711/citygate/ticket"
    assert [one.id for one in service.functions] == ["aid", "cases", "appointment"]
    assert list(package.manifest.keys) == public_keys()["legal"]["keys"]
    assert package.network == (("legal.localhost", 4711),)
    assert package.words["zh"].keys() == package.words["en"].keys()
