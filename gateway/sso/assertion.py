"""How a department's server proves itself: private_key_jwt (RFC 7523) by its registered key.

The keys are those of the live generation, so a key that was withdrawn by a publish proves nothing
any more. Everything that the assertion says besides its signature is compared exactly.
"""

import asyncio
import math
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.clock import Clock
from gateway.contract.ids import ServiceId
from gateway.contract.strict_json import loads
from gateway.errors import NotSignedIn
from gateway.registry.entry import Entry
from gateway.registry.generation import Generation
from gateway.sso.onetime import OneTime
from gateway.sso.visitor import DepartmentServer
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REDEEM: Final = "/api/v1/tickets/redeem"
# Asymmetric ones only: with HS256 a public key would be the secret, and "none" proves nothing.
ALGORITHMS: Final[Mapping[str, type[ECKey | RSAKey]]] = {
    "ES256": ECKey,
    "PS256": RSAKey,
    "RS256": RSAKey,
}
_HEADER: Final = frozenset({"alg", "kid", "typ"})  # no jwk, jku, x5u, x5c, crit
_TYPES: Final = ("JWT", "client-authentication+jwt")
_MAX_CHARACTERS: Final = 4096
_MAX_JTI: Final = 128
_LONGEST: Final = 300.0  # seconds that an assertion may be good for
_LEEWAY: Final = 30.0  # clocks of departments are not ours
_MICRO: Final = 1_000_000
_PARTS: Final = 3
_log = structlog.get_logger(__name__)


class Assertions:
    """Checks assertions; `prove` is what `guards.Doorkeeper` takes."""

    def __init__(
        self,
        *,
        volatile: Volatile,
        keys: Keys,
        clock: Clock,
        origin: str,
        live: Callable[[], Generation],
    ) -> None:
        """`origin`: this gateway's public address, from which the exact audience is made."""
        self._once = OneTime("jti", volatile=volatile, sealer=keys.volatile, clock=clock)
        self._clock = clock
        self._audience = origin + REDEEM
        self._live = live
        self._clients: tuple[str, dict[str, ServiceId]] = ("", {})
        self._listing = asyncio.Lock()

    async def prove(self, form: Mapping[str, str]) -> DepartmentServer:
        """Which department's server sent this form.

        Raises:
            NotSignedIn: none that can be proved; the detail, for the log only, says why.
            Away: it cannot be told whether the assertion was used before.
        """
        text = form.get("client_assertion", "")
        if form.get("client_assertion_type") != ASSERTION_TYPE or not text:
            _refuse("missing")
        if len(text) > _MAX_CHARACTERS:
            _refuse("too long")
        header, claims = _read(text)
        client = claims.get("iss")
        if not isinstance(client, str) or claims.get("sub") != client:
            _refuse("iss and sub")
        entry = await self._entry(client)
        if entry is None or entry.launch is None:
            _refuse("unknown client")
        _verify(text, header, entry.launch.keys)
        jti, left = self._compare(claims)
        if form.get("client_id", client) != client:
            _refuse("client_id")
        if not await self._once.claim(f"{client} {jti}", left + _LEEWAY):
            _refuse("jti used")
        return DepartmentServer(service=entry.id, department=entry.owner.id)

    async def sweep(self) -> int:
        """Forget ids of assertions that have ended anyway."""
        return await self._once.sweep()

    def _compare(self, claims: Mapping[str, Any]) -> tuple[str, float]:
        """The assertion's id and the seconds it is still good for."""
        if claims.get("aud") not in (self._audience, [self._audience]):
            _refuse("aud")
        now = self._clock.now() / _MICRO
        ends = _instant(claims, "exp")
        begins = _instant(claims, "nbf") if "nbf" in claims else now
        issued = _instant(claims, "iat") if "iat" in claims else now
        if ends + _LEEWAY <= now:
            _refuse("expired")
        if ends - now > _LONGEST + _LEEWAY:
            _refuse("good for too long")
        if max(begins, issued) > now + _LEEWAY:
            _refuse("not yet")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI:
            _refuse("jti")
        return jti, max(ends - now, 0.0)

    async def _entry(self, client: str) -> Entry | None:
        """The entry of a client id `<plugin>/<service>`."""
        generation = self._live()
        if self._clients[0] != generation.digest:
            async with self._listing:
                if self._clients[0] != generation.digest:
                    listed = await asyncio.to_thread(_clients, generation)  # reads every entry
                    self._clients = (generation.digest, listed)
        service = self._clients[1].get(client)
        return generation.entry(service) if service is not None else None


def _clients(generation: Generation) -> dict[str, ServiceId]:
    """Every client id of a generation, because anybody can ask for any; the first in order counts."""
    found: dict[str, ServiceId] = {}
    for name in generation.services:
        entry = generation.entry(name)
        if entry is not None and entry.launch is not None:
            found.setdefault(f"{entry.plugin}/{entry.service}", name)
    return found


def _read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims before they are proved, read strictly: a name must not stand twice."""
    parts = text.split(".")
    if len(parts) != _PARTS:
        _refuse("not a signed token")
    try:
        header, claims = (
            loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()) for part in parts[:2]
        )
    except (ValueError, NotBase64):
        _refuse("cannot be read")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        _refuse("cannot be read")
    if not header.keys() <= _HEADER or header.get("typ", "JWT") not in _TYPES:
        _refuse("header")
    return header, claims


def _verify(text: str, header: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> None:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        _refuse("algorithm")
    kind = ALGORITHMS[algorithm]
    kid = header.get("kid")
    chosen = [key for key in keys if kid is None or key.get("kid") == kid]
    if len(chosen) != 1:
        _refuse("key")
    key = chosen[0]
    if key.get("kty") != kind.key_type or key.get("alg", algorithm) != algorithm:
        _refuse("key for another algorithm")
    if key.get("use", "sig") != "sig":
        _refuse("key for another use")
    try:
        jws.deserialize_compact(text, kind.import_key(dict(key)), algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        _refuse("signature")


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(name)
    return float(value)


def _refuse(why: str) -> NoReturn:
    _log.info("assertion.refused", why=why)
    raise NotSignedIn(detail=f"client assertion: {why}")
