"""The whole program behind its door, in process: real stores, the city's own registry, no departments."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.app import opened
from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.routes import ADMIN, CITIZEN, Router
from gateway.settings import Settings
from gateway.store.sealing import FileKek
from gateway.web.parts import Parts
from tests.gateway.sso.offices import CLAIMS, somebody

ROOT = Path(__file__).resolve().parents[3]
ORIGIN = "http://localhost:8080"


@dataclass(frozen=True)
class Front:
    """The router with everything behind it."""

    app: Router
    parts: Parts
    clock: OffsetClock

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """Somebody's browser, signed out."""
        accept = {"accept": "text/html", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ORIGIN, headers=accept
        )

    async def signed_in(self, who: str, **headers: str) -> httpx.AsyncClient:
        """A browser with a session of level 3."""
        known = await self.parts.ledger.read(
            lambda c: c.exec_driver_sql("SELECT 1 FROM citizen WHERE id = ?", (who,)).first()
        )
        if known is None:
            await somebody(self.parts.ledger, self.parts.keys, who, 3)
        token = await self.parts.sessions.open(
            CitizenId(who), level=3, upstream="anlan", claims={**CLAIMS, "name": "李伟"}
        )
        browser = self.browser(**headers)
        browser.cookies.set("citygate", token)
        return browser


@contextlib.asynccontextmanager
async def open_front(folder: Path, valkey_url: str, **settings: object) -> AsyncIterator[Front]:
    """Open everything in a folder of its own."""
    FileKek.create(folder / "kek")
    (folder / "run").mkdir()
    values = {
        "profile": "test",
        "state_dir": folder,
        "public_url": ORIGIN,
        "listen": "127.0.0.1:8080",
        "volatile": valkey_url,
        "registry": ROOT / "service_registry.yaml",
        "plugins": ROOT / "plugins",
        "watch": False,
        "page_budget_ms": 200,
        **settings,
    }
    clock = OffsetClock()
    async with opened(Settings.model_validate(values), clock=clock) as (parts, door):
        zones = {("localhost", 8080): frozenset({CITIZEN, ADMIN})}
        yield Front(Router(parts, door, zones), parts, clock)
