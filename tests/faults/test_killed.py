"""kill -9 of anything, at any moment, while people work (A11): nothing acknowledged is lost or doubled.

The next start is the same command on the same ports, at once, without a hand.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.simulated.people import BY_ID
from gateway.simulated.world import PORTS
from tests import city, postgres
from tests.city import ROOT, City
from tests.faults.killing import (
    Client,
    Consenting,
    Publishing,
    Reading,
    Reporting,
    Scene,
    at_work,
    judge,
)

VICTIMS = ("worker", "valkey", "child", "city", "nursery")
ONCE_IN = 5  # every so many rounds it is the supervisor
ROUNDS = 20
EXAM_ROUNDS = 200


@dataclass
class Town:
    """One city and how it is started again."""

    folder: Path
    environment: dict[str, str]
    ports: tuple[int, int, int]
    server: postgres.Postgres | None
    scene: Scene = field(init=False)

    def start(self) -> City:
        """The same command each time."""
        return city.start(self.folder, ports=self.ports, seconds=90, **self.environment)

    @property
    def ledger(self) -> str:
        """Where the ledger is."""
        return self.environment.get(
            "CITYGATE_LEDGER", f"sqlite:///{self.folder.resolve()}/state/ledger.db"
        )

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command on the same machine."""
        environment = {
            **os.environ, **self.environment,
            "CITYGATE_PROFILE": "test", "CITYGATE_STATE_DIR": str(self.folder / "state"),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=environment, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A city with two workers and a publisher, on each kind of ledger."""
    environment = {"CITYGATE_WORKERS": "2"}
    server = None
    with contextlib.ExitStack() as stack:
        if request.param == "postgresql":
            server = postgres.start()
            stack.callback(server.stop)
            environment["CITYGATE_LEDGER"] = server.database()
        first = city.free_range(max(PORTS.values()) + 3)
        ports = (first + max(PORTS.values()) + 1, first + max(PORTS.values()) + 2, first)
        made = Town(tmp_path, environment, ports, server)
        made.scene = Scene(made.start())
        stack.callback(lambda: made.scene.city.end())  # noqa: PLW0108 - the one of that moment
        done = made.cli(
            "staff", "add", "--upstream", "anlan", "--sub", BY_ID["admin-publisher"].sub,
            "--role", "publisher", "--reason", "test",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield made


@pytest.mark.timeout(420)
@pytest.mark.parametrize("id_", ["A11"], ids=["A11"])
def test_nothing_acknowledged_is_lost_or_doubled(town: Town, id_: str) -> None:
    """Twenty kills of anything under load."""
    assert id_
    _kill_and_judge(town, ROUNDS, seed=11)


@pytest.mark.exam
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("id_", ["A11"], ids=["A11"])
def test_nothing_acknowledged_is_lost_or_doubled_in_two_hundred_kills(town: Town, id_: str) -> None:
    """The same, ten times as long, at other moments each time."""
    assert id_
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")  # noqa: T201 - to be able to repeat it
    _kill_and_judge(town, EXAM_ROUNDS, seed=seed)


def _kill_and_judge(town: Town, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    scene = town.scene
    clients: list[Client] = [
        Consenting(scene, "li-wei", "gjj"),
        Consenting(scene, "wang-fang", "property"),
        Reporting(scene),
        Reporting(scene, "feng-xia"),
        Publishing(scene, "admin-publisher", "jobs"),
        Reading(scene, "ma-chao"),
    ]
    killed: list[str] = []
    with at_work(scene, clients):
        for n in range(rounds):
            time.sleep(chance.uniform(0.05, 1.2))
            who = "supervisor" if n % ONCE_IN == ONCE_IN - 1 else chance.choice(VICTIMS)
            killed.append(_kill(town, who, chance))
            assert scene.surprises == [], killed
        _until(lambda: _serves(scene.city), "the city serves again")
    assert scene.surprises == [], killed
    assert all(client.done for client in clients), {c.name: c.done for c in clients}
    assert scene.city.end() == 0
    judge(town.ledger, clients)
    assert town.cli("audit", "verify").stdout.strip() == "whole"


def _kill(town: Town, who: str, chance: random.Random) -> str:
    """End something as the kernel does; after the supervisor's death start everything again."""
    scene = town.scene
    if who == "supervisor":
        family = [scene.city.process.pid, *_below(scene.city.process.pid)]
        scene.city.process.kill()
        scene.city.process.wait()
        scene.city = town.start()  # at once: what is still dying must not be in the way
        assert _alive(family) == [], "something outlived its supervisor"
        return who
    if who == "city" and town.server is not None and chance.random() < 0.5:
        town.server.kill()
        time.sleep(chance.uniform(0, 0.3))
        town.server.again()
        return "postgresql"
    found = _find(scene.city, who)
    if found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(found), signal.SIGKILL)
    return who if found else f"no {who}"


def _find(running: City, who: str) -> list[int]:
    workers = _written(running.state / "run" / "workers.json") or []
    if who == "worker":
        return list(workers)
    if who == "valkey":
        lock = _written(running.state / "valkey" / "valkey.lock")
        return [lock["pid"]] if lock else []
    if who == "city":
        return [p for p in _below(running.process.pid) if b"gateway.simulated" in _command(p)]
    nurseries = [p for worker in workers for p in _below(worker)]
    children = [p for nursery in nurseries for p in _below(nursery)]
    return children if who == "child" and children else nurseries


def _written(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError):  # being started again just now
        return None


def _below(parent: int) -> list[int]:
    """The processes that another started, and those that they started."""
    family: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if stat[0] != "Z":
                family.setdefault(int(stat[1]), []).append(int(folder.name))
    found, ahead = [], [parent]
    while ahead:
        below = family.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _alive(pids: list[int]) -> list[int]:
    return [p for p in pids if b"gateway" in _command(p) or b"valkey" in _command(p)]


def _serves(running: City) -> bool:
    try:
        with city.browser() as client:
            there = client.get(f"{running.addresses['internal']}/readyz?verbose")
            identity = client.get(
                f"{running.addresses['identity']}/.well-known/openid-configuration"
            )
    except httpx.TransportError:
        return False
    return there.status_code == 200 and identity.status_code == 200


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
