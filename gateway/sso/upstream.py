"""The relying party: one identity provider, from the first redirect to verified claims.

Code flow with PKCE, nonce and our own proof at the token endpoint; nothing is believed that
`verify` has not seen, and userinfo only about the same person.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import structlog

from gateway.clock import Clock
from gateway.settings import Upstream
from gateway.sso.client import Proof
from gateway.sso.discovery import Discovery, Sends, UpstreamAway, UpstreamWrong, ask, host_and_port
from gateway.sso.levels import acr_for, level_of
from gateway.sso.shelf import Told
from gateway.sso.stopped import Stopped
from gateway.sso.verify import BadToken, Expected, UnknownKey, Verified, verify

CLAIMS: Final = ("name", "id_number", "phone", "birthdate", "address", "document_type")
_STANDARD: Final = {"phone": "phone_number"}  # the specification's name for it
_MAX_CLAIM: Final = 200
_MAX_TOKEN: Final = 8_192
_MAX_HINT: Final = 2_048
_MAX_CODE: Final = 2_048
# An ID token with anything else in it is about her: it never goes into an address.
_PROTOCOL: Final = {"iss", "sub", "aud", "exp", "iat", "nbf", "auth_time", "nonce", "acr", "amr"} | {
    "azp", "at_hash", "c_hash", "s_hash", "sid", "jti"}  # fmt: skip
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """What was asked of the provider, kept until the browser comes back."""

    nonce: str
    verifier: str  # of PKCE
    at: int  # seconds
    max_age: int  # seconds before that, within which she must have proved herself; 0: anew


@dataclass(frozen=True, slots=True)
class Identity:
    """Who came: verified."""

    sub: str
    level: int
    told: Told


def hosts_of(upstream: Upstream) -> frozenset[tuple[str, int]]:
    """Where this provider's endpoints may be: at the issuer's own host, and at those named.

    Raises:
        ValueError: an address is none.
    """
    issuer = host_and_port(upstream.issuer)
    scheme = upstream.issuer.partition(":")[0]
    return frozenset({issuer, *(host_and_port(f"{scheme}://{host}") for host in upstream.hosts)})


class Provider:
    """One identity provider as its client."""

    def __init__(self, upstream: Upstream, *, way: Sends, clock: Clock, origin: str) -> None:
        """Take the settings; nothing is asked yet.

        Raises:
            CannotProve: our key or secret for it cannot be read.
            ValueError: an address in its settings is none.
        """
        self.upstream = upstream
        self._way = way
        self._clock = clock
        self._origin = origin
        self._proof = Proof(upstream, clock)
        self._discovery = Discovery(upstream.issuer, hosts_of(upstream), way, clock)

    @property
    def callback(self) -> str:
        """Where the browser comes back to."""
        return f"{self._origin}/sign-in/{self.upstream.id}/callback"

    async def address(self, begun: Begun, *, state: str, level: int | None, prompt: str) -> str:
        """Where the browser is sent to.

        Raises:
            Stopped: the provider is away or wrong.
        """
        with _Stopping(self.upstream.id):
            metadata = await self._discovery.metadata()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest())
        asked = {
            "client_id": self.upstream.client_id,
            "redirect_uri": self.callback,
            "response_type": "code",
            "scope": self.upstream.scopes,
            "state": state,
            "nonce": begun.nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
            "max_age": str(begun.max_age),
        }
        acr = acr_for(self.upstream, level) if level is not None else ""
        asked |= {"acr_values": acr} if acr else {}
        asked |= {"prompt": prompt} if prompt else {}
        glue = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{glue}{urlencode(asked)}"

    async def check_answer(self, query: Mapping[str, str]) -> str:
        """The code of an authorization response.

        Raises:
            Stopped: she cancelled, the response is another provider's, or it carries no code.
        """
        with _Stopping(self.upstream.id):
            metadata = await self._discovery.metadata()
        said = query.get("iss")
        # RFC 9207: else another provider's answer could be taken for this one's (mix-up).
        if said != self.upstream.issuer and (metadata.says_issuer or said is not None):
            raise Stopped("refused", "iss")
        if "error" in query:
            if query["error"] == "access_denied":
                raise Stopped("cancelled")
            raise Stopped("refused", "error")  # its text is anybody's: neither shown nor logged
        code = query.get("code", "")
        if not 0 < len(code) <= _MAX_CODE or not code.isascii() or not code.isprintable():
            raise Stopped("refused", "code")
        return code

    async def identify(self, code: str, begun: Begun) -> Identity:
        """Exchange the code and find out who she is.

        Raises:
            Stopped: the provider is away, or something in its answers does not hold.
        """
        with _Stopping(self.upstream.id):
            tokens = await self._redeem(code, begun.verifier)
            access = str(tokens["access_token"])
            expected = self._expected(begun, access)
            verified = await self._verified(tokens.get("id_token"), expected)
            told = await self._about(access, verified)
        claims = {name: value for name in CLAIMS if (value := _claim(told, name))}
        raw = str(tokens["id_token"])
        hint = raw if len(raw) <= _MAX_HINT and verified.claims.keys() <= _PROTOCOL else ""
        level = level_of(self.upstream, verified.claims)
        return Identity(verified.sub, level, Told(claims, hint))

    async def _redeem(self, code: str, verifier: str) -> dict[str, Any]:
        metadata = await self._discovery.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json", **self._proof.add(form)}
        request = httpx.Request("POST", metadata.token_endpoint, data=form, headers=headers)
        status, read = await ask(self._way, request)
        if status != 200:  # noqa: PLR2004
            known = ("invalid_grant", "invalid_client", "invalid_request", "unauthorized_client")
            why = next((one for one in known if one == read.get("error")), "error")
            raise UpstreamWrong(f"token endpoint: {why}")
        access, kind = read.get("access_token"), read.get("token_type")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise UpstreamWrong("token endpoint: token_type")
        if not isinstance(access, str) or not 0 < len(access) <= _MAX_TOKEN:
            raise UpstreamWrong("token endpoint: access_token")
        if not access.isascii() or not access.isprintable() or " " in access:
            raise UpstreamWrong("token endpoint: access_token")
        return read

    def _expected(self, begun: Begun, access: str) -> Expected:
        return Expected(
            issuer=self.upstream.issuer,
            client_id=self.upstream.client_id,
            algorithms=self.upstream.algorithms,
            nonce=begun.nonce,
            now=self._clock.now() // 1_000_000,
            begun=begun.at,
            max_age=begun.max_age,
            access_token=access,
        )

    async def _verified(self, raw: object, expected: Expected) -> Verified:
        keys = await self._discovery.keys()
        try:
            return verify(raw, keys, expected)
        except UnknownKey:
            renewed = await self._discovery.renewed_keys()  # it may have rotated them
            if renewed is None:
                raise
            return verify(raw, renewed, expected)

    async def _about(self, access: str, verified: Verified) -> Mapping[str, Any]:
        metadata = await self._discovery.metadata()
        if not metadata.userinfo_endpoint:
            return verified.claims
        headers = {"Accept": "application/json", "Authorization": f"Bearer {access}"}
        request = httpx.Request("GET", metadata.userinfo_endpoint, headers=headers)
        status, read = await ask(self._way, request)
        if status != 200:  # noqa: PLR2004
            raise UpstreamWrong("userinfo: status")
        if read.get("sub") != verified.sub:
            raise UpstreamWrong("userinfo: sub")
        return read

    async def end_session(self, hint: str) -> str:
        """Where a browser is signed out at the provider too; "": nowhere.

        Raises:
            Stopped: the provider is away or wrong.
        """
        with _Stopping(self.upstream.id):
            metadata = await self._discovery.metadata()
        if not metadata.end_session_endpoint:
            return ""
        asked = {
            "client_id": self.upstream.client_id,
            "post_logout_redirect_uri": f"{self._origin}/",
        }
        asked |= {"id_token_hint": hint} if hint else {}
        glue = "&" if "?" in metadata.end_session_endpoint else "?"
        return f"{metadata.end_session_endpoint}{glue}{urlencode(asked)}"


class _Stopping:
    """Turns what can go wrong with a provider into `Stopped`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UpstreamAway):
            raise Stopped("away", str(error)) from None
        if isinstance(error, UpstreamWrong):
            _log.warning("upstream.wrong", upstream=self._upstream, what=str(error))
            raise Stopped("refused", str(error)) from None
        if isinstance(error, BadToken):
            _log.warning("upstream.bad_token", upstream=self._upstream, what=str(error))
            raise Stopped("refused", f"id_token: {error}") from None


def _claim(told: Mapping[str, Any], name: str) -> str:
    """A claim as a short plain text; "" where it is none."""
    value = told.get(name, told.get(_STANDARD.get(name, name)))
    if name == "address" and isinstance(value, dict):
        value = value.get("formatted")
    if not isinstance(value, str):
        return ""
    value = unicodedata.normalize("NFC", value).strip()
    return value if len(value) <= _MAX_CLAIM and value.isprintable() else ""
