"""A scripted department on a real port: answers well or misbehaves on demand.

Runs in a thread with a loop of its own, so that it answers whatever the test does meanwhile.
"""

import asyncio
import gzip
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import orjson

JSON = b"application/json"


def http(
    body: bytes,
    *,
    status: int = 200,
    kind: bytes = JSON,
    headers: bytes = b"",
    length: int | None = None,
) -> bytes:
    """One whole HTTP answer."""
    size = len(body) if length is None else length
    return (
        b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n"
        % (status, kind, size, headers)
    ) + body


class Department:
    """`behave(kind)` chooses what comes next; `calls` counts what arrived."""

    def __init__(self) -> None:
        self.value = "100"
        self.behaviour = "well"
        self.calls = 0
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.peers = 0
        self.answer: Callable[[], Any] = lambda: {"code": "0", "data": {"value": self.value}}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def behave(self, kind: str) -> None:
        """Choose a behaviour: see `_misbehave`."""
        self.behaviour = kind

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers += 1
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                method, path, _ = first.split(" ", 2)
                headers = {
                    k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines if x)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.calls += 1
                self.requests.append((method, path, headers, body))
                del self.requests[:-200]
                if not await self._misbehave(writer):
                    break
        self._writers.discard(writer)
        writer.close()

    async def _misbehave(self, writer: asyncio.StreamWriter) -> bool:
        kind = self.behaviour
        good = orjson.dumps(self.answer())
        if kind in _PLAIN:
            writer.write(_PLAIN[kind](good))
        elif kind == "well":
            writer.write(http(good))
        elif kind.startswith("slow:"):
            await asyncio.sleep(float(kind[5:]))
            writer.write(http(good))
        elif kind == "silent":
            await asyncio.sleep(3600)
        elif kind == "drip":
            for byte in http(good):
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.5)
        elif kind == "reset":
            _reset(writer)
            return False
        elif kind == "cut":
            writer.write(http(good, length=len(good) + 100))
            await writer.drain()
            return False
        elif kind == "half-head":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-ty")
            await writer.drain()
            return False
        elif kind == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            for _ in range(1000):
                writer.write(b" " * 65536)
                await writer.drain()
            return False
        else:
            raise AssertionError(f"no behaviour {kind!r}")
        await writer.drain()
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


_BOMB = gzip.compress(b" " * (200 << 20), 9)

_PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "500": lambda _: http(b"<h1>Whitelabel Error Page</h1>", status=500, kind=b"text/html"),
    "503": lambda _: http(b"", status=503, headers=b"retry-after: 1000000000\r\n"),
    "503-date": lambda _: http(b"", status=503, headers=b"retry-after: yesterday\r\n"),
    "503-negative": lambda _: http(b"", status=503, headers=b"retry-after: -5\r\n"),
    "429": lambda _: http(b"", status=429, headers=b"retry-after: 7\r\n"),
    "401": lambda _: http(b'{"error":"bad key"}', status=401),
    "403": lambda _: http(b'{"error":"bad key"}', status=403),
    "204": lambda _: b"HTTP/1.1 204 No Content\r\n\r\n",
    "206": lambda g: http(g, status=206),
    "304": lambda _: b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "101": lambda _: b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "1xx-flood": lambda g: b"HTTP/1.1 100 Continue\r\n\r\n" * 500 + http(g),
    "200-with-error": lambda _: http(b'{"code":"500","msg":"error"}'),
    "login-page": lambda _: http(b"<html><form>login</form></html>", kind=b"text/html"),
    "empty": lambda _: http(b""),
    "null": lambda _: http(b"null"),
    "not-json": lambda _: http(b"{not json"),
    "twice": lambda _: http(b'{"code":"0","code":"0","data":{"value":"1"}}'),
    "nan": lambda _: http(b'{"code":"0","data":{"value":NaN}}'),
    "deep": lambda _: http(b"[" * 100_000 + b"]" * 100_000),
    "big-number": lambda _: http(b'{"code":"0","data":{"value":' + b"9" * 6000 + b"}}"),
    "trailing": lambda g: http(g + b"{}"),
    "bom": lambda g: http(b"\xef\xbb\xbf" + g),
    "utf-16": lambda g: http(g.decode().encode("utf-16")),
    "gbk-bytes": lambda _: http('{"code":"0","data":{"value":"余额"}}'.encode("gbk")),
    "mojibake": lambda _: http(b'{"code":"0","data":{"value":"\xff\xfe\xfd"}}'),
    "missing": lambda _: http(b'{"code":"0","data":{}}'),
    "renamed": lambda _: http(b'{"code":"0","data":{"wert":"1"}}'),
    "wrong-type": lambda _: http(b'{"code":"0","data":{"value":{"a":1}}}'),
    "list-10000": lambda _: http(orjson.dumps({"code": "0", "data": [{"v": i} for i in range(10_000)]})),
    "huge": lambda _: http(b'{"code":"0","data":"' + b"x" * (50 << 20) + b'"}'),
    "bomb": lambda _: http(_BOMB, headers=b"content-encoding: gzip\r\n"),
    "br": lambda _: http(b"xxxx", headers=b"content-encoding: br\r\n"),
    "double-gzip": lambda g: http(gzip.compress(gzip.compress(g)), headers=b"content-encoding: gzip, gzip\r\n"),
    "cut-gzip": lambda g: http(gzip.compress(g)[:-6], headers=b"content-encoding: gzip\r\n"),
    "two-lengths": lambda g: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n" + g,
    "length-and-chunked": lambda g: (
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(g)
    )
    + g
    + b"\r\n0\r\n\r\n",
    "header-200k": lambda g: http(g, headers=b"x-big: " + b"a" * 200_000 + b"\r\n"),
    "headers-5000": lambda g: http(g, headers=b"".join(b"x-%d: 1\r\n" % i for i in range(5000))),
    "header-crlf": lambda g: http(g, headers=b"x-a: 1\r\n\x00bad: 2\r\n"),
    "cookie": lambda g: http(g, headers=b"set-cookie: JSESSIONID=secret; Path=/\r\ncontent-security-policy: x\r\naccess-control-allow-origin: *\r\n"),
    "redirect-loopback": lambda _: http(b"", status=302, headers=b"location: http://127.0.0.1:22/\r\n"),
    "redirect-metadata": lambda _: http(b"", status=302, headers=b"location: http://169.254.169.254/\r\n"),
    "redirect-file": lambda _: http(b"", status=302, headers=b"location: file:///etc/passwd\r\n"),
    "redirect-loop": lambda _: http(b"", status=302, headers=b"location: /\r\n"),
    "html-in-text": lambda _: http(orjson.dumps({"code": "0", "data": {"value": "<script>alert(1)</script>"}})),
    "nonsense": lambda _: b"\x16\x03\x01 hello\r\n\r\n",
}  # fmt: skip

MISBEHAVIOURS = tuple(
    kind for kind in _PLAIN if kind not in {"bom", "cookie", "html-in-text", "1xx-flood"}
)
