"""What a caller is told when it cannot be done: problem details of RFC 9457.

Public text comes from the words files by `code`; `detail` is private and goes to the log only.
Expected outcomes are values, not exceptions; whatever is not a `Problem` becomes a 500 with a
reference number and nothing from inside.
"""

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(eq=False)
class Problem(Exception):
    """The base: HTTP status, stable code, private detail, extra public members."""

    detail: str = ""  # logged, never sent
    members: dict[str, object] = field(default_factory=dict)  # sent
    headers: dict[str, str] = field(default_factory=dict)

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"


class NotSignedIn(Problem):
    """Nobody is signed in, or the session has ended."""

    status = 401
    code = "not-signed-in"


class NotAllowed(Problem):
    """Signed in, but without the right."""

    status = 403
    code = "not-allowed"


class ForeignOrigin(Problem):
    """A state-changing request that did not come from our own pages (CSRF)."""

    status = 403
    code = "foreign-origin"


class NeedsConsent(Problem):
    """The citizen must agree first; `members["address"]` says where."""

    status = 403
    code = "needs-consent"


class NotFound(Problem):
    """Unknown and hidden look the same."""

    status = 404
    code = "not-found"


class Gone(Problem):
    """Retired; `members["successor"]` names what replaced it."""

    status = 410
    code = "gone"


class Conflict(Problem):
    """It cannot be done in the state that the thing is in."""

    status = 409
    code = "conflict"


class StaleEdit(Problem):
    """Somebody else changed it meanwhile."""

    status = 412
    code = "stale-edit"


class Invalid(Problem):
    """Fields are wrong; `members["fields"]` is a list of {field, message}."""

    status = 422
    code = "invalid"


class TooMany(Problem):
    """Too often; `headers["Retry-After"]` says when again."""

    status = 429
    code = "too-many"


class Unavailable(Problem):
    """What is needed is down just now; nothing was done."""

    status = 503
    code = "unavailable"


MALFORMED: dict[int, str] = {
    400: "bad-request",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "body-too-large",
    414: "address-too-long",
    415: "unsupported-media-type",
    421: "misdirected",
    428: "precondition-required",
    431: "headers-too-large",
}


class Malformed(Problem):
    """The request itself is wrong: one closed table of statuses."""

    def __init__(
        self, status: int, detail: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Take the status from the table."""
        super().__init__(detail=detail, headers=headers or {})
        self.http_status = status

    @property
    def public_code(self) -> str:
        """The stable code of this status."""
        return MALFORMED[self.http_status]


def status_of(problem: Problem) -> int:
    """The HTTP status that a problem is sent with."""
    return problem.http_status if isinstance(problem, Malformed) else problem.status


def code_of(problem: Problem) -> str:
    """The stable code that a problem is sent with."""
    return problem.public_code if isinstance(problem, Malformed) else problem.code
