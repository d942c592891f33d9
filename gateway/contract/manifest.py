"""`plugin.yaml`: the department's promises, one pydantic model for each block.

Order of keys in a file is free; unknown keys are errors. Texts for people come in two languages.
Secrets never stand here: `{secret.name}` names one that the gateway's operator provides.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.contract.block import Block, Duration, HostPort
from gateway.contract.card import FactKind, Mask, Template
from gateway.contract.connection import Auth, Connect, Sign
from gateway.contract.ids import PLUGIN_ID_PATTERN, SERVICE_ID_PATTERN

Level = Annotated[int, Field(ge=0, le=5)]


class Text(Block):
    """A text in both languages; Chinese is compulsory, English falls back to it in pages."""

    zh: Annotated[str, Field(min_length=1, max_length=400)]
    en: Annotated[str, Field(min_length=1, max_length=800)]


class Person(Block):
    """Somebody at the department who answers the telephone."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    phone: Annotated[str, Field(pattern=r"^[0-9+\- ]{3,20}$")]
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=120)]


class Department(Block):
    """The legal body that owns the back end and answers for the data."""

    id: Annotated[str, Field(pattern=PLUGIN_ID_PATTERN)]  # the sector of pairwise subjects
    name: Text
    credit_code: Annotated[str, Field(pattern=r"^[0-9A-Z]{18}$")]
    people: Annotated[tuple[Person, ...], Field(min_length=2)]
    duty_phone: Annotated[str, Field(pattern=r"^[0-9+\- ]{3,20}$")]
    privacy: Annotated[str, Field(pattern=r"^https?://", max_length=300)]


class Sheet(Block):
    """What a citizen should know before she comes: 办事指南."""

    audience: Text  # 办理对象
    documents: tuple[Text, ...] = ()  # 所需材料
    fee: Text  # 收费
    promised: Text  # 承诺时限
    result: Text  # 办理结果
    place: Text  # 办理地点
    hours: Text | None = None
    phone: Annotated[str, Field(pattern=r"^[0-9+\- ]{3,20}$")]


class DataItem(Block):
    """One piece of personal data that a service may be told, after consent."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    claim: Literal["name", "id_number", "phone", "birthdate", "address", "document_type"]
    label: Text
    purpose: Text
    keep: Annotated[
        str, Field(pattern=r"^(none|[1-9][0-9]*d)$")
    ]  # how long the department keeps it
    required: bool = True
    sensitive: bool = False


class FactSpec(Block):
    """One fact that a card may show; the plugin fills only its value."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    label: Text
    kind: FactKind = FactKind.TEXT
    mask: Mask = Mask.NONE
    optional: bool = False


class ItemSpec(Block):
    """How one row of `items` is shown: text with `{field}` places, nothing else."""

    title: Annotated[str, Field(max_length=120)]
    note: Annotated[str, Field(max_length=120)] = ""
    when: Annotated[str, Field(max_length=60)] = ""
    kinds: dict[str, FactKind] = Field(default_factory=dict)
    masks: dict[str, Mask] = Field(default_factory=dict)


class CardSpec(Block):
    """One card: its template, its facts, how long it stays fresh and how it is spoken."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    template: Template
    facts: Annotated[tuple[FactSpec, ...], Field(max_length=4)] = ()
    items: ItemSpec | None = None
    fresh: Duration = "5min"
    keep: Duration = "24h"  # how long a copy may be shown when the department is down; ≤ 7 d
    audience: Literal["citizen", "everybody"] = "citizen"  # everybody: asked once, without a person
    speak: Text  # text with `{fact}` places
    empty: Text  # what "no record" means and how to get one


class Function(Block):
    """One thing to do inside a service; searched and launched on its own address."""

    id: Annotated[str, Field(pattern=SERVICE_ID_PATTERN)]
    name: Text
    aliases: tuple[str, ...] = ()
    item_code: Annotated[str, Field(max_length=40)] | None = None
    level: Level = 2
    sheet: Sheet | None = None


class LaunchLane(Block):
    """One way in which this department accepts a signed-in citizen, with the exact address."""

    address: Annotated[str, Field(min_length=1, max_length=400)]  # may hold {setting.x}
    nonce_address: Annotated[str, Field(max_length=400)] | None = None  # ticket with browser nonce


class Launch(Block):
    """The lanes that a service can serve; the registry entry chooses one of them."""

    ticket: LaunchLane | None = None
    link: LaunchLane | None = None
    oidc: LaunchLane | None = None
    cas: LaunchLane | None = None


class Service(Block):
    """One thing that a citizen opens: its sheet, functions, card, data and launch."""

    id: Annotated[str, Field(pattern=SERVICE_ID_PATTERN)]
    name: Text
    short: Text  # ≤ 12 Chinese characters; the card's title
    summary: Text
    aliases: tuple[str, ...] = ()
    item_code: Annotated[str, Field(max_length=40)] | None = None
    sheet: Sheet
    functions: tuple[Function, ...] = ()
    data: tuple[str, ...] = ()  # ids of `data` items that this service uses
    level: Level = 2  # assurance for the card
    proxy: Literal["none", "allowed", "only"] = "none"
    card: str | None = None  # id of the card; None: launch only
    launch: Launch = Field(default_factory=Launch)


class Setting(Block):
    """One value that differs between environments or installations."""

    type: Literal["url", "text", "int", "bool"]
    help: Text | None = None
    default: str | int | bool | None = None


class Limits(Block):
    """How much the department can take."""

    concurrency: Annotated[int, Field(ge=1, le=200)] = 8  # over all workers together
    per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Environment(Block):
    """What differs in one environment; wins over the plugin's own values, also when `false`."""

    settings: dict[str, str | int | bool] = Field(default_factory=dict)
    network: tuple[HostPort, ...] = ()


class Manifest(Block):
    """One `plugin.yaml`."""

    contract: Literal["1.0"]
    id: Annotated[str, Field(pattern=PLUGIN_ID_PATTERN)]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    name: Text
    department: Department
    kind: Literal["recipe", "code", "standard"]
    requires_gateway: str | None = None  # ">=0.1"
    settings: dict[str, Setting] = Field(default_factory=dict)
    environments: dict[Literal["demo", "staging", "production"], Environment] = Field(
        default_factory=dict
    )
    network: tuple[HostPort, ...] = ()  # "host:port", nothing else is ever called
    connect: Connect | None = None
    auth: Auth | None = None
    sign: Sign | None = None
    limits: Limits = Field(default_factory=Limits)
    data: tuple[DataItem, ...] = ()
    cards: tuple[CardSpec, ...] = ()
    services: Annotated[tuple[Service, ...], Field(min_length=1)]
    keys: tuple[dict[str, Any], ...] = ()  # public JWKs: the department proves itself with them
    health: dict[str, str] = Field(default_factory=dict)  # {"call": "<recipe call>"}: the probe

    @model_validator(mode="after")
    def _names_meet(self) -> "Manifest":
        items = {item.id for item in self.data}
        cards = {card.id for card in self.cards}
        for service in self.services:
            if lost := set(service.data) - items:
                raise ValueError(f"services.{service.id}.data: no data item {min(lost)!r}")
            if service.card is not None and service.card not in cards:
                raise ValueError(f"services.{service.id}.card: no card {service.card!r}")
        return self
