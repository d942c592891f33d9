"""One leader among all workers: file watch, drops, sweeping, cards for everybody.

On one machine the kernel decides by a lock on a file, on several hosts a lease in the ledger.
Correctness never depends on the leader: two of them for a moment do the same work twice.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from gateway.clock import Clock
from gateway.store.away import LedgerAway
from gateway.store.ledger import Ledger
from gateway.store.tables import lease

LEASE_SECONDS: Final = 15
_RENEW_SECONDS: Final = 5.0
_ASK_SECONDS: Final = 1.0
_NAME: Final = "leader"


class Leader:
    """Waits for its turn; `held` lasts as long as this worker leads."""

    def __init__(self, ledger: Ledger, folder: Path, clock: Clock, *, holder: str) -> None:
        """`holder` is unique to this worker; `folder` is the state folder."""
        self._ledger = ledger
        self._path = folder / "leader"
        self._clock = clock
        self._holder = holder
        self.leads = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[asyncio.Event]:
        """Wait until this worker leads; the event is set when it does no longer."""
        lost = asyncio.Event()
        if self._ledger.kind == "sqlite":
            descriptor = await self._locked()
            try:
                self.leads = True
                yield lost
            finally:
                self.leads = False
                os.close(descriptor)
            return
        await self._leased()
        keeper = asyncio.create_task(self._keep(lost))
        try:
            self.leads = True
            yield lost
        finally:
            self.leads = False
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _locked(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await self._clock.sleep(_ASK_SECONDS)
                else:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise

    async def _leased(self) -> None:
        while True:
            try:
                if await self._ledger.write(self._take):
                    return
            except LedgerAway:
                pass  # nobody leads while the ledger is away
            await self._clock.sleep(_RENEW_SECONDS)

    async def _keep(self, lost: asyncio.Event) -> None:
        until = self._clock.monotonic() + LEASE_SECONDS
        while True:
            await self._clock.sleep(_RENEW_SECONDS)
            try:
                mine = await self._ledger.write(self._take)
            except LedgerAway:
                mine = self._clock.monotonic() < until
            else:
                until = self._clock.monotonic() + LEASE_SECONDS
            if not mine:
                lost.set()
                return

    def _take(self, connection: Connection) -> bool:
        """Take or renew the lease inside one transaction; False while another holds it."""
        now = self._clock.now()
        row = connection.execute(select(lease).where(lease.c.name == _NAME)).first()
        until = now + LEASE_SECONDS * 1_000_000
        if row is None:
            connection.execute(
                insert(lease).values(name=_NAME, holder=self._holder, until=until, fence=1)
            )
            return True
        if row.holder != self._holder and row.until > now:
            return False
        fence = row.fence + (row.holder != self._holder)
        connection.execute(
            update(lease)
            .where(lease.c.name == _NAME)
            .values(holder=self._holder, until=until, fence=fence)
        )
        return True
