"""Verify an ID token: algorithm by allow-list, key by its type, every claim by name.

joserfc does the signatures; everything that must be refused although a signature holds is refused
here. No text of a token ever stands in an error.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.contract.strict_json import loads

SKEW: Final = 30  # seconds that clocks may differ
MAX_TOKEN: Final = 16_384
MAX_HEADER: Final = 2_048
_MAX_SUB: Final = 255
MIN_RSA: Final = 2048
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
# They would name the key that the token is to be checked with, or change what is signed.
_FORBIDDEN: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
_ALIKE: Final = {"EdDSA": "Ed25519"}  # RFC 9864 renamed it; the signatures are the same
_FAR: Final = 1 << 40  # seconds; nothing we are told happens later


class BadToken(Exception):
    """The token does not hold; the text is one of ours."""


class UnknownKey(BadToken):
    """None of the known keys is the one that it names."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One of the provider's keys, and what it may be used for."""

    key: ECKey | RSAKey | OKPKey
    kid: str | None
    algorithm: str  # the only one that it is used with


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say to be ours, now."""

    issuer: str
    client_id: str
    algorithms: Sequence[str]
    nonce: str
    now: int  # seconds
    begun: int  # when this sign-in began, seconds
    max_age: int  # seconds before that, within which she must have proved herself over there
    access_token: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of a token that holds; made by `verify` only."""

    sub: str
    claims: Mapping[str, Any]


def read_keys(rows: Sequence[object]) -> tuple[PublicKey, ...]:
    """The keys of a JWK set that can check signatures; all others are left out."""
    found = []
    for row in rows:
        if isinstance(row, dict):
            key = _read_key(row)
            if key is not None:
                found.append(key)
    return tuple(found)


def _read_key(row: dict[str, Any]) -> PublicKey | None:
    operations = row.get("key_ops")
    if row.get("use", "sig") != "sig" or (operations is not None and "verify" not in operations):
        return None
    kid = row.get("kid")
    if kid is not None and not isinstance(kid, str):
        return None
    try:
        key, algorithm = _by_type(row)
    except (JoseError, ValueError, TypeError, KeyError, BadToken):
        return None
    said = row.get("alg", algorithm)
    if key is None or _ALIKE.get(str(said), said) != algorithm:
        return None
    return PublicKey(key, kid, algorithm)


def _by_type(row: dict[str, Any]) -> tuple[ECKey | RSAKey | OKPKey | None, str]:
    # Only what a verifier needs is taken over: a private half or a certificate stays out.
    kind, curve = row.get("kty"), row.get("crv")
    if kind == "EC" and curve == "P-256":
        parts = {name: row[name] for name in ("kty", "crv", "x", "y")}
        return ECKey.import_key(parts), "ES256"
    if kind == "OKP" and curve == "Ed25519":
        parts = {name: row[name] for name in ("kty", "crv", "x")}
        return OKPKey.import_key(parts), "Ed25519"
    if kind == "RSA" and int.from_bytes(_bytes(str(row["n"]))).bit_length() >= MIN_RSA:
        return RSAKey.import_key({name: row[name] for name in ("kty", "n", "e")}), "RS256"
    return None, ""


def verify(raw: object, keys: Sequence[PublicKey], expected: Expected) -> Verified:
    """Check an ID token whole.

    Raises:
        UnknownKey: no key fits; fetching the keys anew may help.
        BadToken: it does not hold.
    """
    if not isinstance(raw, str) or len(raw) > MAX_TOKEN:
        raise BadToken("size")
    parts = raw.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):  # noqa: PLR2004
        raise BadToken("form")
    if len(parts[0]) > MAX_HEADER:
        raise BadToken("header size")
    header = _json(parts[0])
    algorithm = _algorithm(header, expected.algorithms)
    key = _key(keys, algorithm, header.get("kid"))
    model = JWSRegistry.algorithms[algorithm]
    try:
        good = model.verify(f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2]), key.key)
    except (JoseError, ValueError, TypeError):
        good = False
    if not good:
        raise BadToken("signature")
    claims = _json(parts[1])
    _check_whose(claims, expected)
    _check_times(claims, expected)
    _check_binding(claims, expected, algorithm)
    return Verified(str(claims["sub"]), claims)


def _json(part: str) -> dict[str, Any]:
    try:
        read = loads(_bytes(part).decode("utf-8"))
    except ValueError:
        raise BadToken("json") from None
    if not isinstance(read, dict):
        raise BadToken("json")
    return read


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise BadToken("base64") from None


def _algorithm(header: Mapping[str, Any], allowed: Sequence[str]) -> str:
    if _FORBIDDEN & header.keys():
        raise BadToken("header")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise BadToken("typ")  # at+jwt, logout+jwt: another kind of token
    said = header.get("alg")
    if not isinstance(said, str) or said == "none":
        raise BadToken("alg")
    algorithm = _ALIKE.get(said, said)
    if algorithm not in {_ALIKE.get(one, one) for one in allowed}:
        raise BadToken("alg")
    return algorithm


def _key(keys: Sequence[PublicKey], algorithm: str, kid: object) -> PublicKey:
    if kid is not None and not isinstance(kid, str):
        raise BadToken("kid")
    fitting = [key for key in keys if key.algorithm == algorithm]
    if kid is not None:
        fitting = [key for key in fitting if key.kid == kid]
        if not fitting:
            raise UnknownKey("kid")
    if len(fitting) != 1:  # never try one after the other
        raise BadToken("key")
    return fitting[0]


def _check_whose(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise BadToken("iss")
    # Us alone: with a second audience somebody else could have been given this token.
    if claims.get("aud") not in (expected.client_id, [expected.client_id]):
        raise BadToken("aud")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise BadToken("azp")
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= _MAX_SUB or not sub.isprintable():
        raise BadToken("sub")
    if not sub.strip():
        raise BadToken("sub")
    if "events" in claims:
        raise BadToken("typ")  # a logout token
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(), expected.nonce.encode()
    ):
        raise BadToken("nonce")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    now = expected.now
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    if expires < now - SKEW:
        raise BadToken("exp")
    # Made for this sign-in: neither before it began nor in the future.
    if not expected.begun - SKEW <= issued <= now + SKEW:
        raise BadToken("iat")
    if "nbf" in claims and _seconds(claims, "nbf") > now + SKEW:
        raise BadToken("nbf")
    proved = _seconds(claims, "auth_time")  # compulsory, because max_age is always asked for
    if not expected.begun - expected.max_age - SKEW <= proved <= now + SKEW:
        raise BadToken("auth_time")


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _FAR:
        raise BadToken(name)
    return value


def _check_binding(claims: Mapping[str, Any], expected: Expected, algorithm: str) -> None:
    if "at_hash" not in claims:
        return
    name = "sha512" if algorithm == "Ed25519" else "sha256"
    full = hashlib.new(name, expected.access_token.encode()).digest()
    half = base64.urlsafe_b64encode(full[: len(full) // 2]).decode().rstrip("=")
    said = claims["at_hash"]
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), half.encode()):
        raise BadToken("at_hash")
