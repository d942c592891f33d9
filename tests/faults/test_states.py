"""All eighteen states through the front door: registry, session and the department's own answer (A4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.city import Person
from tests.department import Department
from tests.street import (
    Plugin,
    Street,
    articles,
    departments,
    directory,
    shown,
    street,
    text,
    until,
)

pytestmark = pytest.mark.timeout(180)
DATA = [
    {
        "id": "name",
        "claim": "name",
        "label": text("姓名"),
        "purpose": text("查账户"),
        "keep": "30d",
    }
]
AGENT = {"user-agent": "AnlanGuancha/6.1.9"}
# state -> the entry's own lines, the service's own, the manifest's own, what the department says
GATES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "retired": ({"visibility": "retired", "successor": "care"}, {}, {}),
    "suspended": ({"visibility": {"state": "suspended", "sentence": text("正在核查。")}}, {}, {}),
    "maintenance": ({"maintenance": [{"start": "2020-01-01T00:00:00+08:00", "end": "2090-01-01T00:00:00+08:00"}]}, {}, {}),
    "closed": ({"hours": {"season_start": "01-01", "season_end": "01-02"}}, {}, {}),
    "upgrade_required": ({"min_host": "6.2.0"}, {}, {}),
    "out_of_region": ({"region": ["000121"]}, {}, {}),
    "not_in_release": ({"visibility": {"state": "gray", "testers": ["inner"]}}, {}, {}),
    "needs_login": ({}, {}, {}),
    "needs_identity": ({}, {"level": 3}, {}),
    "needs_proxy_right": ({}, {"proxy": "only"}, {}),
    "needs_consent": ({}, {"data": ["name"]}, {"data": DATA}),
}  # fmt: skip
ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pending": ("slow:2.5", {}),
    "unavailable": ("500", {}),
    "empty": ("404", {}),
    "action_required": ("well", {"value": "1", "state": "due", "stage": "补正", "due": "2090-01-01"}),
    "in_progress": ("well", {"value": "1", "state": "running", "stage": "初审", "holder": "审核科"}),
    "done": ("well", {"value": "1", "state": "over"}),
    "ready": ("well", {"value": "1"}),
}  # fmt: skip


def name_of(state: str) -> str:
    """The service that is meant to be in a state."""
    return state.replace("_", "-")


@dataclass
class Town:
    """Eighteen services, each with a department of its own."""

    street: Street
    offices: dict[str, Department]

    def person(self, who: str) -> Person:
        """Signed in at level 2, in 望江区."""
        one = self.street.signed_in(who)
        done = one.post("/me/display", region="000102")
        assert done.status_code in (200, 303), done.text[:500]
        return one


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One gateway for all states."""
    wanted = [*GATES, *ANSWERS]
    with departments(len(wanted)) as opened:
        offices = dict(zip(wanted, opened, strict=True))
        plugins = []
        for state, office in offices.items():
            entry, service, manifest = GATES.get(state, ({}, {}, {}))
            behaviour, data = ANSWERS.get(state, ("well", {"value": "1"}))
            office.answer = lambda data=data: {"code": "0", "data": data}  # type: ignore[misc]
            if behaviour == "404":
                office.answer = lambda: {"code": "none"}
            office.behave("well" if behaviour == "404" else behaviour)
            recipe = (
                {"errors": [{"at": "code", "is": "none", "then": "empty"}]}
                if behaviour == "404"
                else {}
            )
            plugins.append(
                Plugin(
                    name_of(state), office.port, recipe=recipe, manifest=manifest,
                    service=service, entry=entry,
                )
            )  # fmt: skip
        folder = tmp_path_factory.mktemp("states")
        with street(folder, plugins, entries={"care": directory("care")}) as running:
            yield Town(running, offices)


@pytest.mark.parametrize("state", [pytest.param(s, id=f"A4-{s}") for s in GATES])
def test_states_1_to_11_call_nobody(town: Town, state: str) -> None:
    """Feed and page say the same state, with a sentence and another way; nothing is asked."""
    service, office = name_of(state), town.offices[state]
    calls = office.calls
    one = town.street.person() if state == "needs_login" else town.person(f"p-{service}")
    answer = one.get("/api/v1/cards", params={"services": service}, headers=AGENT)
    (item,) = answer.json()["cards"]
    page = one.get(f"/s/{service}", headers=AGENT)

    assert item["state"]["code"] == state
    assert item["state"]["message"]
    assert item["state"]["speak"]
    assert item["actions"]
    assert page.status_code == (410 if state == "retired" else 200)
    assert shown(articles(page.text)[service]) == state
    hall = articles(one.get("/", headers=AGENT).text)
    assert (service in hall) is (state != "not_in_release")
    assert office.calls == calls


@pytest.mark.parametrize("state", [pytest.param(s, id=f"A4-{s}") for s in ANSWERS])
def test_states_12_to_18_are_what_the_department_says(town: Town, state: str) -> None:
    """Feed and page show what came over HTTP, and each item has one state."""
    service, office = name_of(state), town.offices[state]
    one = town.person(f"q-{service}")
    item = one.card(service)
    assert item["state"]["code"] == state
    assert office.calls > 0  # its breaker may be open by now: it was asked before
    assert shown(articles(one.get("/").text)[service]) == state


@pytest.mark.parametrize("row", ["A4-to-do"])
def test_a_dead_department_does_not_lower_what_is_to_do(town: Town, row: str) -> None:
    """What was due an hour ago is due still, with a copy's freshness."""
    assert row
    one, office = town.person("due"), town.offices["action_required"]
    assert one.card("action-required")["state"]["code"] == "action_required"
    assert "待办 1 件" in one.get("/").text
    town.street.clock(advance_seconds=600)
    office.behave("reset")
    try:
        until(
            lambda: one.card("action-required")["freshness"]["source"] == "copy", 10, "never a copy"
        )
        assert "待办 1 件" in one.get("/").text
        assert one.card("action-required")["state"]["code"] == "action_required"
    finally:
        office.behave("well")
        town.street.clock(advance_seconds=-600)
