"""The only way out: one department's own connections, with everything closed that is not needed.

No cookies, redirects, environment proxies or silent repeats; hosts, ports and the address connected
to are checked; headers, raw and decoded bytes and the whole time are capped; gzip is the only coding.
Each failure is a `NoAnswer` that says whether the department can have seen the request.
"""

import contextlib
import socket
import ssl
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx
import yarl
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from typing_extensions import override

from gateway.clock import Clock
from gateway.hosting import addresses
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.outcome import Reason
from gateway.hosting.resolving import Resolver

MAX_BODY: Final = 1 << 20
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32_768
KEEP_ALIVE: Final = 15.0
_OWN: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")  # not aiohttp's
_HOP: Final = frozenset(
    [
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "set-cookie",
        "set-cookie2",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_ATTEMPT: ContextVar["_Attempt"] = ContextVar("attempt")


@dataclass(slots=True)
class _Attempt:
    """What is known of one request while it runs; set where aiohttp says it only by wrapped text."""

    refused: str = ""  # an address that may not be used
    secure: bool = False  # TLS begins before anything is sent
    sent: Sent = Sent.NO


class _Refused(OSError):
    """The socket was not made: the address is not one this department may use."""


class _Request(ClientRequest):
    """Notes the moment from which a request may have been seen."""

    @override
    async def send(self, conn: Connection) -> ClientResponse:
        attempt = _ATTEMPT.get(None)
        if attempt is not None and self.method != "CONNECT":
            attempt.sent = Sent.MAYBE
        return await super().send(conn)


@dataclass(frozen=True, slots=True)
class Received:
    """A department's answer as bytes, decompressed; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Way:
    """Where one department may be reached and how; equal ways can share connections."""

    hosts: frozenset[tuple[str, int]]  # nothing else is ever called
    networks: tuple[str, ...] = ()  # private networks granted to it by name
    loopback: bool = False  # profiles demo and test only
    proxy: str | None = None  # an explicit forward proxy, "http://host:port"
    connections: int = 8
    connect_seconds: float = 1.0
    max_body: int = MAX_BODY
    tls: ssl.SSLContext | None = field(default=None, compare=False)


def tls_context(
    *, ca: str | None = None, certificate: bytes | None = None, key: bytes | None = None
) -> ssl.SSLContext:
    """Verified TLS 1.2 or newer; `ca` (PEM) replaces the system's authorities, the rest is ours.

    Raises:
        ValueError: something is no PEM, or key and certificate do not belong together.
    """
    from gateway.hosting.pem import load_pair  # noqa: PLC0415 - few departments need files for it

    try:
        context = ssl.create_default_context(cadata=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            load_pair(context, certificate, key)
    except ssl.SSLError as error:
        raise ValueError(f"TLS material does not load: {error.reason}") from None
    return context


class Outbound:
    """Connections to one department (or identity provider); close with `await close()`.

    `hosts` lists the allowed (host, port) pairs; see `Way` for the rest.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        hosts: Collection[tuple[str, int]],
        networks: Sequence[str] = (),
        loopback: bool = False,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        way: Way | None = None,
    ) -> None:
        self._clock = clock
        self.way = way or Way(
            frozenset((host.lower(), port) for host, port in hosts),
            tuple(networks),
            loopback,
            tls=tls,
        )
        self._granted = addresses.networks(self.way.networks)
        self._resolver = resolver
        self._own_resolver = resolver is None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, request: httpx.Request, *, seconds: float) -> httpx.Response:
        """Send one request in httpx's words; its headers and body go out exactly as they are.

        Raises:
            NoAnswer: there was none that can be used.
        """
        skipped = (b"host", b"content-length", b"cookie", b"connection")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.headers.raw
            if name.lower() not in skipped
        ]
        got = await self.exchange(
            request.method, str(request.url), headers, request.read(), seconds=seconds
        )
        return httpx.Response(got.status, headers=got.headers, content=got.body, request=request)

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        seconds: float,
    ) -> Received:
        """Send one request; `url` goes out byte for byte.

        Raises:
            NoAnswer: there was none that can be used.
        """
        target = self._allowed(url)
        attempt = _Attempt(secure=target.scheme == "https")
        token = _ATTEMPT.set(attempt)
        try:
            async with self._clock.within(seconds):
                return await self._exchange(method, target, headers, body, attempt)
        except NoAnswer:
            raise
        except TimeoutError:
            raise _late(attempt) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise no_answer(
                error, attempt.sent, refused=attempt.refused, secure=attempt.secure
            ) from None
        finally:
            _ATTEMPT.reset(token)

    def _allowed(self, url: str) -> yarl.URL:
        """The address as aiohttp will use it: checked by the parser that connects."""
        try:
            target = yarl.URL(url, encoded=True)
            pair = ((target.raw_host or "").lower(), target.port)
        except ValueError:
            raise NoAnswer(Reason.REFUSED_ADDRESS, Sent.NO, "no address") from None
        if target.scheme not in ("http", "https") or pair not in self.way.hosts:
            host = f"{pair[0][:80]}:{pair[1]}"
            raise NoAnswer(Reason.REFUSED_ADDRESS, Sent.NO, f"{host} is not in `network`")
        if target.raw_user is not None or target.raw_password is not None:
            raise NoAnswer(Reason.REFUSED_ADDRESS, Sent.NO, "user information in the address")
        return target

    async def _exchange(
        self,
        method: str,
        target: yarl.URL,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        attempt: _Attempt,
    ) -> Received:
        async with self._opened().request(
            method,
            target,
            headers=[("Accept-Encoding", "gzip"), *_without(headers, "accept-encoding")],
            data=body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.way.connect_seconds),
        ) as answer:
            attempt.sent = Sent.YES
            return await self._read(answer)  # what is not read to its end is closed

    async def _read(self, answer: aiohttp.ClientResponse) -> Received:
        """Head and body within their caps."""
        size = sum(len(name) + len(value) for name, value in answer.raw_headers)
        if size > MAX_HEADER_BYTES or len(answer.raw_headers) > MAX_HEADERS:
            raise NoAnswer(Reason.TOO_BIG, Sent.YES, "too many headers")
        if answer.status < 200:  # noqa: PLR2004 - interim answers; 101 would never end
            raise NoAnswer(Reason.CONTRACT, Sent.YES, f"status {answer.status}")
        _one_length(answer, self.way.max_body)
        coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip"):
            raise NoAnswer(Reason.CONTRACT, Sent.YES, f"content coding {coding[:20]!a}")
        body = await self._body(answer, packed=coding == "gzip")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in answer.raw_headers
        }
        kept = {name: value for name, value in headers.items() if name not in _HOP}
        return Received(answer.status, kept, body)

    async def _body(self, answer: aiohttp.ClientResponse, *, packed: bool) -> bytes:
        """The body, decompressed piece by piece so that a bomb stops at the cap."""
        cap = self.way.max_body
        unpack = zlib.decompressobj(31) if packed else None
        parts: list[bytes] = []
        raw = size = 0
        async for chunk in answer.content.iter_any():
            raw += len(chunk)
            rest = chunk
            while rest and size <= cap:
                part = rest if unpack is None else unpack.decompress(rest, cap - size + 1)
                rest = b"" if unpack is None or unpack.eof else unpack.unconsumed_tail
                parts.append(part)
                size += len(part)
            if raw > cap or size > cap:
                raise NoAnswer(Reason.TOO_BIG, Sent.YES, f"more than {cap} bytes")
        if unpack is not None and raw and not unpack.eof:
            raise NoAnswer(Reason.CONTRACT, Sent.YES, "gzip is cut off")
        return b"".join(parts)

    def _opened(self) -> aiohttp.ClientSession:
        """The session, made at the first request: it belongs to the running loop."""
        if self._closed:
            raise NoAnswer(Reason.UNREACHABLE, Sent.NO, "the department was closed here")
        if self._session is None:
            if self._resolver is None:
                self._resolver = Resolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self.way.connections,
                    ssl=self.way.tls or True,
                    resolver=_Borrowed(self._resolver),
                    socket_factory=self._socket,
                    keepalive_timeout=KEEP_ALIVE,
                    ttl_dns_cache=10,
                ),
                request_class=_Request,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                proxy=self.way.proxy,
                auto_decompress=False,
                max_line_size=4096,
                max_field_size=8190,
                skip_auto_headers=_OWN,
            )
            # aiohttp repeats a GET by itself when a kept connection was closed; we decide that
            self._session._retry_connection = False  # noqa: SLF001 - there is no public switch
        return self._session

    def _socket(self, where: Any) -> socket.socket:
        """A socket for the very address that is connected to next, IP literals included."""
        family, kind, protocol, _, address = where
        attempt = _ATTEMPT.get(None)
        if not addresses.reachable(str(address[0]), self._granted, loopback=self.way.loopback):
            if attempt is not None:
                attempt.refused = str(address[0])
            raise _Refused("address refused")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Close every connection; requests that run end as `NoAnswer`."""
        self._closed = True
        if self._session is not None:
            with contextlib.suppress(OSError):
                await self._session.close()
        if self._own_resolver and self._resolver is not None:
            await self._resolver.close()


class _Borrowed(Resolver):
    """A resolver that others use too: closing one department must not close it."""

    def __init__(self, lender: Resolver) -> None:
        self._threads = lender._threads  # noqa: SLF001 - the same class

    @override
    async def close(self) -> None:
        """Nothing: the lender closes it."""


def _without(headers: Sequence[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [pair for pair in headers if pair[0].lower() != name]


def _one_length(answer: aiohttp.ClientResponse, cap: int) -> None:
    """Refuse an answer whose end two headers put at two places, or that announces too much."""
    lengths = answer.headers.getall("Content-Length", [])
    if len(lengths) > 1 or (lengths and "Transfer-Encoding" in answer.headers):
        raise NoAnswer(Reason.CONTRACT, Sent.YES, "two lengths")
    if answer.content_length is not None and answer.content_length > cap:
        raise NoAnswer(Reason.TOO_BIG, Sent.YES, f"more than {cap} bytes")


def _late(attempt: _Attempt) -> NoAnswer:
    """The deadline passed: where it found us decides what is known."""
    where = {
        Sent.NO: "no connection in time",
        Sent.MAYBE: "no answer in time",
        Sent.YES: "the answer did not end in time",
    }
    return NoAnswer(Reason.TIMEOUT, attempt.sent, where[attempt.sent])


def no_answer(error: Exception, sent: Sent, *, refused: str = "", secure: bool = False) -> NoAnswer:
    """Any exception of aiohttp or the system in our words; never with a value of the request."""
    kind = type(error).__name__
    tls = isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch)
    # who speaks only an older TLS hangs up in the middle of the handshake
    hung_up = secure and sent is Sent.NO and isinstance(_cause(error), ConnectionResetError)
    if tls or hung_up or isinstance(error, ssl.SSLError):
        return NoAnswer(Reason.SECURE_LINK, sent, kind)
    if refused and sent is Sent.NO and isinstance(error, OSError):
        return NoAnswer(Reason.REFUSED_ADDRESS, Sent.NO, f"address {refused} is not allowed")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL | ValueError):
        # the parser's errors come before a response object, so the flag still says maybe
        seen = Sent.YES if sent is Sent.MAYBE else sent
        return NoAnswer(Reason.CONTRACT, seen, f"not HTTP as agreed: {kind}")
    return NoAnswer(Reason.UNREACHABLE, sent, kind)


def _cause(error: Exception) -> BaseException | None:
    """What aiohttp wrapped when a connection did not come about."""
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
