"""All systems of the city in one process, each on its own loopback port."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.simulated.city import City
from gateway.simulated.world import PORTS

PR_SET_PDEATHSIG: Final = 1
NIGHT_SECONDS: Final = 5.0
LEAVING_SECONDS: Final = 4.0  # that an earlier city may take to end


class OpenProtocol(H11Protocol):
    """HTTP/1.1 that lets an app at its own transport, so that faults can be real."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Hand the transport on in the scope."""
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})["city.transport"] = transport
            await inner(scope, receive, send)

        self.app = with_transport


class ByPort:
    """One server listens on all ports; which system is meant is told by the port."""

    def __init__(self, apps: dict[int, ASGIApp]) -> None:
        """Port → app."""
        self.apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            await self.apps[scope["server"][1]](scope, receive, send)


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, city: City) -> None:
        """Keep the city."""
        super().__init__(config)
        self.city = city

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then write the addresses."""
        await super().startup(sockets)
        path = self.city.folder / "addresses.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self.city.addresses, option=orjson.OPT_INDENT_2))
        fresh.replace(path)
        print("ready", flush=True)  # noqa: T201 - what a supervisor waits for


def listen(host: str, first: int | None) -> dict[str, socket.socket]:
    """One listening socket for each system; `first` None takes free ports.

    A port that is in use is tried again for some seconds: the city before this one may just be
    ending, because whoever started it was killed.

    Raises:
        OSError: a port is in use.
    """
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            return _listen_once(host, first)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _listen_once(host: str, first: int | None) -> dict[str, socket.socket]:
    found: dict[str, socket.socket] = {}
    try:
        for name, n in PORTS.items():
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            found[name] = one
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, 0 if first is None else first + n))
            one.listen(512)
            one.setblocking(False)
    except OSError:
        for one in found.values():
            one.close()
        raise
    return found


def die_with_parent(parent: int | None) -> None:
    """End when the process that started us ends, however that happens (Linux).

    It says its own number: it may have died before we asked who it is.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid() if parent is None else parent
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before we asked
        raise SystemExit(0)


async def serve(city: City, sockets: dict[str, socket.socket]) -> None:
    """Serve until SIGTERM."""
    apps = {one.getsockname()[1]: city.apps[name] for name, one in sockets.items()}
    config = uvicorn.Config(
        ByPort(apps),
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        backlog=512,
    )
    nights = asyncio.create_task(_nights(city))
    try:
        await Server(config, city).serve(list(sockets.values()))
    finally:
        nights.cancel()
        await city.close()


def run(folder: Path, *, host: str, first: int | None, **city: Any) -> int:
    """Start everything; exit code."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        sockets = listen(host, first)
    except OSError as error:
        print(f"the simulated city cannot listen: {error}; try --free-ports", file=sys.stderr)  # noqa: T201
        return 2
    addresses = {
        name: f"http://{name}.localhost:{one.getsockname()[1]}" for name, one in sockets.items()
    }
    asyncio.run(serve(City(folder, addresses=addresses, **city), sockets))
    return 0


async def _nights(city: City) -> None:
    """The water company's nightly run."""
    while True:
        await asyncio.sleep(NIGHT_SECONDS)
        city.water.nightly()
