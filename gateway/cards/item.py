"""One feed item: an envelope made per request around an immutable card body."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import orjson

from gateway.cards.state import Code, State
from gateway.clock import rfc3339
from gateway.contract.card import Card
from gateway.contract.ids import ServiceId
from gateway.registry.entry import Entry

ASKED: Final = "asked"  # why a copy is shown: its department has not answered yet, and may


class ActionKind(StrEnum):
    """What a citizen can do on a card; the host knows where each leads."""

    LAUNCH = "launch"  # POST /s/{service}/launch, or a plain link for directory entries
    DETAILS = "details"  # the service's own page with its sheet
    CONSENT = "consent"
    SIGN_IN = "sign_in"
    RAISE = "raise"  # sign in again at a higher level
    RETRY = "retry"
    CALL = "call"  # telephone
    SUCCESSOR = "successor"


@dataclass(frozen=True, slots=True)
class Action:
    """One button; `target` is a path of ours, `tel:…`, or the address of a plain link."""

    kind: ActionKind
    label: str  # begins with a verb
    target: str


@dataclass(slots=True)
class Freshness:
    """Where the body comes from."""

    source: Literal["live", "copy"]
    as_of: int  # UTC microseconds: when the department said so
    reason: str | None = None  # copy: why there is nothing newer; `asked`: it may come
    text: bytes = field(default=b"", repr=False)  # `as_of` as RFC 3339, where it is known already

    def json(self) -> bytes:
        """The freshness as every answer carries it."""
        as_of = self.text or rfc3339(self.as_of).encode()
        if self.source == "live":
            return b'{"source":"live","as_of":"' + as_of + b'","reason":null}'
        reason = f'"{self.reason}"' if self.reason else "null"
        return b'{"source":"copy","as_of":"' + as_of + f'","reason":{reason}}}'.encode()


@dataclass(slots=True, eq=False)
class Item:
    """One service as one viewer sees it now. Never changed; not frozen, because many are made."""

    entry: Entry
    state: State
    actions: tuple[Action, ...]
    badges: tuple[str, ...] = ()  # ≤ 2 of trial, gray, new
    freshness: Freshness | None = None  # None: there is no body
    body: bytes | None = None  # the card document, JSON
    trace: str = ""
    fragment: bytes | None = None  # its HTML where it was kept; else the page renders it
    # What is known already of its JSON: the envelope splices these.
    head_json: bytes | None = field(default=None, repr=False)  # up to the state
    state_json: bytes | None = field(default=None, repr=False)
    tail_json: bytes | None = field(default=None, repr=False)  # badges and actions
    whole_json: bytes | None = field(default=None, repr=False)

    @property
    def service(self) -> ServiceId:
        """Which service."""
        return self.entry.id

    @property
    def card(self) -> Card | None:
        """The body, parsed."""
        return Card.model_validate_json(self.body) if self.body is not None else None

    @property
    def to_do(self) -> bool:
        """Whether it counts in 待办; copies count too."""
        return self.state.code is Code.ACTION_REQUIRED

    @property
    def in_air(self) -> bool:
        """Whether its department has been asked and may still answer: soon there is more to see."""
        if self.freshness is not None and self.freshness.reason == ASKED:
            return True
        return self.state.code is Code.PENDING

    @property
    def current(self) -> bool:
        """Whether nothing is missing: not pending, not unavailable, no copy past its fresh window."""
        if self.state.code in (Code.PENDING, Code.UNAVAILABLE):
            return False
        return self.freshness is None or self.freshness.source == "live"


@dataclass(frozen=True, slots=True)
class Feed:
    """What one request sees; from one generation."""

    items: tuple[Item, ...]
    revision: int

    @property
    def complete(self) -> bool:
        """Whether every item is current."""
        return all(item.current for item in self.items)

    @property
    def to_do(self) -> int:
        """待办 N 件; a dead department does not lower it."""
        return sum(item.to_do for item in self.items)

    def json(self) -> bytes:
        """The answer of `GET /api/v1/cards`."""
        cards = b",".join([envelope(item) for item in self.items])
        complete = b"true" if self.complete else b"false"
        return b'{"cards":[' + cards + b'],"complete":' + complete + b"}"


def tail_json(badges: tuple[str, ...], actions: tuple[Action, ...]) -> bytes:
    """Badges and actions as members of the envelope."""
    rows = [{"kind": a.kind, "label": a.label, "target": a.target} for a in actions]
    return orjson.dumps({"badges": badges, "actions": rows})[1:-1]


def head_json(entry: Entry) -> bytes:
    """How the envelope of a service begins."""
    return b'{"service":"' + entry.id.encode() + b'","state":'


def envelope(item: Item) -> bytes:
    """The item as JSON, the body spliced in as bytes."""
    if item.whole_json is not None:
        return item.whole_json
    freshness = item.freshness
    return b"".join(
        (
            item.head_json or head_json(item.entry),
            item.state_json or item.state.json(),
            b',"freshness":',
            b"null" if freshness is None else freshness.json(),
            b",",
            item.tail_json or tail_json(item.badges, item.actions),
            b',"card":',
            item.body or b"null",
            b"}",
        )
    )
