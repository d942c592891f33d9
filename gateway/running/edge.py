"""The HTTP edge: uvicorn's httptools protocol with the limits that no Python server has.

Closed in time: a silent connection, a half-sent head, a half-sent body, a dripped one. Refused
while reading: two Host lines or none, names with an underscore (a proxy may read `X_User` as
`X-User`), too many or too large headers, long addresses, large bodies, upgrades. What is refused
gets a status line without a body and the connection ends; nothing more is read from it, because
what follows a refused head can be a smuggled request (RFC 9112 section 11.2).
"""

import asyncio
from typing import Any, Final

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS: Final = 5.0
BODY_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 15.0  # kept connection without a new request
MAX_HEADERS: Final = 64
MAX_HEAD_BYTES: Final = 16_384
MAX_TARGET_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 256 * 1024
MAX_QUERY_FIELDS: Final = 64


class Refused(Exception):
    """A request that is not read any further."""

    def __init__(self, status: int) -> None:
        self.status = status


class EdgeProtocol(HttpToolsProtocol):
    """One connection; `draining` is set for all when the worker is about to end."""

    draining = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._in_head = True
        self._raw_head = 0
        self._header_count = 0
        self._header_bytes = 0
        self._hosts = 0
        self._body_bytes = 0

    # --- connection -----------------------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._arm(HEAD_SECONDS)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            # httptools buffers a header name that never ends without calling back: count raw bytes.
            self._raw_head += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            inner = error.__context__
            self._refuse(inner.status if isinstance(inner, Refused) else 400)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400)
        else:
            if self._in_head and self._raw_head > MAX_HEAD_BYTES + MAX_TARGET_BYTES:
                self._refuse(431)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._refuse, 408)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int) -> None:
        self._refused = True
        self._disarm()
        if self.transport is None or self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:  # too late to answer: the peer must see a broken answer
                self.transport.abort()
                return
        self.transport.write(
            STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    # --- parser callbacks -----------------------------------------------------------------------

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._header_count = self._header_bytes = self._hosts = self._body_bytes = 0
        self._raw_head = 0
        self._arm(HEAD_SECONDS)

    @override
    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            raise Refused(414)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            raise Refused(431)
        if b"_" in name:
            raise Refused(400)
        lowered = name.lower()
        if lowered == b"host":
            self._hosts += 1
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEAD_BYTES:
            raise Refused(431)
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        if self._hosts != 1:
            raise Refused(400)
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise Refused(400)  # 505 in RFC 9110; bad input is never an error of ours
        if not self.url.startswith(b"/"):  # absolute-form, authority-form, asterisk-form
            raise Refused(400)
        query = self.url.partition(b"?")[2]
        if query.count(b"&") >= MAX_QUERY_FIELDS:
            raise Refused(414)
        self._in_head = False
        self._arm(BODY_SECONDS)
        super().on_headers_complete()
        if EdgeProtocol.draining:
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            raise Refused(413)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._disarm()
        self._in_head = True  # a kept connection: the next head is counted from here
        self._raw_head = 0
        super().on_message_complete()
