"""What an identity provider publishes about itself: metadata and keys, fetched, checked, kept.

Both are kept for an hour. A key that is not known is looked for at once, but only a few times a
minute, so that nobody makes us flood a provider. Where it does not answer, what is known serves on
for a day; where it answers what it must not, nothing of it is used.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
import structlog

from gateway.clock import Clock
from gateway.contract.strict_json import loads
from gateway.hosting.failures import NoAnswer
from gateway.sso.verify import PublicKey, read_keys

T = TypeVar("T")

SECONDS: Final = 3.0  # for one call
FRESH_SECONDS: Final = 3600.0
STALE_SECONDS: Final = 86_400.0
RENEWALS: Final = 3  # a minute
PAUSE_SECONDS: Final = 1.0  # after a failure, before it is asked again
MAX_KEYS: Final = 50
_JSON: Final = ("application/json", "application/jwk-set+json")
_log = structlog.get_logger(__name__)


class Sends(Protocol):
    """What goes out; `gateway.hosting.outbound.Outbound` is one."""

    async def send(self, request: httpx.Request, *, seconds: float) -> httpx.Response:
        """Send one request; raises `NoAnswer`."""
        ...


class UpstreamAway(Exception):
    """The identity provider did not answer."""


class UpstreamWrong(Exception):
    """It answered what it must not; the text is ours and holds nothing of the answer."""


async def ask(way: Sends, request: httpx.Request) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer.

    Raises:
        UpstreamAway: no answer.
        UpstreamWrong: not a JSON object by type and content.
    """
    try:
        answer = await way.send(request, seconds=SECONDS)
    except NoAnswer as error:
        _log.info("upstream.no_answer", reason=error.reason, what=error.what)
        raise UpstreamAway(error.what) from None
    if answer.status_code >= 500:  # noqa: PLR2004 - the server's own trouble
        raise UpstreamAway("server error")
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON:
        raise UpstreamWrong("not JSON by its type")
    try:
        read = loads(answer.content.decode("utf-8"))
    except ValueError:
        raise UpstreamWrong("not JSON") from None
    if not isinstance(read, dict):
        raise UpstreamWrong("not a JSON object")
    return answer.status_code, read


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of a discovery document that we use."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str  # "": none
    end_session_endpoint: str  # "": none
    says_issuer: bool  # `iss` stands in every answer of its authorization endpoint (RFC 9207)


class Kept(Generic[T]):
    """A value that is fetched by one caller for all, and kept for a while."""

    def __init__(self, clock: Clock, fetch: Callable[[], Awaitable[T]]) -> None:
        self._clock = clock
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._at = 0.0
        self._failure: UpstreamAway | UpstreamWrong | None = None
        self._failed = 0.0
        self._renewed: deque[float] = deque(maxlen=RENEWALS)

    async def get(self) -> T:
        """The value; an old one where the provider is away.

        Raises:
            UpstreamAway: it was never had, or is older than a day.
            UpstreamWrong: what was fetched must not be used.
        """
        now = self._clock.monotonic()
        if self._value is not None and now - self._at < FRESH_SECONDS:
            return self._value
        async with self._lock:
            return await self._under_lock()

    async def _under_lock(self) -> T:
        now = self._clock.monotonic()
        if self._value is not None and now - self._at < FRESH_SECONDS:
            return self._value  # somebody else has just fetched it
        if self._failure is None or now - self._failed >= PAUSE_SECONDS:
            await self._try()
        stale = self._value is not None and now - self._at < STALE_SECONDS
        if self._failure is not None and not (stale and isinstance(self._failure, UpstreamAway)):
            raise self._failure
        assert self._value is not None  # noqa: S101 - fetched, or stale
        return self._value

    async def _try(self) -> None:
        """Fetch it; how that went is noted, and holds for a moment."""
        try:
            self._value = await self._fetch()
            self._at = self._clock.monotonic()
            self._failure = None
        except (UpstreamAway, UpstreamWrong) as error:
            self._failure, self._failed = error, self._clock.monotonic()

    async def renew(self) -> bool:
        """Fetch it anew because something in it is missing; False: not now, too often already.

        Raises:
            UpstreamAway: no answer.
            UpstreamWrong: what was fetched must not be used.
        """
        async with self._lock:
            now = self._clock.monotonic()
            if len(self._renewed) == RENEWALS and now - self._renewed[0] < 60:  # noqa: PLR2004
                return False
            self._renewed.append(now)
            await self._try()
            if self._failure is not None:
                raise self._failure
            return True


class Discovery:
    """Metadata and keys of one provider."""

    def __init__(
        self, issuer: str, hosts: frozenset[tuple[str, int]], way: Sends, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._hosts = hosts
        self._way = way
        self._metadata = Kept(clock, self._fetch_metadata)
        self._keys = Kept(clock, self._fetch_keys)

    async def metadata(self) -> Metadata:
        """What it says of itself; raises `UpstreamAway`, `UpstreamWrong`."""
        return await self._metadata.get()

    async def keys(self) -> tuple[PublicKey, ...]:
        """Its keys; raises `UpstreamAway`, `UpstreamWrong`."""
        return await self._keys.get()

    async def renewed_keys(self) -> tuple[PublicKey, ...] | None:
        """Its keys fetched anew, None when that was done too often within a minute."""
        return await self._keys.get() if await self._keys.renew() else None

    async def _fetch_metadata(self) -> Metadata:
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        status, read = await ask(self._way, httpx.Request("GET", address))
        if status != 200:  # noqa: PLR2004
            raise UpstreamWrong("discovery: status")
        # Exactly: one slash more is another issuer (mix-up, ASVS 10.5.3).
        if read.get("issuer") != self._issuer:
            raise UpstreamWrong("discovery: another issuer")
        return Metadata(
            authorization_endpoint=self._endpoint(read, "authorization_endpoint"),
            token_endpoint=self._endpoint(read, "token_endpoint"),
            jwks_uri=self._endpoint(read, "jwks_uri"),
            userinfo_endpoint=self._endpoint(read, "userinfo_endpoint", needed=False),
            end_session_endpoint=self._endpoint(read, "end_session_endpoint", needed=False),
            says_issuer=read.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, read: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
        value = read.get(name)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise UpstreamWrong(f"discovery: {name}")
        try:
            parts = urlsplit(value)
            pair = host_and_port(value)
        except ValueError:
            raise UpstreamWrong(f"discovery: {name}") from None
        if (
            parts.scheme != urlsplit(self._issuer).scheme
            or pair not in self._hosts
            or parts.fragment
            or parts.username is not None
        ):
            raise UpstreamWrong(f"discovery: {name} is elsewhere")
        return value

    async def _fetch_keys(self) -> tuple[PublicKey, ...]:
        metadata = await self.metadata()
        status, read = await ask(self._way, httpx.Request("GET", metadata.jwks_uri))
        rows = read.get("keys")
        if status != 200 or not isinstance(rows, list) or len(rows) > MAX_KEYS:  # noqa: PLR2004
            raise UpstreamWrong("keys")
        return read_keys(rows)


def host_and_port(address: str) -> tuple[str, int]:
    """The host and port that an http(s) address is served at.

    Raises:
        ValueError: it is no such address.
    """
    parts = urlsplit(address)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if usual is None or not parts.hostname:
        raise ValueError("not an http(s) address")
    return parts.hostname, parts.port or usual
