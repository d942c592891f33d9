"""Coming in through a provider that behaves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.errors import NotFound
from gateway.sso.paths import own_path
from gateway.sso.stopped import Stopped
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit
from gateway.store.tables import citizen as citizens
from gateway.store.volatile import Volatile
from tests.gateway.sso.entrance import Entrance, entrance, settings_of
from tests.upstream import Provider

MINUTE = 60_000_000


@pytest.fixture
def provider(clock: OffsetClock) -> Iterator[Provider]:
    """A provider that goes by the test's clock."""
    with Provider() as running:
        running.now = lambda: clock.now() // 1_000_000
        yield running


@pytest.fixture
async def door(
    provider: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> AsyncIterator[Entrance]:
    """The way in through that provider."""
    rows = [settings_of(provider, tmp_path)]
    opened = entrance(rows, volatile=volatile, ledger=ledger, keys=keys, clock=clock)
    async with opened as made:
        yield made


async def trail(ledger: Ledger) -> list[str]:
    """The names of all audit events."""
    return await ledger.read(
        lambda c: list(c.execute(select(audit.c.name).order_by(audit.c.seq)).scalars())
    )


async def test_she_comes_in_and_is_found_by_her_token(
    door: Entrance, provider: Provider, ledger: Ledger
) -> None:
    """A good answer opens a session with her level and claims, audited, under a random id."""
    arrived = await door.come_in(provider, next_path="/s/gjj")

    citizen = await door.citizen(arrived.token)
    assert arrived.next_path == "/s/gjj"
    assert (citizen.level, citizen.upstream) == (3, "town")
    assert (await door.sessions.claims(citizen))["name"] == "测试一"
    assert await trail(ledger) == ["session.opened"]


async def test_the_same_person_is_the_same_citizen(
    door: Entrance, provider: Provider, ledger: Ledger, clock: OffsetClock
) -> None:
    """Found again by a blind index: her row holds neither name, number nor the provider's id."""
    first = await door.come_in(provider)
    clock.offset += 24 * 60 * MINUTE
    second = await door.come_in(provider)
    other = await door.come_in(provider, sub="person-2")

    assert first.citizen.id == second.citizen.id != other.citizen.id
    rows = await ledger.read(lambda c: list(c.execute(select(citizens)).mappings()))
    assert len(rows) == 2
    assert all("person" not in str(dict(row)) and "测试" not in str(dict(row)) for row in rows)


async def test_many_first_sign_ins_make_one_citizen(door: Entrance, provider: Provider) -> None:
    """Many devices at the same moment are one person."""
    arrived = await asyncio.gather(*(door.come_in(provider) for _ in range(6)))
    assert len({one.citizen.id for one in arrived}) == 1
    assert len({one.token for one in arrived}) == 6


@pytest.mark.parametrize("_", [pytest.param(0, id="N47-twenty-at-once")])
async def test_one_state_is_redeemed_once_of_twenty(
    door: Entrance, provider: Provider, ledger: Ledger, _: int
) -> None:
    """Of twenty impatient taps one is in, nineteen get their page, the code is asked for once."""
    address = await door.signin.begin("town", browser=door.browser)
    query = provider.approve(address)
    results = await asyncio.gather(
        *(
            door.signin.finish("town", query, browser=door.browser, old=None)
            for _number in range(20)
        ),
        return_exceptions=True,
    )
    stopped = [one for one in results if isinstance(one, Stopped)]
    assert len(stopped) == 19
    assert {one.reason for one in stopped} == {"spent"}
    assert provider.calls["/token"] == 1
    assert await trail(ledger) == ["session.opened"]


@pytest.mark.parametrize("_", [pytest.param(0, id="N70")])
async def test_two_tabs_both_end_signed_in(door: Entrance, provider: Provider, _: int) -> None:
    """Each tab has a sign-in of its own; the last one's session holds."""
    first = await door.signin.begin("town", browser=door.browser, next_path="/s/a")
    second = await door.signin.begin("town", browser=door.browser, next_path="/s/b")
    one = await door.signin.finish("town", provider.approve(second), browser=door.browser, old=None)
    two = await door.signin.finish(
        "town", provider.approve(first), browser=door.browser, old=one.token
    )
    assert (one.next_path, two.next_path) == ("/s/b", "/s/a")
    assert await door.sessions.find(two.token) is not None
    assert await door.sessions.find(one.token) is None


async def test_a_step_up_keeps_where_she_was(
    door: Entrance, provider: Provider, ledger: Ledger
) -> None:
    """Asked for level 3 she comes back with it, on her page, in a new session."""
    low = await door.come_in(provider, level=None, sub="person-1")
    provider.level = 4
    high = await door.come_in(provider, level=4, old=low.token, next_path="/consent/gjj")

    assert (low.citizen.level, high.citizen.level) == (3, 4)
    assert high.next_path == "/consent/gjj"
    assert high.token != low.token
    assert await trail(ledger) == ["session.opened", "session.raised"]


async def test_what_is_asked_of_the_provider(door: Entrance) -> None:
    """Code, PKCE by S256, nonce, state, the age of the proof, and the levels that are enough."""
    address = await door.signin.begin("town", browser=door.browser, level=3, prompt="login")
    asked = dict(parse_qsl(urlsplit(address).query))
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["acr_values"] == "urn:test:level:3 urn:test:level:4"
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert asked["redirect_uri"] == "http://city.test/sign-in/town/callback"
    other = dict(parse_qsl(urlsplit(await door.signin.begin("town", browser="b")).query))
    assert not {"state", "nonce", "code_challenge"} & {
        name for name in asked if asked[name] == other.get(name)
    }
    assert "prompt" not in other
    assert "acr_values" not in other


async def test_a_level_that_nobody_can_vouch_for_is_said_before(door: Entrance) -> None:
    """She is not sent on a way that cannot end well."""
    with pytest.raises(Stopped, match="too_low"):
        await door.signin.begin("town", browser=door.browser, level=5)


async def test_an_unknown_provider_is_not_found(door: Entrance) -> None:
    """Neither to begin nor to finish."""
    with pytest.raises(NotFound):
        await door.signin.begin("nowhere", browser=door.browser)
    with pytest.raises(NotFound):
        await door.signin.finish("nowhere", {}, browser=door.browser, old=None)


async def test_a_suspended_person_does_not_come_in(door: Entrance, provider: Provider) -> None:
    """She is told so, and no session is made."""
    arrived = await door.come_in(provider)
    await door.sessions.suspend(arrived.citizen.id)
    with pytest.raises(Stopped, match="not_active"):
        await door.come_in(provider)
    await door.sessions.resume(arrived.citizen.id)
    assert (await door.come_in(provider)).citizen.id == arrived.citizen.id


async def test_a_shared_secret_does_as_well(
    provider: Provider,
    tmp_path: Path,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> None:
    """client_secret_basic, form-encoded as the specification wants it."""
    secret = tmp_path / "secret"
    secret.write_text(provider.client_secret)
    row = settings_of(provider, tmp_path, client_key_file=None, client_secret_file=secret)
    opened = entrance([row], volatile=volatile, ledger=ledger, keys=keys, clock=clock)
    async with opened as made:
        assert (await made.come_in(provider)).token


async def test_signing_out_over_there_too(door: Entrance, provider: Provider) -> None:
    """The address names us and who leaves; a token that tells about her never stands in it."""
    arrived = await door.come_in(provider)
    asked = dict(parse_qsl(urlsplit(await door.signin.farewell(arrived.citizen)).query))
    assert asked["post_logout_redirect_uri"] == "http://city.test/"
    assert asked["id_token_hint"].count(".") == 2

    provider.claims = {"name": "测试一"}
    arrived = await door.come_in(provider)
    assert "id_token_hint" not in await door.signin.farewell(arrived.citizen)


async def test_what_a_provider_tells_is_kept_short_and_plain(
    door: Entrance, provider: Provider
) -> None:
    """Only known claims, as plain texts; whatever is odd is left out."""
    provider.userinfo = {
        "name": " 测\u8bd5一 ",
        "id_number": "x" * 201,
        "phone": 13800000000,
        "birthdate": "1990-01-01\nX: y",
        "address": {"formatted": "安澜市城东区"},
        "email": "a@b.example",
        "level": 4,
    }
    arrived = await door.come_in(provider)
    assert dict(await door.sessions.claims(arrived.citizen)) == {
        "name": "测试一",
        "address": "安澜市城东区",
    }


PATHS = [
    *("//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example"),
    *(
        "/%2f/evil",
        "/%5cevil",
        "///evil",
        "/./evil",
        "/s/../../evil",
        "/s/%2e%2e/x",
        "javascript:1",
    ),
    *("/s/gjj\r\nSet-Cookie: a=b", "/s/gjj%0d%0aX: y", "/\tevil", "/ /evil", "/s//evil", "/@evil"),
    *("evil", "", "?x", "/s/gjj#x", "/s/gjj?x=<script>", "/S/gjj", "/sign-in", "/sign-out"),
    *("/sign-in/town/callback?code=1", "/go/abc", "/oidc/x", "/s/" + "x" * 600, "/s/公积金", "/.x"),
    *("/:80", "/;/evil", "//", "/\u2028/evil", "/\uff0f\uff0fevil", "/s/gjj?next=//evil.example"),
    *("http:/evil", "/s/gjj?\\", "/embed/cards/gjj", "/static/app.css", "/api/v1/cards", "/s/.."),
    *(
        "/s/gjj\x00",
        "/s/gjj?a=\x7f",
        "/\u202e",
        " /s/gjj",
        "/s/gjj ",
        "/s/gjj?a=b#c",
        "/;@evil.example",
    ),
]


@pytest.mark.parametrize("path", [pytest.param(p, id=f"B49-{n}") for n, p in enumerate(PATHS)])
async def test_nobody_is_led_elsewhere(path: str) -> None:
    """Whatever is no page of ours becomes the hall (N66)."""
    assert own_path(path) == "/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?topic=life",
        "/s/gjj",
        "/s/gjj/withdraw",
        "/consent/gjj",
        "/search?q=%E5%85%AC",
        "/admin/",
        "/me/where",
    ],
)
async def test_pages_of_ours_are_kept(path: str) -> None:
    """She comes back to where she was."""
    assert own_path(path) == path
