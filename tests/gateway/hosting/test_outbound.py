"""The way out: what may be reached, what goes along, and what is known when it fails."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from gateway.clock import SystemClock
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.outbound import Outbound, Way, no_answer, tls_context
from gateway.hosting.outcome import Answered, Failed, Reason
from gateway.hosting.resolving import Resolver
from tests.department import Department, http
from tests.gateway.hosting.offices import opened, package

CLOCK = SystemClock()


@pytest.fixture
def office() -> Iterator[Department]:
    """A department that is well."""
    with Department() as made:
        yield made


async def tried(url: str, *hosts: tuple[str, int], loopback: bool = False, **more: Any) -> NoAnswer:
    """The failure of one request."""
    way = Outbound(clock=CLOCK, hosts=hosts, loopback=loopback, **more)
    try:
        with pytest.raises(NoAnswer) as caught:
            await way.exchange("GET", url, [], b"", seconds=0.5)
    finally:
        await way.close()
    return caught.value


SPELLINGS = (
    "127.0.0.1",
    "localhost",
    "x.localhost",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "0.0.0.0",
)


@pytest.mark.parametrize("host", [pytest.param(host, id=f"F13-{host}") for host in SPELLINGS])
@pytest.mark.row("B1", "B2")
async def test_no_spelling_of_this_machine_is_reached(office: Department, host: str) -> None:
    """The address is looked at when connecting, names and literals alike."""
    name = host.strip("[]")
    failure = await tried(f"http://{host}:{office.port}/", (name, office.port))

    assert failure.reason is Reason.REFUSED_ADDRESS
    assert failure.sent is Sent.NO
    assert office.peers == 0


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001", "0x7f.1", "127。0。0。1"])
@pytest.mark.row("B2")
async def test_odd_numbers_are_no_hosts(office: Department, host: str) -> None:
    """Spellings that some resolvers take for an address lead nowhere."""
    failure = await tried(f"http://{host}:{office.port}/", (host, office.port))

    assert failure.reason in (Reason.REFUSED_ADDRESS, Reason.UNREACHABLE, Reason.CONTRACT)
    assert failure.sent is Sent.NO
    assert office.peers == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://other.localhost:{port}/",
        "http://office.localhost:1/",
        "http://office.localhost@127.0.0.1:{port}/",
        "http://user:word@office.localhost:{port}/",
        "ftp://office.localhost:{port}/",
        "file:///etc/passwd",
        "http://office.localhost:{port}@evil.example/",
        "http:///x",
        "http://office.localhost:99999999/",
        "",
    ],
)
@pytest.mark.row("B2", "B5", "B6")
async def test_only_declared_hosts_and_ports_are_called(office: Department, url: str) -> None:
    """What `network` does not list is not connected to."""
    failure = await tried(
        url.format(port=office.port), ("office.localhost", office.port), loopback=True
    )

    assert failure.reason is Reason.REFUSED_ADDRESS
    assert office.peers == 0


class Rebinding(Resolver):
    """A name server that gives another address the second time."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        """The next answer."""
        address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {"hostname": host, "host": a, "port": port, "family": 2, "proto": 0, "flags": 0}
            for a in address.split()
        ]


@pytest.mark.row("B4")
async def test_a_name_that_answers_this_machine_is_refused(
    office: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding finds the check at the socket, not at the name; several addresses too."""
    for answer in ("127.0.0.1", "169.254.169.254 127.0.0.1", "10.0.0.1 192.168.0.1"):
        monkeypatch.setattr("gateway.hosting.outbound._Borrowed", lambda _, a=answer: Rebinding(a))
        failure = await tried(
            f"http://office.example:{office.port}/", ("office.example", office.port)
        )
        assert failure.reason is Reason.REFUSED_ADDRESS, answer
    assert office.peers == 0


@pytest.mark.parametrize(
    "query", ["sig=a%7Eb+c%2B%2f&x=|", "a=%E4%BD%A0&b=%20", "q=a;b&c=%00", "%2e=1&=&&"]
)
async def test_the_address_goes_out_byte_for_byte(office: Department, query: str) -> None:
    """A rewritten address would break its signature."""
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    await way.exchange(
        "GET", f"http://office.localhost:{office.port}/a%2Fb/%7E?{query}", [], b"", seconds=1
    )
    await way.close()

    assert office.requests[0][1] == f"/a%2Fb/%7E?{query}"


@pytest.mark.row("B7")
async def test_nothing_but_our_own_headers_goes_along(
    office: Department, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No agent or credentials of a library, no proxy of the environment, no netrc."""
    (tmp_path / ".netrc").write_text("machine office.localhost login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    request = httpx.Request(
        "POST",
        f"http://office.localhost:{office.port}/x",
        headers={"x-mine": "1", "cookie": "a=b"},
        content=b"{}",
    )
    answer = await way.send(request, seconds=1)
    await way.close()

    assert answer.json()["code"] == "0"
    headers = office.requests[0][2]
    assert set(headers) == {"host", "accept-encoding", "x-mine", "content-length"}
    assert headers["accept-encoding"] == "gzip"
    assert headers["host"] == f"office.localhost:{office.port}"


@pytest.mark.parametrize("row", [pytest.param(0, id="B26-cookies")])
async def test_two_citizens_share_no_cookie(office: Department, row: int) -> None:
    """A department under a host name that sets cookies never sees one again."""
    office.behave("cookie")
    async with opened(package(office.port)) as hands:
        assert isinstance(await hands.card(who="a", name="甲"), Answered), row
        assert isinstance(await hands.card(who="b", name="乙"), Answered)

    assert office.calls == 2
    assert all("cookie" not in headers for _, _, headers, _ in office.requests)


@pytest.mark.row("B10")
async def test_no_cookie_of_a_department_comes_through(office: Department) -> None:
    """`Set-Cookie` stays behind, for identity providers too."""
    office.behave("cookie")
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    answer = await way.send(
        httpx.Request("GET", f"http://office.localhost:{office.port}/"), seconds=1
    )
    await way.close()

    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "method", [pytest.param("GET", id="F4-GET"), pytest.param("POST", id="F4-POST")]
)
async def test_closed_after_send_is_maybe_and_is_sent_once(office: Department, method: str) -> None:
    """On a kept connection too: nothing is repeated behind our back."""
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    url = f"http://office.localhost:{office.port}/"
    await way.exchange(method, url, [], b"x" if method == "POST" else b"", seconds=1)
    office.behave("reset")
    with pytest.raises(NoAnswer) as caught:
        await way.exchange(method, url, [], b"", seconds=1)
    await way.close()

    assert caught.value.sent is Sent.MAYBE
    assert caught.value.reason is Reason.UNREACHABLE
    assert (office.calls, office.peers) == (2, 1)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [("silent", Sent.MAYBE), ("cut", Sent.YES), ("half-head", Sent.MAYBE), ("endless", Sent.YES),
     ("nonsense", Sent.YES), ("two-lengths", Sent.YES), ("drip", Sent.MAYBE)],
)  # fmt: skip
async def test_what_is_known_of_a_request_without_answer(
    office: Department, kind: str, sent: Sent
) -> None:
    """`no` only where not a byte left us."""
    office.behave(kind)
    failure = await tried(
        f"http://office.localhost:{office.port}/", ("office.localhost", office.port), loopback=True
    )
    assert failure.sent is sent, failure


@pytest.mark.parametrize("row", [pytest.param(0, id="F13-hop")])
@pytest.mark.row("B3")
async def test_a_redirect_is_handed_back_and_not_followed(office: Department, row: int) -> None:
    """Identity providers answer with them; nobody follows here."""
    office.behave("redirect-loop")
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    url = f"http://office.localhost:{office.port}/"
    got = await way.exchange("GET", url, [], b"", seconds=1)
    await way.close()

    assert (got.status, got.headers["location"], office.calls) == (302, "/", 1), row


async def test_nobody_there_is_no(office: Department) -> None:
    """A refused connection sent nothing."""
    with Department() as gone:
        port = gone.port
    failure = await tried(f"http://127.0.0.1:{port}/", ("127.0.0.1", port), loopback=True)

    assert (failure.reason, failure.sent) == (Reason.UNREACHABLE, Sent.NO)
    assert office.peers == 0


def test_every_exception_of_the_transport_has_a_word() -> None:
    """Whatever aiohttp can raise becomes a reason; an unknown one is `unreachable`."""
    import aiohttp  # noqa: PLC0415 - its whole tree is walked

    kinds = [
        e
        for e in vars(aiohttp).values()
        if isinstance(e, type) and issubclass(e, aiohttp.ClientError)
    ]
    for kind in kinds:
        error = kind.__new__(kind)
        assert no_answer(error, Sent.MAYBE).sent is not Sent.NO, kind
        assert no_answer(error, Sent.NO).reason in set(Reason), kind


async def test_connections_are_kept(office: Department) -> None:
    """Twenty calls, errors among them, need one connection."""
    way = Outbound(clock=CLOCK, hosts=[("office.localhost", office.port)], loopback=True)
    for kind in ["well", "500", "redirect-loop", "cookie"] * 5:
        office.behave(kind)
        url = f"http://office.localhost:{office.port}/"
        await way.exchange("GET", url, [], b"", seconds=1)
    await way.close()

    assert (office.calls, office.peers) == (20, 1)


async def test_a_cancelled_call_leaves_the_pool_well(office: Department) -> None:
    """An impatient caller's connection is not handed to the next with an answer on it."""
    async with opened(package(office.port)) as hands:
        office.behave("slow:0.3")
        task = asyncio.create_task(hands.card())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        office.behave("well")
        office.value = "after"
        assert await hands.value() == "after"
        assert hands.health()["running"] == 0


async def test_a_proxy_is_used_where_one_is_named(office: Department) -> None:
    """An explicit forward proxy sees the whole address; the target is still checked."""
    connect = {"base": "http://inside.gov.example:8080/api", "proxy": "http://127.0.0.1:{port}"}
    connect["proxy"] = connect["proxy"].format(port=office.port)
    one = package(office.port, connect=connect, network=(("inside.gov.example", 8080),))
    async with opened(one) as hands:
        assert await hands.value() == "100"

    assert office.requests[0][1] == "http://inside.gov.example:8080/api/ask"


# --- TLS --------------------------------------------------------------------------------------


class Secured(Department):
    """A department behind TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.context = context

    async def _serve(self) -> None:
        started = asyncio.start_server

        async def start(handler: Any, host: str, port: int) -> Any:
            return await started(handler, host, port, ssl=self.context)

        asyncio.start_server = start  # type: ignore[assignment]  # the one server of this thread
        try:
            await super()._serve()
        finally:
            asyncio.start_server = started


def served(
    authority: trustme.CA, *names: str, client: trustme.CA | None = None, **more: Any
) -> ssl.SSLContext:
    """A server's TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **more).configure_cert(context)
    if client is not None:
        client.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def over_tls(context: ssl.SSLContext, tmp_path: Path, **secrets: bytes) -> Any:
    """What comes of asking a department behind TLS."""
    folder = tmp_path / "office"
    folder.mkdir()
    for name, value in secrets.items():
        (folder / name).write_bytes(value)
    connect = {name: f"{{secret.{name}}}" for name in secrets}
    with Secured(context) as office:
        connect["base"] = f"https://office.localhost:{office.port}"
        async with opened(package(office.port, connect=connect), secrets=tmp_path) as hands:
            return await hands.card()


async def test_a_certificate_of_a_named_authority_is_trusted(tmp_path: Path) -> None:
    """The department's own authority, from a secret."""
    ca = trustme.CA()
    outcome = await over_tls(served(ca, "office.localhost"), tmp_path, ca=ca.cert_pem.bytes())

    assert isinstance(outcome, Answered), outcome


@pytest.mark.parametrize(
    "wrong", [pytest.param(w, id=f"F14-{w}") for w in ("unknown", "host", "expired", "old-tls")]
)
async def test_a_wrong_certificate_ends_the_call(
    tmp_path: Path, wrong: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Unknown authority, another host's, expired, TLS 1.0: no way around it."""
    from datetime import UTC, datetime  # noqa: PLC0415 - for one case

    ca = trustme.CA()
    name = "other.localhost" if wrong == "host" else "office.localhost"
    more = {"not_after": datetime(2020, 1, 1, tzinfo=UTC)} if wrong == "expired" else {}
    context = served(ca, name, **more)
    if wrong == "old-tls":
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        recwarn.clear()
    trusted = trustme.CA() if wrong == "unknown" else ca
    outcome = await over_tls(context, tmp_path, ca=trusted.cert_pem.bytes())

    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.SECURE_LINK, outcome


async def test_our_client_certificate_is_shown(tmp_path: Path) -> None:
    """Key and certificate come from secrets; without them the department hangs up."""
    ca, clients = trustme.CA(), trustme.CA()
    mine = clients.issue_cert("citygate.example")
    context = served(ca, "office.localhost", client=clients)
    chain = b"".join(pem.bytes() for pem in mine.cert_chain_pems)
    outcome = await over_tls(
        context,
        tmp_path,
        ca=ca.cert_pem.bytes(),
        client_cert=chain,
        client_key=mine.private_key_pem.bytes(),
    )
    assert isinstance(outcome, Answered), outcome

    (tmp_path / "again").mkdir()
    outcome = await over_tls(context, tmp_path / "again", ca=ca.cert_pem.bytes())
    assert isinstance(outcome, Failed)


def test_what_is_no_certificate_is_said_without_its_text() -> None:
    """A wrong secret parks the plugin by a sentence that holds nothing of it."""
    with pytest.raises(ValueError, match="TLS material") as caught:
        tls_context(certificate=b"-----BEGIN SECRET-----")
    assert "SECRET" not in str(caught.value)


def test_equal_ways_are_equal() -> None:
    """So that an unchanged department can be seen to be unchanged."""
    assert Way(frozenset({("a", 1)})) == Way(frozenset({("a", 1)}))
    assert http(b"")  # the helper that departments answer with
