"""A department's server proves itself by its registered key, exactly and once."""

import asyncio
import base64
from typing import Any

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.clock import OffsetClock
from gateway.errors import NotSignedIn
from gateway.registry.generation import Generation
from gateway.sso.assertion import ASSERTION_TYPE
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from tests.gateway.sso.offices import KEYS, ORIGIN, Desk, assertion, generation, key_block

AUDIENCE = f"{ORIGIN}/api/v1/tickets/redeem"
STRANGER = ECKey.generate_key("P-256", {"kid": "gjj-1"})


@pytest.fixture
def desk(volatile: Volatile, ledger: Ledger, keys: Keys, clock: OffsetClock) -> Desk:
    """Everything over real stores; nobody signed in."""
    return Desk(volatile, ledger, keys, clock)


async def refused(desk: Desk, form: dict[str, str]) -> str:
    """Why a form proves nothing; the reason is for the log only."""
    with pytest.raises(NotSignedIn) as problem:
        await desk.assertions.prove(form)
    assert problem.value.members == {}
    return problem.value.detail.removeprefix("client assertion: ")


def coded(value: Any) -> str:
    """A segment of a token."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def form_of(text: str) -> dict[str, str]:
    """The form that carries a token."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}


def claims_of(desk: Desk) -> dict[str, Any]:
    """Good claims of the fund's server."""
    now = desk.clock.now() // 1_000_000
    return {
        "iss": "gjj/gjj",
        "sub": "gjj/gjj",
        "aud": AUDIENCE,
        "jti": "once",
        "iat": now,
        "exp": now + 60,
    }


async def test_unknown_clients_cost_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can send an unsigned claim: the registry is not looked through for each of them."""
    await desk.assertions.prove(assertion(desk.clock))
    looked: list[str] = []
    known = Generation.entry
    monkeypatch.setattr(
        Generation, "entry", lambda self, service: looked.append(service) or known(self, service)
    )
    for client in ("gjj/nothing", "gjj/", "nobody/gjj"):
        claims = {**claims_of(desk), "iss": client, "sub": client}
        text = f"{coded({'alg': 'ES256'})}.{coded(claims)}.{coded(b'x')}"
        assert await refused(desk, form_of(text)) == "unknown client"
    assert looked == []


async def test_the_right_key_proves_the_right_department(desk: Desk) -> None:
    """The server of the fund is known as the fund's, and the other as the other's."""
    fund = await desk.assertions.prove(assertion(desk.clock))
    other = await desk.assertions.prove(assertion(desk.clock, office="move"))

    assert (fund.service, fund.department) == ("gjj", "gjj-centre")
    assert (other.service, other.department) == ("move", "move-centre")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"aud": ORIGIN}, "aud", id="N32-aud-origin"),
        pytest.param({"aud": AUDIENCE + "/"}, "aud", id="N32-aud-slash"),
        pytest.param({"aud": AUDIENCE.upper()}, "aud", id="N32-aud-case"),
        pytest.param({"aud": [AUDIENCE, "https://other.example"]}, "aud", id="N44"),
        pytest.param({"aud": []}, "aud", id="N32-aud-none"),
        pytest.param({"aud": ...}, "aud", id="N32-aud-missing"),
        pytest.param({"sub": "move/move"}, "iss and sub", id="N32-sub"),
        pytest.param({"sub": ...}, "iss and sub", id="N32-no-sub"),
        pytest.param({"iss": "gjj", "sub": "gjj"}, "unknown client", id="N32-iss-plugin-only"),
        pytest.param({"iss": "x/y", "sub": "x/y"}, "unknown client", id="N03"),
        pytest.param({"iss": 7, "sub": 7}, "iss and sub", id="N46"),
        pytest.param({"jti": ...}, "jti", id="N32-no-jti"),
        pytest.param({"jti": ""}, "jti", id="N32-empty-jti"),
        pytest.param({"jti": "j" * 129}, "jti", id="N32-long-jti"),
        pytest.param({"exp": ...}, "exp", id="N32-no-exp"),
        pytest.param({"exp": "tomorrow"}, "exp", id="N43-text"),
        pytest.param({"exp": True}, "exp", id="N43-truth"),
        pytest.param({"exp": -1}, "expired", id="N43-negative"),
    ],
)
async def test_what_it_says_is_compared_exactly(
    desk: Desk, changes: dict[str, Any], why: str
) -> None:
    """Every claim that is not exactly as agreed is refused, however good the signature."""
    assert await refused(desk, assertion(desk.clock, **changes)) == why


@pytest.mark.parametrize(
    ("name", "seconds", "why"),
    [
        pytest.param("exp", 600, "good for too long", id="N32-far-future"),
        pytest.param("exp", -31, "expired", id="N32-expired"),
        pytest.param("iat", 120, "not yet", id="N43-iat"),
        pytest.param("nbf", 120, "not yet", id="N43-nbf"),
    ],
)
async def test_times_outside_what_clocks_differ_by_are_refused(
    desk: Desk, name: str, seconds: int, why: str
) -> None:
    """Two minutes off is off."""
    now = desk.clock.now() // 1_000_000
    assert await refused(desk, assertion(desk.clock, **{name: now + seconds})) == why


@pytest.mark.parametrize(
    ("name", "seconds"), [("exp", -20), ("exp", 300), ("iat", 20), ("nbf", 20)]
)
async def test_clocks_may_differ_by_half_a_minute(desk: Desk, name: str, seconds: int) -> None:
    """[N43] A department whose clock is a little off is served."""
    now = desk.clock.now() // 1_000_000
    await desk.assertions.prove(assertion(desk.clock, **{name: now + seconds}))


@pytest.mark.parametrize("row", [pytest.param("N32", id="N32-jti-replay")])
async def test_an_assertion_serves_once(desk: Desk, row: str) -> None:
    """The same one again, or another with the same id, is refused; another client's id is its own."""
    form = assertion(desk.clock, jti="same")
    await desk.assertions.prove(form)

    assert await refused(desk, form) == "jti used"
    assert await refused(
        desk, assertion(desk.clock, jti="same", exp=claims_of(desk)["exp"] + 9)
    ) == ("jti used")
    await desk.assertions.prove(assertion(desk.clock, office="move", jti="same"))


@pytest.mark.parametrize("times", [pytest.param(20, id="N32-jti-concurrent")])
async def test_twenty_at_once_are_one(desk: Desk, times: int) -> None:
    """A replay at the same moment does not slip through."""
    form = assertion(desk.clock)
    done = await asyncio.gather(
        *(desk.assertions.prove(form) for _ in range(times)), return_exceptions=True
    )
    assert sum(not isinstance(one, Exception) for one in done) == 1


@pytest.mark.parametrize("row", [pytest.param("N32", id="N32-other-key")])
async def test_another_key_proves_nothing(desk: Desk, row: str) -> None:
    """A stranger's key under the right name, and another department's key, are refused."""
    assert await refused(desk, assertion(desk.clock, key=STRANGER)) == "signature"
    assert await refused(desk, assertion(desk.clock, key=KEYS["move"])) == "signature"


async def test_an_assertion_may_not_be_touched(desk: Desk) -> None:
    """One changed claim, or another's signature, breaks it."""
    head, body, mark = assertion(desk.clock)["client_assertion"].split(".")
    other = coded(claims_of(desk) | {"jti": "other"})
    assert await refused(desk, form_of(f"{head}.{other}.{mark}")) == "signature"
    assert await refused(desk, form_of(f"{head}.{body}.")) == "signature"
    assert await refused(desk, form_of(f"{head}.{body}.{mark[:-4]}AAAA")) == "signature"


@pytest.mark.parametrize(
    ("algorithm", "row"),
    [
        pytest.param("none", "", id="N34"),
        pytest.param("None", "", id="N34-case"),
        pytest.param("HS256", "", id="N35"),
        pytest.param("ES384", "", id="N32-alg"),
        pytest.param(7, "", id="N32-alg-number"),
    ],
)
async def test_only_agreed_algorithms(desk: Desk, algorithm: Any, row: str) -> None:
    """No symmetric one with the public key as its secret, none at all, none unknown."""
    head = coded({"alg": algorithm, "kid": "gjj-1"})
    body = coded(claims_of(desk))
    assert await refused(desk, form_of(f"{head}.{body}.{coded(b'x' * 64)}")) == "algorithm"


async def test_the_public_key_is_no_shared_secret(desk: Desk) -> None:
    """[N35] A token made by HS256 over the public key's own bytes is refused before it is checked."""
    public = KEYS["gjj"].as_pem(private=False)
    key = OctKey.import_key(base64.b64encode(public).decode())
    text = jwt.encode({"alg": "HS256", "kid": "gjj-1"}, claims_of(desk), key, ["HS256"])
    assert await refused(desk, form_of(text)) == "algorithm"


async def test_another_kind_of_key_under_the_same_name(desk: Desk) -> None:
    """An RSA signature does not pass where an EC key is registered."""
    key = RSAKey.generate_key(2048, {"kid": "gjj-1"})
    text = jwt.encode({"alg": "RS256", "kid": "gjj-1"}, claims_of(desk), key, ["RS256"])
    assert await refused(desk, form_of(text)) == "key for another algorithm"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"jwk": STRANGER.as_dict(private=False)}, id="N36-jwk"),
        pytest.param({"jku": "https://evil.example/jwks"}, id="N36-jku"),
        pytest.param({"x5u": "https://evil.example/c"}, id="N36-x5u"),
        pytest.param({"x5c": ["MII"]}, id="N36-x5c"),
        pytest.param({"crit": ["exp"], "exp": 1}, id="N37"),
        pytest.param({"typ": "logout+jwt"}, id="N42-logout"),
        pytest.param({"typ": "at+jwt"}, id="N42-access"),
    ],
)
async def test_a_key_never_comes_from_the_token(desk: Desk, more: dict[str, Any]) -> None:
    """A header that brings or names a key, demands something, or is of another kind is refused."""
    head = coded({"alg": "ES256", "kid": "gjj-1"} | more)
    text = f"{head}.{coded(claims_of(desk))}.{coded(b'x' * 64)}"
    assert await refused(desk, form_of(text)) == "header"


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("../../keys/gjj-1", id="N38-path"),
        pytest.param("gjj-1' or '1'='1", id="N38-sql"),
        pytest.param("gjj-2", id="N38-unknown"),
        pytest.param(7, id="N38-number"),
    ],
)
async def test_an_unknown_key_name_finds_nothing(desk: Desk, kid: Any) -> None:
    """A key is found by exact name among those registered, nowhere else."""
    text = f"{coded({'alg': 'ES256', 'kid': kid})}.{coded(claims_of(desk))}.{coded(b'x' * 64)}"
    assert await refused(desk, form_of(text)) == "key"


@pytest.mark.parametrize("row", [pytest.param("N39", id="N39")])
async def test_with_several_keys_the_name_is_needed(desk: Desk, row: str) -> None:
    """One key may go unnamed; of two it must be said which."""
    unnamed = jwt.encode({"alg": "ES256"}, claims_of(desk), KEYS["gjj"])
    await desk.assertions.prove(form_of(unnamed))

    second = key_block("move").replace("keys:\n", "")
    own = key_block("gjj")
    desk.live = generation((own, own + second))
    unnamed = jwt.encode({"alg": "ES256"}, claims_of(desk) | {"jti": "2"}, KEYS["gjj"])
    assert await refused(desk, form_of(unnamed)) == "key"
    await desk.assertions.prove(assertion(desk.clock))


@pytest.mark.parametrize("row", [pytest.param("N40", id="N40")])
async def test_a_name_that_stands_twice_is_refused(desk: Desk, row: str) -> None:
    """Two readers could read two different audiences."""
    body = orjson.dumps(claims_of(desk))[:-1] + b',"aud":"https://other.example"}'
    head = coded({"alg": "ES256", "kid": "gjj-1"})
    assert (
        await refused(desk, form_of(f"{head}.{coded(body)}.{coded(b'x' * 64)}")) == "cannot be read"
    )
    twice = coded(b'{"alg":"ES256","alg":"none"}')
    assert await refused(desk, form_of(f"{twice}.{coded(claims_of(desk))}.AA")) == "cannot be read"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("A" * 4097, "too long", id="N41"),
        ("", "missing"),
        ("a.b", "not a signed token"),
        ("a.b.c.d", "not a signed token"),
        ("é.é.é", "cannot be read"),
        ("....", "not a signed token"),
        ("W10.W10.AA", "cannot be read"),
        ("bnVsbA.bnVsbA.AA", "cannot be read"),
    ],
)
async def test_what_is_no_token_is_refused(desk: Desk, text: str, why: str) -> None:
    """Rubbish is refused in words, never an exception of another kind."""
    assert await refused(desk, form_of(text)) == why


async def test_another_way_of_proving_is_refused(desk: Desk) -> None:
    """[N30] Only the agreed method, and only one client at a time."""
    form = assertion(desk.clock)
    assert await refused(desk, {**form, "client_assertion_type": "saml"}) == "missing"
    assert await refused(desk, {"client_secret": "x"}) == "missing"
    assert await refused(desk, {**form, "client_id": "move/move"}) == "client_id"
    await desk.assertions.prove({**form, "client_id": "gjj/gjj"})


@pytest.mark.parametrize("row", [pytest.param("N103", id="N103")])
async def test_a_key_that_was_withdrawn_proves_nothing(desk: Desk, row: str) -> None:
    """The live generation's keys count: after a publish without it the old key is a stranger's."""
    await desk.assertions.prove(assertion(desk.clock))
    new = key_block("move").replace("move-1", "gjj-1")
    desk.live = generation((key_block("gjj"), new))

    assert await refused(desk, assertion(desk.clock)) == "signature"
    assert (await desk.assertions.prove(assertion(desk.clock, key=KEYS["move"]))).service == "gjj"


async def test_ids_are_forgotten_after_their_time(desk: Desk) -> None:
    """Only as long as the assertion could be used again is its id kept."""
    await desk.assertions.prove(assertion(desk.clock))
    assert await desk.assertions.sweep() == 0
    desk.clock.offset += 120_000_000
    assert await desk.assertions.sweep() == 1
