"""The eighteen states of a feed item; exactly one holds, the first that matches (design 10)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import orjson

from gateway.contract.answer import EmptyReason
from gateway.hosting.outcome import Reason


class Code(StrEnum):
    """In the order of precedence: 1-11 are decided without calling anybody."""

    RETIRED = "retired"
    SUSPENDED = "suspended"
    MAINTENANCE = "maintenance"
    CLOSED = "closed"
    UPGRADE_REQUIRED = "upgrade_required"
    OUT_OF_REGION = "out_of_region"
    NOT_IN_RELEASE = "not_in_release"
    NEEDS_LOGIN = "needs_login"
    NEEDS_IDENTITY = "needs_identity"
    NEEDS_PROXY_RIGHT = "needs_proxy_right"
    NEEDS_CONSENT = "needs_consent"
    PENDING = "pending"
    UNAVAILABLE = "unavailable"
    EMPTY = "empty"
    ACTION_REQUIRED = "action_required"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    READY = "ready"


GATED: Final = frozenset(list(Code)[:11])

# Why a state holds, for programs: every code has its own closed list.
REASONS: Final[Mapping[Code, frozenset[str]]] = {
    Code.RETIRED: frozenset({"retired"}),
    Code.SUSPENDED: frozenset({"suspended"}),
    Code.MAINTENANCE: frozenset({"window"}),
    Code.CLOSED: frozenset({"hours", "season"}),
    Code.UPGRADE_REQUIRED: frozenset({"host_version"}),
    Code.OUT_OF_REGION: frozenset({"region"}),
    Code.NOT_IN_RELEASE: frozenset({"trial", "gray"}),
    Code.NEEDS_LOGIN: frozenset({"no_session", "store_away"}),
    Code.NEEDS_IDENTITY: frozenset({"level"}),
    Code.NEEDS_PROXY_RIGHT: frozenset({"proxy_only"}),
    Code.NEEDS_CONSENT: frozenset({"not_given", "changed"}),
    Code.PENDING: frozenset({"asked"}),
    Code.UNAVAILABLE: frozenset({*Reason, "store_away"}),
    Code.EMPTY: frozenset(EmptyReason),
    Code.ACTION_REQUIRED: frozenset({"due", "overdue", "open", "consent", "binding", "level", "field"}),
    Code.IN_PROGRESS: frozenset({"open"}),
    Code.DONE: frozenset({"closed"}),
    Code.READY: frozenset({"facts", "sheet"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """One item's state, in the viewer's language.

    No path hides or disables a card without a sentence, a spoken text and another way.
    """

    code: Code
    reason: str  # closed list, for programs
    message: str  # ≤ 60 characters (120 in English)
    speak: str
    until: datetime | None = None
    retry_after: float | None = None  # seconds

    def json(self) -> bytes:
        """The state as every answer carries it."""
        return orjson.dumps(
            {
                "code": self.code,
                "reason": self.reason,
                "until": self.until.isoformat(timespec="seconds") if self.until else None,
                "retry_after": self.retry_after,
                "message": self.message,
                "speak": self.speak,
            }
        )


def read_state(document: bytes) -> State:
    """The state that `State.json` wrote."""
    said = orjson.loads(document)
    until = datetime.fromisoformat(said["until"]) if said["until"] else None
    return State(
        Code(said["code"]),
        said["reason"],
        said["message"],
        said["speak"],
        until,
        said["retry_after"],
    )
