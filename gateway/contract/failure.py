"""What a plugin may raise: five failures, each named by its consequence.

Anything else that leaves a hook is a bug of the plugin and is treated as `CallOwner`.
"""

from dataclasses import dataclass
from datetime import datetime


class Failure(Exception):
    """The base of everything a plugin raises on purpose."""


@dataclass(eq=False)
class TryAgain(Failure):
    """Passing trouble (busy, reset, timed out): one retry may help, else the last copy is shown."""

    after: float | None = None  # seconds the department asked us to wait
    words: str | None = None  # key in the plugin's words files


@dataclass(eq=False)
class ShowLast(Failure):
    """Known to be down (nightly batch, maintenance): no retry, the last copy and until when."""

    reason: str = "down"
    until: datetime | None = None
    words: str | None = None


@dataclass(eq=False)
class CallOwner(Failure):
    """It answered what it promised not to: the last copy for the citizen, a ticket for its owner."""

    what: str  # for the owner's log, never shown to a citizen; no personal values
    words: str | None = None


@dataclass(eq=False)
class AskCitizen(Failure):
    """Only the citizen can mend it: consent, binding, a stronger sign-in, a wrong field."""

    need: str  # closed list: "consent" "binding" "level" "field"
    words: str | None = None


@dataclass(eq=False)
class Unsure(Failure):
    """Something was sent and its answer lost: never send again, ask for progress instead."""

    hint: str = ""
