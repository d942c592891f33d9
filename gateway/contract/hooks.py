"""The hooks of contract 1.0 for code plugins, each a Protocol of its own.

A plugin is a module `plugin.py` with module-level `async def` functions named `open`, `card`,
`probe`, `close`; `card` is compulsory. It runs in a child process without network, files or
secrets: everything it may touch is in the `Context` it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.ids import Subject


@dataclass(frozen=True, slots=True)
class CardAsk:
    """One question for one citizen's card: only consented claims, only her pseudonym here."""

    service: str  # the service's id inside the plugin
    card: str  # the card's id inside the plugin
    subject: Subject
    claims: Mapping[str, str]  # consented data items by name; empty for a card for everybody
    level: int  # assurance 0-5
    language: Literal["zh", "en"]
    trace: str
    seconds: float  # what is left of the deadline when the hook starts
    because: Literal["view", "refresh", "check"] = "view"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the department, without credentials: the worker adds auth and signature.

    `path` is relative to the manifest's `connect.base`. At most one of `json`, `form`, `text`.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    text: str | None = None
    idempotent: bool | None = None  # None: GET and HEAD are, others are not


@dataclass(frozen=True, slots=True)
class Reply:
    """A department's answer: decoded by the charset that the manifest names."""

    status: int
    headers: Mapping[str, str]  # only content-type, retry-after, date
    text: str

    def json(self) -> Any:
        """Parse strictly: duplicate keys, NaN and trailing data raise `CallOwner`."""
        from gateway.contract.strict_json import parse  # noqa: PLC0415 - keeps the hook module light

        return parse(self.text)


class Http(Protocol):
    """The only way out for a code plugin."""

    async def send(self, asked: Asked) -> Reply:
        """Send one request; raises `TryAgain`, `CallOwner` as the transport found."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a plugin may touch; nothing is global."""

    http: Http
    settings: Mapping[str, object]  # non-secret settings of this environment
    now: str  # RFC 3339 with offset, the gateway's clock at the start of the ask


class Opens(Protocol):
    """Called once for each loaded version, within 10 s; failing parks this plugin only."""

    async def __call__(self, ctx: Context) -> None:
        """Be called by the gateway."""
        ...


class MakesCards(Protocol):
    """The compulsory hook: an idempotent read within the manifest's timeout."""

    async def __call__(self, ctx: Context, ask: CardAsk) -> CardAnswer | Empty:
        """Be called by the gateway."""
        ...


class AnswersProbes(Protocol):
    """Whether the back end is there: within 1 s, no citizen, no personal data."""

    async def __call__(self, ctx: Context) -> Probe:
        """Be called by the gateway."""
        ...


class Closes(Protocol):
    """Called after the last ask of a version, within 5 s."""

    async def __call__(self, ctx: Context) -> None:
        """Be called by the gateway."""
        ...
