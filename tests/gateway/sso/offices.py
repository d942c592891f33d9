"""Two offices for tests of consent and launch: one asks for data, one wants a browser nonce."""

import secrets
from functools import cache
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import insert, select

from gateway.clock import Clock, OffsetClock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId, ServiceId
from gateway.registry.entry import Entry
from gateway.registry.generation import Generation
from gateway.registry.prepare import prepare
from gateway.sso.assertion import ASSERTION_TYPE, Assertions
from gateway.sso.consent import Consents
from gateway.sso.disclosure import Disclosures
from gateway.sso.launch import Launches
from gateway.sso.session import Sessions
from gateway.sso.tickets import Tickets
from gateway.sso.visitor import DepartmentServer
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.tables import citizen as citizens
from gateway.store.volatile import Volatile
from tests.gateway.registry.samples import GJJ, HEAD, ICON, MANIFEST, RECIPE, plain

ORIGIN: Final = "https://city.anlan.example"
LANDING: Final = "http://gjj.localhost:18101/landing"
CLAIMS: Final = {"name": "李伟", "id_number": "000102196001011234", "phone": "10000000001"}

KEYS: Final = {
    name: ECKey.generate_key("P-256", {"kid": f"{name}-1", "use": "sig", "alg": "ES256"})
    for name in ("gjj", "move")
}

_DATA: Final = """\
data:
  - {id: name, claim: name, label: {zh: 姓名, en: Name}, purpose: {zh: 核对本人, en: To know you}, keep: 30d}
  - {id: id_number, claim: id_number, label: {zh: 身份证号, en: Id}, purpose: {zh: 找账户, en: To find it}, keep: 30d, sensitive: true}
  - {id: phone, claim: phone, label: {zh: 手机号, en: Phone}, purpose: {zh: 发短信, en: To text you}, keep: none, required: false}
"""
_MOVE: Final = """\
  move:
    plugin: move/move
    topic: housing
    functions: [balance]
    lane: ticket
    environments:
      production:
        settings: {api: "https://move.anlan.example", quick: false}
        network: ["move.anlan.example:443"]
"""


def key_block(name: str) -> str:
    """The public half of an office's key, as its manifest holds it."""
    public = KEYS[name].as_dict(private=False)
    rows = ", ".join(f'"{name}": "{value}"' for name, value in public.items())
    return f"keys:\n  - {{{rows}}}\n"


def manifest(name: str, more: str = "") -> str:
    """An office's manifest."""
    text = MANIFEST.replace("gjj", name)
    begin, end = text.index("data:\n"), text.index("cards:\n")
    text = text[:begin] + _DATA + text[end:]
    text = text.replace("data: [name]", "data: [name, id_number, phone]")
    text = text.replace(
        "{id: withdraw, name: {zh: 提取, en: Withdraw}}",
        "{id: withdraw, name: {zh: 提取, en: Withdraw}, level: 3}",
    )
    if name == "move":
        text = text.replace("18101", "18106").replace("    data: [name, id_number, phone]\n", "")
        text = text.replace("    card: balance\n", "").replace("PORT_GJJ", "PORT_MOVE")
        begin, end = text.index("data:\n"), text.index("services:\n")
        text = text[:begin] + text[end:]
        text = text.replace(
            '{address: "{setting.api}/landing"}',
            '{address: "{setting.api}/landing", nonce_address: "{setting.api}/start"}',
        )
    return text + key_block(name) + more


@cache
def generation(
    change: tuple[str, str] = ("", ""), *, entry: tuple[str, str] = ("", ""), revision: int = 1
) -> Generation:
    """The live generation; `change` replaces text in the fund's manifest, `entry` in the registry."""
    recipe = RECIPE
    offices = {"gjj": manifest("gjj").replace(*change), "move": manifest("move")}
    text = HEAD + "services:\n" + (GJJ + _MOVE + plain("plain")).replace(*entry)
    text = text.replace("functions: [balance]", "functions: [balance, withdraw]")
    files = {"service_registry.yaml": text.encode()}
    for name, content in offices.items():
        files[f"plugins/{name}/plugin.yaml"] = content.encode()
        files[f"plugins/{name}/icon.svg"] = ICON
    files["plugins/gjj/recipe.yaml"] = recipe.encode()
    files["plugins/move/recipe.yaml"] = b"recipe: 1\ncalls: {}\ncards: {}\n"
    done = prepare(files, environment="demo", variables={}, revision=revision)
    assert done.artefact is not None, done.findings
    return Generation.load(done.artefact)


def entry_of(generation: Generation, service: str) -> Entry:
    """One entry."""
    found = generation.entry(service)
    assert found is not None
    return found


async def somebody(ledger: Ledger, keys: Keys, name: str = "c1", level: int = 3) -> Citizen:
    """A citizen with a row of hers."""
    row = {
        "id": name,
        "upstream": "anlan",
        "sub_index": keys.blind("citizen", "anlan", name),
        "dek": keys.new_dek(),
        "level": level,
        "status": "active",
        "created": 0,
    }
    await ledger.write(lambda c: c.execute(insert(citizens).values(row)))
    return Citizen(CitizenId(name), level, "anlan", "5" * 64, 0)


def assertion(
    clock: Clock, *, office: str = "gjj", key: ECKey | None = None, **changes: Any
) -> dict[str, str]:
    """The form of a department's server: its assertion, changed as a test wants."""
    now = clock.now() // 1_000_000
    client = f"{office}/{office}"
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"{ORIGIN}/api/v1/tickets/redeem",
        "jti": secrets.token_urlsafe(12),
        "iat": now,
        "exp": now + 60,
    }
    claims = {k: v for k, v in (claims | changes).items() if v is not ...}
    text = jwt.encode({"alg": "ES256", "kid": f"{office}-1"}, claims, key or KEYS[office])
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}


def server(generation: Generation, service: str = "gjj") -> DepartmentServer:
    """A department's server that has proved itself."""
    entry = entry_of(generation, service)
    return DepartmentServer(service=entry.id, department=entry.owner.id)


async def trail(ledger: Ledger) -> list[str]:
    """Names of the audit events so far."""
    return list(
        await ledger.read(
            lambda c: c.execute(select(audit.c.name).order_by(audit.c.seq)).scalars().all()
        )
    )


class Desk:
    """Everything of consent and launch over real stores, with one citizen signed in."""

    def __init__(self, volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> None:
        self.volatile, self.ledger, self.keys, self.clock = volatile, ledger, keys, clock
        self.live = generation()
        self.forgotten: list[str] = []
        self.relaunched: list[tuple[str, str]] = []
        self.sessions = Sessions(
            volatile=volatile, ledger=ledger, keys=keys, clock=clock, idle_minutes=30, hours=12
        )
        self.consents = Consents(ledger=ledger, clock=clock, forget=self._forget)
        self.disclosures = Disclosures(ledger=ledger, clock=clock)
        self.tickets = Tickets(
            volatile=volatile,
            ledger=ledger,
            keys=keys,
            clock=clock,
            live=lambda: self.live,
            sessions=self.sessions.listed,
            claims=self.sessions.claims,
            disclosed=self.disclosures.note,
        )
        self.launches = Launches(
            volatile=volatile,
            ledger=ledger,
            keys=keys,
            clock=clock,
            agreements=self.consents.agreements,
            tickets=self.tickets,
            launched=self._launched,
        )
        self.assertions = Assertions(
            volatile=volatile, keys=keys, clock=clock, origin=ORIGIN, live=lambda: self.live
        )
        self.citizen = Citizen(CitizenId(""), 0, "", "", 0)

    async def sign_in(self, name: str = "c1", level: int = 3) -> Citizen:
        """Another session of a citizen, whose row is made at her first."""
        there = await self.ledger.read(
            lambda c: c.execute(select(citizens.c.id).where(citizens.c.id == name)).scalar()
        )
        if there is None:
            await somebody(self.ledger, self.keys, name, level)
        token = await self.sessions.open(
            CitizenId(name), level=level, upstream="anlan", claims=CLAIMS
        )
        found = await self.sessions.find(token)
        assert found is not None
        return found

    def entry(self, service: str = "gjj") -> Entry:
        """One entry of the live generation."""
        return entry_of(self.live, service)

    async def agree(self, *more: str) -> None:
        """She agrees to what the fund requires, and to these optional items."""
        await self.consents.give(self.citizen.id, self.entry(), ("name", "id_number", *more))

    async def _forget(self, citizen: CitizenId) -> None:
        self.forgotten.append(citizen)

    async def _launched(self, citizen: CitizenId, service: ServiceId) -> None:
        self.relaunched.append((citizen, service))


async def desk_with_citizen(
    volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> Desk:
    """The desk, and 李伟 in front of it at level 3."""
    desk = Desk(volatile, ledger, keys, clock)
    desk.citizen = await desk.sign_in()
    return desk
