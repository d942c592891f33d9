"""Twenty departments in one process: `python -m benchmarks.office COUNT SILENT` prints their ports.

Each answers after 50 ms; the last SILENT ones accept and never answer.
"""

import asyncio
import sys

import orjson
import uvloop
from typing_extensions import override

SECONDS = 0.05
BODY = orjson.dumps(
    {
        "code": "0",
        "data": {
            "value": "12345678",
            "due": "2026-12-31",
            "owed": "0",
            "place": "望江区第三服务大厅",
        },
    }
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Desk(asyncio.Protocol):
    """One connection of one department."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._got = b""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvloop calls it
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._got += data
        while b"\r\n\r\n" in self._got:
            _, _, self._got = self._got.partition(b"\r\n\r\n")
            if not self._silent:
                asyncio.get_running_loop().call_later(SECONDS, self._transport.write, ANSWER)


async def main(count: int, silent: int) -> None:
    """Serve until ended."""
    loop = asyncio.get_running_loop()
    ports = []
    for number in range(count):
        quiet = number >= count - silent
        server = await loop.create_server(
            lambda quiet=quiet: Desk(silent=quiet), "127.0.0.1", 0, backlog=1024
        )
        ports.append(server.sockets[0].getsockname()[1])
    sys.stdout.write(orjson.dumps(ports).decode() + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
