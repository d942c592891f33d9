"""What can go wrong between us and a department, beyond what a plugin may raise."""

from enum import StrEnum
from typing import Final

from gateway.contract.failure import CallOwner, Failure, TryAgain
from gateway.hosting.outcome import Reason


class Sent(StrEnum):
    """Whether the department can have seen a request that got no answer."""

    NO = "no"  # not a byte left us
    MAYBE = "maybe"  # written to the connection; whether it arrived nobody knows
    YES = "yes"  # an answer had begun


_PASSING: Final = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.BUSY})


class NoAnswer(Exception):
    """No usable answer came; `what` is for the log and holds no personal value."""

    def __init__(self, reason: Reason, sent: Sent, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.sent = sent
        self.what = what
        self.after: float | None = None  # seconds, where a recipe's rule says so
        self.words: str | None = None  # a key of the plugin's words files

    def as_failure(self) -> Failure:
        """The same in the words of the contract: what a code plugin sees, what a sample expects."""
        if self.reason in _PASSING:
            return TryAgain(after=self.after, words=self.words)
        return CallOwner(what=self.what, words=self.words)


class BadCredentials(CallOwner):
    """The department refused *our* credentials; the citizen's sign-in has nothing to do with it."""


class MissingClaim(Exception):
    """A recipe wants to send what is not known of this citizen or was not agreed to."""

    def __init__(self, claim: str) -> None:
        super().__init__(f"citizen.{claim} is not at hand")
        self.claim = claim
