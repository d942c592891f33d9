"""A small city for cards: one registry, one plugin with unlike services, scripted departments."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.cards.feed import Cards
from gateway.cards.item import Feed, Item
from gateway.cards.viewer import Viewer
from gateway.clock import OffsetClock
from gateway.contract.answer import CardAnswer
from gateway.contract.citizen import Agreement, Citizen
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import CitizenId, ServiceId
from gateway.hosting.outcome import Answered, Outcome
from gateway.registry.artefact import pack
from gateway.registry.entry import Entry
from gateway.registry.gather import REGISTRY
from gateway.registry.generation import Generation
from gateway.registry.packing import pack_package
from gateway.registry.prepare import Extras, prepare
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from gateway.words.loader import Language

HEAD: Final = """\
registry: 1
city:
  code: "000100"
  prefix: AL
  name: {zh: 安澜市, en: Anlan}
  regions:
    "000102": {zh: 望江区, en: Wangjiang}
    "000121": {zh: 青溪县, en: Qingxi}
topics:
  - {id: housing, icon: home, name: {zh: 住房, en: Housing}}
  - {id: health, icon: heart, name: {zh: 健康, en: Health}}
departments:
  zjj:
    name: {zh: 住建局, en: Housing Bureau}
    credit_code: "00000100MB0000001D"
    phone: "10000002001"
    privacy: https://zjj.anlan.example/privacy
services:
"""

SHEET: Final = """
      audience: {zh: 市民, en: Everybody}
      fee: {zh: 免费, en: Free}
      promised: {zh: 三天, en: Three days}
      result: {zh: 到账, en: Paid}
      place: {zh: 市民中心, en: Civic centre}
      phone: "10000002000"
"""

DIRECTORY: Final = (
    """\
  @ID:
    name: {zh: 居家养老, en: Home care}
    short: {zh: 居家养老, en: Home care}
    summary: {zh: 上门服务, en: A visit at home}
    topic: health
    owner: zjj
    sheet:"""
    + SHEET
)


def _service(name: str, zh: str, card: str, more: str = "") -> str:
    return (
        f"  - id: {name}\n    name: {{zh: {zh}, en: Service {name}}}\n"
        f"    short: {{zh: {zh}, en: Service {name}}}\n    summary: {{zh: {zh}, en: About {name}}}\n"
        f"    card: {card}\n    launch:\n      ticket: {{address: 'https://api.anlan.example/in'}}\n"
        f"{more}    sheet:{SHEET}"
    )


MANIFEST: Final = (
    """\
contract: "1.0"
id: fund
version: 1.0.0
name: {zh: 公积金, en: Provident fund}
department:
  id: fund
  name: {zh: 公积金中心, en: Fund centre}
  credit_code: "00000100MB0000002G"
  people:
    - {name: 钱卫东, phone: "10000000201", email: a@anlan.example}
    - {name: 孙小宁, phone: "10000000202", email: b@anlan.example}
  duty_phone: "10000002000"
  privacy: https://fund.anlan.example/privacy
kind: recipe
network: ["api.anlan.example:443"]
connect: {base: "https://api.anlan.example", timeout: 3s}
data:
  - {id: name, claim: name, label: {zh: 姓名, en: Name}, purpose: {zh: 查账户, en: Find it}, keep: 30d}
  - {id: phone, claim: phone, required: false, label: {zh: 手机号, en: Mobile}, purpose: {zh: 短信, en: Text}, keep: 30d}
cards:
  - id: figure
    template: figure
    facts:
      - {id: balance, label: {zh: 账户余额, en: Balance}, kind: money}
      - {id: account, label: {zh: 账号, en: Account}, mask: account, optional: true}
    speak: {zh: "余额{balance}", en: "Balance {balance}"}
    empty: {zh: 名下没有账户。单位为您开户以后，这里会显示余额。, en: You have no account.}
  - id: list
    template: list
    items: {title: "{what}", note: "{where}", when: "{day}", kinds: {day: date}, masks: {where: place}}
    speak: {zh: 您的事项, en: Your matters}
    empty: {zh: 没有事项。, en: No matters.}
  - id: news
    template: event
    audience: everybody
    items: {title: "{what}"}
    speak: {zh: 近期活动, en: Events}
    empty: {zh: 没有活动。, en: No events.}
services:
"""
    + _service("gjj", "公积金", "figure", "    data: [name, phone]\n    functions:\n"
               "      - {id: withdraw, name: {zh: 提取, en: Withdraw}, aliases: [租房提取]}\n")
    + _service("matters", "我的事项", "list", "    level: 2\n")
    + _service("deep", "实名事项", "figure", "    level: 3\n")
    + _service("mother", "代办事项", "figure", "    proxy: only\n")
    + _service("events", "招聘活动", "news", "    level: 0\n")
)  # fmt: skip

RECIPE: Final = """\
recipe: 1
calls:
  one: {path: /one}
cards:
  figure: {from: one, facts: {balance: data.balance}}
  list: {from: one, items: {each: data.rows, fields: {what: a, where: b, day: c}}}
  news: {from: one, items: {each: data.rows, fields: {what: a}}}
"""
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
)


def entry(name: str, more: str = "", *, service: str = "gjj") -> str:
    """One registry entry of the plugin, with lines of its own."""
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return f"  {name}:\n    plugin: fund/{service}\n    topic: housing\n    lane: ticket\n{lines}"


def directory(name: str = "care", more: str = "") -> str:
    """One directory entry, with lines of its own."""
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return DIRECTORY.replace("@ID", name) + lines


def generation(
    *entries: str, before: Generation | None = None, extras: Extras = lambda _draft: {}
) -> Generation:
    """The generation of these entries; by default 公积金 and a directory entry."""
    files = {
        REGISTRY: (HEAD + "".join(entries or (entry("gjj"), directory()))).encode(),
        "plugins/fund/plugin.yaml": MANIFEST.encode(),
        "plugins/fund/recipe.yaml": RECIPE.encode(),
        "plugins/fund/icon.svg": ICON,
    }
    done = prepare(
        files, environment="demo", variables={}, revision=1, before=before, extras=extras
    )
    assert done.artefact is not None, done.findings
    return Generation.load(done.artefact, before)


def of_entries(entries: Sequence[Entry]) -> Generation:
    """A generation of entries that no file says, with the plugin of the others."""
    base = generation()
    packed: dict[str, bytes] = {}
    for package in base.packages().values():
        packed |= pack_package(package)
    facts = {**base.artefact.facts, "services": [[e.id, e.digest] for e in entries]}
    parts = {f"entry:{e.id}": e.model_dump_json().encode() for e in entries}
    return Generation.load(pack(facts, {**packed, **parts}))


def figure(fen: int = 5_234_018, **more: Any) -> Answered:
    """A department's answer."""
    return Answered(CardAnswer(facts={"balance": fen}, **more))


Script = Callable[[CardAsk], Awaitable[Outcome]]


@dataclass
class Stage:
    """Cards over scripted departments; everything that was asked is counted."""

    volatile: Volatile
    keys: Keys
    clock: OffsetClock = field(default_factory=OffsetClock)
    render: Callable[[Item, Language], bytes] | None = None
    agreements: dict[CitizenId, dict[ServiceId, Agreement]] = field(default_factory=dict)
    asks: list[CardAsk] = field(default_factory=list)
    told: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    reported: list[tuple[str, str, str]] = field(default_factory=list)
    answer: Outcome | Script = field(default_factory=figure)
    ledger_reads: int = 0
    ledger_error: Exception | None = None
    claims_error: Exception | None = None

    def __post_init__(self) -> None:
        self.cards = self.another()

    def another(self) -> Cards:
        """One more worker over the same stores."""
        return Cards(
            departments_card=self._card,
            volatile=self.volatile,
            keys=self.keys,
            clock=self.clock,
            agreements=self._agreements,
            claims=self._claims,
            subject=self.keys.subject,
            disclosed=self._disclosed,
            render=self.render,
            report=lambda *said: self.reported.append(said),
        )

    async def _card(self, plugin: str, ask: CardAsk, *, who: str, seconds: float) -> Outcome:
        self.asks.append(ask)
        if callable(self.answer):
            return await self.answer(ask)
        await asyncio.sleep(0)
        return self.answer

    async def _agreements(self, citizen: CitizenId) -> Mapping[ServiceId, Agreement]:
        self.ledger_reads += 1
        await asyncio.sleep(0)
        if self.ledger_error is not None:
            raise self.ledger_error
        return dict(self.agreements.get(citizen, {}))

    async def _claims(self, citizen: Citizen) -> Mapping[str, str]:
        if self.claims_error is not None:
            raise self.claims_error
        return {"name": f"name of {citizen.id}", "phone": "10000000000"}

    def _disclosed(self, citizen: CitizenId, entry: Entry, items: Collection[str]) -> None:
        self.told.append((citizen, entry.id, tuple(items)))

    def agree(
        self, who: Citizen, generation: Generation, *services: str, items: Sequence[str] = ("name",)
    ) -> None:
        """Her consent to these services."""
        for service in services or [str(s) for s in generation.services]:
            found = generation.entry(service)
            if found is not None and found.data:
                given = Agreement(found.consent_digest, frozenset(items), 1)
                self.agreements.setdefault(who.id, {})[ServiceId(service)] = given

    def withdraw(self, who: Citizen, service: str) -> None:
        """The ledger has committed that she takes it back."""
        self.agreements[who.id].pop(ServiceId(service))

    async def feed(
        self, given: Generation, who: Citizen | None = None, *, seconds: float = 1.0, **how: Any
    ) -> Feed:
        """What she sees."""
        fragments = how.pop("fragments", False)
        services = how.pop("services", None)
        viewer = Viewer(citizen=who, **how)
        return await self.cards.feed(
            given, viewer, services=services, seconds=seconds, fragments=fragments
        )

    async def only(self, given: Generation, who: Citizen | None = None, **how: Any) -> Item:
        """The first item that she sees."""
        return (await self.feed(given, who, **how)).items[0]


def citizen(name: str = "c1", level: int = 2) -> Citizen:
    """A signed-in citizen."""
    return Citizen(CitizenId(name), level, "city", "f" * 64, 1)
