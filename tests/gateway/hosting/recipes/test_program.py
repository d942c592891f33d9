"""Recipes run over recorded answers: error rules, several calls, rows, states."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest

from gateway.clock import CITY_ZONE
from gateway.contract.answer import AnswerState, CardAnswer, Empty, EmptyReason
from gateway.contract.failure import AskCitizen, CallOwner, ShowLast, TryAgain
from gateway.contract.recipe import Recipe
from gateway.hosting.draft import Draft
from gateway.hosting.failures import BadCredentials, MissingClaim, NoAnswer, Sent
from gateway.hosting.outbound import Received
from gateway.hosting.outcome import Reason
from gateway.hosting.recipes.answers import retry_after
from gateway.hosting.recipes.decode import WrongEncoding
from gateway.hosting.recipes.program import BadRecipe, Given, compile_recipe
from tests.gateway.hosting.offices import TEXT, ask, manifest

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=CITY_ZONE)
FACTS = [
    {"id": "value", "label": TEXT},
    {"id": "sum", "label": TEXT, "kind": "money", "optional": True},
    {"id": "more", "label": TEXT},
]


def good(document: Any, status: int = 200, **headers: str) -> Received:
    """A JSON answer."""
    return Received(status, {"content-type": "application/json", **headers}, orjson.dumps(document))


async def run(
    recipe: Mapping[str, Any],
    answers: Mapping[str, Any],
    *,
    charset: str = "utf-8",
    seen: list[tuple[str, Draft]] | None = None,
    threads: Any = None,
    **claims: str,
) -> CardAnswer | Empty:
    """The card of a recipe whose calls are answered so."""
    declared = manifest(
        connect={"base": "http://x", "charset": charset},
        cards=[{"id": "main", "template": "figure", "facts": FACTS, "speak": TEXT, "empty": TEXT,
                "items": {"title": "{t}", "kinds": {"m": "money"}}}],
    )  # fmt: skip
    program = compile_recipe(Recipe.model_validate({"recipe": 1, **recipe}), declared)

    async def exchange(call: str, draft: Draft, seconds: float) -> Received:
        assert seconds > 0
        if seen is not None:
            seen.append((call, draft))
        found = answers[call]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Received) else good(found)

    given = Given({}, lambda name: name, NOW, lambda: 1.0, exchange, threads=threads)
    return await program.card(ask(**claims), given)


ONE = {
    "calls": {"a": {"path": "/a", "check": [{"at": "code", "is": 0}]}},
    "cards": {"main": {"from": "a", "facts": {"value": "v"}}},
}
RULES = [
    {"at": "code", "is": "404", "then": "empty", "reason": "not_eligible", "words": "none"},
    {"status": [401], "at": "code", "is": "7", "then": "ask_citizen", "need": "binding"},
    {"at": "code", "in": [1, "2"], "then": "show_last", "words": "closed"},
    {"at": "code", "matches": "9.*", "then": "try_again", "after": "30s", "words": "busy"},
    {"status": 418, "then": "call_owner", "words": "tea"},
    {"call": "b", "at": "code", "is": "b", "then": "empty"},
    {"timeout": True, "then": "try_again", "after": "60s", "words": "slow"},
]


@pytest.mark.parametrize(
    ("answer", "failure", "fields"),
    [
        (good({"code": 1}), ShowLast, {"words": "closed"}),
        (good({"code": "2"}, 500), ShowLast, {"words": "closed"}),
        (good({"code": 9001}), TryAgain, {"after": 30.0, "words": "busy"}),
        (good({"code": "7"}, 401), AskCitizen, {"need": "binding"}),
        (good({"code": "7"}), CallOwner, {}),
        (good({"code": "b"}), CallOwner, {}),
        (good({}, 418), CallOwner, {"words": "tea"}),
        (good({}, 403), BadCredentials, {}),
        (good({}, 502), TryAgain, {"after": None}),
        (good({}, 503, **{"retry-after": "5"}), TryAgain, {"after": 5.0}),
        (good({}, 404), CallOwner, {}),
        (good({}, 302), CallOwner, {}),
        (Received(500, {}, b"<html>"), TryAgain, {}),
        (Received(200, {}, "\u674e".encode("gbk")), WrongEncoding, {}),
        (NoAnswer(Reason.TIMEOUT, Sent.MAYBE, "late"), NoAnswer, {"after": 60.0, "words": "slow"}),
        (NoAnswer(Reason.UNREACHABLE, Sent.NO, "gone"), NoAnswer, {"words": None}),
    ],
)
async def test_the_first_rule_that_matches_wins(
    answer: Any, failure: Any, fields: dict[str, Any]
) -> None:
    """Then the status, then what the reading refused, then the checks."""
    with pytest.raises(failure) as caught:
        await run(
            {**ONE, "errors": [{**rule} for rule in RULES if rule.get("call") != "b"]},
            {"a": answer},
        )
    assert type(caught.value) is failure
    for name, value in fields.items():
        assert getattr(caught.value, name) == value


async def test_empty_by_rule_and_by_test() -> None:
    """No record is a normal answer with its own reason."""
    said = await run({**ONE, "errors": [RULES[0]]}, {"a": {"code": 404}})
    assert said == Empty(reason=EmptyReason.NOT_ELIGIBLE, words="none")
    card = {"from": "a", "facts": {"value": "v"}, "empty_when": {"at": "v", "missing": True}}
    assert await run({**ONE, "cards": {"main": card}}, {"a": {"code": 0, "v": ""}}) == Empty()


TWO = {
    "calls": {
        "a": {"path": "/a", "keep": {"id": "id"}},
        "b": {"path": "/b/{call.a.id}", "read": "xml"},
    },
    "cards": {
        "main": {
            "from": ["a", {"call": "b", "optional": True}],
            "facts": {"value": "v", "sum": {"at": "//s", "from": "b"}, "more": {"at": "//m", "from": "b", "else": "none"}},
        }
    },
}  # fmt: skip


async def test_several_calls_make_one_card() -> None:
    """What the first kept goes into the second's address."""
    seen: list[tuple[str, Draft]] = []
    xml = Received(200, {}, b"<r><s>1.50</s><m>x</m></r>")
    answer = await run(TWO, {"a": {"id": 17, "v": "A"}, "b": xml}, seen=seen)
    assert isinstance(answer, CardAnswer)
    assert answer.facts == {"value": "A", "sum": 150, "more": "x"}
    assert [(name, draft.path) for name, draft in seen] == [("a", "/a"), ("b", "/b/17")]


@pytest.mark.parametrize(
    "lost",
    [
        NoAnswer(Reason.TIMEOUT, Sent.MAYBE, "late"),
        good({}, 500),
        Received(200, {}, b"no xml"),
        "no id",
    ],
)
async def test_an_optional_call_costs_only_its_own_facts(lost: Any) -> None:
    """Late, broken, or never asked because the first kept nothing."""
    first = {"v": "A"} if lost == "no id" else {"v": "A", "id": "1"}
    answer = await run(TWO, {"a": first, "b": lost})
    assert isinstance(answer, CardAnswer)
    assert answer.facts == {"value": "A", "sum": None, "more": "none"}


async def test_a_call_that_is_needed_costs_the_card() -> None:
    """Not optional: its failure is the card's."""
    with pytest.raises(NoAnswer):
        await run(TWO, {"a": NoAnswer(Reason.TIMEOUT, Sent.MAYBE, "late"), "b": {}})


SOAP = b"""<?xml version="1.0" encoding="GB18030"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><n:R xmlns:n="urn:n"><n:Return><![CDATA[<?xml version="1.0" encoding="GBK"?>
<result><code>1</code><row><t>%s</t><m>2.5</m></row><row><t>B</t><m/></row></result>]]></n:Return></n:R></s:Body></s:Envelope>"""
FAULT = b"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode>
<faultstring>%s</faultstring></s:Fault></s:Body></s:Envelope>"""
WRAPPED = {
    "calls": {
        "a": {
            "method": "POST", "path": "/s", "read": "xml", "ns": {"n": "urn:n"},
            "soap": {"body": {"n:ask": {"n:who": "{citizen.name}"}}},
            "unwrap": {"at": "string(//n:Return)", "as": "xml"},
            "check": [{"at": "string(/result/code)", "is": "1"}],
        }
    },
    "errors": [
        {"soap_fault": {"code": "Client", "matches": ".*未授权.*"}, "then": "call_owner", "words": "refused"},
        {"soap_fault": {"code": "Server"}, "then": "try_again"},
    ],
    "cards": {"main": {"from": "a", "items": {"each": "/result/row", "fields": {"t": "t", "m": "m"}}}},
}  # fmt: skip


async def test_a_document_inside_a_string() -> None:
    """GB18030 outside, a lying prolog inside, values of both rows."""
    got = Received(200, {"content-type": "text/xml;charset=GBK"}, SOAP % "䶮湖".encode("gb18030"))
    answer = await run(WRAPPED, {"a": got}, charset="gb18030")
    assert isinstance(answer, CardAnswer)
    assert answer.items == ({"t": "䶮湖", "m": 250}, {"t": "B", "m": None})


async def test_soap_faults_by_code_and_text() -> None:
    """Without a rule a fault is the owner's, whatever the status."""
    for text, words in (("未授权: x", "refused"), ("other", None)):
        got = Received(500 if words else 200, {}, FAULT % text.encode("gb18030"))
        with pytest.raises(CallOwner) as caught:
            await run(WRAPPED, {"a": got}, charset="gb18030")
        assert caught.value.words == words
        assert "未授权" not in caught.value.what


@pytest.mark.parametrize("inner", [b"", b"<!DOCTYPE a><a/>", b"not xml"])
async def test_a_broken_document_inside_is_the_owners(inner: bytes) -> None:
    """Empty, DOCTYPE, garbage."""
    body = SOAP.split(b"<![CDATA[")[0] + b"<![CDATA[" + inner + b"]]>" + SOAP.split(b"]]>")[1]
    with pytest.raises(CallOwner):
        await run(WRAPPED, {"a": Received(200, {}, body)}, charset="gb18030")


async def test_rows_are_chosen_sorted_and_limited() -> None:
    """`where`, `sort`, `descending`, `limit`; rows without the field come last."""
    rows = [
        {"t": "a", "m": "1", "k": "y"},
        {"t": "b", "k": "y"},
        {"t": "c", "m": "3", "k": "y"},
        {"t": "d", "m": "9", "k": "n"},
    ]
    items = {
        "each": "rows",
        "fields": {"t": "t", "m": "m"},
        "where": {"at": "k", "is": "y"},
        "sort": "m",
        "descending": True,
    }
    card = {"from": "a", "items": items, "empty_if_no_items": True}
    recipe = {**ONE, "cards": {"main": card}}
    answer = await run(recipe, {"a": {"code": 0, "rows": rows}})
    assert isinstance(answer, CardAnswer)
    assert [row["t"] for row in answer.items] == ["c", "a", "b"]
    card["items"] = {**items, "limit": 1}
    answer = await run(recipe, {"a": {"code": 0, "rows": rows}})
    assert isinstance(answer, CardAnswer)
    assert len(answer.items) == 1
    assert await run(recipe, {"a": {"code": 0, "rows": []}}) == Empty()
    with pytest.raises(CallOwner) as caught:
        await run(recipe, {"a": {"code": 0, "rows": rows * 2000}})
    assert caught.value.what == "items: more than 5000 rows"


STATE = {
    "at": "zt",
    "map": {"10": "in_progress", "90": "done", "30": "action_required", "": "ready"},
    "stage": {"at": "zt", "map": {"10": "@stage.review"}, "else": "@stage.other"},
    "holder": "who",
    "due": {"at": "due", "format": "%Y%m%d"},
}


@pytest.mark.parametrize(
    ("document", "state", "stage", "due"),
    [
        (
            {"zt": "10", "due": "20261201", "who": "三科"},
            "in_progress",
            "@stage.review",
            date(2026, 12, 1),
        ),
        ({"zt": 90}, "done", "@stage.other", None),
        ({"zt": None}, "ready", "@stage.other", None),
        ({}, "ready", "@stage.other", None),
    ],
)
async def test_states_are_mapped(document: Any, state: str, stage: str, due: date | None) -> None:
    """The department's word becomes ours; missing is looked up as an empty word."""
    card = {"from": "a", "facts": {}, "state": STATE, "as_of": "at"}
    answer = await run(
        {**ONE, "cards": {"main": card}},
        {"a": {"code": 0, "at": "2026-11-23 01:02:03", **document}},
    )
    assert isinstance(answer, CardAnswer)
    assert (answer.state, answer.stage, answer.due) == (AnswerState(state), stage, due)
    assert answer.as_of == datetime(2026, 11, 22, 17, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "word", [pytest.param(w, id=f"F17-state-{n}") for n, w in enumerate(("55", {"a": 1}))]
)
async def test_a_new_state_is_drift(word: Any) -> None:
    """An unknown code is not shown as ready."""
    card = {"from": "a", "state": {**STATE, "map": {"10": "in_progress"}}}
    with pytest.raises(CallOwner) as caught:
        await run({**ONE, "cards": {"main": card}}, {"a": {"code": 0, "zt": word}})
    assert caught.value.what.startswith("state: ")


async def test_what_is_not_known_of_the_citizen_sends_nothing() -> None:
    """A claim that is missing stops the call before it leaves."""
    seen: list[tuple[str, Draft]] = []
    recipe = {**ONE, "calls": {"a": {"path": "/{citizen.id_number}"}}}
    with pytest.raises(MissingClaim):
        await run(recipe, {"a": {}}, seen=seen, name="甲")
    assert not seen


async def test_big_answers_are_read_on_a_thread() -> None:
    """Over 128 kB the loop is left alone."""
    used = []

    class Seen(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            used.append(1)
            return super().submit(*args, **kwargs)

    with Seen(1) as threads:
        await run(ONE, {"a": {"code": 0, "v": "x", "pad": "y" * 200_000}}, threads=threads)
        assert len(used) == 2
        await run(ONE, {"a": {"code": 0, "v": "x"}}, threads=threads)
        assert len(used) == 2


@pytest.mark.parametrize(
    ("recipe", "where"),
    [
        ({**ONE, "calls": {"a": {"path": "/{x}"}}}, "calls.a"),
        ({**ONE, "calls": {"a": {"path": "/", "check": [{"at": "f(x)", "is": 1}]}}}, "calls.a"),
        ({**ONE, "cards": {"main": {"from": "b"}}}, "cards.main"),
        ({**ONE, "cards": {"main": {"from": "a", "facts": {"unknown": "v"}}}}, "cards.main"),
        (
            {**ONE, "cards": {"main": {"from": "a", "facts": {"value": {"at": "v", "from": "z"}}}}},
            "cards.main",
        ),
        ({**ONE, "cards": {"other": {"from": "a"}}}, "cards.other"),
        ({**ONE, "cards": {"main": {}}}, "cards.main"),
        ({**ONE, "probe": {"call": "none"}}, "probe.call"),
        (
            {
                **ONE,
                "cards": {
                    "main": {"from": "a", "items": {"each": "r", "fields": {"t": "t"}, "sort": "z"}}
                },
            },
            "cards.main",
        ),
    ],
)
async def test_a_recipe_that_cannot_run_names_its_part(recipe: dict[str, Any], where: str) -> None:
    """Before anything is asked."""
    with pytest.raises(BadRecipe) as caught:
        await run(recipe, {})
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("said", "after"),
    [pytest.param(*row, id=f"F12-{n}") for n, row in enumerate((
        ("7", 7.0), ("0", 1.0), ("1000000000", 3600.0), ("-5", None), ("yesterday", None), ("1.5", None), (None, None), ("9" * 13, None),
        ("Mon, 23 Nov 2026 01:31:00 GMT", 60.0), ("Mon, 23 Nov 2020 01:31:00 GMT", None), ("Mon, 23 Nov 2030 01:31:00 GMT", 3600.0),
    ))],
)  # fmt: skip
def test_retry_after(said: str | None, after: float | None) -> None:
    """Seconds or a date, within an hour; nonsense and the past are nothing."""
    assert retry_after(said, NOW) == after
