"""Each department speaks what WIRE.md says, over real HTTP."""

import asyncio
import csv
import io
import time
from typing import Any

import httpx
import orjson
import pytest
from lxml import etree

from gateway.simulated.people import BY_ID


def inner(answer: httpx.Response) -> etree._Element:
    """The document inside the string."""
    text = answer.content.decode("gb18030")
    head = text.index("<result>")
    return etree.fromstring(text[head : text.index("]]>")])


async def test_gjj_tells_money_as_text(hands: Any) -> None:
    """The account's answer, with the balance the control sets."""
    await hands.control("set", system="gjj", person="li-wei", field="balance", value="60000.01")

    answer = await hands.account("li-wei")

    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    told = answer.json()
    assert told["code"] == "0000"
    assert told["data"]["grzhye"] == "60000.01"
    assert told["data"]["dwmc"] == "安澜市第三中学"
    assert told["data"]["grzhzt"] == "01"


@pytest.mark.parametrize(
    ("over", "why"),
    [
        pytest.param({"sign": "0" * 64}, "X-Sign", id="signature"),
        pytest.param({"key": "other"}, "X-Sign", id="key"),
        pytest.param({"time": str(time.time_ns() // 1_000_000 - 95_000)}, "90 s", id="old"),
        pytest.param({"time": str(time.time_ns() // 1_000_000 + 600_000)}, "90 s", id="ahead"),
        pytest.param({"time": "soon"}, "milliseconds", id="time"),
        pytest.param({"nonce": "short"}, "X-Nonce", id="nonce"),
    ],
)
async def test_gjj_refuses_a_wrong_signature(hands: Any, over: dict[str, str], why: str) -> None:
    """401 with the reason; nothing of the account."""
    answer = await hands.account("li-wei", **over)

    assert answer.status_code == 401
    assert why in answer.json()["msg"]
    assert answer.json()["data"] is None


async def test_gjj_refuses_a_repeated_nonce(hands: Any) -> None:
    """The same signed request counts once."""
    one = BY_ID["li-wei"]
    body = orjson.dumps({"zjhm": one.id_number, "xm": one.name})
    request = hands.signed("POST", "/open/v2/person/account", body)
    again = hands.http.build_request(
        "POST", request.url, content=body, headers=dict(request.headers)
    )

    assert (await hands.http.send(request)).status_code == 200
    assert (await hands.http.send(again)).status_code == 401


async def test_gjj_signs_the_sorted_query(hands: Any) -> None:
    """Pairs are sorted as sent, so order does not matter and content does."""
    good = await hands.http.send(hands.signed("GET", "/open/v2/ping?b=2&a=%E6%9D%8E"))

    assert good.json()["code"] == "0000"


@pytest.mark.parametrize(
    ("person", "code"),
    [("zhou-min", "1404"), ("he-jing", "1404"), ("ouyang-ming", "1101"), ("wu-gang", "0000")],
)
async def test_gjj_says_business_errors_with_200(hands: Any, person: str, code: str) -> None:
    """No account and a name that does not fit are answers, not HTTP errors."""
    answer = await hands.account(person)

    assert answer.status_code == 200
    assert answer.json()["code"] == code


async def test_gjj_is_closed_during_the_nightly_batch(hands: Any) -> None:
    """Code 2001 and when it opens."""
    await hands.control("set", system="gjj", person="*", field="batch", value=True)

    told = (await hands.account("li-wei")).json()

    assert told["code"] == "2001"
    assert told["data"]["kfsj"].endswith("06:00:00")


async def test_gjj_tells_the_loan(hands: Any) -> None:
    """In repayment, overdue, none."""
    assert (await hands.business("wang-fang"))["dk"]["zt"] == "05"
    assert (await hands.business("zheng-hao"))["dk"]["zt"] == "06"
    assert await hands.business("li-wei") == {"tq": None, "dk": None}


async def test_gjj_counts_calls_and_cookies_that_come_back(hands: Any) -> None:
    """What a gateway must not do is counted."""
    await hands.control("calls")
    await hands.account("li-wei")
    assert "JSESSIONID" in hands.http.cookies
    await hands.account("li-wei")

    told = await hands.calls("gjj")

    assert told["total"] == 2
    assert told["paths"] == {"POST /open/v2/person/account": 2}
    assert told["cookies_returned"] == 1


async def test_legal_gives_cases_for_a_proven_client(hands: Any) -> None:
    """private_key_jwt, then the cases of a person, several kinds."""
    told = await hands.cases("feng-xia")

    assert told["total"] == 3
    assert {one["kind"] for one in told["cases"]} == {"legal_aid", "mediation", "appointment"}
    booked = next(one for one in told["cases"] if one["status"] == "booked")
    assert booked["appointment"]["at"].endswith("+08:00")
    assert (await hands.cases("he-jing"))["cases"] == []


async def test_legal_pages_through_many_cases(hands: Any) -> None:
    """Five at a time, with a cursor."""
    cases = [{"kind": "mediation", "title": f"第{n}件", "status": "mediating"} for n in range(7)]
    await hands.control("set", system="legal", person="li-wei", field="cases", value=cases)
    told = await hands.cases("li-wei")

    assert (told["total"], len(told["cases"]), told["next"]) == (7, 5, "5")


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"aud": "http://other"}, id="audience"),
        pytest.param({"iss": "somebody"}, id="issuer"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"exp": int(time.time()) + 4000}, id="too-long"),
        pytest.param({"jti": ""}, id="no-jti"),
    ],
)
async def test_legal_refuses_a_wrong_assertion(hands: Any, over: dict[str, object]) -> None:
    """401 invalid_client."""
    assertion = hands.assertion("legal/client_key", f"{hands.at['legal']}/oauth/token", **over)

    answer = await hands.legal_token(assertion)

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


async def test_legal_refuses_replay_and_the_wrong_key(hands: Any) -> None:
    """An assertion counts once, and only one made with our key."""
    address = f"{hands.at['legal']}/oauth/token"
    assertion = hands.assertion("legal/client_key", address)

    assert (await hands.legal_token(assertion)).status_code == 200
    assert (await hands.legal_token(assertion)).status_code == 401
    other = hands.assertion("identity/client_key", address)
    assert (await hands.legal_token(other)).status_code == 401


async def test_legal_refuses_unknown_and_old_tokens(hands: Any) -> None:
    """Bearer tokens end after five minutes of the city's clock."""
    token = (await hands.legal_token()).json()["access_token"]
    head = {"Authorization": f"Bearer {token}"}
    health = f"{hands.at['legal']}/api/health"

    assert (await hands.http.get(health)).status_code == 401
    assert (await hands.http.get(health, headers=head)).status_code == 200
    await hands.control("clock", advance_seconds=301)
    assert (await hands.http.get(health, headers=head)).status_code == 401


@pytest.mark.parametrize("charset", ["GB18030", "UTF-8"])
async def test_property_finds_an_owner_with_a_rare_name(hands: Any, charset: str) -> None:
    """The document inside the string, asked for in either charset."""
    answer = await hands.property("long-jianing", charset=charset)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml;charset=GBK"
    assert inner(answer).findtext("head/code") == "1"
    assert inner(answer).findtext("body/row/ZL", "").startswith("安澜市䶮湖区")


async def test_property_says_nothing_registered_and_sealed(hands: Any) -> None:
    """Code 0 with an empty body; SFCF 1 on one of three."""
    nothing = inner(await hands.property("he-jing"))
    assert nothing.findtext("head/code") == "0"
    assert not nothing.findall("body/row")
    several = inner(await hands.property("ma-chao"))
    assert [one.findtext("SFCF") for one in several.findall("body/row")] == ["0", "1", "0"]


async def test_property_refuses_a_wrong_password_and_an_old_token(hands: Any) -> None:
    """A SOAP fault with 500."""
    for answer in (
        await hands.property("li-wei", password="wrong"),
        await hands.property("li-wei", created="2026-01-01T00:00:00Z"),
    ):
        assert answer.status_code == 500
        assert "未授权" in answer.content.decode("gb18030")


@pytest.mark.parametrize(
    "body", [b"", b"<a", "<a>䶮</a>".encode(), b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>']
)
async def test_property_answers_unreadable_requests_with_a_fault(hands: Any, body: bytes) -> None:
    """Never a stack trace."""
    answer = await hands.http.post(f"{hands.at['property']}/services/QueryService", content=body)

    assert answer.status_code == 500
    assert "请求报文错误" in answer.content.decode("gb18030")


async def test_water_drops_a_file_each_night(hands: Any) -> None:
    """CSV in GB18030 with its marker; a new one after the night, one more on demand."""
    folder = hands.folder / "drops" / "water"
    before = set(folder.glob("*.csv"))
    await hands.control("clock", advance_seconds=86400)
    made = sorted(set(folder.glob("*.csv")) - before)
    assert len(made) == 1
    assert made[0].with_name(made[0].name + ".done").exists()

    await hands.control("set", system="water", person="li-wei", field="amount", value="77.70")
    name = (await hands.control("drop"))["file"]
    rows = list(csv.DictReader(io.StringIO((folder / name).read_bytes().decode("gb18030"))))
    mine = next(row for row in rows if row["户名"] == "李伟")
    assert mine["身份证号"] == BY_ID["li-wei"].id_number
    assert (mine["应缴金额"], mine["状态"]) == ("77.70", "未缴")
    assert next(row for row in rows if row["户名"] == "吴刚")["状态"] == "欠费"


async def test_water_bills_are_paid_on_the_public_site(hands: Any) -> None:
    """What somebody paid there stands in the next drop."""
    answer = await hands.http.post(f"{hands.at['water']}/pay", data={"household": "10802001"})
    assert answer.status_code == 303

    name = (await hands.control("drop"))["file"]
    text = (hands.folder / "drops" / "water" / name).read_bytes().decode("gb18030")
    assert "已缴" in next(line for line in text.splitlines() if ",李伟," in line)


async def test_jobs_feeds_say_the_same(hands: Any) -> None:
    """RSS and JSON Feed: the same items, soonest first, all still to come."""
    rss = etree.fromstring((await hands.http.get(f"{hands.at['jobs']}/feed.xml")).content)
    told = (await hands.http.get(f"{hands.at['jobs']}/feed.json")).json()

    assert [one.findtext("guid") for one in rss.iter("item")] == [
        one["id"] for one in told["items"]
    ]
    starts = [one["_event"]["start"] for one in told["items"]]
    assert starts == sorted(starts)
    assert len(starts) == 10


async def test_jobs_seats_can_be_booked_once(hands: Any) -> None:
    """A seat less for each booking; the same form sent twice is one."""
    event = f"{hands.at['jobs']}/events/e02"
    form = {"name": "李伟", "phone": "10000000101", "once": "abcdefgh"}
    for _ in range(2):
        assert (await hands.http.post(event, data=form)).status_code == 303

    told = (await hands.http.get(f"{hands.at['jobs']}/feed.json")).json()
    found = next(one for one in told["items"] if one["id"].startswith("e02"))
    assert found["_event"]["seats"] == 39
    assert (await hands.http.post(event, data={"name": "", "phone": "1"})).status_code == 422


async def test_held_matters_answer_the_same_bytes(hands: Any) -> None:
    """Two runs a second apart; advanced, they move; released, they run."""
    await hands.control("clock", hold=True)
    first = await hands.cases("feng-xia")
    await asyncio.sleep(1.1)
    assert await hands.cases("feng-xia") == first

    await hands.control("clock", advance_seconds=3600, only="matters")
    assert (await hands.cases("feng-xia"))["as_of"] > first["as_of"]
    assert (await hands.control("clock", hold=False))["held"] is False
