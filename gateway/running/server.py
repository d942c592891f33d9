"""One worker's HTTP server: uvicorn with our edge and an ending that loses no request."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from gateway.clock import Clock, OffsetClock
from gateway.running.control import listen
from gateway.running.edge import IDLE_SECONDS, EdgeProtocol


class Server(uvicorn.Server):
    """uvicorn's server, except how it ends and that the supervisor hears it live.

    As it is, uvicorn closes fresh and idle connections at once when it ends and so loses requests
    that are on their way; here the listeners close first and kept connections are told to close by
    their next answer.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        beat: Callable[[bool], None],
        clock: Clock,
        control: Path | None = None,
    ) -> None:
        super().__init__(config)
        self._beat = beat
        self._clock = clock
        self._control = control

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._control is not None and isinstance(self._clock, OffsetClock):
            self._control_server = await listen(self._control, self._clock)

    @override
    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._beat(self.started)
        return await super().on_tick(counter)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        EdgeProtocol.draining = True
        for _ in range(20):
            if not self.server_state.connections:
                break
            await asyncio.sleep(0.1)
            self._beat(self.started)
        await super().shutdown(sockets)


def configured(app: ASGIApp, *, drain_seconds: int) -> uvicorn.Config:
    """Configure uvicorn: no websockets, no access log (ours has the line), no banner."""
    return uvicorn.Config(
        app,
        http=EdgeProtocol,
        ws="none",
        lifespan="on",
        loop="uvloop",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=drain_seconds,
        backlog=2048,
    )
