"""The shipped plugins, asked through the whole of hosting against the city on real ports."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.clock import SystemClock
from gateway.conformance.folder import gathered
from gateway.conformance.opening import open_package
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import PluginId, Subject
from gateway.hosting.departments import Departments, open_departments
from gateway.hosting.drops import Drops
from gateway.hosting.outcome import Outcome
from gateway.hosting.package import Package
from gateway.hosting.secrets import Secrets
from gateway.simulated.loopback import Loopback
from gateway.simulated.people import BY_ID
from gateway.store.ledger import open_ledger
from gateway.store.sealing import FileKek, open_keys

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
RECIPES = ("gjj", "property", "water", "jobs", "huzheng")


@dataclass
class Town:
    """The gateway's hosting with the shipped recipes, and hands to steer the city."""

    departments: Departments
    drops: Drops
    packages: dict[str, Package]
    at: dict[str, str]
    http: httpx.AsyncClient
    secrets: Path  # the gateway's copy

    async def control(self, act: str, **body: Any) -> Any:
        answer = await self.http.post(f"{self.at['panel']}/control/{act}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def calls(self, system: str) -> Any:
        return (await self.http.get(f"{self.at['panel']}/control/calls")).json()[system]

    async def card(self, plugin: str, card: str, person: str = "", **claims: str) -> Outcome:
        """What a citizen's card comes to; she agreed to name and number."""
        if person:
            one = BY_ID[person]
            claims = {"name": one.name, "id_number": one.id_number, **claims}
        ask = CardAsk(
            service=plugin,
            card=card,
            subject=Subject("a" * 26),
            claims=claims,
            level=3,
            language="zh",
            trace="0123456789abcdef",
            seconds=5.0,
        )
        return await self.departments.card(PluginId(plugin), ask, who=person, seconds=5.0)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One city for a module's tests."""
    folder = tmp_path_factory.mktemp("city")
    command = [sys.executable, "-m", "gateway.simulated", "--state", str(folder), "--free-ports"]
    command += ["--fast", "--control", "--gateway-url", "http://localhost:1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield folder
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
async def town(city: Path, tmp_path: Path) -> AsyncIterator[Town]:
    """The recipes brought to life; the city is as on its first day."""
    at = orjson.loads((city / "addresses.json").read_bytes())
    variables = {f"PORT_{name.upper()}": said.rsplit(":", 1)[1] for name, said in at.items()}
    variables["CITY_DROPS"] = str(city / "drops")
    packages = {}
    for name in RECIPES:
        files, _ = gathered(PLUGINS / name)
        package, found = open_package(files, environment="demo", variables=variables)
        assert package is not None, found
        packages[name] = package
    secrets = tmp_path / "secrets"
    shutil.copytree(city / "secrets", secrets)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        http = await enter(httpx.AsyncClient(transport=Loopback(), timeout=5, trust_env=False))
        ledger = await enter(open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock=clock))
        keys = await open_keys(ledger, FileKek.create(tmp_path / "kek"))
        drops = Drops(ledger, keys, clock)
        departments = await enter(
            open_departments(
                clock=clock,
                secrets=Secrets(secrets),
                networks={},
                loopback=True,
                workers=1,
                children=None,
                drops=drops,
                report=lambda _plugin, _reason, _what: None,
            )
        )
        await departments.adopt({PluginId(name): one for name, one in packages.items()})
        made = Town(departments, drops, packages, at, http, secrets)
        await made.control("reset")
        yield made
        drops.close()
