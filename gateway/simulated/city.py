"""The whole city: one world, its systems as ASGI apps by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp

from gateway.simulated import estate, gjj, identity, jobs, legal
from gateway.simulated.control import Control
from gateway.simulated.estate import Estate
from gateway.simulated.faults import Calls, Faulty
from gateway.simulated.gjj_pages import Gjj
from gateway.simulated.huzheng import Huzheng
from gateway.simulated.identity import Identity
from gateway.simulated.jobs import Jobs
from gateway.simulated.legal_pages import Legal
from gateway.simulated.newsapp import NewsApp
from gateway.simulated.people import PEOPLE
from gateway.simulated.water import Water
from gateway.simulated.world import World


class City(World):
    """The world and what stands on it; tests mount `apps` in memory.

    `addresses` names each system; `now` (UTC microseconds) and `transport` (how departments reach
    the gateway) let a test move time and stay without sockets. Close with `await city.close()`.
    """

    def __init__(self, folder: Path, *, control: bool = True, **world: Any) -> None:
        """Build every system; see `World` for the other arguments."""
        super().__init__(folder, **world)
        self.water = Water(self)
        gjj_site, legal_site, self.estate = Gjj(self), Legal(self), Estate(self)
        self.fund, self.office = gjj_site.fund, legal_site.office
        self.control = Control(self, self.water, enabled=control)
        self.calls["trap"] = Calls()
        guard = self._guarded
        self.apps: dict[str, ASGIApp] = {
            "app": NewsApp(self).app(),
            "gjj": guard("gjj", gjj_site.app(), gjj.PREFIXES, gjj.busy),
            "legal": guard("legal", legal_site.app(), legal.PREFIXES, legal.busy),
            "property": guard("property", self.estate.app(), estate.PREFIXES, estate.busy),
            "huzheng": Huzheng(self).app(),
            "water": self.water.app(),
            "jobs": guard("jobs", Jobs(self).app(), jobs.PREFIXES, jobs.busy),
            "identity": guard("identity", Identity(self).app(), identity.PREFIXES, identity.busy),
            "panel": self.control.app(),
        }
        self.water.nightly()
        self._list_people()

    def _guarded(
        self, name: str, app: ASGIApp, prefixes: tuple[str, ...], busy: Callable[[], Response]
    ) -> ASGIApp:
        self.calls[name] = Calls()
        return Faulty(
            app,
            system=name,
            prefixes=prefixes,
            faults=self.faults,
            calls=self.calls[name],
            polite_error=busy,
            trap=lambda: f"{self.addresses['panel']}/trap",
        )

    def _list_people(self) -> None:
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "sub": one.sub,
                "level": one.max_level,
                "role": one.role,
                "note": one.note,
            }
            for one in PEOPLE
        ]
        (self.folder / "people.json").write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
