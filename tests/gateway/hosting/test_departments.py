"""All departments of a worker: adopting, guarding, asking code and standard ones, health."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.conformance.opening import standard_recipe
from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.failure import AskCitizen, CallOwner, ShowLast, TryAgain, Unsure
from gateway.contract.hooks import Asked
from gateway.contract.ids import PluginId
from gateway.contract.recipe import Recipe
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Nothing, Reason
from tests.department import Department
from tests.gateway.hosting.offices import RECIPE, Hands, opened, package

OFFICE = PluginId("office")


@pytest.fixture
def office() -> Iterator[Department]:
    """A department that is well."""
    with Department() as made:
        yield made


@pytest.fixture
async def hands(office: Department) -> AsyncIterator[Hands]:
    """Departments with that one adopted."""
    async with opened(package(office.port)) as made:
        yield made


def reason(outcome: Any) -> Reason:
    """Why there is no answer."""
    assert isinstance(outcome, Failed), outcome
    return outcome.reason


# --- adopting ---------------------------------------------------------------------------------


async def test_what_did_not_change_keeps_its_connections_and_breaker(
    office: Department, hands: Hands
) -> None:
    """An equal package is the same department; a changed one begins anew."""
    await hands.value()
    await hands.adopt(package(office.port))
    await hands.value()
    assert office.peers == 1
    office.behave("500")
    for _ in range(5):
        await hands.card()
    assert reason(await hands.card()) is Reason.PAUSED

    office.behave("well")
    await hands.adopt(package(office.port))
    assert reason(await hands.card()) is Reason.PAUSED
    assert office.peers == 1

    await hands.adopt(package(office.port, digest="mended"))
    assert await hands.value() == "100"
    assert office.peers == 2


@pytest.mark.parametrize(
    "change", [{"settings": {"a": "1"}}, {"network": (("office.localhost", 1),)}]
)
async def test_other_settings_are_another_department(
    office: Department, hands: Hands, change: dict[str, Any]
) -> None:
    """The registry may change a plugin's values without changing its folder."""
    before = hands.departments._all[OFFICE]
    await hands.adopt(package(office.port, **change))
    assert hands.departments._all[OFFICE] is not before


async def test_a_call_in_flight_ends_well_when_its_plugin_is_replaced(
    office: Department, hands: Hands
) -> None:
    """The old department is let finish, then closed."""
    office.behave("slow:0.3")
    task = asyncio.create_task(hands.card())
    await asyncio.sleep(0.1)
    await hands.adopt()
    assert isinstance(await task, Answered)
    assert reason(await hands.card()) is Reason.PARKED


@pytest.mark.parametrize(
    "broken",
    [
        {"recipe": {**RECIPE, "calls": {"ask": {"path": "/{nonsense}"}}}},
        {"auth": {"kind": "header", "name": "X-A", "value": "{"}},
        {"connect": {"ca": "{secret.none}"}},
    ],
)
async def test_a_plugin_that_cannot_live_is_parked_by_name(
    office: Department, broken: dict[str, Any]
) -> None:
    """All else serves."""
    bad = package(office.port, plugin="bad", **broken)
    async with opened(package(office.port), bad) as hands:
        assert await hands.value() == "100"
        assert reason(await hands.card("bad")) is Reason.PARKED
        assert [row[:2] for row in hands.reports] == [("bad", "parked")]
        assert hands.health("bad")["reason"] == "parked"
        assert not (await hands.departments.probe(PluginId("bad"))).ok


async def test_closing_leaves_nothing_open(office: Department) -> None:
    """A closed house refuses, and raises nothing."""
    async with opened(package(office.port)) as hands:
        await hands.value()
    assert reason(await hands.card()) is Reason.PARKED


# --- guards -----------------------------------------------------------------------------------


async def test_a_silent_department_costs_nothing_once_its_breaker_is_open(
    office: Department,
) -> None:
    """Five wait for their deadline, the sixth is told at once, with the words of the last."""
    office.behave("silent")
    recipe = {**RECIPE, "errors": [{"timeout": True, "then": "try_again", "words": "slow"}]}
    async with opened(package(office.port, recipe, connect={"timeout": "100ms"})) as hands:
        for _ in range(5):
            assert reason(await hands.card()) is Reason.TIMEOUT
        begun = time.monotonic()
        outcome = await hands.card()
        assert time.monotonic() - begun < 0.05
        assert isinstance(outcome, Failed)
        assert (outcome.reason, outcome.words) == (Reason.PAUSED, "slow")
        assert outcome.retry_after is not None
        assert 3.9 < outcome.retry_after < 6.1
        assert office.calls == 5
        row = hands.health()
        assert (row["breaker"], row["calls"], row["failed"]) == ("open", 5, 5)
        assert row["until"]


async def test_one_odd_record_does_not_shut_the_service(office: Department, hands: Hands) -> None:
    """The same two citizens may fail for ever; with a third it is the department's fault."""
    office.behave("renamed")
    for number in range(12):
        assert reason(await hands.card(who="ab"[number % 2])) is Reason.CONTRACT
    assert hands.health()["breaker"] == "closed"
    await hands.card(who="c")
    assert hands.health()["breaker"] == "open"


async def test_what_the_citizen_can_mend_never_opens_it(office: Department) -> None:
    """Neither rules that ask her nor data that is not known of her."""
    recipe = {
        **RECIPE,
        "errors": [
            {"at": "code", "is": "500", "then": "ask_citizen", "need": "field", "words": "w"}
        ],
    }
    office.behave("200-with-error")
    async with opened(package(office.port, recipe)) as hands:
        for number in range(30):
            assert await hands.card(who=str(number)) == NeedsCitizen("field", "w")
        assert hands.health()["breaker"] == "closed"


@pytest.mark.parametrize(("claim", "need"), [("id_number", "level"), ("phone", "consent")])
async def test_a_datum_that_is_missing_asks_the_citizen(
    office: Department, claim: str, need: str
) -> None:
    """What must be known: a stronger sign-in; what may be withheld: consent. Nothing is sent."""
    recipe = {**RECIPE, "calls": {"ask": {"path": "/ask", "query": {"q": f"{{citizen.{claim}}}"}}}}
    async with opened(package(office.port, recipe)) as hands:
        assert await hands.card(name="甲") == NeedsCitizen(need)
    assert office.calls == 0


async def test_only_so_many_at_once(office: Department) -> None:
    """The cap is shared by the workers; who waits too long is told that it is busy."""
    office.behave("slow:0.8")
    one = package(office.port, limits={"concurrency": 4})
    async with opened(one, workers=2) as hands:
        outcomes = await asyncio.gather(*(hands.card(who=str(n)) for n in range(8)))
        assert sum(isinstance(outcome, Answered) for outcome in outcomes) == 2
        assert sum(isinstance(o, Failed) and o.reason is Reason.BUSY for o in outcomes) == 6
        assert office.calls == 2
        assert hands.health()["breaker"] == "closed"
        assert hands.health()["running"] == 0


async def test_waves_pass_through_the_cap(office: Department) -> None:
    """A short queue: sixteen pages at once at a department of eight are all answered."""
    office.behave("slow:0.05")
    async with opened(package(office.port, limits={"concurrency": 8})) as hands:
        outcomes = await asyncio.gather(*(hands.card(who=str(n)) for n in range(16)))
        assert all(isinstance(outcome, Answered) for outcome in outcomes)


async def test_a_minute_has_an_end(office: Department) -> None:
    """`per_minute` holds for requests; the rest is told that it is busy, and the breaker hears nothing."""
    async with opened(package(office.port, limits={"per_minute": 70})) as hands:
        outcomes = [await hands.card() for _ in range(30)]
        assert sum(isinstance(outcome, Answered) for outcome in outcomes) == 10
        assert {o.reason for o in outcomes if isinstance(o, Failed)} == {Reason.BUSY}
        assert hands.health()["breaker"] == "closed"


async def test_second_tries_stay_within_their_budget(office: Department) -> None:
    """A department that hangs up sees a tenth more calls, not twice as many."""
    office.behave("reset")
    async with opened(package(office.port)) as hands:
        for _ in range(4):
            await hands.card()
        assert office.calls == 5, "one try was saved up"
        office.behave("well")
        for _ in range(20):
            await hands.value()


async def test_what_may_happen_twice_is_sent_once(office: Department) -> None:
    """A POST that is no read is not repeated when it may have arrived."""
    call = {"ask": {"method": "POST", "path": "/ask", "json": {}, "idempotent": False}}
    office.behave("reset")
    async with opened(package(office.port, {**RECIPE, "calls": call})) as hands:
        assert reason(await hands.card()) is Reason.UNREACHABLE
    assert office.calls == 1


async def test_a_read_is_tried_again_once(office: Department) -> None:
    """A connection that breaks once is mended without anybody noticing."""
    async with opened(package(office.port)) as hands:
        await hands.value()
        answer = office.answer

        def once() -> Any:
            office.behaviour, office.answer = "well", answer
            return answer()

        office.behave("reset")
        office.answer = once
        assert await hands.value() == "100"
    assert office.calls == 3


async def test_the_deadline_is_the_callers_or_the_departments(office: Department) -> None:
    """Whichever is shorter."""
    office.behave("silent")
    async with opened(package(office.port, connect={"timeout": "200ms"})) as hands:
        for seconds, most in ((9.0, 0.35), (0.1, 0.25)):
            begun = time.monotonic()
            assert reason(await hands.card(seconds=seconds)) is Reason.TIMEOUT
            assert time.monotonic() - begun < most


async def test_faults_are_told_when_they_begin_and_end(
    office: Department, hands: Hands, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not at every attempt; no value of the citizen or the answer in any of it."""
    office.behave("renamed")
    for _ in range(3):
        await hands.card()
    office.behave("well")
    await hands.value()
    said = capsys.readouterr().out
    assert said.count("hosting.failed") == 1
    assert said.count("hosting.recovered") == 1
    assert "李伟" not in said + repr(hands.reports)
    assert "001001199001010017" not in said + repr(hands.reports)


@pytest.mark.parametrize("row", [pytest.param(0, id="F22-hosting")])
async def test_when_all_fail_it_is_said_to_be_ours(row: int) -> None:
    """Six of six: three breakers open, then it is said, and nothing more opens."""
    with Department() as gone:
        port = gone.port
    names = [f"office-{n}" for n in range(6)]
    packages = [package(port, plugin=name, host=f"{name}.localhost") for name in names]
    async with opened(*packages) as hands:
        for name in names:
            for _ in range(6):
                await hands.card(name)
        opened_ = [row["plugin"] for row in hands.departments.health() if row["breaker"] == "open"]
        assert len(opened_) == 3, row
        assert hands.departments.ours
        assert [r[1] for r in hands.reports if r[0] == "*"] == ["ours"]


# --- kind standard ----------------------------------------------------------------------------


def standard(port: int) -> Any:
    """A department that answers in our own words."""
    made = package(port, None, kind="standard")
    return replace(made, recipe=standard_recipe())


async def test_the_standard_contract(office: Department) -> None:
    """The ask goes out as JSON, a card, nothing, or a failure by name comes back."""
    answers: list[Any] = [
        {"kind": "card", "facts": {"value": "12"}, "state": "done"},
        {"kind": "empty", "reason": "not_eligible"},
        {"kind": "failure", "failure": "try_again", "after": 5},
        {
            "kind": "failure",
            "failure": "show_last",
            "until": "2026-11-24T06:00:00+08:00",
            "words": "w",
        },
        {"kind": "failure", "failure": "ask_citizen", "need": "binding"},
        {"kind": "card", "facts": {"value": {"x": 1}}},
        {"kind": "card", "unknown": "李伟"},
        {"facts": {}},
        [],
    ]
    async with opened(standard(office.port)) as hands:
        outcomes = []
        for answer in answers:
            office.answer = lambda answer=answer: answer
            outcomes.append(await hands.card())
        office.answer = lambda: {"ok": True}
        assert (await hands.departments.probe(OFFICE)).ok
    method, path, _, body = office.requests[0]
    assert (method, path) == ("POST", "/citygate/v1/card")
    assert b'"claims":{"name"' in body
    assert isinstance(outcomes[0], Answered)
    assert isinstance(outcomes[1], Nothing)
    assert outcomes[2] == Failed(Reason.TRY_LATER, 5.0, what="it is busy")
    assert isinstance(outcomes[3], Failed)
    assert (outcomes[3].reason, outcomes[3].words) == (Reason.CLOSED_NOW, "w")
    assert outcomes[4] == NeedsCitizen("binding")
    assert [reason(outcome) for outcome in outcomes[5:]] == [Reason.CONTRACT] * 4
    assert "李伟" not in repr(outcomes)
    assert isinstance(standard_recipe(), Recipe)


# --- kind code --------------------------------------------------------------------------------


class Hooks:
    """Children that run a function of the test in place of a plugin's code."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook
        self.retired: list[str] = []

    async def card(self, package: Any, ask: Any, *, broker: Any, **more: Any) -> CardAnswer | Empty:
        """Run the hook."""
        answer: CardAnswer | Empty = await self.hook(broker)
        return answer

    async def probe(self, package: Any, *, broker: Any, **more: Any) -> Probe:
        """Ask with the broker."""
        await broker(Asked("GET", "/probe"))
        return Probe(ok=True)

    async def retire(self, plugin: PluginId, digest: str) -> None:
        """Note it."""
        self.retired.append(digest)


async def coded(office: Department, hook: Any) -> tuple[Any, Hooks]:
    """What comes of a code plugin."""
    children = Hooks(hook)
    one = package(
        office.port, None, kind="code", auth={"kind": "header", "name": "X-K", "value": "v"}
    )
    async with opened(one, children=children) as hands:
        outcome = await hands.card()
        assert (await hands.departments.probe(OFFICE)).ok or office.behaviour != "well"
    return outcome, children


async def test_a_code_plugin_asks_through_the_worker(office: Department) -> None:
    """Credentials are added outside; the reply is decoded and has three headers."""
    office.behave("cookie")

    async def hook(broker: Any) -> CardAnswer:
        reply = await broker(Asked("POST", "/a/名", {"q": "李 &"}, {"X-Mine": "1"}, json={"a": 1}))
        assert set(reply.headers) <= {"content-type", "retry-after", "date"}
        return CardAnswer(facts={"value": reply.json()["data"]["value"]})

    office.behaviour = "well"
    outcome, children = await coded(office, hook)
    assert outcome == Answered(CardAnswer(facts={"value": "100"}))
    method, path, headers, body = office.requests[0]
    assert (method, path, body) == ("POST", "/a/%E5%90%8D?q=%E6%9D%8E%20%26", b'{"a":1}')
    assert headers["x-k"] == "v"
    assert children.retired == ["office"]


@pytest.mark.parametrize(
    "asked",
    [
        Asked("CONNECT", "/"), Asked("GET", "http://evil.example/"), Asked("GET", "//evil.example/"), Asked("GET", "x"),
        Asked("GET", "/a/../b"), Asked("GET", "/a?x=1"), Asked("GET", "/a#b"), Asked("GET", "/\r\nX: 1"), Asked("GET", "/" + "a" * 3000),
        Asked("GET", "/", headers={"Host": "x"}), Asked("GET", "/", headers={"Authorization": "x"}), Asked("GET", "/", headers={"X": "a\nb"}),
        Asked("GET", "/", headers={"Cookie": "a=b"}), Asked("POST", "/", json={}, text="x"), Asked("GET", "/", headers={"a b": "x"}),
    ],
    ids=range(15),
)  # fmt: skip
@pytest.mark.row("B8", "B9")
async def test_a_code_plugin_cannot_leave_its_base(office: Department, asked: Asked) -> None:
    """A path below the base and harmless headers, nothing else."""

    async def hook(broker: Any) -> CardAnswer:
        await broker(asked)
        raise AssertionError("it was sent")

    outcome, _ = await coded(office, hook)
    assert reason(outcome) is Reason.CONTRACT
    assert all(path == "/probe" for _, path, _, _ in office.requests)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [("silent", Reason.TIMEOUT), ("reset", Reason.UNREACHABLE), ("huge", Reason.TOO_BIG), ("gbk-bytes", Reason.ENCODING),
     ("401", Reason.CREDENTIALS)],
)  # fmt: skip
async def test_a_code_plugins_failure_keeps_the_transports_reason(
    office: Department, behaviour: str, expected: Reason
) -> None:
    """The child sees TryAgain or CallOwner; the health page sees what it was."""
    office.behave(behaviour)

    async def hook(broker: Any) -> CardAnswer:
        reply = await broker(Asked("GET", "/x"))
        if reply.status != 200:
            raise CallOwner("status")
        return CardAnswer()

    children = Hooks(hook)
    one = package(office.port, None, kind="code", connect={"charset": "utf-8", "timeout": "700ms"})
    async with opened(one, children=children) as hands:
        assert reason(await hands.card()) is expected


class ChildFailed(Exception):
    """As a child's end is told."""

    why = "crashed"
    what = "crashed: it crashed"


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (TryAgain(3.0, "w"), Failed(Reason.TRY_LATER, 3.0, words="w", what="it is busy")),
        (ShowLast("night"), Failed(Reason.CLOSED_NOW, what="night")),
        (CallOwner("x"), Failed(Reason.CONTRACT, what="x")),
        (AskCitizen("level"), NeedsCitizen("level")),
        (Unsure(), Failed(Reason.PLUGIN, what="a card is never unsure")),
        (ChildFailed(), Failed(Reason.PLUGIN, what="crashed: it crashed")),
        (TimeoutError(), Failed(Reason.TIMEOUT, what="no answer in time")),
    ],
)
async def test_whatever_a_hook_raises_is_an_outcome(
    office: Department, raised: Exception, outcome: Any
) -> None:
    """Five failures, a child's end, a deadline."""

    async def hook(broker: Any) -> CardAnswer:
        raise raised

    assert (await coded(office, hook))[0] == outcome


async def test_a_fault_nobody_foresaw_names_its_place_and_not_its_text(office: Department) -> None:
    """An error's text may hold a citizen's value."""

    async def hook(broker: Any) -> CardAnswer:
        raise KeyError("李伟")

    outcome, _ = await coded(office, hook)
    assert reason(outcome) is Reason.PLUGIN
    assert "KeyError at test_departments.py" in outcome.what
    assert "李伟" not in outcome.what


async def test_too_many_requests_for_one_card(office: Department) -> None:
    """A plugin that loops over requests is stopped."""

    async def hook(broker: Any) -> CardAnswer:
        while True:
            await broker(Asked("GET", "/x"))

    outcome, _ = await coded(office, hook)
    assert reason(outcome) is Reason.CONTRACT
    assert len(office.requests) <= 21


async def test_without_children_code_is_parked(office: Department) -> None:
    """As on a department's laptop."""
    async with opened(package(office.port, None, kind="code")) as hands:
        assert reason(await hands.card()) is Reason.PARKED
        assert not (await hands.departments.probe(OFFICE)).ok


async def test_probes_say_what_is_wrong(office: Department, hands: Hands) -> None:
    """Within about a second, past breaker and places."""
    assert (await hands.departments.probe(OFFICE)) == Probe(ok=True)
    for kind, note in (
        ("401", "401"),
        ("renamed", ""),
        ("200-with-error", "check"),
        ("silent", "in time"),
    ):
        office.behave(kind)
        begun = time.monotonic()
        probe = await hands.departments.probe(OFFICE)
        assert time.monotonic() - begun < 1.3
        assert probe.ok == (kind == "renamed")
        assert note in probe.note
    assert not (await hands.departments.probe(PluginId("none"))).ok
