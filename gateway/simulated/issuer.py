"""The identity platform's codes, tokens and keys, and how its client proves itself."""

import base64
import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.simulated.oidc import ACR, CLIENT, Ask
from gateway.simulated.people import BY_ID, Person
from gateway.simulated.replay import Seen
from gateway.simulated.tickets import ASSERTION_TYPE
from gateway.simulated.world import World

UPSTREAM: Final = "anlan"  # what the gateway calls this platform in its call-back address
AMR: Final = {1: ["sms"], 2: ["sms", "user"], 3: ["face"], 4: ["face", "hwk"]}
CODE_SECONDS: Final = 60
TOKEN_SECONDS: Final = 600


@dataclass(slots=True)
class Login:
    """Somebody signed in at the platform."""

    person: Person
    level: int
    at: int
    sid: str = field(default_factory=lambda: secrets.token_urlsafe(12))


@dataclass(slots=True)
class Grant:
    """One code and what came of it."""

    ask: Ask
    login: Login
    until: float
    used: bool = False
    token: str = ""


class Issuer:
    """Codes, tokens and who is signed in; in memory, as a restart of the platform forgets them."""

    def __init__(self, world: World) -> None:
        """Load or make the signing key."""
        self.world = world
        self.key = _signing_key(world.folder / "identity" / "signing_key")
        self.seen = Seen()
        self.asks: dict[str, tuple[Ask, float]] = {}
        self.logins: dict[str, Login] = {}
        self.grants: dict[str, Grant] = {}
        self.tokens: dict[str, tuple[Grant, float]] = {}

    @property
    def address(self) -> str:
        """The issuer."""
        return self.world.addresses["identity"]

    @property
    def redirect_uris(self) -> list[str]:
        """Where the client may be sent back to, exactly."""
        return [f"{self.world.gateway}/sign-in/{UPSTREAM}/callback", *self.world.redirects]

    def now(self) -> int:
        """Seconds, of the hand that signatures follow."""
        return int(self.world.clock.seconds())

    def keep(self, ask: Ask) -> str:
        """Remember a request while the person signs in; its opaque name."""
        now = self.now()
        self.asks = {name: kept for name, kept in self.asks.items() if kept[1] > now}
        name = secrets.token_urlsafe(24)
        self.asks[name] = (ask, now + 900)
        return name

    def asked(self, name: str) -> Ask | None:
        """A request that is being signed in for."""
        kept = self.asks.get(name)
        return kept[0] if kept is not None and kept[1] > self.now() else None

    def grant(self, ask: Ask, login: Login) -> str:
        """A code."""
        code, old = secrets.token_urlsafe(32), self.now() - TOKEN_SECONDS
        self.grants = {one: kept for one, kept in self.grants.items() if kept.until > old}
        self.grants[code] = Grant(ask, login, self.now() + CODE_SECONDS)
        return code

    def prove(self, form: dict[str, str], authorization: str) -> bool:
        """Whether the client is who it says: private_key_jwt or client_secret_basic."""
        if authorization:
            scheme, _, rest = authorization.partition(" ")
            try:
                user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
            except ValueError:
                return False
            good = self.world.secret("identity", "client_secret")
            return (
                scheme.lower() == "basic"
                and user == CLIENT
                and hmac.compare_digest(password.encode(), good.encode())
                and "client_assertion" not in form
            )
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return False
        whole = ECKey.import_key(orjson.loads(self.world.secret("identity", "client_key")))
        public = ECKey.import_key(whole.as_dict(private=False))
        try:
            claims = jwt.decode(
                form.get("client_assertion", ""), public, algorithms=["ES256"]
            ).claims
        except (JoseError, ValueError):
            return False
        now, expires, jti = self.now(), claims.get("exp"), claims.get("jti")
        mine = (self.address, f"{self.address}/token")
        audience = claims.get("aud")
        return (
            claims.get("iss") == CLIENT
            and claims.get("sub") == CLIENT
            and (
                audience in mine
                or (isinstance(audience, list) and len(audience) == 1 and audience[0] in mine)
            )
            and isinstance(expires, int | float)
            and now < expires <= now + 330
            and isinstance(jti, str)
            and bool(jti)
            and self.seen.first(jti, now, 400)
        )

    def redeem(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Tokens for a code, once; None is invalid_grant."""
        grant = self.grants.get(form.get("code", ""))
        if grant is None:
            return None
        if grant.used:
            # Somebody stole the code or the answer: what came of it ends (RFC 6749, 4.1.2).
            self.tokens.pop(grant.token, None)
            return None
        grant.used = True
        made = base64.urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest())
        if (
            grant.until <= self.now()
            or form.get("redirect_uri") != grant.ask.redirect_uri
            or not hmac.compare_digest(made.decode().rstrip("="), grant.ask.challenge)
        ):
            return None
        now = self.now()
        self.tokens = {one: kept for one, kept in self.tokens.items() if kept[1] > now}
        grant.token = secrets.token_urlsafe(32)
        self.tokens[grant.token] = (grant, now + TOKEN_SECONDS)
        return {
            "access_token": grant.token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": grant.ask.scope,
            "id_token": self.id_token(grant),
        }

    def id_token(self, grant: Grant) -> str:
        """ES256, 5 minutes; says who and how sure, nothing else about her."""
        now, login = self.now(), grant.login
        half = base64.urlsafe_b64encode(sha256(grant.token.encode()).digest()[:16])
        claims: dict[str, Any] = {
            "iss": self.address,
            "sub": login.person.sub,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "auth_time": login.at,
            "acr": f"{ACR}{login.level}",
            "amr": AMR[login.level],
            "sid": login.sid,
            "at_hash": half.decode().rstrip("="),
        }
        if grant.ask.nonce is not None:
            claims["nonce"] = grant.ask.nonce
        return jwt.encode({"alg": "ES256", "kid": str(self.key.kid)}, claims, self.key)

    def told(self, token: str) -> dict[str, str] | None:
        """What userinfo says for an access token; None: not a good one."""
        kept = self.tokens.get(token)
        if kept is None or kept[1] <= self.now():
            return None
        person, scopes = kept[0].login.person, kept[0].ask.scope.split()
        found = {"sub": person.sub}
        if "profile" in scopes:
            # Level 1 proves the telephone only, so nothing else is told.
            sure = kept[0].login.level >= 2
            known = {"phone": person.phone}
            if sure:
                known |= {
                    "name": person.name,
                    "birthdate": person.birthdate,
                    "id_number": person.id_number,
                    "document_type": person.document_type if person.id_number else "",
                    "address": person.address,
                }
            found |= {name: value for name, value in known.items() if value}
        return found

    def hinted(self, token: str) -> Person | None:
        """Whom an ID token of ours names; it may have expired."""
        public = ECKey.import_key(self.key.as_dict(private=False))
        try:
            claims = jwt.decode(token, public, algorithms=["ES256"]).claims
        except (JoseError, ValueError):
            return None
        if claims.get("iss") != self.address or claims.get("aud") != CLIENT:
            return None
        return next((one for one in BY_ID.values() if one.sub == claims.get("sub")), None)

    def metadata(self) -> dict[str, Any]:
        """The discovery document."""
        here = self.address
        return {
            "issuer": here,
            "authorization_endpoint": f"{here}/authorize",
            "token_endpoint": f"{here}/token",
            "userinfo_endpoint": f"{here}/userinfo",
            "jwks_uri": f"{here}/jwks",
            "end_session_endpoint": f"{here}/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["openid", "profile"],
            "claims_supported": [
                "sub",
                "name",
                "birthdate",
                "id_number",
                "document_type",
                "phone",
                "address",
                "acr",
                "auth_time",
                "amr",
            ],
            "acr_values_supported": [f"{ACR}{n}" for n in range(1, 5)],
            "prompt_values_supported": ["none", "login", "select_account"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "claims_parameter_supported": False,
        }

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        return {"keys": [dict(self.key.as_dict(private=False))]}


def _signing_key(path: Path) -> ECKey:
    if path.exists():
        return ECKey.import_key(orjson.loads(path.read_bytes()))
    made = ECKey.generate_key(
        "P-256",
        {"kid": f"anlan-{secrets.token_hex(4)}", "alg": "ES256", "use": "sig"},
        private=True,
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(orjson.dumps(made.as_dict(private=True)))
    return made
