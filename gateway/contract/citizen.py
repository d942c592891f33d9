"""The signed-in person as the gateway's own packages pass her around."""

from dataclasses import dataclass

from gateway.contract.ids import CitizenId


@dataclass(frozen=True, slots=True)
class Citizen:
    """A signed-in person: a random id, how sure we are of her, and her session.

    No name, number or claim is kept here: what a department may learn travels as the claims of one
    ask, after consent was looked up.
    """

    id: CitizenId
    level: int  # assurance 0-5, set by the upstream's mapping only
    upstream: str  # which identity provider vouched for her
    session: str  # sha256 hex of the session token; a handle, never the token
    signed_in_at: int  # UTC microseconds


@dataclass(frozen=True, slots=True)
class Agreement:
    """A consent that stands: what exactly was shown, and which data items she agreed to."""

    digest: str  # `Entry.consent_digest` at that time
    items: frozenset[str]  # ids of data items
    given: int  # UTC microseconds
