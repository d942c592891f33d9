"""Profile test only: a unix socket by which a test moves this worker's clock.

One JSON object a line: `{"advance_seconds": 3600}`, `{"fixed": 1764000000000000}` (microseconds) or
`{"fixed": null}`; answered by `{"now": microseconds}`.
"""

import asyncio
import os
from pathlib import Path

import orjson

from gateway.clock import OffsetClock


async def listen(path: Path, clock: OffsetClock) -> asyncio.Server:
    """Serve the socket `<path>.<pid>`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        asked = orjson.loads(line or b"{}")
        clock.offset += int(asked.get("advance_seconds", 0) * 1_000_000)
        if "fixed" in asked:
            clock.fixed = asked["fixed"]
        writer.write(orjson.dumps({"now": clock.now()}) + b"\n")
        await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, f"{path}.{os.getpid()}")
