"""Signing in: sent over to an identity provider, back with a code, in with a session.

What was begun is kept sealed under `login:<h>` for ten minutes, bound to the browser, and taken out
once, whoever asks. Whatever goes wrong on the way is a `Stopped` with words of its own.
"""

import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson
import structlog
from sqlalchemy.engine import Connection

from gateway.clock import Clock
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId
from gateway.errors import NotFound, TooMany
from gateway.settings import Upstream
from gateway.sso.citizens import NotActive, find_or_make
from gateway.sso.kept import pack, unpack
from gateway.sso.levels import reaches
from gateway.sso.paths import own_path
from gateway.sso.rates import Rates
from gateway.sso.session import Sessions
from gateway.sso.stopped import Stopped
from gateway.sso.upstream import Begun, Identity, Provider
from gateway.store.away import Away
from gateway.store.ids import digest, new_token
from gateway.store.sealing import BadSeal, Keys
from gateway.store.volatile import Volatile

PROMPTS: Final = frozenset({"login", "select_account", "none"})
MINUTES: Final = 10  # that she may take over there
PER_MINUTE: Final = 300  # begun from one address: a whole neighbourhood may stand behind one
_TOKEN: Final = 43  # characters of 256 bits in base64url
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """She is in: the token goes into the cookie, the browser to `next_path`."""

    token: str
    next_path: str
    citizen: Citizen


@dataclass(frozen=True, slots=True)
class _Login:
    """One sign-in on its way."""

    upstream: str
    browser: str  # digest
    next_path: str
    level: int | None
    begun: Begun


class SignIn:
    """Begins and finishes sign-ins with the providers of this installation."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        sessions: Sessions,
        volatile: Volatile,
        keys: Keys,
        clock: Clock,
        max_age_hours: int = 12,
    ) -> None:
        """`max_age_hours`: how long ago she may have proved herself over there."""
        self._providers = providers
        self._sessions = sessions
        self._volatile = volatile
        self._keys = keys
        self._clock = clock
        self._max_age = max_age_hours * 3600
        self._rates = Rates(volatile, clock)

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """The providers to choose from, in the order of the settings."""
        return tuple(provider.upstream for provider in self._providers.values())

    def able(self, level: int | None) -> tuple[Upstream, ...]:
        """Those of them that can vouch for a level."""
        return tuple(one for one in self.upstreams if level is None or reaches(one, level))

    async def begin(
        self,
        upstream: str,
        *,
        browser: str,
        next_path: str = "/",
        level: int | None = None,
        prompt: str | None = None,
        peer: str = "",
    ) -> str:
        """The provider's address to send this browser to; `peer`: what it is counted by.

        Raises:
            NotFound: no such provider.
            Stopped: it is away or wrong, or cannot vouch for that level at all.
            TooMany: too many sign-ins were begun from there within a minute.
            Away: the store is away; she cannot sign in now.
        """
        provider = self._provider(upstream)
        await self._spare(peer)
        path = own_path(next_path)
        if level is not None and not reaches(provider.upstream, level):
            raise Stopped("too_low", "never offered", next_path=path, level=level)
        begun = Begun(
            nonce=new_token(),
            verifier=new_token(),
            at=self._clock.now() // 1_000_000,
            max_age=0 if prompt == "login" else self._max_age,
        )
        state = new_token()
        try:
            address = await provider.address(
                begun, state=state, level=level, prompt=prompt if prompt in PROMPTS else ""
            )
        except Stopped as stopped:
            raise stopped.of(path, level) from None
        login = _Login(upstream, digest(browser), path, level, begun)
        name = _name(state)
        sealed = self._keys.volatile.seal(orjson.dumps(asdict(login)), aad=name.encode())
        until = self._clock.now() + MINUTES * 60_000_000
        await self._volatile.ask(("SET", name, pack(until, sealed)))
        return address

    async def _spare(self, peer: str) -> None:
        """What is begun is kept for minutes: nobody fills the store with it."""
        if not peer:
            return
        if wait := await self._rates.wait("signin", peer, most=PER_MINUTE, seconds=60):
            raise TooMany(detail="sign-ins begun", headers={"Retry-After": str(wait)})

    async def finish(
        self,
        upstream: str,
        query: Mapping[str, str],
        *,
        browser: str,
        old: str | None,
        device: str = "",
    ) -> Arrived:
        """Take in who comes back; `old` is the session token that the browser had.

        Raises:
            NotFound: no such provider.
            Stopped: she is not in; says why.
            Away, LedgerAway: a store is away; she is not in.
        """
        provider = self._provider(upstream)
        login = await self._taken_out(query.get("state", ""), upstream, browser)
        try:
            code = await provider.check_answer(query)
            who = await provider.identify(code, login.begun)
            return await self._enter(upstream, who, login, old, device)
        except Stopped as stopped:
            _log.info("signin.stopped", upstream=upstream, reason=stopped.reason, why=stopped.why)
            raise stopped.of(login.next_path, login.level) from None

    async def _taken_out(self, state: str, upstream: str, browser: str) -> _Login:
        """What was begun, once."""
        if len(state) != _TOKEN or not state.isascii():
            raise Stopped("spent", "state")
        name = _name(state)
        (raw,) = await self._volatile.ask(("GETDEL", name))
        if raw is None:
            raise Stopped("spent", "state")
        login = self._opened(raw, name)
        # Before anything else: an address that somebody sends around signs nobody in (login CSRF).
        if not hmac.compare_digest(login.browser, digest(browser)):
            raise Stopped("other_browser", "browser")
        if login.upstream != upstream:
            raise Stopped("refused", "another upstream", next_path=login.next_path)
        if unpack(raw, self._clock.now()) is None:
            raise Stopped("expired", "too late", next_path=login.next_path)
        return login

    def _opened(self, raw: bytes, name: str) -> _Login:
        sealed = unpack(raw, 0)  # an expired one still knows where she wanted to go
        if sealed is None:
            raise Stopped("spent", "format")
        try:
            read: dict[str, Any] = orjson.loads(self._keys.volatile.open(sealed, aad=name.encode()))
        except BadSeal:
            raise Stopped("spent", "unreadable") from None
        return _Login(**(read | {"begun": Begun(**read["begun"])}))

    async def _enter(
        self, upstream: str, who: Identity, login: _Login, old: str | None, device: str
    ) -> Arrived:
        if login.level is not None and who.level < login.level:
            raise Stopped("too_low", "acr")

        def find(connection: Connection) -> CitizenId:
            return find_or_make(connection, self._keys, self._clock, upstream=upstream, sub=who.sub)

        try:
            opened = await self._sessions.enter(
                find, level=who.level, upstream=upstream, told=who.told, old=old, device=device
            )
        except NotActive:
            raise Stopped("not_active") from None
        return Arrived(opened.token, login.next_path, opened.citizen)

    async def farewell(self, citizen: Citizen) -> str:
        """Where this citizen's browser can be signed out at her provider too; "": nowhere.

        Ask before her session is ended: the proof of who leaves is kept with it.
        """
        provider = self._providers.get(citizen.upstream)
        if provider is None:
            return ""
        try:
            return await provider.end_session(await self._sessions.hint(citizen))
        except (Stopped, Away):
            return ""

    def _provider(self, upstream: str) -> Provider:
        provider = self._providers.get(upstream)
        if provider is None:
            raise NotFound(detail="no such identity provider")
        return provider


def _name(state: str) -> str:
    return f"login:{digest(state)}"
