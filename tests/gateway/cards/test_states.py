"""All eighteen states are reached by entry, viewer and answer; exactly one holds for each item."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cards.item import envelope
from gateway.cards.state import GATED, REASONS, Code
from gateway.cards.viewer import Viewer
from gateway.clock import CITY_ZONE, instant, microseconds
from gateway.contract.answer import AnswerState, CardAnswer, Empty
from gateway.contract.card import Card
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import ServiceId
from gateway.hosting.outcome import Answered, Failed, NeedsCitizen, Nothing, Outcome, Reason
from gateway.registry.entry import Entry, Hours, Shown, Visibility, Window
from gateway.registry.generation import Generation
from tests.gateway.cards.stage import (
    Stage,
    citizen,
    directory,
    entry,
    figure,
    generation,
    of_entries,
)

NOON = microseconds(datetime(2026, 11, 25, 12, 0, tzinfo=CITY_ZONE))
SUSPENDED = 'visibility: {state: suspended, since: "2026-11-20T00:00:00+08:00", sentence: {zh: 正在核查收费。, en: Fees are checked.}}'

# state, the entry's own lines, the plugin's service, how it is looked at
GATES: list[tuple[Code, str, str, dict[str, Any]]] = [
    (Code.RETIRED, "visibility: retired\nsuccessor: care", "gjj", {}),
    (Code.SUSPENDED, SUSPENDED, "gjj", {}),
    (Code.MAINTENANCE, 'maintenance:\n  - {start: "2026-11-25T11:00:00+08:00", end: "2026-11-25T13:00:00+08:00"}', "gjj", {}),
    (Code.CLOSED, 'hours: {opens: "13:00", closes: "17:30"}', "gjj", {}),
    (Code.UPGRADE_REQUIRED, 'min_host: "6.2.0"', "gjj", {"host_version": "6.1.9"}),
    (Code.OUT_OF_REGION, 'region: ["000121"]', "gjj", {"region": "000102"}),
    (Code.NOT_IN_RELEASE, "visibility: {state: gray, testers: [staff]}", "gjj", {"testers": frozenset({"others"})}),
    (Code.NEEDS_LOGIN, "", "gjj", {"who": None}),
    (Code.NEEDS_IDENTITY, "", "deep", {}),
    (Code.NEEDS_PROXY_RIGHT, "", "mother", {}),
    (Code.NEEDS_CONSENT, "", "gjj", {"agreed": False}),
]  # fmt: skip
ANSWERS: list[tuple[Code, Outcome]] = [
    (Code.UNAVAILABLE, Failed(Reason.UNREACHABLE)),
    (Code.EMPTY, Nothing(Empty())),
    (Code.ACTION_REQUIRED, figure(state=AnswerState.ACTION_REQUIRED, due=date(2026, 12, 5), stage="补正材料")),
    (Code.IN_PROGRESS, figure(state=AnswerState.IN_PROGRESS, stage="初审", holder="审核科")),
    (Code.DONE, figure(state=AnswerState.DONE)),
    (Code.READY, figure()),
]  # fmt: skip


def check_said(item: Any) -> None:
    """No state without a reason of its list, a short sentence, a spoken text and a way on."""
    state = item.state
    assert state.reason in REASONS[state.code]
    assert 0 < len(state.message) <= 120
    assert state.speak
    assert 1 <= len(item.actions) <= 2
    said = orjson.loads(envelope(item))
    assert said["state"]["code"] == state.code
    assert list(said) == ["service", "state", "freshness", "badges", "actions", "card"]
    if item.body is not None:
        assert len(item.body) <= 8192
        Card.model_validate_json(item.body)
    if state.code in GATED | {Code.UNAVAILABLE}:
        assert item.body is None


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("code", "lines", "service", "how"), GATES, ids=[code for code, *_ in GATES]
)
async def test_states_1_to_11_ask_nobody(
    stage: Stage, code: Code, lines: str, service: str, how: dict[str, Any], language: Any
) -> None:
    """Each is reached by the registry, the session or the clock, and costs no call."""
    stage.clock.fixed = NOON
    city = generation(entry("gjj", lines, service=service), directory())
    who = how.get("who", citizen())
    if how.get("agreed", True) and who is not None:
        stage.agree(who, city)
    looks = {k: v for k, v in how.items() if k not in ("who", "agreed")}

    feed = await stage.feed(city, who, services=["gjj"], language=language, **looks)

    (item,) = feed.items
    assert item.state.code is code
    check_said(item)
    assert len(item.state.message) <= (60 if language == "zh" else 120)
    assert stage.asks == []
    listed = await stage.feed(city, who, language=language, **looks)
    assert ("gjj" in [i.service for i in listed.items]) is (code is not Code.NOT_IN_RELEASE)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("code", "answer"), ANSWERS, ids=[code for code, _ in ANSWERS])
async def test_states_13_to_18_come_from_the_department(
    stage: Stage, code: Code, answer: Outcome, language: Any
) -> None:
    """What the department says decides the others; a copy of it says the same."""
    stage.clock.fixed = NOON
    city, who = generation(), citizen()
    stage.agree(who, city)
    stage.answer = answer

    item = await stage.only(city, who, language=language)
    again = await stage.only(city, who, language=language)

    assert item.state.code is again.state.code is code
    check_said(item)
    if code is not Code.UNAVAILABLE:
        assert envelope(item) == envelope(again)
        assert len(stage.asks) == 1


async def test_hidden_is_unknown(stage: Stage) -> None:
    """Nobody can tell a hidden service from one that does not exist."""
    city = generation(entry("gjj", "visibility: hidden"), directory())
    for service in ("gjj", "nothing"):
        viewer = Viewer(citizen=citizen())
        assert await stage.cards.one(city, viewer, ServiceId(service), seconds=1) is None


async def test_testers_see_what_is_on_trial_with_a_badge(stage: Stage) -> None:
    """A tester gets the card and is told that it is on trial."""
    city, who = generation(entry("gjj", "visibility: {state: trial, testers: [staff]}")), citizen()
    stage.agree(who, city)
    item = await stage.only(city, who, testers=frozenset({"staff"}))
    assert item.state.code is Code.READY
    assert item.badges == ("trial",)


async def test_times_and_ways(stage: Stage) -> None:
    """A gate says until when, and the other way: successor, telephone, counter."""
    stage.clock.fixed = NOON
    retired = generation(entry("gjj", "visibility: retired\nsuccessor: care"), directory())
    (item,) = (await stage.feed(retired, services=["gjj"])).items
    assert item.actions[0].target == "/s/care"

    closed = await stage.only(generation(entry("gjj", 'hours: {opens: "13:00", closes: "17:30"}')))
    assert closed.state.until == datetime(2026, 11, 25, 13, 0, tzinfo=CITY_ZONE)
    assert "2026年11月25日 13:00" in closed.state.message
    assert "市民中心" in closed.state.speak

    suspended = await stage.only(generation(entry("gjj", SUSPENDED)), citizen())
    assert suspended.state.message == "正在核查收费。"


async def test_away_store_says_that_sign_in_cannot_be_checked(stage: Stage) -> None:
    """Signed out by a store that is down is not the same as signed out."""
    item = await stage.only(generation(), store_away=True)
    assert (item.state.code, item.state.reason) == (Code.NEEDS_LOGIN, "store_away")


# ---- exactly one, whatever the entry, the viewer and the answer


@cache
def bases() -> tuple[Entry, ...]:
    """One entry of each kind."""
    services = ("gjj", "matters", "deep", "mother", "events")
    city = generation(*(entry(s, service=s) for s in services), directory())
    found = (city.entry(s) for s in (*services, "care"))
    return tuple(e for e in found if e is not None)


instants = st.integers(-3, 3).map(lambda days: instant(NOON) + timedelta(days=days))
shown = st.lists(
    st.builds(
        Shown,
        state=st.sampled_from(list(Visibility)),
        since=instants,
        testers=st.sampled_from([(), ("staff",)]),
        successor=st.sampled_from([None, "care"]),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda lines: (Shown(state=Visibility.PUBLISHED), *sorted(lines, key=lambda s: s.since or datetime.min.replace(tzinfo=UTC)))
)  # fmt: skip
windows = st.lists(
    st.builds(Window, start=instants, end=instants)
    | st.builds(Window, daily_start=st.sampled_from(["11:00", "23:00"]), daily_end=st.sampled_from(["13:00", "01:00"])),
    max_size=2,
).map(tuple)  # fmt: skip
hours = st.none() | st.builds(
    Hours,
    weekdays=st.sampled_from([(1, 2, 3, 4, 5, 6, 7), (3,), (6, 7), ()]),
    opens=st.sampled_from(["00:00", "08:30", "20:00"]),
    closes=st.sampled_from(["24:00", "12:00", "17:30", "02:00"]),
    season_start=st.sampled_from([None, "06-01", "11-01"]),
    season_end=st.sampled_from([None, "07-15", "01-31"]),
)
outcomes = st.sampled_from(
    [
        *(answer for _, answer in ANSWERS),
        *(NeedsCitizen(need) for need in ("consent", "binding", "level", "field", "odd")),
        *(Failed(reason) for reason in Reason),
        Answered(CardAnswer(facts={"undeclared": 1})),
        Answered(CardAnswer(facts={"balance": "many"})),
        Answered(CardAnswer(items=({"what": "整改", "day": "2026-12-01"},))),
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """An entry with any rules."""
    base = draw(st.sampled_from(bases()))
    changes = {
        "shown": draw(st.just(base.shown) | shown),
        "maintenance": draw(st.just(()) | windows),
        "hours": draw(hours),
        "region": draw(st.sampled_from([(), ("000121",), ("000100",)])),
        "min_host": draw(st.sampled_from([None, "6.2.0", "6.10"])),
        "parked": draw(st.sampled_from([None, None, "it broke"])),
        "digest": draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
    }
    return base.model_copy(update=changes)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    made=entries(),
    outcome=outcomes,
    who=st.none() | st.integers(0, 4),
    agreed=st.booleans(),
    how=st.fixed_dictionaries(
        {
            "language": st.sampled_from(["zh", "en"]),
            "host_version": st.sampled_from([None, "6.2", "6.9.9", "0", "beta"]),
            "region": st.sampled_from([None, "000102", "000121", "000100"]),
            "testers": st.sampled_from([frozenset(), frozenset({"staff"})]),
        }
    ),
)
async def test_exactly_one_state_holds(
    stage: Stage, made: Entry, outcome: Outcome, who: int | None, agreed: bool, how: dict[str, Any]
) -> None:
    """Whatever meets, an item has one state of the list, with words; gates ask nobody."""
    stage.clock.fixed = NOON
    stage.asks.clear()
    stage.agreements.clear()
    stage.answer = outcome
    city: Generation = of_entries([made])
    seer = None if who is None else citizen(f"h{made.digest[:12]}", level=who)
    if agreed and seer is not None:
        stage.agree(seer, city)

    feed = await stage.feed(city, seer, services=[made.id], **how)

    assert len(feed.items) <= 1
    for item in feed.items:
        check_said(item)
        if item.state.code in GATED:
            assert stage.asks == []
        assert feed.complete is item.current


async def test_pending_is_the_twelfth(stage: Stage) -> None:
    """Asked and not answered: said in words, with a way on."""
    city, who = generation(), citizen()
    stage.agree(who, city)

    async def never(ask: CardAsk) -> Outcome:
        await stage.clock.sleep(10)
        return figure()

    stage.answer = never
    item = await stage.only(city, who, seconds=0.02)
    assert item.state.code is Code.PENDING
    check_said(item)


def test_the_reached_states_are_all_eighteen() -> None:
    """The tables above, and the pending one, leave none out."""
    reached = {code for code, *_ in GATES} | {code for code, _ in ANSWERS} | {Code.PENDING}
    assert reached == set(Code)
