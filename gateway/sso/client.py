"""How we prove to an identity provider that it is us: by a key of ours, or by a shared secret."""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.clock import Clock
from gateway.settings import Upstream
from gateway.sso.verify import MIN_RSA
from gateway.store.ids import new_token

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SECONDS: Final = 60


class CannotProve(ValueError):
    """The key or secret file of an identity provider is missing or wrong; the text says which."""


class Proof:
    """private_key_jwt or client_secret_basic, whichever the settings give (the key first)."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        """Read the file.

        Raises:
            CannotProve: with a sentence that names the provider and the file.
        """
        self._upstream = upstream
        self._clock = clock
        self._key: ECKey | RSAKey | OKPKey | None = None
        self._secret = ""
        if upstream.client_key_file is not None:
            self._key, self._algorithm = _key(upstream)
        elif upstream.client_secret_file is not None:
            self._secret = _secret(upstream)
        else:
            raise CannotProve(
                f"identity provider {upstream.id}: name client_key_file or client_secret_file"
            )

    def add(self, form: dict[str, str]) -> Mapping[str, str]:
        """Put the proof into a token request's form, or return it as headers."""
        if self._key is None:
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            pair = f"{quote_plus(self._upstream.client_id)}:{quote_plus(self._secret)}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        now = self._clock.now() // 1_000_000
        client = self._upstream.client_id
        claims = {
            "iss": client,
            "sub": client,
            "aud": self._upstream.issuer,  # of one provider alone, whatever its metadata names
            "jti": new_token(),
            "iat": now,
            "exp": now + _SECONDS,
        }
        header = {"alg": self._algorithm}
        if self._key.kid:
            header["kid"] = self._key.kid
        form["client_assertion_type"] = ASSERTION_TYPE
        form["client_assertion"] = jwt.encode(
            header, claims, self._key, algorithms=[self._algorithm]
        )
        return {}


def _read(upstream: Upstream, what: str) -> bytes:
    path = getattr(upstream, what)
    try:
        raw: bytes = path.read_bytes()
    except OSError as error:
        raise CannotProve(
            f"identity provider {upstream.id}: {what} {path} cannot be read: {error.strerror}"
        ) from None
    return raw


def _key(upstream: Upstream) -> tuple[ECKey | RSAKey | OKPKey, str]:
    wrong = CannotProve(
        f"identity provider {upstream.id}: client_key_file {upstream.client_key_file} is no "
        "private JWK (EC P-256, RSA of 2048 bits or more, or Ed25519)"
    )
    try:
        row = orjson.loads(_read(upstream, "client_key_file"))
        kind = row.get("kty")
        if kind == "EC" and row.get("crv") == "P-256":
            key: ECKey | RSAKey | OKPKey = ECKey.import_key(row)
            algorithm = "ES256"
        elif kind == "OKP" and row.get("crv") == "Ed25519":
            key, algorithm = OKPKey.import_key(row), "Ed25519"
        elif kind == "RSA":
            key, algorithm = RSAKey.import_key(row), "RS256"
        else:
            raise wrong
    except CannotProve:
        raise
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise wrong from None
    weak = isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA
    if weak or not key.is_private:
        raise wrong
    return key, algorithm


def _secret(upstream: Upstream) -> str:
    try:
        secret = _read(upstream, "client_secret_file").decode("utf-8").strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise CannotProve(
            f"identity provider {upstream.id}: client_secret_file "
            f"{upstream.client_secret_file} holds no text"
        )
    return secret
