"""What a code plugin asks for, sent by the worker: `Asked` to `Reply`, with no secret in between."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from gateway.contract.failure import CallOwner
from gateway.contract.hooks import Asked, Reply
from gateway.hosting import draft as drafts
from gateway.hosting.draft import Charset, Draft, Pair
from gateway.hosting.failures import BadCredentials, NoAnswer
from gateway.hosting.outbound import Received
from gateway.hosting.recipes.decode import decoded
from gateway.hosting.recipes.program import Exchange

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SHOWN: Final = ("content-type", "retry-after", "date")
MAX_PATH: Final = 2000
MAX_REQUESTS: Final = 20  # of one ask
_PROOF: Final = ("authorization",)


class Broker:
    """The way out for one ask of a code plugin; it remembers why a request got no answer."""

    def __init__(self, exchange: Exchange, charset: Charset, left: Callable[[], float]) -> None:
        self._exchange = exchange
        self._charset = charset
        self._left = left
        self._sent = 0
        self.last: NoAnswer | BadCredentials | None = None

    async def __call__(self, asked: Asked) -> Reply:
        """Send one request.

        Raises:
            TryAgain, CallOwner: as the transport found.
        """
        self._sent += 1
        if self._sent > MAX_REQUESTS:
            raise CallOwner(what=f"more than {MAX_REQUESTS} requests for one card")
        draft = draft_of(asked, self._charset)
        try:
            got = await self._exchange("code", draft, self._left())
        except NoAnswer as error:
            self.last = error
            raise error.as_failure() from None
        if got.status in (401, 403):
            self.last = BadCredentials(what=f"status {got.status}: it refuses our credentials")
        else:
            self.last = None
        return reply(got, self._charset)


def reply(got: Received, charset: Charset) -> Reply:
    """An answer as a code plugin sees it: decoded, with three headers; raises `WrongEncoding`."""
    text = decoded(got.body, charset, got.headers.get("content-type", "")) if got.body else ""
    headers = {name: got.headers[name] for name in SHOWN if name in got.headers}
    return Reply(got.status, headers, text)


def draft_of(asked: Asked, charset: Charset) -> Draft:
    """A code plugin's request, checked: it may choose a path below the base and nothing else.

    Raises:
        CallOwner: a method, path, header or body that may not be sent.
    """
    if asked.method not in METHODS:
        raise CallOwner(what="a method that may not be sent")
    path = asked.path
    if not path.startswith("/") or path.startswith("//") or len(path) > MAX_PATH:
        raise CallOwner(what="a path begins with one slash and is short")
    if not path.isprintable() or any(letter in path for letter in "?#\\"):
        raise CallOwner(what="a path holds no query, fragment or backslash")
    headers = [drafts.header(name, value) for name, value in asked.headers.items()]
    if any(name.lower() in _PROOF for name, _ in headers):
        raise CallOwner(what="credentials are the gateway's to add")
    extra, body = _body(asked, charset)
    idempotent = asked.idempotent
    made = Draft(
        method=asked.method,
        path=drafts.straight(quote(path, safe="/%:@!$&'()*+,;=~-._")),
        query=_query(asked.query, charset),
        headers=tuple(extra),
        body=body,
        idempotent=asked.method in ("GET", "HEAD") if idempotent is None else idempotent,
    )
    return made.having(*headers)


def _query(query: Mapping[str, str], charset: Charset) -> tuple[Pair, ...]:
    return tuple((drafts.quoted(k, charset), drafts.quoted(v, charset)) for k, v in query.items())


def _body(asked: Asked, charset: Charset) -> tuple[list[Pair], bytes]:
    bodies = [asked.json is not None, asked.form is not None, asked.text is not None]
    if sum(bodies) > 1:
        raise CallOwner(what="at most one of json, form, text")
    if asked.json is not None:
        return [("Content-Type", "application/json")], drafts.json_body(asked.json)
    if asked.form is not None:
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        return [kind], drafts.form_body(asked.form, charset)
    if asked.text is not None:
        encoded = asked.text.encode(drafts.encoding(charset))
        return [drafts.content_type("text/plain", charset)], encoded
    return [], b""
