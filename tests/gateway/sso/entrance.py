"""Sessions, sign-in and a provider, put together as `app` does it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway.clock import Clock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId
from gateway.settings import Upstream
from gateway.sso.session import Sessions
from gateway.sso.signin import Arrived, SignIn
from gateway.sso.upstreams import open_providers
from gateway.store.ids import new_token
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from tests.upstream import LEVEL, Provider

ORIGIN = "http://city.test"
LEVELS = {f"{LEVEL}{n}": n for n in (1, 2, 3, 4)}


@dataclass
class Entrance:
    """One worker's way in."""

    sessions: Sessions
    signin: SignIn
    browser: str = field(default_factory=new_token)
    forgotten: list[CitizenId] = field(default_factory=list)

    async def come_in(
        self,
        provider: Provider,
        *,
        upstream: str = "town",
        old: str | None = None,
        level: int | None = None,
        prompt: str | None = None,
        next_path: str = "/",
        **changes: Any,
    ) -> Arrived:
        """The whole way: begin, say yes over there, come back."""
        address = await self.signin.begin(
            upstream, browser=self.browser, next_path=next_path, level=level, prompt=prompt
        )
        query = provider.approve(address, **changes)
        return await self.signin.finish(upstream, query, browser=self.browser, old=old)

    async def citizen(self, token: str) -> Citizen:
        """Whose session this is; she must be in."""
        found = await self.sessions.find(token)
        assert found is not None
        return found


def settings_of(provider: Provider, folder: Path, *, name: str = "town", **more: Any) -> Upstream:
    """What a maintainer writes about this provider."""
    key = folder / f"{name}.jwk"
    key.write_bytes(orjson.dumps(provider.client_key.as_dict(private=True)))
    row = {
        "id": name,
        "name_zh": "测试平台",
        "name_en": "Test platform",
        "issuer": provider.issuer,
        "client_id": provider.client,
        "client_key_file": key,
        "levels": LEVELS,
    }
    return Upstream.model_validate(row | more)


@asynccontextmanager
async def entrance(
    upstreams: Sequence[Upstream],
    *,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: Clock,
    loopback: bool = True,
) -> AsyncIterator[Entrance]:
    """One worker's sessions and sign-in."""
    forgotten: list[CitizenId] = []

    async def forget(citizen: CitizenId) -> None:
        forgotten.append(citizen)

    sessions = Sessions(
        volatile=volatile,
        ledger=ledger,
        keys=keys,
        clock=clock,
        idle_minutes=30,
        hours=12,
        forgotten=forget,
    )
    opened = open_providers(upstreams, clock=clock, origin=ORIGIN, loopback=loopback)
    async with opened as providers:
        signin = SignIn(
            providers=providers, sessions=sessions, volatile=volatile, keys=keys, clock=clock
        )
        yield Entrance(sessions, signin, forgotten=forgotten)
