"""Follow the ledger's withdrawals: what one worker could not tell the others, they read here.

Polled each second. When Valkey is another run than before, it may have brought back what was
removed: everything withdrawn within a day is removed once more.
"""

from contextlib import suppress
from typing import Final

from sqlalchemy import select, union_all
from sqlalchemy.engine import Connection

from gateway.cards.feed import Cards
from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.store.away import Away, LedgerAway
from gateway.store.ledger import Ledger
from gateway.store.tables import consent, revocation
from gateway.store.volatile import Volatile

_POLL: Final = 1.0  # seconds
_OVERLAP: Final = 10_000_000  # µs: an instant is taken before its transaction commits
_DAY: Final = 86_400_000_000
_MOST: Final = 20_000


class Tail:
    """One in each worker; `follow` runs as long as it does."""

    def __init__(self, *, cards: Cards, ledger: Ledger, volatile: Volatile, clock: Clock) -> None:
        """Begin now; nothing is read yet."""
        self._cards = cards
        self._ledger = ledger
        self._volatile = volatile
        self._clock = clock
        self._run = ""
        self._since = clock.now()

    async def follow(self) -> None:
        """Look each second, for ever; a store that is away is looked at again."""
        while True:
            with suppress(LedgerAway, Away):
                await self.look()
            await self._clock.sleep(_POLL)

    async def look(self) -> None:
        """Hear what is new, and make up for what is owed.

        Raises:
            LedgerAway, Away: the next look does it.
        """
        begun = self._clock.now()
        since = self._since - _OVERLAP
        for citizen, at in await self._ledger.read(lambda c: withdrawn_since(c, since)):
            await self._cards.heard(citizen, at)
        self._since = begun
        run = await self._volatile.run_id()
        if run != self._run:
            rows = await self._ledger.read(lambda c: withdrawn_since(c, begun - _DAY))
            await self._cards.make_up({citizen for citizen, _ in rows})
            self._run = run
        else:
            await self._cards.make_up()


def withdrawn_since(connection: Connection, since: int) -> list[tuple[CitizenId, int]]:
    """Whose consents or sessions ended after an instant, and when; the latest of many."""
    consents = select(consent.c.citizen, consent.c.withdrawn.label("at")).where(
        consent.c.withdrawn > since
    )
    sessions = select(revocation.c.citizen, revocation.c.at).where(
        revocation.c.at > since, revocation.c.citizen.is_not(None)
    )
    both = union_all(consents, sessions).subquery()
    query = select(both.c.citizen, both.c.at).order_by(both.c.at.desc()).limit(_MOST)
    return [(CitizenId(row.citizen), row.at) for row in connection.execute(query)]
