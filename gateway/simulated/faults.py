"""Faults of a department's API, as real as sockets allow, and the counting of calls.

They hold for the API paths only: a citizen can still open the department's pages. Where no socket
is there (apps mounted in memory), what needs one is said by an exception or an unending wait.
"""

import asyncio
import gzip
import io
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from typing import Final

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KINDS: Final = (
    "slow",
    "drip",
    "silent",
    "reset",
    "close",
    "500",
    "200-with-error",
    "wrong-charset",
    "truncated",
    "huge",
    "bomb",
    "redirect",
    "flapping",
)
MIB: Final = 1024 * 1024


@dataclass(slots=True)
class Fault:
    """One fault that holds at one department."""

    kind: str
    seconds: float | None = None
    until: float | None = None  # monotonic
    count: int = 0

    @property
    def over(self) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and monotonic() >= self.until


@dataclass(slots=True)
class Calls:
    """How often a department's API was called."""

    total: int = 0
    paths: dict[str, int] = field(default_factory=dict)
    cookies_returned: int = 0

    def add(self, scope: Scope) -> None:
        """Count one call."""
        self.total += 1
        key = f"{scope['method']} {scope['path']}"
        self.paths[key] = self.paths.get(key, 0) + 1
        self.cookies_returned += any(name == b"cookie" for name, _ in scope["headers"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, kept so that it can be spoiled."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@cache
def bomb() -> bytes:
    """128 MiB of spaces in about 130 kB."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as packed:
        for _ in range(128):
            packed.write(b" " * MIB)
    return out.getvalue()


class Faulty:
    """Counts a department's API calls and spoils their answers as the control says."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        system: str,
        prefixes: tuple[str, ...],
        faults: Mapping[str, Fault],
        calls: Calls,
        polite_error: Callable[[], Response],
        trap: Callable[[], str],
    ) -> None:
        """Wrap one department's app; `polite_error` is its own way to say "busy" with 200."""
        self.app = app
        self.system = system
        self.prefixes = prefixes
        self.faults = faults
        self.calls = calls
        self.polite_error = polite_error
        self.trap = trap

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(self.prefixes):
            await self.app(scope, receive, send)
            return
        self.calls.add(scope)
        fault = self.faults.get(self.system)
        if fault is None or fault.over:
            await self.app(scope, receive, send)
            return
        fault.count += 1
        await self._spoil(fault, scope, receive, send)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        kind = fault.kind
        if kind == "silent":
            await _until_gone(receive)
        elif kind in ("reset", "close"):
            await _hang_up(scope, receive, hard=kind == "reset")
        elif kind == "redirect":
            await RedirectResponse(self.trap(), 302)(scope, receive, send)
        elif kind == "200-with-error":
            await self.polite_error()(scope, receive, send)
        elif kind == "500" or (kind == "flapping" and fault.count % 2):
            text = "<html><body><h1>HTTP Status 500</h1><pre>java.lang.NullPointerException\n\tat cn.anlan.core.Dao.query(Dao.java:118)</pre></body></html>"
            await Response(text, 500, media_type="text/html")(scope, receive, send)
        elif kind == "huge":
            await _huge(send)
        elif kind == "bomb":
            packed = await asyncio.to_thread(bomb)
            headers = {"content-encoding": "gzip", "content-type": "application/json"}
            await Response(packed, 200, headers)(scope, receive, send)
        else:
            await self._bend(fault, scope, receive, send)

    async def _bend(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Faults that need the real answer first."""
        if fault.kind == "slow":
            await asyncio.sleep(5.0 if fault.seconds is None else fault.seconds)
        answer = await _answer_of(self.app, scope, receive)
        if fault.kind == "wrong-charset":
            answer = Answer(answer.status, answer.headers, _other_charset(answer.body))
        if fault.kind == "drip":
            await _drip(answer, send, 0.5 if fault.seconds is None else fault.seconds)
        elif fault.kind == "truncated":
            await _truncate(answer, scope, receive, send)
        else:
            await _send(answer, send)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    started: list[Message] = []
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    head = [(k, v) for k, v in started[0]["headers"] if k.lower() != b"content-length"]
    return Answer(started[0]["status"], head, bytes(body))


async def _start(answer: Answer, send: Send, length: int) -> None:
    headers = [*answer.headers, (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def _send(answer: Answer, send: Send) -> None:
    await _start(answer, send, len(answer.body))
    await send({"type": "http.response.body", "body": answer.body})


async def _drip(answer: Answer, send: Send, seconds: float) -> None:
    await _start(answer, send, len(answer.body))
    for n in range(len(answer.body)):
        await send(
            {"type": "http.response.body", "body": answer.body[n : n + 1], "more_body": True}
        )
        await asyncio.sleep(seconds)
    await send({"type": "http.response.body", "body": b""})


async def _huge(send: Send) -> None:
    """50 MB that begin like JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % (50 * MIB))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    part = b'{"code":"0000","pad":"' + b"0" * (MIB - 22)
    for _ in range(50):
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


async def _truncate(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Promise more bytes than come, then hang up."""
    half = answer.body[: max(1, len(answer.body) // 2)]
    transport = _transport(scope)
    if transport is None:
        await _start(answer, send, len(answer.body))
        await send({"type": "http.response.body", "body": half})
        return
    lines = [b"HTTP/1.1 %d OK" % answer.status]
    lines += [name + b": " + value for name, value in answer.headers]
    lines += [b"content-length: %d" % len(answer.body), b"connection: close", b"", b""]
    transport.write(b"\r\n".join(lines) + half)
    transport.close()
    await _until_gone(receive)


async def _hang_up(scope: Scope, receive: Receive, *, hard: bool) -> None:
    """Read the request, then end the connection: with RST, or with FIN and not one byte."""
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
    transport = _transport(scope)
    if transport is None:
        raise ConnectionResetError
    if hard:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport | None:
    found: asyncio.Transport | None = scope.get("extensions", {}).get("city.transport")
    return found


def _other_charset(body: bytes) -> bytes:
    """UTF-8 turned into GB18030 and the other way round, labels unchanged."""
    try:
        return body.decode("utf-8").encode("gb18030")
    except UnicodeDecodeError:
        return body.decode("gb18030").encode("utf-8")
