"""Code plugins written in the test, their children as root and as a plain user, and who is left."""

import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract.answer import CardAnswer, Empty
from gateway.contract.hooks import Asked, CardAsk, Reply
from gateway.contract.ids import PluginId, Subject
from gateway.hosting.children import forks
from gateway.hosting.children.pool import Children
from gateway.hosting.package import Package, package_digest

ROOT = str(Path(forks.__file__).parents[3])
STILL = """
    from gateway.contract import CardAnswer

    async def card(ctx, ask):
        return CardAnswer(facts={"of": ask.claims["name"]})
"""
NAME, NUMBER = "李伟", "000102198805170133"
# As the nursery is started, but as a user without any privilege. What it imports lies where that
# user may not read, so it imports first: the same that a child of a root worker lives with.
PLAIN = (
    "import os, sys; sys.path.insert(0, {root!r}); import gateway; del sys.path[0];"
    "from gateway.hosting.children import nursery, preload; preload.warm();"
    "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534);"
    "nursery.main({descriptor}, {parent})"
)


def plain_command(descriptor: int) -> list[str]:
    """A nursery that is nobody from its first breath."""
    code = PLAIN.format(root=ROOT, descriptor=descriptor, parent=os.getpid())
    return [sys.executable, "-I", "-W", "ignore", "-c", code]


def package(source: str, plugin: str = "legal") -> Package:
    """A code plugin of that text; nothing else of a package reaches a child."""
    code = textwrap.dedent(source).encode()
    return Package(
        id=PluginId(plugin),
        digest=package_digest({"plugin.py": code}),
        manifest=None,  # type: ignore[arg-type]
        recipe=None,
        code=code,
        words={},
        settings={},
        network=(),
        files={},
    )


async def nobody(asked: Asked) -> Reply:
    """A department that is never asked."""
    raise AssertionError(asked.path)


async def echo(asked: Asked) -> Reply:
    """A department that answers what it was sent."""
    return Reply(200, {"content-type": "application/json"}, json.dumps(asked.json))


@dataclass
class Nursery:
    """A pool and short ways to use it."""

    children: Children
    reports: list[tuple[str, str, str]] = field(default_factory=list)

    async def card(
        self,
        source: str | Package,
        *,
        broker: Callable[[Asked], Any] = nobody,
        seconds: float = 3.0,
        settings: dict[str, object] | None = None,
        **claims: str,
    ) -> CardAnswer | Empty:
        """Ask a plugin for the card of 李伟."""
        claims = claims or {"name": NAME, "id_number": NUMBER}
        ask = CardAsk("legal", "cases", Subject("s" * 26), claims, 2, "zh", "t", seconds)
        one = source if isinstance(source, Package) else package(source)
        return await self.children.card(
            one,
            ask,
            broker=broker,
            seconds=seconds,
            settings=settings or {},
            now="2026-11-23T10:00:00+08:00",
        )

    def whys(self) -> list[str]:
        """The reasons that were reported, in order."""
        return [what.partition(":")[0] for _, _, what in self.reports]


def pool(*, user: str = "own", **more: Any) -> Nursery:
    """A pool of children, of root or of a plain user."""
    reports: list[tuple[str, str, str]] = []
    children = Children(
        clock=SystemClock(), report=lambda *one: reports.append(one), **{"production": True, **more}
    )
    if user == "plain":
        children._forks.command = plain_command
    return Nursery(children, reports)


USERS = ["root", "plain"] if os.getuid() == 0 else ["own"]


_OTHERS: set[int] = set()  # of a whole gateway that other tests keep open in this process


@pytest.fixture(scope="module", autouse=True)
def _known_others() -> None:
    """What lives before a module begins is not of its making."""
    _OTHERS.clear()
    _OTHERS.update(living())


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    """A pool as a worker has it; nothing is left of it."""
    before = set(living())
    made = pool()
    yield made
    await made.children.close()
    assert set(living()) <= before


@pytest.fixture(scope="module", params=USERS)
async def _shared(request: pytest.FixtureRequest) -> AsyncIterator[Nursery]:
    """One pool for a module's tests of what a plugin may not do."""
    made = pool(user=request.param)
    yield made
    await made.children.close()
    assert living() == {}


@pytest.fixture
def shared(_shared: Nursery) -> Nursery:
    """That pool, with nothing reported yet."""
    _shared.reports.clear()
    _shared.children._said.clear()
    return _shared


@pytest.fixture(params=USERS)
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Nursery]:
    """The same, as root and as a plain user."""
    made = pool(user=request.param)
    yield made
    await made.children.close()
    assert living() == {}


def processes() -> dict[int, tuple[str, str, int]]:
    """Every process: name, state, parent; read from /proc."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text("utf-8", "replace")
            except OSError:
                continue
            name = text[text.index("(") + 1 : text.rindex(")")]
            state, parent = text[text.rindex(")") + 2 :].split()[:2]
            found[int(entry.name)] = (name, state, int(parent))
    return found


def living(ancestor: int | None = None) -> dict[int, str]:
    """Nurseries and children of a process (this one), zombies too; not those of whole cities."""
    everyone = processes()
    top = ancestor or os.getpid()

    def below(process: int) -> bool:
        while process in everyone and everyone[process][0].startswith("citygate-"):
            process = everyone[process][2]
        return process == top

    return {
        number: name
        for number, (name, _, _) in everyone.items()
        if name.startswith("citygate-") and number not in _OTHERS and below(number)
    }
