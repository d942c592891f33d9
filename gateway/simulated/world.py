"""What all systems of the city stand on: folder, clock, records, secrets, faults, counted calls."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from joserfc.jwk import ECKey

from gateway.simulated.cityclock import CityClock, machine_now
from gateway.simulated.faults import Calls, Fault
from gateway.simulated.loopback import Loopback
from gateway.simulated.people import BY_ID_NUMBER, PEOPLE, Person
from gateway.simulated.records import Records
from gateway.simulated.seeds import seed

PORTS: Final = {
    "app": 0,
    "gjj": 1,
    "legal": 2,
    "property": 3,
    "huzheng": 6,
    "water": 8,
    "jobs": 11,
    "identity": 20,
    "panel": 21,
}
"""System → what is added to the first port."""

FIXED_ADDRESSES: Final = {name: f"http://{name}.localhost:{18100 + n}" for name, n in PORTS.items()}


class World:
    """Shared by every system; other people's systems that happen to live in one process."""

    def __init__(
        self,
        folder: Path,
        *,
        addresses: Mapping[str, str] = FIXED_ADDRESSES,
        gateway: str = "http://localhost:8080",
        fast: bool = False,
        redirects: Sequence[str] = (),
        now: Callable[[], int] = machine_now,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open the folder; `transport` is how departments reach the gateway (tests: in memory)."""
        self.folder = folder
        self.addresses = dict(addresses)
        self.gateway = gateway.rstrip("/")
        self.fast = fast
        self.people = PEOPLE
        self.clock = CityClock(now)
        self.records = Records(folder / "city.sqlite")
        # A restart starts the machine's clock again; what had passed in the city has passed.
        self.clock.lead = float(self.records.meta("lead", "0")) + float(
            self.records.meta("offset", "0")
        )
        self.keep_clock()
        self.faults: dict[str, Fault] = {}
        self.calls: dict[str, Calls] = {}
        self.redirects = list(redirects)  # more of the gateway's call-back addresses
        self.http = httpx.AsyncClient(
            transport=transport or Loopback(), timeout=5.0, trust_env=False
        )
        make_secrets(folder / "secrets")

    async def close(self) -> None:
        """Close what is open."""
        await self.http.aclose()
        self.records.close()

    def keep_clock(self) -> None:
        """Remember how far the clock was moved."""
        self.records.set_meta("lead", str(self.clock.lead))
        self.records.set_meta("offset", str(self.clock.offset))

    def secret(self, plugin: str, name: str) -> str:
        """What the gateway and a department share."""
        return (self.folder / "secrets" / plugin / name).read_text(encoding="utf-8")

    def get(self, system: str, person: str, field: str, default: Any = None) -> Any:
        """One field of one person at one department: set by the control, else as seeded."""
        found, value = self.records.fact(system, person, field)
        return value if found else seed(system, person).get(field, default)

    def fields(self, system: str, person: str) -> dict[str, Any]:
        """All fields of one person at one department."""
        start = seed(system, person)
        names = {*start, "batch", "maintenance", "cases", "rows", "loan"}
        found = {name: self.get(system, person, name) for name in sorted(names)}
        return {name: value for name, value in found.items() if value is not None}

    def whois(self, number: str, name: str) -> Person | None:
        """The person of that number, if the name is hers too."""
        person = BY_ID_NUMBER.get(number.upper())
        return person if person is not None and person.name == name else None


def make_secrets(folder: Path) -> None:
    """Create the shared secrets that are missing, each 0600."""
    made: dict[str, Callable[[], str]] = {
        "gjj/app_secret": lambda: secrets.token_urlsafe(32),
        "legal/client_key": lambda: _private_key("citygate-legal-1"),
        "property/password": lambda: secrets.token_urlsafe(18),
        "identity/client_key": lambda: _private_key("citygate-1"),
        "identity/client_secret": lambda: secrets.token_urlsafe(32),
    }
    for name, make in made.items():
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(make())
        fresh.replace(path)


def _private_key(kid: str) -> str:
    key = ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256", "use": "sig"}, private=True)
    return orjson.dumps(key.as_dict(private=True)).decode()
