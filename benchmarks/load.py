"""The load: kept connections, one request at a time on each, in a process of its own.

`python -m benchmarks.load`: an order comes as JSON on standard input, what was seen goes out as JSON.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import uvloop
from typing_extensions import override

END = b'"complete":true}'


@dataclass(slots=True)
class Seen:
    """What came back."""

    good: int = 0
    bad: int = 0
    size: int = 0
    milliseconds: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again as somebody else."""

    def __init__(self, requests: Sequence[bytes], seen: Seen, until: float) -> None:
        self._requests = requests
        self._seen = seen
        self._until = until
        self._got = bytearray()
        self._wanted = 0
        self._asked = 0.0
        self.done = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvloop calls it
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(random.choice(self._requests))

    @override
    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._wanted:
            at = self._got.find(b"\r\n\r\n")
            if at < 0:
                return
            head = bytes(self._got[:at]).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._wanted = at + 4 + int(length or 0)
        if len(self._got) >= self._wanted:
            self._note()

    def _note(self) -> None:
        now = time.perf_counter()
        seen = self._seen
        whole = seen.size in (0, self._wanted)  # all citizens' feeds have as many bytes
        if whole and self._got.startswith(b"HTTP/1.1 200") and self._got.endswith(END):
            seen.good += 1
            seen.size = self._wanted
        else:
            seen.bad += 1
        seen.milliseconds.append((now - self._asked) * 1000)
        self._got.clear()
        self._wanted = 0
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._wanted or self._got:
            self._seen.bad += 1
        if not self.done.done():
            self.done.set_result(None)


async def load(
    port: int, tokens: Sequence[str], *, host: str, connections: int, seconds: float
) -> dict[str, float]:
    """Ask for feeds for some seconds."""
    requests = [
        f"GET /api/v1/cards HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
        f"User-Agent: bench\r\nCookie: citygate={token}\r\n\r\n".encode()
        for token in tokens
    ]
    seen = Seen()
    began = time.perf_counter()
    until = began + seconds
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(requests, seen, until), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    took = time.perf_counter() - began
    times = sorted(seen.milliseconds)
    return {
        "good": seen.good,
        "bad": seen.bad,
        "size": seen.size,
        "seconds": took,
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
    }


def main() -> None:
    """Do what the order says."""
    order = orjson.loads(sys.stdin.buffer.read())
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = uvloop.run(load(order.pop("port"), order.pop("tokens"), **order))
    sys.stdout.buffer.write(orjson.dumps(found))


if __name__ == "__main__":
    main()
