"""How the stores say that they are not there."""

from typing import Literal

Sent = Literal["no", "maybe"]


class Away(Exception):
    """The volatile store did not answer in time: the caller decides what that costs.

    What was asked may or may not have been done.
    """


class LedgerAway(Exception):
    """The ledger could not be read or written in time.

    `sent` says whether the unit may stand all the same: "no" means certainly not, "maybe" that the
    answer to its commit was lost: ask by its key before doing it again (F43).
    """

    def __init__(self, reason: str, *, sent: Sent = "no") -> None:
        super().__init__(reason)
        self.sent: Sent = sent
