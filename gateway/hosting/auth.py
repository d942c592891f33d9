"""How we prove ourselves to a department: one small class for each kind of the manifest's `auth`.

Secrets are read when a request leaves and never kept here, but for tokens that a department gave us:
those are kept until shortly before they end, and fetched once for all callers that wait.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.clock import Clock, instant
from gateway.contract.block import seconds
from gateway.contract.connection import (
    Auth,
    BasicAuth,
    ClientAssertionAuth,
    HeaderAuth,
    LoginAuth,
    WsseAuth,
)
from gateway.contract.failure import CallOwner, TryAgain
from gateway.hosting import draft as drafts
from gateway.hosting.draft import Draft, xml_value
from gateway.hosting.failures import BadCredentials
from gateway.hosting.outbound import Received
from gateway.hosting.recipes.answers import GOOD
from gateway.hosting.recipes.decode import decoded, json_document
from gateway.hosting.recipes.expressions import compiled
from gateway.hosting.recipes.places import Values, each_text, filled, plain, template

_WSS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 60
_LONGEST_TOKEN: Final = 86_400.0
_MIN_TOKEN: Final = 1.0

Fill = Callable[[str], str]  # a text of the manifest with its secrets in
Fetch = Callable[[Draft, str, float], Awaitable[Received]]  # "": below connect.base, else an origin


class Proof(Protocol):
    """Adds what proves us."""

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:
        """The draft with proof, and a mark of what was used."""
        ...

    def renew(self, mark: str) -> bool:
        """After a 401: forget what `mark` names; True where trying once more may help."""
        ...


class _Fixed:
    """What never changes by itself: a 401 is the owner's to mend."""

    def renew(self, mark: str) -> bool:  # noqa: ARG002 - the protocol's
        """Nothing can be renewed."""
        return False


class Nothing(_Fixed):
    """No credentials; the envelope of a SOAP call is made all the same."""

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:  # noqa: ARG002 - the protocol's
        """Only make the bytes."""
        return draft.sealed(), ""


class Header(_Fixed):
    """A header with a credential, or HTTP Basic."""

    def __init__(self, spec: HeaderAuth | BasicAuth, fill: Fill) -> None:
        self._spec = spec
        self._fill = fill

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:  # noqa: ARG002 - the protocol's
        """Add the header."""
        spec = self._spec
        if isinstance(spec, HeaderAuth):
            return draft.sealed().having(drafts.header(spec.name, self._fill(spec.value))), ""
        pair = f"{self._fill(spec.user)}:{self._fill(spec.password)}".encode()
        value = f"Basic {base64.b64encode(pair).decode()}"
        return draft.sealed().having(("Authorization", value)), ""


class Wsse(_Fixed):
    """WS-Security UsernameToken, digest or text, in the SOAP header."""

    def __init__(self, spec: WsseAuth, fill: Fill, clock: Clock) -> None:
        self._spec = spec
        self._fill = fill
        self._clock = clock

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:  # noqa: ARG002 - the protocol's
        """Make the envelope with the token in its header; a request without one stays as it is."""
        return draft.sealed(self._token() if draft.envelope else ""), ""

    def _token(self) -> str:
        password = self._fill(self._spec.password)
        nonce = secrets.token_bytes(16)
        created = instant(self._clock.now()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = "PasswordText"
        if self._spec.digest:
            kind = "PasswordDigest"
            digest = hashlib.sha1(nonce + created.encode() + password.encode())  # noqa: S324 - the standard's
            password = base64.b64encode(digest.digest()).decode()
        profile = f"{_WSS}-username-token-profile-1.0#{kind}"
        encoding = f"{_WSS}-soap-message-security-1.0#Base64Binary"
        return (
            f'<wsse:Security xmlns:wsse="{_WSS}-wssecurity-secext-1.0.xsd"'
            f' xmlns:wsu="{_WSS}-wssecurity-utility-1.0.xsd" soapenv:mustUnderstand="1">'
            f"<wsse:UsernameToken>"
            f"<wsse:Username>{xml_value(self._fill(self._spec.user))}</wsse:Username>"
            f'<wsse:Password Type="{profile}">{xml_value(password)}</wsse:Password>'
            f'<wsse:Nonce EncodingType="{encoding}">{base64.b64encode(nonce).decode()}</wsse:Nonce>'
            f"<wsu:Created>{created}</wsu:Created>"
            f"</wsse:UsernameToken></wsse:Security>"
        )


class _Token:
    """A token that is fetched once for all who wait, kept, and renewed before it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value = ""
        self._until = 0.0

    async def get(self, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> str:
        """The token; `fetch` answers a new one and for how long it may be used."""
        if not self._fresh():
            async with self._lock:
                if not self._fresh():
                    self._value, life = await fetch()
                    self._until = self._clock.monotonic() + max(_MIN_TOKEN, life)
        return self._value

    def _fresh(self) -> bool:
        return bool(self._value) and self._clock.monotonic() < self._until

    def renew(self, mark: str) -> bool:
        """Forget the token, unless somebody has renewed it since."""
        if mark and mark == self._value:
            self._value = ""
        return bool(mark)


class ClientAssertion(_Token):
    """OAuth 2.0 client credentials, proved by a JWT signed with our key (RFC 7523)."""

    def __init__(self, spec: ClientAssertionAuth, fill: Fill, clock: Clock, fetch: Fetch) -> None:
        super().__init__(clock)
        self._spec = spec
        self._fill = fill
        self._fetch = fetch

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:
        """Add the bearer token."""
        token = await self.get(lambda: self._new(left))
        return draft.sealed().having(drafts.header("Authorization", f"Bearer {token}")), token

    async def _new(self, left: float) -> tuple[str, float]:
        spec = self._spec
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._assertion(),
        }
        if spec.scope:
            form["scope"] = spec.scope
        url = urlsplit(self._fill(spec.token_url))
        request = Draft(
            "POST",
            url.path or "/",
            tuple(_pair(part) for part in url.query.split("&") if part),
            (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")),
            drafts.form_body(form, "utf-8"),
        )
        got = await self._fetch(request, f"{url.scheme}://{url.netloc}", left)
        answer = _token_answer(got)
        life = answer.get("expires_in", 300)
        usable = isinstance(life, int) and life > 0
        life = min(float(life), _LONGEST_TOKEN) if usable else 300.0
        early = min(seconds(spec.early), life / 2)
        return _text(answer.get("access_token"), "access_token"), life - early

    def _assertion(self) -> str:
        """A JWT that only this token endpoint takes, once, within a minute."""
        spec = self._spec
        text = self._fill(spec.key)
        now = self._clock.now() // 1_000_000
        client = self._fill(spec.client_id)
        claims = {
            "iss": client,
            "sub": client,
            "aud": self._fill(spec.aud),
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        try:
            raw = json_document(text)
            key = ECKey.import_key(raw) if spec.alg == "ES256" else RSAKey.import_key(raw)
            head = {"alg": spec.alg, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
            return jwt.encode(head, claims, key, algorithms=[spec.alg])
        except (JoseError, ValueError, TypeError, KeyError, CallOwner):
            raise BadCredentials(what="our key for the token endpoint is no private JWK") from None


class Login(_Token):
    """A session token that a call of the department's own gives."""

    def __init__(
        self, spec: LoginAuth, values: Callable[[], Values], clock: Clock, fetch: Fetch
    ) -> None:
        super().__init__(clock)
        self._spec = spec
        self._values = values
        self._fetch = fetch
        self._at = compiled(spec.token_at, "json")

    async def prove(self, draft: Draft, left: float) -> tuple[Draft, str]:
        """Add the session token's header."""
        token = await self.get(lambda: self._new(left))
        value = drafts.header(self._spec.header, f"{self._spec.prefix}{token}")
        return draft.sealed().having(value), token

    async def _new(self, left: float) -> tuple[str, float]:
        spec, values = self._spec, self._values()
        kind, body = "application/json", b""
        if spec.json_ is not None:
            body = drafts.json_body(filled(each_text(spec.json_, template), values))
        elif spec.form is not None:
            kind = "application/x-www-form-urlencoded"
            fields = {name: template(v).fill(values, plain) for name, v in spec.form.items()}
            body = drafts.form_body(fields, "utf-8")
        headers = (("Content-Type", kind), ("Accept", "application/json")) if body else ()
        request = Draft(spec.method, drafts.literal_path(spec.path), headers=headers, body=body)
        answer = _token_answer(await self._fetch(request, "", left))
        return _text(self._at.one(answer), "token"), seconds(spec.valid_for)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _token_answer(got: Received) -> Any:
    """The JSON object that should hold a token.

    Raises:
        BadCredentials: it refuses us.
        TryAgain, CallOwner: it is busy, or answers what it must not.
    """
    if got.status in (400, 401, 403):
        raise BadCredentials(what=f"the token was refused with status {got.status}")
    if got.status == 429 or got.status >= 500:  # noqa: PLR2004 - busy, broken
        raise TryAgain
    if got.status not in GOOD:
        raise CallOwner(what=f"the token endpoint answered status {got.status}")
    value = json_document(decoded(got.body, "auto", got.headers.get("content-type", "")))
    if not isinstance(value, dict):
        raise CallOwner(what="the token endpoint answered no object")
    return value


def _text(value: object, name: str) -> str:
    """A token is a printable text of reasonable length."""
    if not isinstance(value, str) or not 0 < len(value) <= 8192 or not value.isprintable():  # noqa: PLR2004 - bytes
        raise BadCredentials(what=f"no {name} came")
    return value


def proof(
    spec: Auth | None, *, fill: Fill, values: Callable[[], Values], clock: Clock, fetch: Fetch
) -> Proof:
    """The proof that a manifest asks for."""
    match spec:
        case None:
            return Nothing()
        case BasicAuth() | HeaderAuth():
            return Header(spec, fill)
        case WsseAuth():
            return Wsse(spec, fill, clock)
        case ClientAssertionAuth():
            return ClientAssertion(spec, fill, clock, fetch)
        case LoginAuth():
            return Login(spec, values, clock, fetch)
