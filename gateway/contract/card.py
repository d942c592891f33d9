"""The card document `citygate.card/1.0`: what every host shows, in one closed vocabulary.

The body is immutable and holds no state, trace, age, token or address: those travel in the envelope
that a request puts around it (see `gateway.cards.envelope`). Its times are absolute.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.contract.version import CARD_SCHEMA

MAX_CARD_BYTES = 8192


class Template(StrEnum):
    """The nine kinds of card; a host that knows none of them shows `fallback_text`."""

    LAUNCH = "launch"
    FIGURE = "figure"
    LIST = "list"
    CASE = "case"
    APPOINTMENT = "appointment"
    NOTICE = "notice"
    APPEAL = "appeal"
    EVENT = "event"
    CREDENTIAL = "credential"


class FactKind(StrEnum):
    """How a fact's value is read and formatted."""

    TEXT = "text"
    MONEY = "money"  # integer fen
    DATE = "date"
    DATETIME = "datetime"
    COUNT = "count"
    PERCENT = "percent"
    FLAG = "flag"


class Mask(StrEnum):
    """What of a value is hidden before it leaves the gateway."""

    NONE = "none"
    NAME = "name"
    ID_NUMBER = "id_number"
    PHONE = "phone"
    ACCOUNT = "account"
    PLACE = "place"


class Model(BaseModel):
    """Frozen; hosts ignore unknown fields, we write none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(Model):
    """One labelled value, already formatted in the card's language."""

    name: str
    label: Annotated[str, Field(max_length=24)]  # ≤ 8 Chinese characters, ≤ 24 Latin letters
    value: Annotated[str, Field(max_length=60)]
    kind: FactKind = FactKind.TEXT
    hideable: bool = False  # money and numbers that a citizen may hide on a shared screen


class ListItem(Model):
    """One row of a list, case or event card."""

    title: Annotated[str, Field(max_length=60)]
    note: Annotated[str, Field(max_length=80)] = ""
    when: Annotated[str, Field(max_length=40)] = ""


class Header(Model):
    """What the card is called and whose it is."""

    title: Annotated[str, Field(max_length=36)]
    department: Annotated[str, Field(max_length=60)]
    icon: str = ""  # content digest of the plugin's icon, never an address


class Progress(Model):
    """Where the matter stands and who holds it."""

    stage: Annotated[str, Field(max_length=60)] = ""
    holder: Annotated[str, Field(max_length=60)] = ""
    due: str = ""  # ISO date
    due_text: str = ""  # the same in the card's language


class Card(Model):
    """One card in one language."""

    schema_: Literal["citygate.card/1.0"] = Field(default=CARD_SCHEMA, alias="schema")
    service: str
    language: Literal["zh-Hans", "en"]
    template: Template
    header: Header
    facts: Annotated[tuple[Fact, ...], Field(max_length=4)] = ()
    items: Annotated[tuple[ListItem, ...], Field(max_length=20)] = ()
    more_items: int = 0  # rows that did not fit
    progress: Progress | None = None
    as_of: str  # RFC 3339 with offset: when the department said so
    speak: Annotated[str, Field(max_length=160)]
    fallback_text: Annotated[str, Field(max_length=160)]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
