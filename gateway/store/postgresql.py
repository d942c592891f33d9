"""The ledger on PostgreSQL: the same plain functions through asyncpg and `run_sync`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeVar

from sqlalchemy import URL, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.clock import Clock
from gateway.store.away import LedgerAway
from gateway.store.schema import is_current, migrate

T = TypeVar("T")

ONE_WRITER: Final = 0x6369747967617465  # "citygate": the advisory lock of everything that writes
_TRIES: Final = 4  # the first and three more
_POOL: Final = 8
_POOL_SECONDS: Final = 1.0  # who finds no connection by then is told so (F46)
# Serialization failure, deadlock, a plan that a migration made stale: certainly nothing was done.
_AGAIN: Final = frozenset({"40001", "40P01", "0A000"})
# Beginnings of SQLSTATEs that say that the server is in trouble, not the statement.
_TROUBLE: Final = ("08", "25006", "25P03", "53", "55P03", "57", "58", "F0", "XX")


@asynccontextmanager
async def open_postgresql(
    url: URL, clock: Clock, deadline: float
) -> AsyncIterator["PostgresqlLedger"]:
    """Open the pool and migrate; see `gateway.store.ledger.open_ledger`."""
    milliseconds = str(int(deadline * 900))
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=_POOL,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        connect_args={
            "timeout": 2.0,
            "target_session_attrs": "read-write",  # never a stale primary (F44)
            "server_settings": {
                "application_name": "citygate",
                "lock_timeout": milliseconds,
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": "10000",
            },
        },
    )
    ledger = PostgresqlLedger(engine, clock, deadline)
    try:
        if not await ledger.read(is_current):
            await ledger.write(migrate)
        yield ledger
    finally:
        await engine.dispose()


class _Own(Exception):
    """What a function raised itself, carried past the handlers of the server's trouble."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Try:
    """One attempt: how far it came."""

    committing = False


class PostgresqlLedger:
    """The ledger on a PostgreSQL server; made by `open_postgresql`."""

    def __init__(self, engine: AsyncEngine, clock: Clock, deadline: float) -> None:
        self._engine = engine
        self._reading = engine.execution_options(  # one state for all of a function's reads
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._clock = clock
        self._deadline = deadline

    @property
    def kind(self) -> Literal["postgresql"]:
        """Which engine this is."""
        return "postgresql"

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """As `Ledger.write`.

        Writers take turns by one advisory lock, taken before anything is read, so that a function
        means the same as on SQLite and the audit chain stays linear.
        """
        return await self._unit(fn, writing=True)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """As `Ledger.read`."""
        return await self._unit(fn, writing=False)

    async def _unit(self, fn: Callable[[Connection], T], *, writing: bool) -> T:
        """Run fn, again as a whole where certainly nothing was done; all within one deadline."""
        tries = 0
        attempt = _Try()
        try:
            async with self._clock.within(self._deadline):
                while True:
                    tries, attempt = tries + 1, _Try()
                    try:
                        return await self._once(fn, attempt, writing=writing)
                    except (DBAPIError, OSError) as error:
                        if tries == _TRIES or not _may_repeat(error, attempt):
                            raise
                    await self._clock.sleep(0.01 * tries)
        except _Own as own:
            raise own.error from None
        except PoolTimeout as error:
            raise LedgerAway("all connections are busy") from error
        except (DBAPIError, OSError) as error:
            if not attempt.committing and not _is_trouble(error):
                raise
            lost = attempt.committing and _state(error) not in _AGAIN
            raise LedgerAway(_reason(error), sent="maybe" if lost else "no") from error

    async def _once(self, fn: Callable[[Connection], T], attempt: _Try, *, writing: bool) -> T:
        async with (self._engine if writing else self._reading).connect() as connection:
            if writing:
                turn = text("SELECT pg_advisory_xact_lock(:key)")
                await connection.execute(turn, {"key": ONE_WRITER})
            result = await connection.run_sync(_guarded, fn)
            if writing:
                attempt.committing = True
                await connection.commit()
            return result


def _guarded(connection: Connection, fn: Callable[[Connection], T]) -> T:
    try:
        return fn(connection)
    except (DBAPIError, OSError, PoolTimeout):
        raise  # the server's, or the statement's
    except StopIteration as error:
        raise _Own(RuntimeError(repr(error))) from error  # cannot travel through a coroutine
    except Exception as error:
        raise _Own(error) from error


def _state(error: BaseException) -> str:
    """The SQLSTATE; "" where there is none."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state if isinstance(state, str) else ""


def _is_trouble(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        state = _state(error)
        broken = error.connection_invalidated or not state
        return broken or state in _AGAIN or state.startswith(_TROUBLE)
    return True  # no connection, or the deadline


def _may_repeat(error: Exception, attempt: _Try) -> bool:
    """Whether nothing was done and another try may help: refused as a whole, or a dead connection."""
    if isinstance(error, TimeoutError):
        return False
    if _state(error) in _AGAIN:
        return True
    dead = not isinstance(error, DBAPIError) or error.connection_invalidated
    return dead and not attempt.committing


def _reason(error: BaseException) -> str:
    """The server's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error) or type(error).__name__
