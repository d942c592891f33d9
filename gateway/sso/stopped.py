"""Why a sign-in did not end with a session: a closed list, each with words of its own."""

from typing import Final, Literal, get_args

Reason = Literal[
    "cancelled",  # she said no over there
    "expired",  # she took longer than ten minutes
    "spent",  # used already, or never begun here: double tap, back button, an old address
    "other_browser",  # begun in another browser: somebody else's sign-in, or a copied address
    "too_low",  # signed in, but not as surely as the page asked for
    "not_active",  # her access is suspended
    "away",  # the identity provider does not answer
    "refused",  # its answer does not hold
    "store",  # our own stores are away
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class Stopped(Exception):
    """A sign-in ended without a session; `why` is for the log and comes from our own texts."""

    def __init__(
        self, reason: Reason, why: str = "", *, next_path: str = "/", level: int | None = None
    ) -> None:
        super().__init__(reason)
        self.level = level  # that she wanted to reach
        self.reason: Reason = reason
        self.why = why
        self.next_path = next_path

    def of(self, next_path: str, level: int | None) -> "Stopped":
        """The same, of a sign-in that was to end there and so."""
        return Stopped(self.reason, self.why, next_path=next_path, level=level)
