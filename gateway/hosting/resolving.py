"""Names to addresses, on threads of our own so that a slow name server holds up no one else."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

THREADS: Final = 16


def is_localhost(host: str) -> bool:
    """`localhost` and names below it: always this machine (RFC 6761), whatever a resolver says."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


class Resolver(AbstractResolver):
    """The system's resolver; one for all departments of a worker."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of a name; whether one may be used is decided when connecting."""
        if is_localhost(host):  # glibc answers for `localhost` only, not for what is below it
            return [_row(host, "127.0.0.1", port, socket.AF_INET)]
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        return [_row(host, address, port, kind) for kind, address in found]

    @override
    async def close(self) -> None:
        """Stop taking names; look-ups that hang in the system end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(
    host: str, port: int, family: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, str]]:
    rows = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    inet = (socket.AF_INET, socket.AF_INET6)
    return [(kind, str(where[0])) for kind, _, _, _, where in rows if kind in inet]


def _row(host: str, address: str, port: int, family: socket.AddressFamily) -> ResolveResult:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": 0,
        "flags": flags,
    }
