"""From the address of the volatile store to a connection with its primary."""

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import ConnectionError as CannotConnect
from redis.exceptions import NoPermissionError, ResponseError

from gateway.store.lanes import Line

_SENTINEL_PORT: Final = 26379
_PORT: Final = 6379
_CONNECT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Address:
    """Where the volatile store is."""

    kind: Literal["unix", "single", "sentinel", "cluster"]
    path: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""  # the primary's name at the sentinels
    tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_password: str | None = None


_KINDS: Final[dict[str, tuple[Literal["unix", "single", "sentinel", "cluster"], bool]]] = {
    "unix": ("unix", False),
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}


def read_address(url: str) -> Address:
    """Read `unix:///path`, `redis[s]://host:port/0`, `redis+sentinel://host,host/name/0`, `redis+cluster://host,host`.

    User and password stand before the hosts, percent-encoded; the sentinels' own password is the
    query's `sentinel_password`.

    Raises:
        ValueError: with a sentence that does not repeat the password.
    """
    parts = urlsplit(url)
    if parts.scheme not in _KINDS:
        raise ValueError(f"the volatile store's address begins with one of {', '.join(_KINDS)}")
    kind, tls = _KINDS[parts.scheme]
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    who, _, where = parts.netloc.rpartition("@")
    username, _, password = who.partition(":")
    names = [unquote(part) for part in parts.path.split("/") if part]
    numbers = [query.get("db", "0")] if kind == "unix" else names[1 if kind == "sentinel" else 0 :]
    database = numbers[0] if numbers else "0"
    if kind == "sentinel" and not names:
        raise ValueError("redis+sentinel://host,host/name: the primary's name is missing")
    if not database.isdigit() or (kind == "cluster" and database != "0"):
        raise ValueError("the volatile store's database is a number, and 0 in a cluster")
    return Address(
        kind=kind,
        path=unquote(parts.path) if kind == "unix" else "",
        hosts=_hosts(where, _SENTINEL_PORT if kind == "sentinel" else _PORT),
        service=names[0] if kind == "sentinel" else "",
        tls=tls,
        database=int(database),
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_password=query.get("sentinel_password"),
    )


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for part in text.split(",") if text else []:
        try:
            one = urlsplit(f"//{part}")
            found.append((one.hostname or "localhost", one.port or port))
        except ValueError:
            raise ValueError("a host of the volatile store's address cannot be read") from None
    return tuple(found)


async def dial(address: Address) -> Line:
    """Connect to the primary and shake hands.

    Raises:
        redis.exceptions.RedisError, OSError: it cannot be reached or refuses us.
    """
    if address.kind != "sentinel":
        return await _shake(_connection(address, *(address.hosts or (("localhost", _PORT),))[0]))
    reason: Exception = CannotConnect("no sentinel is named")
    for host, port in address.hosts:
        try:
            found = await _ask_sentinel(address, host, port)
            return await _shake(_connection(address, *found), primary=True)
        except (CannotConnect, OSError, ResponseError) as error:
            reason = error
    raise reason


def _connection(address: Address, host: str, port: int) -> AbstractConnection:
    common: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "db": address.database,
        "socket_timeout": None,  # deadlines are the lanes'
        "socket_connect_timeout": _CONNECT_SECONDS,
        "driver_info": None,
        "protocol": 2,
    }
    if address.kind == "unix":
        return UnixDomainSocketConnection(path=address.path, **common)
    kind = SSLConnection if address.tls else Connection
    return kind(host=host, port=port, socket_keepalive=True, **common)


async def _ask_sentinel(address: Address, host: str, port: int) -> tuple[str, int]:
    sentinel = Connection(
        host=host,
        port=port,
        password=address.sentinel_password,
        socket_timeout=_CONNECT_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        driver_info=None,
        protocol=2,
    )
    try:
        await sentinel.connect()  # type: ignore[no-untyped-call]  # redis-py's own
        reply = await command(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
    finally:
        await sentinel.disconnect(nowait=True)
    if not reply:
        raise CannotConnect(f"the sentinels know no primary named {address.service}")
    return reply[0].decode(), int(reply[1])


async def _shake(connection: AbstractConnection, *, primary: bool = False) -> Line:
    """Connect and learn which run of the server this is."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's own
        if primary:
            await _see_primary(connection)
        return Line(connection, await _run_id(connection))
    except BaseException:
        await connection.disconnect(nowait=True)
        raise


async def _see_primary(connection: AbstractConnection) -> None:
    if (await command(connection, "ROLE"))[0] != b"master":
        raise CannotConnect("the sentinels named a server that is no primary any more")


async def _run_id(connection: AbstractConnection) -> str:
    try:
        info: bytes = await command(connection, "INFO", "server")
    except NoPermissionError:
        return ""  # a managed server that does not show itself: its restarts go unseen
    fields = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    return fields.get(b"run_id", b"").decode()


async def command(connection: AbstractConnection, *words: str) -> Any:
    """Ask one thing over a connection that nobody else uses."""
    await connection.send_command(*words, check_health=False)
    return await connection.read_response(disable_decoding=True)
