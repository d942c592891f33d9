"""What can go wrong between us and a department, beyond what a plugin may raise."""

from enum import StrEnum

from gateway.contract.failure import CallOwner
from gateway.hosting.outcome import Reason


class Sent(StrEnum):
    """Whether the department can have seen a request that got no answer."""

    NO = "no"  # not a byte left us
    MAYBE = "maybe"  # written to the connection; whether it arrived nobody knows
    YES = "yes"  # an answer had begun


class NoAnswer(Exception):
    """No usable answer came; `what` is for the log and holds no personal value."""

    def __init__(self, reason: Reason, sent: Sent, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.sent = sent
        self.what = what


class BadCredentials(CallOwner):
    """The department refused *our* credentials; the citizen's sign-in has nothing to do with it."""


class MissingClaim(Exception):
    """A recipe wants to send what is not known of this citizen or was not agreed to."""

    def __init__(self, claim: str) -> None:
        super().__init__(f"citizen.{claim} is not at hand")
        self.claim = claim
