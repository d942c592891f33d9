"""What came of asking a department: a value, never an exception."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.contract.answer import CardAnswer, Empty


class Reason(StrEnum):
    """Why there is no answer: the closed list that cards, health page and metrics share."""

    TIMEOUT = "timeout"  # our deadline passed
    UNREACHABLE = "unreachable"  # no connection, or it broke
    BUSY = "busy"  # our own cap for this department refused
    PAUSED = "paused"  # the breaker is open: not asked at all
    TRY_LATER = "try_later"  # the department said it is busy (TryAgain)
    CLOSED_NOW = "closed_now"  # the department said it is down until then (ShowLast)
    CONTRACT = "contract"  # it answered what it promised not to (CallOwner)
    CREDENTIALS = "credentials"  # it refused *our* credentials
    ENCODING = "encoding"  # bytes that are not in its charset
    TOO_BIG = "too_big"  # answer over the cap
    SECURE_LINK = "secure_link"  # certificate or TLS
    REFUSED_ADDRESS = "refused_address"  # the address is not one it may use
    PLUGIN = "plugin"  # the plugin's own code failed or was killed
    PARKED = "parked"  # the plugin could not be loaded


@dataclass(frozen=True, slots=True)
class Answered:
    """The department answered with values for a card."""

    answer: CardAnswer


@dataclass(frozen=True, slots=True)
class Nothing:
    """The department answered that it has no record."""

    answer: Empty


@dataclass(frozen=True, slots=True)
class NeedsCitizen:
    """Only the citizen can mend it (AskCitizen)."""

    need: str  # "consent" "binding" "level" "field"
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer: show the last copy, else say why."""

    reason: Reason
    retry_after: float | None = None  # seconds
    until: datetime | None = None
    words: str | None = None  # key in the plugin's words files
    what: str = ""  # private: for log and health page, no personal values


Outcome = Answered | Nothing | NeedsCitizen | Failed
