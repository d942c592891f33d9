"""The identity platform is a real OIDC provider: what a strict client needs, and what it refuses."""

import base64
import re
import secrets
import time
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.simulated.people import BY_ID

CALLBACK = "http://localhost:1/sign-in/anlan/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def ask(**over: str | None) -> str:
    """The query of an authorization request; None leaves a parameter out."""
    given = {
        "client_id": "citygate",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid profile",
        "state": "st",
        "nonce": "no",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **over,
    }
    return urlencode({name: value for name, value in given.items() if value is not None})


async def authorize(hands: Any, **over: str | None) -> httpx.Response:
    answer: httpx.Response = await hands.http.get(f"{hands.at['identity']}/authorize?{ask(**over)}")
    return answer


def back(answer: httpx.Response) -> dict[str, str]:
    """What travelled back to the client."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(CALLBACK)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def sign_in(
    hands: Any, person: str = "li-wei", level: str = "3", **over: str | None
) -> httpx.Response:
    page = await authorize(hands, **over)
    found = re.search(r'name="request" value="([^"]+)"', page.text)
    assert found, page.text
    form = {"request": found[1], "person": person, "level": level}
    answer: httpx.Response = await hands.http.post(f"{hands.at['identity']}/sign-in", data=form)
    return answer


async def redeem(hands: Any, code: str, **over: Any) -> httpx.Response:
    issuer = hands.at["identity"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": hands.assertion("identity/client_key", issuer),
        **over,
    }
    answer: httpx.Response = await hands.http.post(f"{issuer}/token", data=form)
    return answer


async def test_the_whole_way(hands: Any) -> None:
    """Discovery, sign-in, code, tokens, ID token with all its claims, userinfo."""
    issuer = hands.at["identity"]
    told = (await hands.http.get(f"{issuer}/.well-known/openid-configuration")).json()
    assert told["issuer"] == issuer

    came = back(await sign_in(hands))
    assert (came["state"], came["iss"]) == ("st", issuer)
    tokens = (await redeem(hands, came["code"])).json()
    keys = KeySet.import_key_set((await hands.http.get(told["jwks_uri"])).json())
    token = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"])
    claims = token.claims

    assert token.header["kid"]
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (issuer, "citygate", "no")
    assert claims["sub"] == BY_ID["li-wei"].sub
    assert claims["acr"] == "urn:anlan:level:3"
    assert abs(claims["auth_time"] - time.time()) < 5
    half = base64.urlsafe_b64encode(sha256(tokens["access_token"].encode()).digest()[:16])
    assert claims["at_hash"] == half.decode().rstrip("=")
    assert "id_number" not in claims

    head = {"Authorization": f"Bearer {tokens['access_token']}"}
    who = (await hands.http.get(told["userinfo_endpoint"], headers=head)).json()
    assert who["sub"] == claims["sub"]
    assert (who["name"], who["id_number"]) == ("李伟", BY_ID["li-wei"].id_number)


async def test_a_code_counts_once_and_its_replay_ends_the_token(hands: Any) -> None:
    """RFC 6749, 4.1.2."""
    code = back(await sign_in(hands))["code"]
    tokens = (await redeem(hands, code)).json()

    assert (await redeem(hands, code)).json() == {"error": "invalid_grant"}
    head = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = await hands.http.get(f"{hands.at['identity']}/userinfo", headers=head)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("over", "error"),
    [
        pytest.param({"code_verifier": "x" * 43}, "invalid_grant", id="verifier"),
        pytest.param({"redirect_uri": CALLBACK + "/"}, "invalid_grant", id="redirect_uri"),
        pytest.param({"client_assertion": "e.e.e"}, "invalid_client", id="assertion"),
        pytest.param({"client_assertion": ""}, "invalid_client", id="no-assertion"),
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", id="grant"),
    ],
)
async def test_the_token_endpoint_refuses(hands: Any, over: dict[str, str], error: str) -> None:
    """With the specification's codes."""
    code = back(await sign_in(hands))["code"]

    answer = await redeem(hands, code, **over)

    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error


async def test_client_secret_basic_works_too(hands: Any) -> None:
    """For old clients; a wrong secret does not."""
    code = back(await sign_in(hands))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    form["code_verifier"] = VERIFIER
    address = f"{hands.at['identity']}/token"

    assert (
        await hands.http.post(address, data=form, auth=("citygate", "wrong"))
    ).status_code == 401
    good = await hands.http.post(
        address, data=form, auth=("citygate", hands.secret("identity/client_secret"))
    )
    assert good.status_code == 200


@pytest.mark.parametrize(
    ("over", "error"),
    [
        pytest.param({"code_challenge": None}, "invalid_request", id="no-pkce"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit"),
        pytest.param({"scope": "profile"}, "invalid_scope", id="scope"),
        pytest.param({"prompt": "none"}, "login_required", id="prompt-none"),
        pytest.param({"prompt": "none login"}, "invalid_request", id="prompt-both"),
        pytest.param({"max_age": "-1"}, "invalid_request", id="max-age"),
    ],
)
async def test_refusals_travel_back_with_state_and_issuer(
    hands: Any, over: dict[str, str | None], error: str
) -> None:
    """RFC 9207 holds for errors too."""
    hands.http.cookies.clear()

    came = back(await authorize(hands, **over))

    assert came["error"] == error
    assert (came["state"], came["iss"]) == ("st", hands.at["identity"])


@pytest.mark.parametrize(
    "over",
    [
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": "http://evil.example/"},
        {"client_id": "other"},
        {"redirect_uri": None},
    ],
)
async def test_nothing_travels_to_an_address_that_is_not_the_client_s(
    hands: Any, over: dict[str, str | None]
) -> None:
    """A page, never a redirect."""
    answer = await authorize(hands, **over)

    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_twice_the_same_parameter_is_refused(hands: Any) -> None:
    """RFC 6749, 3.1."""
    answer = await hands.http.get(f"{hands.at['identity']}/authorize?{ask()}&nonce=other")

    assert answer.status_code == 400


async def test_a_session_answers_at_once_until_more_is_asked(hands: Any) -> None:
    """Single sign-on, prompt, max_age and a higher level."""
    assert "code" in back(await sign_in(hands, level="2"))

    assert "code" in back(await authorize(hands, prompt="none"))
    assert (await authorize(hands, prompt="login")).status_code == 200
    assert (await authorize(hands, acr_values="urn:anlan:level:3")).status_code == 200
    assert "error" in back(await authorize(hands, acr_values="urn:anlan:level:3", prompt="none"))
    await hands.control("clock", advance_seconds=120)
    assert (await authorize(hands, max_age="60")).status_code == 200
    assert "code" in back(await authorize(hands, max_age="600"))


@pytest.mark.parametrize(
    ("person", "level", "said"),
    [
        pytest.param("zhao-lei", "3", "冻结", id="suspended"),
        pytest.param("sun-li", "2", "最高", id="too-high"),
        pytest.param("nobody", "2", "没有这个", id="unknown"),
        pytest.param("li-wei", "9", "实名方式", id="level"),
    ],
)
async def test_who_cannot_sign_in_is_told_why(
    hands: Any, person: str, level: str, said: str
) -> None:
    """The page again, with a sentence."""
    hands.http.cookies.clear()

    answer = await sign_in(hands, person, level)

    assert answer.status_code == 422
    assert said in answer.text


async def test_a_name_can_be_typed(hands: Any) -> None:
    """Name, telephone or number instead of picking."""
    hands.http.cookies.clear()
    page = await authorize(hands)
    found = re.search(r'name="request" value="([^"]+)"', page.text)
    assert found
    form = {"request": found[1], "typed": BY_ID["wang-fang"].phone, "level": "auto"}

    answer = await hands.http.post(f"{hands.at['identity']}/sign-in", data=form)

    assert "code" in back(answer)


async def test_a_person_known_by_telephone_has_no_name(hands: Any) -> None:
    """Level 1 proves the telephone only."""
    hands.http.cookies.clear()
    tokens = (await redeem(hands, back(await sign_in(hands, "sun-li", "auto"))["code"])).json()
    head = {"Authorization": f"Bearer {tokens['access_token']}"}
    who = (await hands.http.get(f"{hands.at['identity']}/userinfo", headers=head)).json()

    assert who == {"sub": BY_ID["sun-li"].sub, "phone": BY_ID["sun-li"].phone}


async def test_logout_goes_back_only_where_it_may(hands: Any) -> None:
    """With a good hint at once; elsewhere never."""
    tokens = (await redeem(hands, back(await sign_in(hands))["code"])).json()
    issuer = hands.at["identity"]
    query = {"id_token_hint": tokens["id_token"], "state": secrets.token_hex(4)}

    away = await hands.http.get(
        f"{issuer}/logout",
        params={**query, "post_logout_redirect_uri": "http://evil.example/"},
    )
    assert away.status_code == 200
    await sign_in(hands)
    good = await hands.http.get(
        f"{issuer}/logout",
        params={**query, "post_logout_redirect_uri": "http://localhost:1/"},
    )
    assert good.headers["location"] == f"http://localhost:1/?state={query['state']}"
    assert back(await authorize(hands, prompt="none"))["error"] == "login_required"
