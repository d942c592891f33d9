"""Signatures over requests, as the manifest's `sign` describes them.

`path` and `query_sorted` are signed exactly as they go out (percent-encoded); parameters that carry
time and nonce are part of `query_sorted`, the one that carries the signature is not. `body_digest`
is the hex digest of the raw body by the algorithm's own hash.
"""

import base64
import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.clock import instant
from gateway.contract.connection import Place, Sign, TimePlace
from gateway.hosting.draft import Draft, header

_MILLION: Final = 1_000_000


def signed(sign: Sign, draft: Draft, *, key: str, prefix: str, now: int) -> Draft:
    """The draft with its signature, and with time and nonce where they are wanted.

    `prefix` is the path of `connect.base`, which stands before the draft's; `now` is in UTC
    microseconds. The draft must be sealed: what is signed is what leaves.
    """
    when = _time(sign.time, now) if sign.time else str(now // 1000)
    nonce = secrets.token_hex(32)[: sign.nonce.length] if sign.nonce else ""
    draft = draft.having(*(header(name, value) for name, value in sign.headers.items()))
    for place, value in ((sign.time, when), (sign.nonce, nonce)):
        if place is not None:
            draft = _put(draft, place, value)
    parts = _parts(draft, key=key, prefix=prefix, when=when, nonce=nonce, alg=sign.alg)
    text = sign.join.encode().join(
        part[1:].encode() if part.startswith("=") else parts[part]() for part in sign.over
    )
    return _put(draft, sign.place, _written(_mac(sign.alg, key.encode(), text), sign.encode))


def _parts(
    draft: Draft, *, key: str, prefix: str, when: str, nonce: str, alg: str
) -> dict[str, Callable[[], bytes]]:
    """What can be signed; only what is named is made."""
    return {
        "method": lambda: draft.method.upper().encode(),
        "path": f"{prefix}{draft.path}".encode,
        "query_sorted": lambda: "&".join(sorted(f"{n}={v}" for n, v in draft.query)).encode(),
        "body": lambda: draft.body,
        "body_digest": lambda: _digest(alg, draft.body).hex().encode(),
        "time": when.encode,
        "nonce": nonce.encode,
        "key": key.encode,
    }


def _time(place: TimePlace, now: int) -> str:
    match place.format:
        case "unix":
            return str(now // _MILLION)
        case "unix_ms":
            return str(now // 1000)
        case "iso":
            return instant(now).isoformat(timespec="seconds")


def _put(draft: Draft, place: Place, value: str) -> Draft:
    if place.header is not None:
        return draft.having(header(place.header, value))
    return draft.asking((place.query or "", value))


def _digest(alg: str, data: bytes) -> bytes:
    if alg == "hmac-sha256":
        return sha256(data).digest()
    made = hashes.Hash(hashes.SM3())
    made.update(data)
    return made.finalize()


def _mac(alg: str, key: bytes, data: bytes) -> bytes:
    if alg == "hmac-sha256":
        return hmac.digest(key, data, "sha256")
    made = HMAC(key, hashes.SM3())
    made.update(data)
    return made.finalize()


def _written(mac: bytes, encode: str) -> str:
    match encode:
        case "base64":
            return base64.b64encode(mac).decode()
        case "HEX":
            return mac.hex().upper()
        case _:
            return mac.hex()
