"""The ledger: what must survive. The same functions of a connection on SQLite and PostgreSQL.

Rules for a function handed to `write` or `read`: plain and short, nothing external inside, no
result object carried out (fetch inside), and safe to be run again (a serialization failure runs the
whole of it anew). One function = one transaction; where it wants to survive an `IntegrityError` of
its own it uses `connection.begin_nested()`. Writing functions never overlap, on either kind and
over all processes: what one has read stays true until it commits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from sqlalchemy.engine import Connection, make_url

from gateway.clock import Clock, SystemClock
from gateway.store.away import LedgerAway
from gateway.store.sqlite import open_sqlite

__all__ = ["Ledger", "LedgerAway", "SyncLedger", "open_ledger", "open_ledger_sync"]

Kind = Literal["sqlite", "postgresql"]
T = TypeVar("T")

DEADLINE: Final = 5.0  # seconds; longer than that nobody waits for the ledger


class Ledger(Protocol):
    """What every package sees of the ledger."""

    @property
    def kind(self) -> Kind:
        """Which engine is below; callers have no business to ask, except the lease and backup."""
        ...

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run fn in one transaction; answers only after it is on the disk.

        Whatever fn raises undoes it and is raised here.

        Raises:
            LedgerAway: not written within 5 s: disk full, file gone, locked, server away.
        """
        ...

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run fn over one consistent state; it may not write.

        Raises:
            LedgerAway: not read within 5 s.
        """
        ...


@asynccontextmanager
async def open_ledger(url: str, *, clock: Clock) -> AsyncIterator[Ledger]:
    """Open the ledger at `sqlite:////abs/path/ledger.db` or `postgresql://…` and migrate it.

    Raises:
        LedgerAway: it cannot be opened, is damaged, or belongs to a newer program; the text says
            what to do.
        ValueError: the address is of neither kind.
    """
    async with AsyncExitStack() as stack:
        parsed = make_url(url)
        ledger: Ledger
        if parsed.get_backend_name() == "sqlite":
            path = Path(parsed.database or "")
            if not path.is_absolute():
                raise ValueError("a ledger's file needs an absolute path: sqlite:////…")
            ledger = await stack.enter_async_context(open_sqlite(path, clock, DEADLINE))
        elif parsed.get_backend_name() == "postgresql":
            from gateway.store.postgresql import open_postgresql  # noqa: PLC0415 - 0.1 s at start

            ledger = await stack.enter_async_context(open_postgresql(parsed, clock, DEADLINE))
        else:
            raise ValueError("the ledger's address begins with sqlite:// or postgresql://")
        yield ledger


class SyncLedger:
    """The ledger for code without an event loop: CLI commands, the prepare child."""

    def __init__(self, ledger: Ledger, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._ledger = ledger
        self._run = run

    @property
    def kind(self) -> Kind:
        """Which engine is below."""
        return self._ledger.kind

    def write(self, fn: Callable[[Connection], T]) -> T:
        """As `Ledger.write`."""
        result: T = self._run(self._ledger.write(fn))
        return result

    def read(self, fn: Callable[[Connection], T]) -> T:
        """As `Ledger.read`."""
        result: T = self._run(self._ledger.read(fn))
        return result


@contextmanager
def open_ledger_sync(url: str, *, clock: Clock | None = None) -> Iterator[SyncLedger]:
    """As `open_ledger`, over an event loop of its own in a thread of its own."""
    runner = asyncio.Runner()
    stack = AsyncExitStack()
    with ThreadPoolExecutor(1, thread_name_prefix="ledger-loop") as thread:

        def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
            return thread.submit(runner.run, coroutine).result()

        try:
            opened = open_ledger(url, clock=clock or SystemClock())
            ledger = run(stack.enter_async_context(opened))
            yield SyncLedger(ledger, run)
        finally:
            run(stack.aclose())
            thread.submit(runner.close).result()
