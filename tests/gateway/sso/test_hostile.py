"""A provider that lies, fails or is not who it says: nobody comes in, and nothing breaks."""

import base64
import gzip
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from sqlalchemy import func, select

from gateway.clock import OffsetClock
from gateway.sso.stopped import Stopped
from gateway.store.ids import new_token
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import citizen as citizens
from gateway.store.volatile import Volatile
from tests.department import http
from tests.gateway.sso.entrance import Entrance, entrance, settings_of
from tests.upstream import GONE, LEVEL, Claims, Provider, compact, new_key, part

MINUTE = 60_000_000
Change = Callable[[Provider], None]


@pytest.fixture
def provider(clock: OffsetClock) -> Iterator[Provider]:
    """A provider that goes by the test's clock."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture
def other(clock: OffsetClock) -> Iterator[Provider]:
    """A second provider."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture
async def door(
    provider: Provider,
    other: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> AsyncIterator[Entrance]:
    """The way in through both, one with our key and one with a secret."""
    secret = tmp_path / "secret"
    secret.write_text(other.client_secret)
    rows = [
        settings_of(provider, tmp_path),
        settings_of(
            other, tmp_path, name="village", client_key_file=None, client_secret_file=secret
        ),
    ]
    opened = entrance(rows, volatile=volatile, ledger=ledger, keys=keys, clock=clock)
    async with opened as made:
        yield made


async def refused(door: Entrance, provider: Provider, **how: Any) -> Stopped:
    """Sign in, and be sent away."""
    with pytest.raises(Stopped) as stopped:
        await door.come_in(provider, **how)
    return stopped.value


def claims(**changes: Any) -> Change:
    """Other claims in the ID token."""

    def change(provider: Provider) -> None:
        provider.claims = changes

    return change


def seconds(name: str, by: int) -> Change:
    """A time in the ID token moved from now."""

    def change(provider: Provider) -> None:
        provider.claims = {name: provider.now() + by}

    return change


def header(**changes: Any) -> Change:
    """Another header, signed with the right key."""

    def change(provider: Provider) -> None:
        provider.header = changes

    return change


def signed(make: Callable[[Provider, Claims, Claims], str]) -> Change:
    """An ID token made another way."""

    def change(provider: Provider) -> None:
        provider.sign = lambda head, body: make(provider, head, body)

    return change


def unsigned(provider: Provider, head: Claims, body: Claims) -> str:
    """No signature at all."""
    return f"{part({**head, 'alg': 'none'})}.{part(body)}."


def none_listed(provider: Provider) -> None:
    """The metadata says that it signs with nothing."""
    provider.metadata = {"id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}
    provider.sign = lambda head, body: unsigned(provider, head, body)


def by_hmac(secret: Callable[[Provider], bytes]) -> Change:
    """HS256 with something public as the secret."""

    def make(provider: Provider, head: Claims, body: Claims) -> str:
        text = f"{part({**head, 'alg': 'HS256'})}.{part(body)}"
        mac = hmac.digest(secret(provider), text.encode(), "sha256")
        return f"{text}.{part(mac)}"

    return signed(make)


def by_thief(**head: Callable[[Any], Any]) -> Change:
    """Signed with another key, which the header brings along."""
    thief = new_key("thief")

    def make(provider: Provider, said: Claims, body: Claims) -> str:
        brought = {name: value(thief) for name, value in head.items()}
        return compact({**said, **brought}, body, thief)

    return signed(make)


def public(key: Any) -> Any:
    """The public half."""
    return key.as_dict(private=False)


def several_keys(provider: Provider) -> None:
    """Two keys, and a token that does not say which."""
    provider.keys.append(new_key())
    provider.header = {"kid": GONE}


def same_kid_twice(provider: Provider) -> None:
    """Two keys of one name."""
    provider.keys.append(new_key(str(provider.keys[0].kid)))


def weak_rsa(provider: Provider) -> None:
    """The only key is one that nobody should trust."""
    small = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    size = {"n": part(small.n.to_bytes(128, "big")), "e": "AQAB"}
    provider.raw["/jwks"] = http(orjson.dumps({"keys": [{"kty": "RSA", "kid": "weak", **size}]}))
    provider.header = {"alg": "RS256", "kid": "weak"}


def twice(provider: Provider, head: Claims, body: Claims) -> str:
    """The subject stands twice."""
    raw = orjson.dumps(body)[:-1] + b',"sub":"person-2"}'
    return compact(head, raw, provider.keys[0])


def alg_twice(provider: Provider, head: Claims, body: Claims) -> str:
    """The algorithm stands twice."""
    return compact(orjson.dumps(head)[:-1] + b',"alg":"none"}', body, provider.keys[0])


def not_a_number(provider: Provider, head: Claims, body: Claims) -> str:
    """An expiry that is no JSON."""
    raw = orjson.dumps({**body, "exp": 0}).replace(b'"exp":0', b'"exp":NaN')
    return compact(head, raw, provider.keys[0])


def cut(provider: Provider, head: Claims, body: Claims) -> str:
    """The signature of something else."""
    good = compact(head, body, provider.keys[0])
    return ".".join([*good.split(".")[:2], compact(head, {}, provider.keys[0]).split(".")[2]])


TOKENS = [
    pytest.param(signed(unsigned), id="N34-none"),
    pytest.param(none_listed, id="N34-none-listed-in-metadata"),
    pytest.param(header(alg="None"), id="N34-none-in-capitals"),
    pytest.param(header(alg=GONE), id="N34-no-alg"),
    pytest.param(header(alg="RS256"), id="N35-rsa-name-ec-key"),
    pytest.param(header(alg="ES384"), id="N35-not-on-our-list"),
    pytest.param(by_hmac(lambda p: orjson.dumps(public(p.keys[0]))), id="N35-hmac-with-jwk"),
    pytest.param(by_hmac(lambda p: p.keys[0].as_pem(private=False)), id="N35-hmac-with-pem"),
    pytest.param(by_hmac(lambda p: b""), id="N35-hmac-empty"),
    pytest.param(by_thief(jwk=public), id="N36-jwk"),
    pytest.param(by_thief(jku=lambda _: "http://127.0.0.1:9/jwks"), id="N36-jku"),
    pytest.param(by_thief(x5u=lambda _: "http://127.0.0.1:9/pem"), id="N36-x5u"),
    pytest.param(by_thief(x5c=lambda k: [part(k.as_der(private=False))]), id="N36-x5c"),
    pytest.param(header(jwk={"kty": "oct", "k": "AA"}), id="N36-jwk-beside-a-good-signature"),
    pytest.param(by_thief(), id="N36-thief"),
    pytest.param(header(crit=["exp"]), id="N37-crit"),
    pytest.param(header(crit=["b64"], b64=False), id="N37-b64"),
    pytest.param(header(kid="../../../../dev/null"), id="N38-path"),
    pytest.param(header(kid="' OR '1'='1"), id="N38-sql"),
    pytest.param(header(kid=7), id="N38-number"),
    pytest.param(several_keys, id="N39-no-kid-several-keys"),
    pytest.param(same_kid_twice, id="N39-one-kid-two-keys"),
    pytest.param(weak_rsa, id="N39-rsa-of-1024-bits"),
    pytest.param(signed(twice), id="N40-claim-twice"),
    pytest.param(signed(alg_twice), id="N40-header-twice"),
    pytest.param(header(x="x" * 4000), id="N41-header"),
    pytest.param(claims(x="x" * 40_000), id="N41-payload"),
    pytest.param(header(typ="at+jwt"), id="N42-access-token"),
    pytest.param(header(typ="logout+jwt"), id="N42-logout-token"),
    pytest.param(
        claims(events={"http://schemas.openid.net/event/backchannel-logout": {}}),
        id="N42-logout-token-without-typ",
    ),
    pytest.param(header(typ="launch+jwt"), id="N42-launch-token"),
    pytest.param(seconds("exp", -120), id="N43-exp-120"),
    pytest.param(seconds("exp", -31), id="N43-exp-31"),
    pytest.param(seconds("nbf", 120), id="N43-nbf"),
    pytest.param(seconds("iat", 120), id="N43-iat-future"),
    pytest.param(seconds("iat", -120), id="N43-iat-before-we-asked"),
    pytest.param(signed(not_a_number), id="N43-nan"),
    pytest.param(claims(exp=-1), id="N43-negative"),
    pytest.param(claims(exp="4102444800"), id="N43-string"),
    pytest.param(claims(exp="2099-01-01T00:00:00Z"), id="N43-date"),
    pytest.param(claims(exp=True), id="N43-true"),
    pytest.param(claims(exp=4102444800.5), id="N43-fraction"),
    pytest.param(claims(exp=10**18), id="N43-huge"),
    pytest.param(claims(exp=GONE), id="N43-no-exp"),
    pytest.param(claims(iat=GONE), id="N43-no-iat"),
    pytest.param(claims(aud="someone-else"), id="N44-foreign"),
    pytest.param(claims(aud=["citygate", "someone-else"]), id="N44-several"),
    pytest.param(claims(aud="someone-else", azp="citygate"), id="N44-azp-trick"),
    pytest.param(claims(azp="someone-else"), id="N44-azp-foreign"),
    pytest.param(claims(aud=[]), id="N44-empty"),
    pytest.param(claims(aud={"citygate": 1}), id="N44-object"),
    pytest.param(claims(aud=GONE), id="N44-missing"),
    pytest.param(lambda p: claims(iss=p.issuer + "/")(p), id="N45-slash"),
    pytest.param(lambda p: claims(iss=p.issuer.upper())(p), id="N45-case"),
    pytest.param(claims(iss=GONE), id="N45-missing"),
    pytest.param(claims(sub=""), id="N46-empty"),
    pytest.param(claims(sub="   "), id="N46-blank"),
    pytest.param(claims(sub="x" * 256), id="N46-long"),
    pytest.param(claims(sub=12345), id="N46-number"),
    pytest.param(claims(sub=GONE), id="N46-missing"),
    pytest.param(claims(sub="a\x00b"), id="N46-control"),
    pytest.param(claims(nonce=GONE), id="N49-missing"),
    pytest.param(claims(nonce=new_token()), id="N49-wrong"),
    pytest.param(claims(nonce=7), id="N49-number"),
    pytest.param(lambda p: p.token.update(id_token=GONE), id="N50-missing"),
    pytest.param(lambda p: p.token.update(id_token=""), id="N50-empty"),
    pytest.param(lambda p: p.token.update(id_token=None), id="N50-null"),
    pytest.param(lambda p: p.token.update(id_token="a.b"), id="N50-two-parts"),
    pytest.param(claims(at_hash="AAAA"), id="N51-wrong"),
    pytest.param(claims(at_hash=7), id="N51-number"),
    pytest.param(lambda p: p.token.update(access_token="another"), id="N51-another-token"),
    pytest.param(lambda p: p.userinfo.update(sub="person-2"), id="N52-another"),
    pytest.param(lambda p: p.userinfo.update(sub=GONE), id="N52-missing"),
    pytest.param(seconds("auth_time", -13 * 3600), id="N53-older-than-max-age"),
    pytest.param(claims(auth_time=GONE), id="N53-missing"),
    pytest.param(seconds("auth_time", 120), id="N53-future"),
    pytest.param(signed(cut), id="row-3-signature-of-another"),
    pytest.param(lambda p: p.token.update(token_type="mac"), id="row-3-token-type"),
    pytest.param(lambda p: p.token.update(access_token=GONE), id="row-3-no-access-token"),
    pytest.param(lambda p: p.token.update(access_token="a b\r\nx: y"), id="row-3-header-in-token"),
]


# Why each is refused: a lie that only stumbles over another check would prove nothing.
WHY = {
    "N34": {"alg", "form"},
    "N35": {"alg"},
    "N36": {"header", "signature"},
    "N37": {"header"},
    "N38": {"kid"},
    "N39": {"key", "alg"},
    "N40": {"json"},
    "N41": {"header size", "size"},
    "N42": {"typ"},
    "N43": {"exp", "nbf", "iat", "json"},
    "N44": {"aud", "azp"},
    "N45": {"iss"},
    "N46": {"sub"},
    "N49": {"nonce"},
    "N50": {"size", "form"},
    "N51": {"at_hash"},
    "N52": {"userinfo: sub"},
    "N53": {"auth_time"},
    "row": {"signature", "token endpoint: token_type", "token endpoint: access_token"},
}


@pytest.mark.parametrize("change", TOKENS)
async def test_what_does_not_hold_signs_nobody_in(
    door: Entrance,
    provider: Provider,
    ledger: Ledger,
    change: Change,
    request: pytest.FixtureRequest,
) -> None:
    """Each lie is refused for what it is, in the words of one page, and no citizen is made."""
    change(provider)

    stopped = await refused(door, provider)

    query = select(func.count()).select_from(citizens)
    assert stopped.reason == "refused"
    assert stopped.why.removeprefix("id_token: ") in WHY[request.node.callspec.id.split("-")[0]]
    assert await ledger.read(lambda c: c.execute(query).scalar()) == 0


GOOD = [
    pytest.param(seconds("exp", -29), id="N43-exp-29"),
    pytest.param(seconds("iat", 29), id="N43-iat-29"),
    pytest.param(seconds("nbf", 29), id="N43-nbf-29"),
    pytest.param(claims(aud=["citygate"], azp="citygate"), id="N44-list-of-us"),
    pytest.param(header(kid=GONE), id="N39-no-kid-one-key"),
    pytest.param(header(typ="JWT"), id="N42-jwt"),
    pytest.param(claims(at_hash=GONE), id="N51-not-said"),
    pytest.param(seconds("auth_time", -11 * 3600), id="N53-within-max-age"),
    pytest.param(lambda p: p.metadata.update(userinfo_endpoint=GONE), id="N52-no-userinfo"),
]


@pytest.mark.parametrize("change", GOOD)
async def test_what_the_specification_allows_is_let_in(
    door: Entrance, provider: Provider, change: Change
) -> None:
    """The same door opens for what is merely another good way to say it."""
    change(provider)

    assert (await door.come_in(provider)).token


@pytest.mark.parametrize("name", ["RS256", "EdDSA", "Ed25519"])
async def test_other_algorithms_hold_where_the_settings_name_them(
    provider: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    name: str,
) -> None:
    """RSA and Ed25519 by the same checks; not where the list says ES256 only."""
    key: Any = RSAKey.generate_key(2048) if name == "RS256" else OKPKey.generate_key("Ed25519")
    provider.raw["/jwks"] = http(orjson.dumps({"keys": [public(key)]}))

    def sign(head: Claims, body: Claims) -> str:
        model: Any = JWSRegistry.algorithms["RS256" if name == "RS256" else "Ed25519"]
        text = f"{part({'alg': name})}.{part(body)}"
        return f"{text}.{part(model.sign(text.encode(), key))}"

    provider.sign = sign
    provider.claims = {"at_hash": GONE}
    listed = "EdDSA" if name.startswith("Ed") else "RS256"
    stores: Any = {"volatile": volatile, "ledger": ledger, "keys": keys, "clock": clock}
    async with entrance([settings_of(provider, tmp_path, algorithms=(listed,))], **stores) as made:
        assert (await made.come_in(provider)).token
    async with entrance([settings_of(provider, tmp_path)], **stores) as made:
        assert (await refused(made, provider)).reason == "refused"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        pytest.param(GONE, "spent", id="N47-missing"),
        pytest.param("", "spent", id="N47-empty"),
        pytest.param("x" * 43, "spent", id="N47-wrong"),
        pytest.param("x" * 100_000, "spent", id="N47-long"),
        pytest.param("\u200b" * 43, "spent", id="N47-letters"),
        pytest.param("{" + "x" * 41 + "}", "spent", id="N47-braces"),
    ],
)
async def test_a_foreign_state_signs_nobody_in(
    door: Entrance, provider: Provider, state: Any, reason: str
) -> None:
    """Who comes back with a state that was never given out is not in."""
    assert (await refused(door, provider, state=state)).reason == reason


@pytest.mark.parametrize("_", [pytest.param(0, id="N47-another-browser")])
async def test_another_browser_signs_nobody_in(door: Entrance, provider: Provider, _: int) -> None:
    """An address that somebody sends around signs nobody in, and is spent by the try."""
    address = await door.signin.begin("town", browser=door.browser)
    query = provider.approve(address)
    for browser, reason in ((new_token(), "other_browser"), (door.browser, "spent")):
        with pytest.raises(Stopped) as stopped:
            await door.signin.finish("town", query, browser=browser, old=None)
        assert stopped.value.reason == reason


@pytest.mark.parametrize("_", [pytest.param(0, id="N47-reused")])
async def test_a_state_is_redeemed_once(door: Entrance, provider: Provider, _: int) -> None:
    """The second use is told so, without a word to the provider."""
    address = await door.signin.begin("town", browser=door.browser)
    query = provider.approve(address)
    await door.signin.finish("town", query, browser=door.browser, old=None)
    asked = provider.calls["/token"]
    with pytest.raises(Stopped, match="spent"):
        await door.signin.finish("town", query, browser=door.browser, old=None)
    assert provider.calls["/token"] == asked


@pytest.mark.parametrize("_", [pytest.param(0, id="N47-expired")])
async def test_ten_minutes_later_it_is_too_late(
    door: Entrance, provider: Provider, clock: OffsetClock, _: int
) -> None:
    """An expired sign-in still knows where she wanted to go."""
    address = await door.signin.begin("town", browser=door.browser, next_path="/s/gjj")
    clock.offset += 10 * MINUTE
    with pytest.raises(Stopped) as stopped:
        await door.signin.finish("town", provider.approve(address), browser=door.browser, old=None)
    assert (stopped.value.reason, stopped.value.next_path) == ("expired", "/s/gjj")


@pytest.mark.parametrize(
    "iss",
    [
        pytest.param(GONE, id="N48-missing"),
        pytest.param("http://attacker.example", id="N48-foreign"),
        pytest.param("", id="N48-empty"),
    ],
)
async def test_the_answer_must_name_its_issuer(
    door: Entrance, provider: Provider, iss: Any
) -> None:
    """RFC 9207: an answer that is another's, or does not say whose it is, is refused."""
    assert (await refused(door, provider, iss=iss)).why == "iss"
    assert provider.calls["/token"] == 0


@pytest.mark.parametrize("_", [pytest.param(0, id="N48-mix-up")])
async def test_two_providers_are_never_mixed_up(
    door: Entrance, provider: Provider, other: Provider, _: int
) -> None:
    """A code of one never reaches the other's token endpoint, and each one's own way works."""
    address = await door.signin.begin("town", browser=door.browser)
    query = provider.approve(address)
    with pytest.raises(Stopped) as stopped:
        await door.signin.finish("village", query, browser=door.browser, old=None)
    assert (stopped.value.reason, stopped.value.why) == ("refused", "another upstream")

    address = await door.signin.begin("town", browser=door.browser)
    state = provider.approve(address)["state"]
    elsewhere = other.approve(await door.signin.begin("village", browser=door.browser))
    with pytest.raises(Stopped):
        await door.signin.finish(
            "town", {**elsewhere, "state": state}, browser=door.browser, old=None
        )
    assert provider.calls["/token"] == other.calls["/token"] == 0
    assert (await door.come_in(other, upstream="village")).citizen.upstream == "village"
    assert (await door.come_in(provider)).citizen.upstream == "town"


@pytest.mark.parametrize("_", [pytest.param(0, id="N49-replayed")])
async def test_an_old_id_token_is_not_taken_again(
    door: Entrance, provider: Provider, _: int
) -> None:
    """A token of an earlier sign-in carries that one's nonce."""
    made: list[str] = []
    usual = provider.sign
    provider.sign = lambda head, body: made.append(usual(head, body)) or made[0]  # type: ignore[func-returns-value]
    await door.come_in(provider)
    assert (await refused(door, provider)).why == "id_token: nonce"


@pytest.mark.parametrize("_", [pytest.param(0, id="N53-prompt-login")])
async def test_who_must_prove_herself_again_has_to(
    door: Entrance, provider: Provider, _: int
) -> None:
    """A provider that shows no page although we asked it to is seen through."""
    provider.claims = {"auth_time": provider.now() - 300}
    assert (await door.come_in(provider)).token
    assert (await refused(door, provider, prompt="login")).why == "id_token: auth_time"


@pytest.mark.parametrize(
    "acr",
    [
        pytest.param(f"{LEVEL}2", id="N54-lower"),
        pytest.param(GONE, id="N54-missing"),
        pytest.param("urn:other:9", id="N54-unknown"),
        pytest.param(4, id="N54-number"),
        pytest.param([f"{LEVEL}4"], id="N54-list"),
    ],
)
async def test_a_lower_level_than_asked_for_is_said_so(
    door: Entrance, provider: Provider, acr: Any
) -> None:
    """She is told that it was not enough; no session of a lower level takes her place."""
    provider.claims = {"acr": acr}
    stopped = await refused(door, provider, level=3, next_path="/s/gjj")
    assert (stopped.reason, stopped.next_path, stopped.level) == ("too_low", "/s/gjj", 3)


def metadata(**changes: Any) -> Change:
    """Another discovery document."""

    def change(provider: Provider) -> None:
        provider.metadata = changes

    return change


DISCOVERY = [
    pytest.param(metadata(issuer="http://attacker.example"), id="N55-foreign"),
    pytest.param(lambda p: metadata(issuer=p.issuer + "/")(p), id="N55-slash"),
    pytest.param(metadata(issuer=GONE), id="N55-missing"),
    pytest.param(
        metadata(token_endpoint="http://attacker.example/token"), id="N55-token-elsewhere"
    ),
    pytest.param(metadata(jwks_uri="file:///etc/passwd"), id="N55-file"),
    pytest.param(metadata(jwks_uri="http://169.254.169.254/"), id="N55-metadata-address"),
    pytest.param(metadata(authorization_endpoint="javascript:alert(1)"), id="N55-javascript"),
    pytest.param(metadata(authorization_endpoint="http://x@[::"), id="N55-no-address"),
    pytest.param(metadata(token_endpoint=7), id="N55-number"),
    pytest.param(metadata(token_endpoint=GONE), id="N55-no-token-endpoint"),
]


@pytest.mark.parametrize("change", DISCOVERY)
async def test_a_wrong_discovery_document_is_not_used(
    door: Entrance, provider: Provider, change: Change
) -> None:
    """Nobody is sent anywhere on the word of a document that is another's."""
    change(provider)
    with pytest.raises(Stopped) as stopped:
        await door.signin.begin("town", browser=door.browser)
    assert stopped.value.reason == "refused"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param("access_denied", "cancelled", id="N56-cancelled"),
        pytest.param("<script>alert(1)</script>", "refused", id="N56-script"),
        pytest.param("server_error", "refused", id="N56-server"),
    ],
)
async def test_an_error_comes_back_as_one_of_our_words(
    door: Entrance, provider: Provider, error: str, reason: str
) -> None:
    """Nothing of what the address says is kept in what is shown or logged."""
    evil = "<img src=x onerror=alert(1)>"
    stopped = await refused(door, provider, code=GONE, error=error, error_description=evil)
    assert stopped.reason == reason
    assert "<" not in str(stopped) + stopped.why


BROKEN = {
    "N57-redirect": http(b"", status=302, headers=b"location: http://127.0.0.1:9/\r\n"),
    "N57-307": http(b"", status=307, headers=b"location: /token\r\n"),
    "N57-10-mb": http(b'{"x":"' + b"x" * (10 << 20) + b'"}'),
    "N57-bomb": http(gzip.compress(b" " * (50 << 20)), headers=b"content-encoding: gzip\r\n"),
    "N57-html": http(b"<html>login</html>", kind=b"text/html"),
    "N57-json-as-text": http(b"{}", kind=b"text/plain"),
    "N57-not-json": http(b"{"),
    "N57-list": http(b"[]"),
    "N57-empty": http(b""),
    "N57-latin": http(b'{"access_token":"\xff"}'),
    "N57-deep": http(b"[" * 100_000),
    "N57-twice": http(b'{"access_token":"a","access_token":"b"}'),
    "N57-500": http(b"oops", status=500),
    "N57-401": http(b'{"error":"invalid_client"}', status=401),
    "N57-204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "N57-not-http": b"\x16\x03\x01 hello\r\n\r\n",
}


@pytest.mark.parametrize("path", ["/token", "/userinfo", "/jwks"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_signs_nobody_in(
    door: Entrance, provider: Provider, name: str, path: str
) -> None:
    """Whatever an endpoint answers, she gets a page that says what to do."""
    provider.raw[path] = BROKEN[name]
    assert (await refused(door, provider)).reason in ("away", "refused")
    provider.raw.clear()
    assert provider.calls["/trap"] == 0


@pytest.mark.parametrize("_", [pytest.param(0, id="N57-silent")])
async def test_a_silent_provider_costs_seconds_and_no_more(
    door: Entrance, provider: Provider, _: int
) -> None:
    """The deadline is ours, whatever trickles in."""
    provider.pause["/token"] = 30
    begun = time.monotonic()
    assert (await refused(door, provider)).reason == "away"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("_", [pytest.param(0, id="N58-rotation")])
async def test_keys_rotate_in_the_middle_of_a_login(
    door: Entrance, provider: Provider, _: int
) -> None:
    """A key that came between is fetched, and she is in."""
    await door.come_in(provider)
    provider.rotate()
    assert (await door.come_in(provider)).token
    assert provider.calls["/jwks"] == 2


@pytest.mark.parametrize("_", [pytest.param(0, id="N58-flood")])
async def test_unknown_keys_do_not_become_a_flood(
    door: Entrance, provider: Provider, clock: OffsetClock, _: int
) -> None:
    """Twenty tokens of unknown keys cost the provider four requests in a minute."""
    await door.come_in(provider)
    provider.header = {"kid": "unknown"}
    for _number in range(20):
        assert (await refused(door, provider)).reason == "refused"
    assert provider.calls["/jwks"] == 1 + 3


@pytest.mark.parametrize("_", [pytest.param(0, id="N59-same-telephone")])
async def test_the_same_telephone_elsewhere_is_somebody_else(
    door: Entrance, provider: Provider, other: Provider, _: int
) -> None:
    """Accounts of two providers never meet by what they tell, nor by the same number there."""
    first = await door.come_in(provider)
    second = await door.come_in(other, upstream="village")
    assert first.citizen.id != second.citizen.id


@pytest.mark.parametrize("_", [pytest.param(0, id="row-3-loopback")])
async def test_loopback_is_for_demo_and_test_only(
    provider: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    _: int,
) -> None:
    """A provider on this machine is not reached in production."""
    rows = [settings_of(provider, tmp_path)]
    opened = entrance(
        rows, volatile=volatile, ledger=ledger, keys=keys, clock=clock, loopback=False
    )
    async with opened as made:
        with pytest.raises(Stopped, match="away"):
            await made.signin.begin("town", browser=made.browser)
    assert provider.calls.total() == 0


def test_the_test_provider_signs_as_it_says() -> None:
    """The hash of the access token is the one that the specification wants."""
    half = hashlib.sha256(b"jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y").digest()[:16]
    assert base64.urlsafe_b64encode(half).decode().rstrip("=") == "77QmUPtjPfzWtF2AnpK9RQ"
