"""One service as the running program knows it: registry entry and manifest, merged and resolved.

Made by `prepare`, stored as JSON in the generation's artefact, read lazily by the workers. All
addresses are absolute, all places (`{setting.x}`, `${NAME}`) filled, all durations in seconds.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.contract.block import Block
from gateway.contract.ids import DepartmentId, PluginId, ServiceId
from gateway.contract.manifest import CardSpec, DataItem, Function, Sheet, Text


class Visibility(StrEnum):
    """Who sees the entry; kept apart from any review of its content."""

    HIDDEN = "hidden"  # nobody; unknown and hidden are the same 404
    TRIAL = "trial"  # testers only, badge 试用
    GRAY = "gray"  # testers only for now, badge 灰度
    PUBLISHED = "published"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Lane(StrEnum):
    """How a citizen is signed in over there."""

    TICKET = "ticket"
    OIDC = "oidc"
    CAS = "cas"
    LINK = "link"  # a plain address, nobody is signed in


class Shown(Block):
    """Visibility that holds from an instant on; the last one whose `since` has come wins."""

    state: Visibility
    since: datetime | None = None  # None: always
    testers: tuple[str, ...] = ()  # tester groups or `upstream:sub-digest`
    sentence: Text | None = None  # what citizens are told (suspended, retired)
    reason: str | None = None  # for admins and the trail
    successor: ServiceId | None = None


class Window(Block):
    """A maintenance window: between two instants, or each day between two times of the city."""

    start: datetime | None = None
    end: datetime | None = None
    daily_start: Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$")] | None = None
    daily_end: Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$")] | None = None
    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = ()  # ISO; empty: every day
    note: Text | None = None


class Hours(Block):
    """When an online service is open; outside it the state is `closed`."""

    weekdays: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)
    opens: Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$")] = "00:00"
    closes: Annotated[str, Field(pattern=r"^([0-1][0-9]|2[0-4]):[0-5][0-9]$")] = "24:00"
    season_start: Annotated[str, Field(pattern=r"^[0-1][0-9]-[0-3][0-9]$")] | None = None  # mm-dd
    season_end: Annotated[str, Field(pattern=r"^[0-1][0-9]-[0-3][0-9]$")] | None = None


class Way(Block):
    """The other way, shown in each state that keeps a citizen from the service."""

    phone: str
    counter: Text | None = None
    url: str | None = None


class OwnerName(Block):
    """Whose service it is, for pages, consent and pairwise subjects."""

    id: DepartmentId
    name: Text
    phone: str
    privacy: str


class Launching(Block):
    """The lane that the registry chose and the exact addresses of this environment."""

    lane: Lane
    address: str
    nonce_address: str | None = None
    keys: tuple[dict[str, Any], ...] = ()  # the department's public JWKs


class Entry(Block):
    """Everything that feed, pages, consent and launch need to know of one service."""

    id: ServiceId
    digest: str  # of everything below and the plugin package; part of a copy's key
    plugin: PluginId | None = None  # None: a directory entry with its sheet
    service: str | None = None  # the service's id inside the plugin
    package: str | None = None  # digest of the plugin's folder
    parked: str | None = None  # why the package could not be loaded
    owner: OwnerName
    name: Text
    short: Text
    summary: Text
    aliases: tuple[str, ...] = ()
    item_code: str | None = None
    topic: str
    life_events: tuple[str, ...] = ()
    news_tags: tuple[str, ...] = ()
    order: int = 1000
    icon: str = ""  # sha256 of the icon's bytes; "" = the topic's own
    sheet: Sheet
    functions: tuple[Function, ...] = ()
    level: int = 0  # assurance that the card needs; 0 = none
    proxy: Literal["none", "allowed", "only"] = "none"
    data: tuple[DataItem, ...] = ()
    consent_digest: str = ""  # of what the citizen is asked: purposes, items, recipient, retention
    card: CardSpec | None = None
    fresh: float = 300.0  # seconds
    keep: float = 86400.0
    timeout: float = 3.0
    launch: Launching | None = None
    shown: tuple[Shown, ...]  # rising `since`
    region: tuple[str, ...] = ()  # GB/T 2260 codes served; empty: everywhere
    min_host: str | None = None  # lowest version of the host app
    hours: Hours | None = None
    maintenance: tuple[Window, ...] = ()
    way: Way

    @property
    def personal(self) -> bool:
        """Whether its card is about one citizen."""
        return self.card is not None and self.card.audience == "citizen"

    @property
    def public_card(self) -> bool:
        """Whether it has a card that is the same for everybody."""
        return self.card is not None and self.card.audience == "everybody"


class Topic(Block):
    """One heading of the hall."""

    id: str
    name: Text
    icon: str = ""


class City(Block):
    """Whose hall it is."""

    code: str  # GB/T 2260
    prefix: str  # of case and receipt numbers
    name: Text
    hotline: str = "12345"
    regions: dict[str, Text] = Field(default_factory=dict)  # districts and counties by code
