"""The citizen's door over real stores: the router, and browsers that keep cookies."""

import re
from types import SimpleNamespace
from typing import Any

import httpx

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.guards import Doorkeeper
from gateway.registry.generation import Generation
from gateway.routes import CITIZEN, Router
from gateway.settings import Settings
from gateway.sso.assertion import Assertions
from gateway.sso.preferences import Preferences
from gateway.sso.staff import Staff
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from gateway.web.parts import Parts
from tests.gateway.sso.offices import CLAIMS, ORIGIN, Desk, somebody

HOST = ORIGIN.removeprefix("https://")


class Lobby:
    """The gateway as a citizen's browser sees it; only what these pages use is opened."""

    def __init__(
        self,
        volatile: Volatile,
        ledger: Ledger,
        keys: Keys,
        clock: OffsetClock,
        live: Generation | None = None,
        origin: str = ORIGIN,
    ) -> None:
        self.desk = Desk(volatile, ledger, keys, clock)
        if live is not None:
            self.desk.live = live
        self.origin = origin
        assertions = Assertions(
            volatile=volatile, keys=keys, clock=clock, origin=origin, live=lambda: self.desk.live
        )
        desk = self.desk
        nothing: Any = None
        settings = Settings(profile="test", public_url=origin, listen="127.0.0.1:8080")
        self.parts = Parts(
            settings=settings,
            clock=clock,
            ledger=ledger,
            volatile=volatile,
            keys=keys,
            live=_Live(desk),  # type: ignore[arg-type]  # the generation is all that is asked of it
            publisher=nothing,
            watch_report=nothing,
            departments=nothing,
            cards=nothing,
            search=nothing,
            sessions=desk.sessions,
            signin=nothing,
            consents=desk.consents,
            launches=desk.launches,
            tickets=desk.tickets,
            disclosures=desk.disclosures,
            preferences=Preferences(ledger=ledger, keys=keys, clock=clock),
            staff=Staff(ledger=ledger, keys=keys, clock=clock),
            feedback=nothing,
            board=nothing,
        )
        door = Doorkeeper(
            clock=clock,
            origin=origin,
            secure=origin.startswith("https"),
            sessions=desk.sessions,
            roles=self.parts.staff.roles,
            prove=assertions.prove,
            bind=keys.blind,
            proxies=(),
        )
        self.app = Router(self.parts, door, {("127.0.0.1", 8080): frozenset({CITIZEN})})

    def browser(self, **headers: str) -> "Browser":
        """Somebody's browser."""
        return Browser(self, headers)

    async def signed_in(self, who: str = "c1", level: int = 3, **claims: str) -> "Browser":
        """A browser with a session."""
        browser = self.browser()
        known = await self.desk.ledger.read(
            lambda c: c.exec_driver_sql("SELECT 1 FROM citizen WHERE id = ?", (who,)).first()
        )
        if known is None:
            await somebody(self.desk.ledger, self.desk.keys, who, level)
        token = await self.desk.sessions.open(
            CitizenId(who), level=level, upstream="anlan", claims={**CLAIMS, **claims}
        )
        browser.cookies.set(
            "__Host-citygate" if self.origin.startswith("https") else "citygate", token
        )
        return browser


class _Live(SimpleNamespace):
    """The live generation, whichever the desk has now."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk=desk)

    @property
    def current(self) -> Generation:
        """What is served."""
        return self.desk.live


class Browser:
    """Gets pages and posts their forms, as a browser without scripts does."""

    def __init__(self, lobby: Lobby, headers: dict[str, str]) -> None:
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(lobby.app), base_url=lobby.origin, headers=headers
        )
        self.cookies = self.client.cookies
        self.token = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A page; its form token is kept."""
        answer = await self.client.get(path, headers=headers)
        if found := re.search(r'name="form_token" value="([^"]+)"', answer.text):
            self.token = found[1]
        return answer

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """A form of the last page, sent as a browser sends it."""
        if not self.token:
            await self.get("/me/display")
        several = fields.pop("items", None)
        data = {"form_token": self.token, **fields}
        if several is not None:
            data["items[]"] = several
        return await self.client.post(
            path, data=data, headers={"origin": "null", "sec-fetch-site": "same-origin"}
        )

    async def close(self) -> None:
        """Shut it."""
        await self.client.aclose()
