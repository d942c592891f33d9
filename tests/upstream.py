"""A small OpenID Connect provider on a real port, whose every answer a test can change.

Runs in a thread with a loop of its own. Untouched it behaves: it checks redirect address, PKCE and
the client's proof, and redeems a code once. `claims`, `header`, `metadata`, `userinfo`, `token` are
laid over what it would say (`GONE` takes a member away), `sign` replaces how the ID token is made,
`raw` answers a path with bytes of the test's own, and `pause` keeps a path waiting.
"""

import asyncio
import base64
import hashlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from tests.department import http

GONE: Final = object()
LEVEL: Final = "urn:test:level:"
Claims = dict[str, Any]


def over(said: Claims, changes: Mapping[str, Any]) -> Claims:
    """What is said, with changes laid over it."""
    changed = {**said, **changes}
    return {name: value for name, value in changed.items() if value is not GONE}


def new_key(kid: str = "") -> ECKey:
    """A signing key."""
    return ECKey.generate_key("P-256", {"kid": kid or secrets.token_hex(4)}, private=True)


@dataclass
class Grant:
    """One code."""

    asked: dict[str, str]
    sub: str
    level: int
    redeemed: bool = False


@dataclass
class Provider:
    """Use as a context manager; `issuer` is its address."""

    client: str = "citygate"
    client_key: ECKey = field(default_factory=lambda: new_key("client"))
    client_secret: str = "s%+ cret"
    callback: str = ""
    person: str = "person-1"  # who is signed in at /authorize
    level: int = 3
    people: dict[str, Claims] = field(
        default_factory=lambda: {
            "person-1": {
                "name": "测试一",
                "id_number": "000101199001010014",
                "phone": "19900000001",
            },
            "person-2": {"name": "测试二", "phone": "19900000002"},
        }
    )

    def __post_init__(self) -> None:
        self.keys = [new_key()]
        self.metadata: Claims = {}
        self.claims: Claims = {}
        self.header: Claims = {}
        self.token: Claims = {}
        self.userinfo: Claims = {}
        self.raw: dict[str, bytes] = {}
        self.pause: dict[str, float] = {}
        self.sign: Callable[[Claims, Claims], str] = self._sign
        self.now: Callable[[], int] = lambda: int(time.time())
        self.calls: Counter[str] = Counter()
        self.grants: dict[str, Grant] = {}
        self.tokens: dict[str, Grant] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def rotate(self) -> None:
        """From now on another key signs, and the old one is gone."""
        self.keys = [new_key()]

    def approve(self, address: str, *, sub: str = "", level: int = 0, **changes: Any) -> Claims:
        """The person says yes: the query with which her browser goes back."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["response_type"] == "code"
        assert asked["client_id"] == self.client
        assert asked["code_challenge_method"] == "S256"
        assert asked["scope"].split()[0] == "openid"
        assert len(asked["state"]) == len(asked["nonce"]) == len(asked["code_challenge"]) == 43
        assert asked["redirect_uri"] == self.callback or not self.callback
        code = secrets.token_urlsafe(24)
        self.grants[code] = Grant(asked, sub or self.person, level or self.level)
        said: Claims = {"code": code, "state": asked["state"], "iss": self.issuer}
        return over(said, changes)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                _, target, _ = first.split(" ", 2)
                headers = {
                    k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines if x)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path, _, query = target.partition("?")
                self.calls[path] += 1
                await asyncio.sleep(self.pause.get(path, 0))
                writer.write(self.raw.get(path) or self._answer(path, query, headers, body))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _answer(self, path: str, query: str, headers: dict[str, str], body: bytes) -> bytes:
        if path == "/.well-known/openid-configuration":
            return http(orjson.dumps(self._metadata()))
        if path == "/jwks":
            keys = [key.as_dict(private=False) for key in self.keys]
            return http(orjson.dumps({"keys": keys}))
        if path == "/token":
            return self._token(dict(parse_qsl(body.decode())), headers)
        if path == "/userinfo":
            return self._userinfo(headers)
        if path == "/authorize":
            back = self.approve(f"{self.issuer}/authorize?{query}")
            to = f"{dict(parse_qsl(query))['redirect_uri']}?{urlencode(back)}"
            return http(b"", status=303, headers=f"location: {to}\r\n".encode())
        return http(b"{}", status=404)

    def _metadata(self) -> Claims:
        said: Claims = {
            "issuer": self.issuer,
            **{
                name: f"{self.issuer}/{path}"
                for name, path in {
                    "authorization_endpoint": "authorize",
                    "token_endpoint": "token",
                    "userinfo_endpoint": "userinfo",
                    "jwks_uri": "jwks",
                    "end_session_endpoint": "logout",
                }.items()
            },
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return over(said, self.metadata)

    def _proved(self, form: dict[str, str], headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(given).decode().partition(":")
            return (unquote_plus(name), unquote_plus(secret)) == (self.client, self.client_secret)
        public = ECKey.import_key(self.client_key.as_dict(private=False))
        try:
            claims = jwt.decode(
                form.get("client_assertion", ""), public, algorithms=["ES256"]
            ).claims
        except (JoseError, ValueError):
            return False
        who = claims["iss"] == claims["sub"] == self.client
        return who and claims["aud"] in (self.issuer, f"{self.issuer}/token")

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> bytes:
        if not self._proved(form, headers):
            return http(b'{"error":"invalid_client"}', status=401)
        grant = self.grants.get(form.get("code", ""))
        made = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(made).decode().rstrip("=")
        if (
            grant is None
            or grant.redeemed
            or challenge != grant.asked["code_challenge"]
            or form.get("redirect_uri") != grant.asked["redirect_uri"]
        ):
            return http(b'{"error":"invalid_grant"}', status=400)
        grant.redeemed = True
        access = secrets.token_urlsafe(24)
        self.tokens[access] = grant
        said = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        said["id_token"] = self._id_token(grant, access)
        return http(orjson.dumps(over(said, self.token)))

    def _id_token(self, grant: Grant, access: str) -> str:
        now = self.now()
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims: Claims = {
            "iss": self.issuer,
            "sub": grant.sub,
            "aud": self.client,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": grant.asked["nonce"],
            "acr": f"{LEVEL}{grant.level}",
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
        }
        header: Claims = {"alg": "ES256", "kid": self.keys[0].kid}
        return self.sign(over(header, self.header), over(claims, self.claims))

    def _sign(self, header: Claims, claims: Claims) -> str:
        return compact(header, claims, self.keys[0])

    def _userinfo(self, headers: dict[str, str]) -> bytes:
        grant = self.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if grant is None:
            return http(b'{"error":"invalid_token"}', status=401)
        said = {"sub": grant.sub, **self.people.get(grant.sub, {})}
        return http(orjson.dumps(over(said, self.userinfo)))


def part(value: Any) -> str:
    """A part of a compact token: bytes as they are, everything else as JSON."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def compact(header: Any, claims: Any, key: ECKey) -> str:
    """Sign with ES256 whatever header and claims say, unchecked."""
    text = f"{part(header)}.{part(claims)}"
    private: Any = key.private_key
    r, s = decode_dss_signature(private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
