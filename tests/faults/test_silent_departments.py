"""Twenty departments that accept and never answer, and sixteen citizens at once (A3)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import pytest

from gateway.words.loader import say
from tests.city import Person
from tests.department import Department
from tests.street import (
    WAY,
    Plugin,
    Street,
    articles,
    at_once,
    departments,
    items,
    shown,
    street,
    until,
)

pytestmark = pytest.mark.timeout(240)
CITIZENS = 16
DEPARTMENTS = 20
LIMIT = 0.9  # seconds: promised to everybody who opens the hall
TRIES = 3  # the machine may be busy with other tests at that very moment
NOON = 1_795_579_200_000_000
DUE = {"value": "100", "state": "due", "stage": "补正", "due": "2027-01-01"}


@dataclass
class Town:
    """A street of twenty departments, and people who are signed in."""

    street: Street
    offices: list[Department]
    people: list[Person]
    used: bool = False  # departments were silent: breakers may be open

    def fresh(self, behaviour: str) -> None:
        """Nobody has asked yet: no copies, closed breakers, and departments that behave so."""
        for office in self.offices:
            office.behave(behaviour)
        if self.used:
            self.street.again()
        self.used = behaviour != "well"
        self.street.forget_copies()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Two workers, twenty plugins of twenty departments."""
    with departments(DEPARTMENTS) as offices:
        plugins = [Plugin(f"s{n:02}", office.port) for n, office in enumerate(offices)]
        folder = tmp_path_factory.mktemp("silent")
        with street(folder, plugins, CITYGATE_WORKERS="2") as running:
            people = [running.signed_in(f"person-{n}") for n in range(CITIZENS)]
            yield Town(running, offices, people)


def states(page: bytes) -> list[tuple[str, bool]]:
    """Each card's state, and whether it says that the department's places are taken."""
    busy = say("zh", "state.why_busy")
    return [(shown(card), busy in card) for card in articles(page.decode()).values()]


@pytest.mark.parametrize("row", ["A3-hall"])
def test_silence_costs_nobody_more_than_the_page_budget(town: Town, row: str) -> None:
    """Every card is pending or says that it is busy; a moment later it gives a telephone."""
    assert row
    for attempt in range(TRIES):
        town.fresh("silent")
        answers = at_once(town.street, "/", town.people)
        assert [answer.status for answer in answers] == [200] * CITIZENS
        for answer in answers:
            found = states(answer.body)
            assert len(found) == DEPARTMENTS
            assert set(found) <= {("pending", False), ("unavailable", True)}, found
        slowest = max(answer.seconds for answer in answers)
        if slowest < LIMIT:
            break
        assert attempt + 1 < TRIES, f"the slowest took {slowest:.3f} s"
    assert all(office.calls > 0 for office in town.offices)

    told: set[tuple[int, str]] = set()  # who was told of which department

    def look() -> bool:
        for nth, answer in enumerate(at_once(town.street, "/api/v1/cards", town.people)):
            for card in orjson.loads(answer.body)["cards"]:
                if card["state"]["code"] == "unavailable":
                    assert card["state"]["reason"] in ("timeout", "busy", "paused")
                    assert WAY in card["state"]["speak"]
                    assert f"tel:{WAY}" in [action["target"] for action in card["actions"]]
                    told.add((nth, card["service"]))
        return len(told) == CITIZENS * DEPARTMENTS

    until(look, 25)  # a worker that has not asked yet asks once more


@pytest.mark.parametrize("row", ["A3-copies"])
def test_with_copies_everybody_sees_her_own_state(town: Town, row: str) -> None:
    """What was due stays due and counts: a copy keeps its state, and says that it is one."""
    assert row
    for office in town.offices:
        office.answer = lambda: {"code": "0", "data": DUE}
    for attempt in range(TRIES):
        town.fresh("well")
        for person in town.people:
            until(lambda one=person: one.feed()["complete"], 30)  # type: ignore[misc]
        town.street.clock(advance_seconds=600)  # past their fresh window
        town.used = True
        for office in town.offices:
            office.behave("silent")
        answers = at_once(town.street, "/", town.people)
        assert [answer.status for answer in answers] == [200] * CITIZENS
        for answer in answers:
            assert states(answer.body) == [("action_required", False)] * DEPARTMENTS
            assert f"待办 {DEPARTMENTS} 件" in answer.body.decode()
        for card in town.people[0].feed()["cards"]:
            assert card["state"]["code"] == "action_required"
            assert card["freshness"]["source"] == "copy"
            assert card["card"]["facts"][0]["value"] == "100"
        slowest = max(answer.seconds for answer in answers)
        if slowest < LIMIT:
            return
        assert attempt + 1 < TRIES, f"the slowest took {slowest:.3f} s"


@pytest.mark.parametrize("row", ["A3-one-of-twenty"])
def test_one_slow_department_changes_no_byte_of_the_others(town: Town, row: str) -> None:
    """Cold, at the same moment by the gateway's clock: nineteen cards are what they were."""
    assert row
    for office in town.offices:
        office.answer = lambda: {"code": "0", "data": {"value": "100", "state": "running"}}
    person, seen = town.people[0], []
    for slow in (False, True):
        town.fresh("well")
        town.street.clock(fixed=NOON)
        if slow:
            town.offices[7].behave("slow:2.5")
        began = time.monotonic()
        feed = person.get("/api/v1/cards")
        took = time.monotonic() - began
        page = person.get("/")
        town.street.clock(fixed=None)
        assert (feed.status_code, page.status_code) == (200, 200)
        assert (took > 0.7) is slow
        seen.append((items(feed.content), articles(page.text)))
    (healthy, well), (hurt, shaken) = seen
    assert orjson.loads(hurt.pop("s07"))["state"]["code"] == "pending"
    assert orjson.loads(healthy.pop("s07"))["state"]["code"] == "in_progress"
    assert shown(shaken.pop("s07")) == "pending"
    assert shown(well.pop("s07")) == "in_progress"
    assert len(healthy) == len(well) == DEPARTMENTS - 1
    assert hurt == healthy
    assert shaken == well
