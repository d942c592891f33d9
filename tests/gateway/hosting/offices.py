"""Departments for tests: packages made in place, asked through the whole stack."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.clock import Clock, SystemClock
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import PluginId, Subject
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe
from gateway.hosting.departments import Departments, open_departments
from gateway.hosting.outcome import Answered, Outcome
from gateway.hosting.package import Package
from gateway.hosting.secrets import Secrets

TEXT = {"zh": "文字", "en": "text"}


def manifest(**more: Any) -> Manifest:
    """A manifest of the smallest kind: one service, one card with one fact `value`."""
    sheet = dict.fromkeys(("audience", "fee", "promised", "result", "place"), TEXT)
    document: dict[str, Any] = {
        "contract": "1.0",
        "id": "office",
        "version": "1.0.0",
        "name": TEXT,
        "kind": "recipe",
        "department": {
            "id": "office",
            "name": TEXT,
            "credit_code": "001100000000000000",
            "people": [{"name": "甲", "phone": "12345", "email": "a@b.example"}] * 2,
            "duty_phone": "12345",
            "privacy": "http://office.localhost/privacy",
        },
        "data": [
            {
                "id": claim,
                "claim": claim,
                "label": TEXT,
                "purpose": TEXT,
                "keep": "none",
                "required": claim != "phone",
            }
            for claim in ("name", "id_number", "phone")
        ],
        "cards": [
            {
                "id": "main",
                "template": "figure",
                "facts": [{"id": "value", "label": TEXT}],
                "speak": TEXT,
                "empty": TEXT,
            }
        ],
        "services": [
            {
                "id": "office",
                "name": TEXT,
                "short": TEXT,
                "summary": TEXT,
                "card": "main",
                "sheet": {**sheet, "phone": "12345"},
            }
        ],
    }
    return Manifest.model_validate({**document, **more})


RECIPE: dict[str, Any] = {
    "recipe": 1,
    "calls": {"ask": {"path": "/ask", "check": [{"at": "code", "is": "0"}]}},
    "cards": {"main": {"from": "ask", "facts": {"value": "data.value"}}},
    "probe": {"call": "ask"},
}


def package(
    port: int | None,
    recipe: Mapping[str, Any] | None = RECIPE,
    *,
    plugin: str = "office",
    host: str = "office.localhost",
    digest: str = "",
    settings: Mapping[str, Any] = {},
    connect: Mapping[str, Any] = {},
    network: tuple[tuple[str, int], ...] | None = None,
    **more: Any,
) -> Package:
    """A package whose back end listens on a port of this machine."""
    if port is not None:
        base = {"base": f"http://{host}:{port}", "timeout": "1s", **connect}
        more = {"connect": base, **more}
    made = manifest(id=plugin, **more)
    department = made.department.model_copy(update={"id": plugin})
    made = made.model_copy(update={"department": department})
    return Package(
        id=PluginId(plugin),
        digest=digest or plugin,
        manifest=made,
        recipe=Recipe.model_validate(recipe) if recipe is not None else None,
        code=None,
        words={"zh": {}, "en": {}},
        settings=settings,
        network=network if network is not None else ((host, port or 0),),
        files={},
    )


def ask(card: str = "main", **claims: str) -> CardAsk:
    """A question about somebody."""
    given = claims or {"name": "李伟", "id_number": "001001199001010017"}
    return CardAsk(
        service="office",
        card=card,
        subject=Subject("s" * 26),
        claims=given,
        level=3,
        language="zh",
        trace="t-1",
        seconds=1.0,
    )


class Hands:
    """Departments with what they reported."""

    def __init__(self, departments: Departments, reports: list[tuple[str, str, str]]) -> None:
        self.departments = departments
        self.reports = reports

    async def adopt(self, *packages: Package) -> None:
        """Make these the plugins that can be asked."""
        await self.departments.adopt({one.id: one for one in packages})

    async def card(
        self, plugin: str = "office", *, who: str = "a", seconds: float = 1.0, **claims: str
    ) -> Outcome:
        """Ask a plugin for its card."""
        return await self.departments.card(
            PluginId(plugin), ask(**claims), who=who, seconds=seconds
        )

    async def value(self, plugin: str = "office") -> object:
        """The one fact that a department that is well shows."""
        outcome = await self.card(plugin)
        assert isinstance(outcome, Answered), outcome
        return outcome.answer.facts["value"]

    def health(self, plugin: str = "office") -> dict[str, object]:
        """A plugin's row of the health page."""
        return next(row for row in self.departments.health() if row["plugin"] == plugin)


@asynccontextmanager
async def opened(
    *packages: Package,
    secrets: Path | None = None,
    clock: Clock | None = None,
    loopback: bool = True,
    networks: Mapping[str, tuple[str, ...]] = {},
    workers: int = 1,
    children: Any = None,
    drops: Any = None,
) -> AsyncIterator[Hands]:
    """Departments of one worker with these packages adopted."""
    reports: list[tuple[str, str, str]] = []
    async with open_departments(
        clock=clock or SystemClock(),
        secrets=Secrets(secrets),
        networks=networks,
        loopback=loopback,
        workers=workers,
        children=children,
        drops=drops,
        report=lambda plugin, reason, what: reports.append((plugin, reason, what)),
    ) as departments:
        hands = Hands(departments, reports)
        await hands.adopt(*packages)
        yield hands
