"""The eighteen states of a feed item; exactly one holds, the first that matches (design 10)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


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


@dataclass(frozen=True, slots=True)
class State:
    """One item's state, in the viewer's language.

    No path hides or disables a card without a sentence, a spoken text and another way.
    """

    code: Code
    reason: str  # closed list, for programs
    message: str  # ≤ 60 characters
    speak: str
    until: datetime | None = None
    retry_after: float | None = None  # seconds
