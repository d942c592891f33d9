"""The HTTP edge over raw sockets: what no Python server refuses by itself."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import guards
from gateway.errors import Malformed
from gateway.running import edge
from gateway.running.server import Server, configured

HOST = b"Host: localhost\r\n"


@dataclass
class Edge:
    """A server of the real protocol in front of an application that says what it was asked."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    def send(self, *pieces: bytes, seconds: float = 5.0, pause: float = 0.0) -> bytes:
        """Send pieces over one connection and read until it is closed or quiet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as raw:
            for piece in pieces:
                raw.sendall(piece)
                time.sleep(pause)
            raw.settimeout(0.6)
            found = b""
            try:
                while chunk := raw.recv(65_536):
                    found += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the form as the gateway does and answer with what it found."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        request = Request(scope, receive)
        self.asked.append(f"{request.method} {request.url.path}")
        try:
            form = await guards.read_form(request)
        except Malformed as error:
            response = Response(status_code=error.http_status)
        else:
            response = Response(repr(dict(form)))
        await response(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[Edge]:
    """One server for all of this file."""
    app = Edge()
    config = configured(app, drain_seconds=1)
    running = Server(config, beat=lambda _: None, clock=None)  # type: ignore[arg-type]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        app.port = listening.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(running.serve([listening])))
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield app
        running.should_exit = True
        thread.join(10)
    edge.EdgeProtocol.draining = False


@pytest.fixture
def at(server: Edge) -> Edge:
    """The server, with nothing asked yet."""
    server.asked.clear()
    return server


def status(answer: bytes) -> int:
    """The first answer's status; 0 where the connection was closed without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def test_an_honest_request_is_answered_and_the_connection_kept(at: Edge) -> None:
    """Two requests on one connection are two answers."""
    one = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = at.send(one, one.replace(b"/a", b"/b"), pause=0.05)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert at.asked == ["GET /a", "GET /b"]


SMUGGLING = {
    "cl-te": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "te-cl": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    "te-te": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "te-odd": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "te-space": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "te-tab": b"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
    "cl-twice": b"Content-Length: 0\r\nContent-Length: 30\r\n\r\n",
    "cl-list": b"Content-Length: 5, 5\r\n\r\nhello",
    "cl-sign": b"Content-Length: +5\r\n\r\nhello",
    "cl-hex": b"Content-Length: 0x5\r\n\r\nhello",
    "cl-minus": b"Content-Length: -1\r\n\r\n",
    "chunk-size": b"Transfer-Encoding: chunked\r\n\r\nZ\r\nhello\r\n0\r\n\r\n",
    "chunk-overflow": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
    "fold": b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "name-space": b"X y: a\r\n\r\n",
    "nul": b"X: a\x00b\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLING, ids=[f"B21-{k}" for k in SMUGGLING])
def test_two_readers_never_see_two_requests(at: Edge, kind: str) -> None:
    """An ambiguous length is one refusal and a closed connection; what follows is never read."""
    answer = at.send(b"POST /x HTTP/1.1\r\n" + HOST + SMUGGLING[kind])
    assert status(answer) in (0, 400, 501), answer
    assert answer.count(b"HTTP/1.1") <= 1
    assert not any("evil" in one for one in at.asked)
    assert b"connection: close" in answer.lower() or answer == b""


def test_what_follows_a_refusal_in_the_same_packet_is_not_read(at: Edge) -> None:
    """The request behind a refused one may have been smuggled."""
    bad = b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"
    answer = at.send(bad + b"GET /evil HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert at.asked == []


HOSTS = {
    "none": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two": (b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n", 400),
    "same-twice": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "absolute": (b"GET http://evil/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "authority": (b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "http-1.0-none": (b"GET / HTTP/1.0\r\n\r\n", 400),
    "http-0.9": (b"GET /\r\n\r\n", 400),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "http-1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400),
}


@pytest.mark.parametrize("kind", HOSTS, ids=[f"B22-{k}" for k in HOSTS])
def test_exactly_one_host_and_an_address_of_ours(at: Edge, kind: str) -> None:
    """No Host, two of them, or another form of target never reaches the application."""
    request, wanted = HOSTS[kind]
    found = status(at.send(request))
    assert found in (wanted, 400, 0)
    assert at.asked == []


LIMITS = {
    "header-200kB": (b"X: " + b"a" * 200_000 + b"\r\n", 431),
    "name-200kB": (b"X" * 200_000 + b": a\r\n", 431),
    "5000-headers": (b"".join(b"X-%d: a\r\n" % n for n in range(5000)), 431),
    "cookies": (b"".join(b"Cookie: a%d=b\r\n" % n for n in range(100)), 431),
    "underscore": (b"X_Forwarded_For: 1.2.3.4\r\n", 400),
}


@pytest.mark.parametrize("kind", LIMITS, ids=[f"B23-{k}" for k in LIMITS])
def test_too_much_head_is_refused_while_reading(at: Edge, kind: str) -> None:
    """Refused before the whole of it has come; the application never hears of it."""
    lines, wanted = LIMITS[kind]
    assert status(at.send(b"GET / HTTP/1.1\r\n" + HOST + lines + b"\r\n")) in (wanted, 0)
    assert at.asked == []


@pytest.mark.parametrize(
    ("target", "wanted"),
    [(b"/" + b"a" * 65_536, 414), (b"/?" + b"&".join(b"a=%d" % n for n in range(10_000)), 414),
     (b"/?" + b"&" * 64, 414)],
    ids=["B23-url", "B23-parameters", "B23-empty-parameters"],
)  # fmt: skip
def test_long_addresses_are_refused(at: Edge, target: bytes, wanted: int) -> None:
    """An address over 4 kB or with over 64 parameters is refused."""
    answer = at.send(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status(answer) in (wanted, 431, 0)
    assert at.asked == []


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize("kind", ["declared", "streamed", "chunked"],
                         ids=["B24-declared", "B24-streamed", "B24-chunked"])  # fmt: skip
def test_a_large_body_is_cut_at_the_limit(at: Edge, kind: str) -> None:
    """413 at 256 kB, however it is sent; memory never holds more."""
    head = b"POST /x HTTP/1.1\r\n" + HOST + FORM
    if kind == "chunked":
        pieces = [head + b"Transfer-Encoding: chunked\r\n\r\n"]
        pieces += [b"10000\r\n" + b"a" * 65_536 + b"\r\n"] * 8
    else:
        length = 10_000_000_000 if kind == "declared" else 400_000
        pieces = [head + b"Content-Length: %d\r\n\r\n" % length] + [b"a" * 65_536] * 6
    try:
        answer = at.send(*pieces)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""  # closed while we were still sending
    assert status(answer) in (413, 0)


FORMS = {
    "B27-none": (b"", b"a=b", 415),
    "B27-json": (b"Content-Type: application/json\r\n", b"{}", 415),
    "B27-multipart": (b"Content-Type: multipart/form-data; boundary=x\r\n", b"--x--", 415),
    "B27-text": (b"Content-Type: text/plain\r\n", b"a=b", 415),
    "B27-gzip": (FORM + b"Content-Encoding: gzip\r\n", b"\x1f\x8b", 415),
    "B27-utf-7": (FORM, b"a=+ADw-", 200),
    "B27-bytes": (FORM, b"a=\xff\xfe", 400),
    "B27-overlong": (FORM, b"a=%c0%af", 400),
    "B28-twice": (FORM, b"a=1&a=2", 400),
    "B28-many": (FORM, b"&".join(b"f%d=1" % n for n in range(65)), 400),
    "B28-list": (FORM, b"a[]=1&a[]=2", 200),
}


@pytest.mark.parametrize("kind", FORMS, ids=list(FORMS))
def test_forms_are_read_in_one_way_only(at: Edge, kind: str) -> None:
    """Another type, a coded body, a field twice: refused, never guessed at."""
    headers, body, wanted = FORMS[kind]
    length = b"Content-Length: %d\r\n" % len(body)
    assert (
        status(at.send(b"POST /x HTTP/1.1\r\n" + HOST + headers + length + b"\r\n" + body))
        == wanted
    )


def test_upgrades_are_ignored(at: Edge) -> None:
    """A websocket or h2c upgrade gets a plain refusal or a plain answer, never a switch."""
    for name in (b"websocket", b"h2c"):
        request = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: " + name
        answer = at.send(request + b"\r\n\r\n")
        assert status(answer) != 101


def test_nothing_tells_what_runs_here(at: Edge) -> None:
    """No banner, neither with an answer nor with a refusal (B96)."""
    for request in (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00\r\n"):
        answer = at.send(request).lower()
        assert b"server:" not in answer
        assert b"uvicorn" not in answer


@pytest.mark.parametrize("kind", ["silent", "head", "body", "drip"],
                         ids=["B32-silent", "B32-head", "B32-body", "B32-drip"])  # fmt: skip
def test_half_sent_requests_end_in_time(
    at: Edge, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Silent, half a head, half a body, a byte at a time: 408 and closed, honest ones go on."""
    monkeypatch.setattr(edge, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.4)
    head = b"POST /x HTTP/1.1\r\n" + HOST + FORM
    pieces = {
        "silent": [b""],
        "head": [head],
        "body": [head + b"Content-Length: 100\r\n\r\nabc"],
        "drip": [head + b"Content-Length: 100\r\n\r\n", *[b"a"] * 12],
    }[kind]
    began = time.monotonic()
    try:
        answer = at.send(*pieces, pause=0.06 if kind == "drip" else 0)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert status(answer) in (408, 0)
    assert time.monotonic() - began < 2.5
    assert status(at.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")) == 200


def test_many_slow_ones_do_not_keep_an_honest_one_out(at: Edge) -> None:
    """Two hundred half-sent heads stand open; the next request is answered at once (P13)."""
    slow = [socket.create_connection(("127.0.0.1", at.port)) for _ in range(200)]
    try:
        for raw in slow:
            raw.sendall(b"GET / HTTP/1.1\r\nX: ")
        began = time.monotonic()
        assert status(at.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")) == 200
        assert time.monotonic() - began < 2
    finally:
        for raw in slow:
            raw.close()
