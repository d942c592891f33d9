"""One feed item: an envelope made per request around an immutable card body."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import orjson

from gateway.cards.state import Code, State
from gateway.clock import rfc3339
from gateway.contract.card import Card
from gateway.contract.ids import ServiceId
from gateway.registry.entry import Entry


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
    """One button; `target` is a path of ours, or `tel:…`."""

    kind: ActionKind
    label: str  # begins with a verb
    target: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """Where the body comes from."""

    source: Literal["live", "copy"]
    as_of: int  # UTC microseconds: when the department said so
    reason: str | None = None  # copy: why it could not be asked now


@dataclass(frozen=True, slots=True)
class Item:
    """One service as one viewer sees it now."""

    entry: Entry
    state: State
    actions: tuple[Action, ...]
    badges: tuple[str, ...] = ()  # ≤ 2 of trial, gray, new
    freshness: Freshness | None = None  # None: there is no body
    body: bytes | None = None  # the card document, JSON
    trace: str = ""
    fragment: bytes | None = None  # its HTML where it was kept; else the page renders it

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


def envelope(item: Item) -> bytes:
    """The item as JSON, the body spliced in as bytes."""
    state = item.state
    head = {
        "service": item.service,
        "state": {
            "code": state.code,
            "reason": state.reason,
            "until": state.until.isoformat(timespec="seconds") if state.until else None,
            "retry_after": state.retry_after,
            "message": state.message,
            "speak": state.speak,
        },
        "freshness": None
        if item.freshness is None
        else {
            "source": item.freshness.source,
            "as_of": rfc3339(item.freshness.as_of),
            "reason": item.freshness.reason,
        },
        "badges": item.badges,
        "actions": [
            {"kind": action.kind, "label": action.label, "target": action.target}
            for action in item.actions
        ],
    }
    return orjson.dumps(head)[:-1] + b',"card":' + (item.body or b"null") + b"}"
