"""The volatile store (Valkey or Redis): what may be lost. Its loss costs a sign-in and some speed.

Every call has a hard deadline and nothing is sent twice. Several keys of one act stay in one hash
tag, `{citizen}`, so that a cluster serves as well. Never send a command that blocks (`BLPOP`,
`SUBSCRIBE`, `WAIT`): the lanes are shared.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as CannotConnect

from gateway.store.away import Away
from gateway.store.dialling import Address, command, dial, read_address
from gateway.store.lanes import Command, Lanes, Line, Word

__all__ = ["Away", "Command", "Script", "Volatile", "Word", "WrongServer", "open_volatile"]

DEADLINE: Final = 0.25  # seconds a call waits unless it says otherwise
CHANNEL: Final = "notice"
_START_SECONDS: Final = 1.0  # how long opening waits for the first connection
_QUIET_SECONDS: Final = 10.0  # a subscription that heard nothing for so long is pinged

# Refusals that say that the server cannot serve now, and not that we asked nonsense.
_TROUBLE: Final = (
    OutOfMemoryError,
    ReadOnlyError,
    MasterDownError,
    BusyLoadingError,
    AuthenticationError,
    NoPermissionError,
    ClusterError,
    TryAgainError,
)
_TROUBLE_WORDS: Final = ("BUSY ", "LOADING ", "MISCONF ", "NOREPLICAS ", "NOGOODSLAVE ")


class WrongServer(Exception):
    """The server is there and refuses us (password, rights): a matter of settings."""


@dataclass(frozen=True)
class Script:
    """A Lua script, known to the server by its SHA-1; all its keys share one hash tag."""

    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode()).hexdigest())  # noqa: S324


class Asker(Protocol):
    """What `Volatile` stands on: lanes to one server, or a cluster's client."""

    run_id: str

    @property
    def up(self) -> bool:
        """Whether a server is connected."""
        ...

    async def ask(self, commands: Sequence[Command], deadline: float) -> list[Any]:
        """Replies in order, error replies as values; raises `Away`."""
        ...


class Volatile:
    """The volatile store; made by `open_volatile`."""

    def __init__(self, asker: Asker, address: Address) -> None:
        self._asker = asker
        self._address = address

    @property
    def up(self) -> bool:
        """Whether a server is connected just now; for the health page, not for decisions."""
        return self._asker.up

    async def ask(self, *commands: Command, deadline: float = DEADLINE) -> list[Any]:
        """Send one or more commands, together and in order; their replies, texts as bytes.

        Commands of one call are not a transaction (use a script), and when one is refused the
        others may have been done.

        Raises:
            Away: no answer by the deadline (seconds), or a server that cannot do it now: full,
                loading, read-only, busy with a script. It may or may not have been done.
            redis.exceptions.ResponseError: we asked nonsense.
            TypeError: a word is neither text, bytes nor number.
        """
        replies = await self._asker.ask(commands, deadline)
        for reply in replies:
            if isinstance(reply, Exception):
                raise _in_words(reply)
        return replies

    async def script(
        self,
        script: Script,
        keys: Sequence[str | bytes],
        args: Sequence[Word],
        *,
        deadline: float = DEADLINE,
    ) -> Any:
        """Run a script; it is sent in full only to a server that does not know it yet.

        Raises:
            Away: as `ask`.
        """
        tail = (len(keys), *keys, *args)
        try:
            return (await self.ask(("EVALSHA", script.sha, *tail), deadline=deadline))[0]
        except NoScriptError:  # nothing was done
            return (await self.ask(("EVAL", script.source, *tail), deadline=deadline))[0]

    async def publish_notice(self, payload: bytes) -> None:
        """Tell every worker on every host; who is not listening just now never hears it.

        Raises:
            Away: as `ask`.
        """
        await self.ask(("PUBLISH", CHANNEL, payload))

    async def notices(self) -> AsyncGenerator[bytes, None]:
        """What others publish, for ever; mends itself.

        Notices get lost while it mends, so nothing may depend on them but speed.
        """
        pause = 0.05
        while True:
            line: Line | None = None
            try:
                async with asyncio.timeout(_START_SECONDS):
                    line = await dial(self._address)
                    await command(line.connection, "SUBSCRIBE", CHANNEL)
                pause = 0.05
                while True:
                    yield await _heard(line)
            except (RedisError, OSError):
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
                pause = min(pause * 2, 1.0)
            finally:
                if line is not None:
                    with suppress(Exception):
                        await line.connection.disconnect(nowait=True)

    async def run_id(self) -> str:
        """Which run of the server this is; another one may have lost what was kept (design 7).

        Costs nothing: it is learned with each connection. Empty where a server hides it.

        Raises:
            Away: no server is connected.
        """
        if not self._asker.up:
            raise Away("not connected")
        return self._asker.run_id


@asynccontextmanager
async def open_volatile(url: str) -> AsyncIterator[Volatile]:
    """Open the store; a server that is down is no error: `up` is False and it mends itself.

    Addresses: `unix:///path/valkey.sock`, `redis://host:port/0`, `rediss://…`,
    `redis+sentinel://host,host/name/0`.

    Raises:
        WrongServer: it is there and refuses us.
        ValueError: the address cannot be read.
    """
    address = read_address(url)
    lanes = Lanes(lambda: dial(address))
    lanes.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await lanes.tried.wait()
        if lanes.refusal:
            raise WrongServer(f"The volatile store refuses us: {lanes.refusal}")
        yield Volatile(lanes, address)
    finally:
        await lanes.close()


async def _heard(line: Line) -> bytes:
    """The next notice; raises when the server is gone or silent."""
    connection, pinged = line.connection, False
    while True:
        seconds = 1.0 if pinged else _QUIET_SECONDS
        reply = await connection.read_response(disable_decoding=True, timeout=seconds)
        if reply is not None:
            pinged = False
            if reply[0] == b"message":
                payload: bytes = reply[2]
                return payload
        elif pinged:
            raise CannotConnect("silent")
        else:
            await connection.send_command("PING", check_health=False)
            pinged = True


def _in_words(error: Exception) -> Exception:
    if isinstance(error, _TROUBLE):
        return Away(f"{type(error).__name__}: {error}")
    if isinstance(error, ResponseError) and str(error).startswith(_TROUBLE_WORDS):
        return Away(str(error))
    return error
