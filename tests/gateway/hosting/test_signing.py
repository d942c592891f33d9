"""Signatures against values computed by hand, and against the simulated provident fund."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.contract.connection import Sign
from gateway.hosting.draft import Draft
from gateway.hosting.signing import signed

NOW = 1_795_400_000_123_456
BODY = b'{"a":1}'
DRAFT = Draft("POST", "/x%20y", (("b", "2"), ("a-b", "%E4"), ("a", "1")), (), BODY)


def made(over: list[str], **more: object) -> Draft:
    """The draft signed over these parts."""
    document = {
        "alg": "hmac-sha256",
        "key": "k",
        "over": over,
        "place": {"header": "X-Sign"},
        **more,
    }
    return signed(Sign.model_validate(document), DRAFT, key="k", prefix="/v2", now=NOW)


def value(draft: Draft, name: str = "X-Sign") -> str:
    """A header of the draft."""
    return dict(draft.headers)[name]


def test_parts_are_signed_in_order_with_the_join() -> None:
    """Method, path with the base's, sorted query as sent, digest, time."""
    draft = made(
        ["method", "path", "query_sorted", "body_digest", "time", "=end", "key"],
        join="\n",
        time={"header": "X-Time", "format": "unix_ms"},
    )
    text = "\n".join(
        [
            "POST",
            "/v2/x%20y",
            "a-b=%E4&a=1&b=2",
            hashlib.sha256(BODY).hexdigest(),
            "1795400000123",
            "end",
            "k",
        ]
    )
    assert value(draft) == hmac.new(b"k", text.encode(), "sha256").hexdigest()
    assert value(draft, "X-Time") == "1795400000123"


@pytest.mark.parametrize(
    ("form", "said"),
    [("unix", "1795400000"), ("unix_ms", "1795400000123"), ("iso", "2026-11-23T10:13:20+08:00")],
)
def test_the_time_is_said_as_agreed(form: str, said: str) -> None:
    """In the city's zone where it has one."""
    assert value(made(["time"], time={"header": "X-T", "format": form}), "X-T") == said


@pytest.mark.parametrize("encode", ["hex", "HEX", "base64"])
def test_sm3_and_the_three_spellings(encode: str) -> None:
    """HMAC-SM3 with an SM3 digest of the body."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(BODY)
    mac = HMAC(b"k", hashes.SM3())
    mac.update(digest.finalize().hex().encode())
    raw = mac.finalize()
    expected = {
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "base64": base64.b64encode(raw).decode(),
    }

    assert value(made(["body_digest"], alg="hmac-sm3", encode=encode)) == expected[encode]


def test_sm3_is_the_standard_one() -> None:
    """The vector of GB/T 32905: SM3("abc")."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(b"abc")
    assert digest.finalize().hex().startswith("66c7f0f462eeedd9d1f2d46bdc10e4e24167c487")


def test_time_and_nonce_in_the_query_are_signed_the_signature_is_not() -> None:
    """As departments with everything in the address do it."""
    draft = made(
        ["query_sorted"],
        place={"query": "sign"},
        time={"query": "ts", "format": "unix"},
        nonce={"query": "nonce", "length": 20},
        headers={"X-App": "me"},
    )
    pairs = [f"{n}={v}" for n, v in draft.query]
    text = "&".join(sorted(pairs[:-1]))
    assert pairs[-1] == "sign=" + hmac.new(b"k", text.encode(), "sha256").hexdigest()
    assert "ts=1795400000" in pairs
    assert len(dict(draft.query)["nonce"]) == 20
    assert value(draft, "X-App") == "me"
    again = dict(made(["nonce"], nonce={"header": "N"}).headers)["N"]
    assert again != dict(made(["nonce"], nonce={"header": "N"}).headers)["N"], (
        "a nonce is used once"
    )


def test_the_body_itself_can_be_signed() -> None:
    """Exactly the bytes that leave."""
    assert value(made(["body"])) == hmac.new(b"k", BODY, "sha256").hexdigest()
