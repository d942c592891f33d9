"""Code plugins that misbehave in a running gateway: named, alone, and mended by a publish (A6)."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import pytest

from tests.city import Person
from tests.department import Department
from tests.street import Plugin, Street, departments, street, until

pytestmark = pytest.mark.timeout(240)
GOOD = """
from gateway.contract import CardAnswer

async def card(ctx, ask):
    return CardAnswer(facts={"value": "VALUE"})
"""
BAD = {
    "blocks": "import time\nasync def card(ctx, ask): time.sleep(60)",
    "loops": "async def card(ctx, ask):\n    while True: pass",
    "raises": "async def card(ctx, ask): raise ValueError('secret of ' + ask.subject)",
    "types": "async def card(ctx, ask): return {'facts': [1]}",
    "eats": "async def card(ctx, ask):\n    x = []\n    while True: x.append(bytes(1 << 20))",
    "crashes": "import ctypes\nasync def card(ctx, ask): ctypes.string_at(0)",
    "exits": "import sys\nsys.exit(0)",
    "outward": (
        "import socket\nasync def card(ctx, ask): socket.create_connection(('127.0.0.1', PORT), 1)"
    ),
    "prints": "async def card(ctx, ask): print('secret of ' + ask.subject)",
}
ROWS = {"loops": "F54", "crashes": "F55", "exits": "F67", "eats": "F68", "types": "F69"}


@dataclass
class Town:
    """A gateway with nine bad plugins and two good ones."""

    street: Street
    trap: socket.socket
    person: Person
    feed: dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Everybody has been asked until each bad one is known for what it is."""
    with socket.create_server(("127.0.0.1", 0)) as trap, departments(1) as (office,):
        trap.settimeout(0.01)
        port = str(trap.getsockname()[1])
        plugins = [Plugin(name, code=code.replace("PORT", port)) for name, code in BAD.items()]
        plugins += [Plugin("kind", code=GOOD.replace("VALUE", "first")), _recipe(office)]
        with street(tmp_path_factory.mktemp("code"), plugins) as running:
            person = running.signed_in()
            found: dict[str, dict[str, object]] = {}

            def known() -> bool:
                found.update({c["service"]: c for c in person.feed()["cards"]})
                codes = {name: found[name]["state"]["code"] for name in found}  # type: ignore[index]
                return all(codes[name] == "unavailable" for name in BAD) and all(
                    codes[name] == "ready" for name in ("kind", "office")
                )

            until(known, 60, str(found))
            yield Town(running, trap, person, found)


def _recipe(office: Department) -> Plugin:
    return Plugin("office", office.port)


@pytest.mark.parametrize("name", [pytest.param(n, id=f"{ROWS.get(n, 'A6')}-{n}") for n in BAD])
def test_bad_code_is_named_in_the_log_and_costs_its_own_card(town: Town, name: str) -> None:
    """Its card says `plugin`; the log names it by a word of a closed list, without its values."""
    state = town.feed[name]["state"]
    assert isinstance(state, dict)
    assert state["reason"] in ("plugin", "timeout", "paused")
    lines = [orjson.loads(x) for x in town.street.log().splitlines() if x.startswith("{")]
    named = [x for x in lines if x.get("plugin") == name and x["event"].startswith("children.")]
    assert named
    assert "secret of" not in town.street.log()


@pytest.mark.parametrize("row", ["A6-health"])
def test_the_health_page_names_each(town: Town, row: str) -> None:
    """The workers' parts of the board hold them all, and so does the page."""
    assert row
    until(lambda: {*BAD} <= {f["plugin"] for p in town.street.health() for f in p["faults"]}, 10)
    page = town.street.staff("viewer").get("/admin/")
    assert page.status_code == 200
    for name in BAD:
        assert f"服务{name}" in page.text


@pytest.mark.parametrize("row", ["A6-neighbours"])
def test_everything_else_is_within_the_budget(town: Town, row: str) -> None:
    """While bad ones are asked again, good ones answer and the page keeps its budget."""
    assert row
    one = town.street.signed_in("person-2")
    answer = one.get("/api/v1/cards")
    assert answer.elapsed.total_seconds() < 2.0
    codes = {c["service"]: c["state"]["code"] for c in answer.json()["cards"]}
    assert codes["office"] == codes["kind"] == "ready"


@pytest.mark.parametrize("row", ["A6-outward"])
def test_nobody_was_called_from_inside(town: Town, row: str) -> None:
    """The trap that the plugin connects to heard nothing."""
    assert row
    with pytest.raises(TimeoutError):
        town.trap.accept()


@pytest.mark.parametrize("row", ["A6-mended"])
def test_changed_code_is_live_without_a_restart(town: Town, row: str) -> None:
    """A publish brings the new code; the worker is the same, and no old child stays."""
    assert row
    before = town.street.workers
    for plugin in town.street.plugins:
        if plugin.id in ("raises", "kind"):
            plugin.code = GOOD.replace("VALUE", "second")
    town.street.publish()
    one = town.street.signed_in("person-3")

    def values() -> bool:
        cards = {c["service"]: c for c in one.feed()["cards"]}
        return all(
            cards[n]["card"] and cards[n]["card"]["facts"][0]["value"] == "second"
            for n in ("raises", "kind")
        )

    until(values, 20)
    assert town.street.workers == before


@pytest.mark.parametrize("row", ["A6-none-left"])
def test_no_child_is_left_over(tmp_path_factory: pytest.TempPathFactory, row: str) -> None:
    """When the gateway ends, everything that it started has ended."""
    assert row
    plugins = [Plugin("kind", code=GOOD), Plugin("loops", code=BAD["loops"])]
    with street(tmp_path_factory.mktemp("left"), plugins) as running:
        person = running.signed_in()
        until(lambda: person.card("kind")["state"]["code"] == "ready", 20)
        person.card("loops")
        started = running.below()
        assert any(name.startswith("citygate-") for name in started.values()), started
        running.end()
        until(lambda: not {*started} & _living(), 10)


def _living() -> set[int]:
    from pathlib import Path  # noqa: PLC0415 - for one test

    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
