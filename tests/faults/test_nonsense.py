"""Nonsense at every door of the table (P30): it is refused, shortly, and never a 5xx.

What is sent is written onto the socket byte by byte, because every client tidies up before.
"""

import inspect
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_from_bytes, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.routes import ENDPOINTS, INTERNAL, Endpoint
from tests import city
from tests.city import City, Person
from tests.journeys.test_admin import until

EXAMPLES: Final = 25  # for each door
EXAM_EXAMPLES: Final = 2000
MOST_BYTES: Final = 2048  # of an error told to a program
SECONDS: Final = 8.0
# What must not be said: files, frames, programs, addresses of our own parts.
INSIDE: Final = re.compile(
    rb"Traceback|\.py\b|File \"|site-packages|starlette|uvicorn|pydantic|sqlalchemy|sqlite|valkey"
    rb"|redis|ledger\.db|/tmp/|/work/|/home/|127\.0\.0\.1|Python/|[a-z]Error\b"
)


@dataclass
class Place:
    """The running gateway, and browsers whose cookies nonsense is sent with."""

    city: City
    cookies: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A citizen is signed in, and a publisher, who may do the most."""
    folder = tmp_path_factory.mktemp("nonsense")
    with city.running(folder, CITYGATE_PAGE_BUDGET_MS="300") as running:
        made = Place(running)
        for who in ("", "he-jing", "admin-publisher"):
            _come_in(made, who)
        yield made


def _come_in(place: Place, who: str) -> None:
    person = Person(place.city.gateway)
    if who:
        person.sign_in(who, next_path="/me/display")
    if who.startswith("admin"):
        until(lambda: person.get("/admin/").status_code == 200, 30)
    place.tokens[who] = person.token()
    place.cookies[who] = "; ".join(f"{c.name}={c.value}" for c in person.client.cookies.jar)


@dataclass(frozen=True)
class Sent:
    """One request as it was written."""

    who: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


KNOWN: Final = ("gjj", "jobs", "balance", "anlan", "1", "2", "app.css", "robots.txt")
ODD: Final = (
    "", "0", "-1", "1e3", "①", "9" * 40, "null", "{}", "[]", "%", "%00", "%zz", "%ff", "../..", "a" * 900,
    "䶮", "\u202e", "\ufeff", "🏛" * 20, "'; DROP TABLE citizen;--", "${jndi:ldap://x}", "{{7*7}}",
    "<script>alert(1)</script>", "\r\nX-A: b", "\x00", "true", "A" * 43, "//evil.example", "\ud800",
)  # fmt: skip
NAMES: Final = (
    "services", "topic", "q", "next", "level", "prompt", "upstream", "state", "code", "iss", "error",
    "change", "then", "function", "service", "trace", "back", "saved", "export", "done", "page", "after",
    "items[]", "answer", "digest", "text", "key", "base", "reason", "sentence_zh", "session", "edition",
    "size", "region", "language", "ticket", "address", "client_assertion", "client_assertion_type",
    "url", "format", "maxwidth", "nonce", "fresh", "form_token", "lang", "verbose", "mode", "speech", "whole",
)  # fmt: skip
MEDIA: Final = (
    b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded; charset=gbk",
    b"application/json", b"multipart/form-data; boundary=x", b"text/plain", b"", b"\xff", b"a/b/c",
)  # fmt: skip
HEADERS: Final = (
    b"Accept", b"Accept-Language", b"If-None-Match", b"If-Match", b"If-Modified-Since", b"Range",
    b"User-Agent", b"X-Citygate-Host", b"X-Citygate-Font-Scale", b"Sec-Fetch-Dest", b"Sec-Fetch-Mode",
    b"Sec-Fetch-Site", b"Origin", b"Referer", b"X-Forwarded-For", b"Authorization", b"Content-Encoding",
    b"HX-Request", b"Purpose", b"TE", b"Prefer",
)  # fmt: skip

odd_text = st.one_of(st.sampled_from(ODD), st.sampled_from(KNOWN), st.text(max_size=30))
header_value = st.one_of(
    st.sampled_from([b"application/json", b"*/*", b"text/html", b"navigate", b"document", b"null",
                     b"AnlanGuancha/9.9.9.9", b"bytes=0-", b'W/"x"', b"gzip", b"1"]),
    st.binary(max_size=60).map(lambda raw: re.sub(rb"[\r\n\x00]", b"", raw)),
)  # fmt: skip


def names_of(row: Endpoint) -> list[str]:
    """The fields that a door's module speaks of."""
    source = Path(inspect.getfile(row.handler)).read_text("utf-8")
    return [name for name in NAMES if f'"{name}"' in source] or ["q"]


def sent(row: Endpoint) -> st.SearchStrategy[Sent]:
    """Requests for one door."""
    holes = row.path.count("{")
    odd_part = st.one_of(
        odd_text.map(_coded),
        st.binary(min_size=1, max_size=20).map(quote_from_bytes),
        st.binary(min_size=1, max_size=8).map(lambda raw: re.sub(rb"[\s?#/]", b"", raw).decode("latin-1")),
    )  # fmt: skip
    own = st.sampled_from(names_of(row))
    name = st.one_of(own, own, st.sampled_from(NAMES), odd_text)
    pairs = st.lists(st.tuples(name, odd_text), max_size=8)
    return st.builds(
        _made,
        st.just(row),
        st.sampled_from(["", "he-jing", "he-jing", "admin-publisher", "forged", "broken"]),
        st.lists(st.one_of(odd_part, st.sampled_from(KNOWN)), min_size=holes, max_size=holes),
        st.one_of(st.just([]), pairs),
        st.lists(st.tuples(st.sampled_from(HEADERS), header_value), max_size=5),
        st.one_of(st.just(b"application/x-www-form-urlencoded"), st.sampled_from(MEDIA)),
        st.one_of(pairs, pairs, st.binary(max_size=200)),
        st.sampled_from(["token", "token", "token", "none"]),
    )


def _made(
    row: Endpoint,
    who: str,
    parts: list[str],
    query: list[tuple[str, str]],
    headers: list[tuple[bytes, bytes]],
    media: bytes,
    body: list[tuple[str, str]] | bytes,
    token: str,
) -> Sent:
    path = row.path
    for part in parts:
        path = re.sub(r"\{\w+\}", lambda _, p=part: p, path, count=1)
    asked = f"?{_form(query)}" if query else ""
    if row.method == "GET":
        return Sent(who, (path + asked).encode("latin-1"), tuple(headers), b"")
    content = body if isinstance(body, bytes) else _form(body).encode()
    if token == "token" and not isinstance(body, bytes):
        content += b"&form_token=TOKEN"
    return Sent(
        who,
        (path + asked).encode("latin-1"),
        (*headers, (b"Content-Type", media)),
        content,
    )


def _form(pairs: list[tuple[str, str]]) -> str:
    # An act with the right base would be no nonsense: it would be carried out.
    kept = [(n, v) for n, v in pairs if not (n == "base" and v.strip().isdigit())]
    return urlencode(kept, errors="surrogatepass")


def _coded(text: str) -> str:
    return quote(text, safe="%.~!$&'()*+,;=:@", errors="surrogatepass")


def answer(place: Place, row: Endpoint, what: Sent) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body; (0, …) where the connection was closed without a word."""
    inside = row.zone == INTERNAL
    where = place.city.addresses["internal" if inside else "gateway"].rpartition(":")[2]
    cookie = {
        "forged": "citygate=" + "A" * 43,
        "broken": 'citygate="\xff\xfe; ;;=;citygate_look=%7B; citygate_browser=',
    }.get(what.who) or place.cookies[what.who]
    head = [
        f"{row.method} ".encode() + what.target + b" HTTP/1.1",
        f"Host: localhost:{where}".encode(),
    ]
    head += [name + b": " + value for name, value in what.headers]
    if cookie:
        head.append(b"Cookie: " + cookie.encode("latin-1"))
    body = what.body.replace(b"TOKEN", place.tokens.get(what.who, "x").encode())
    if row.method == "POST":
        head.append(f"Content-Length: {len(body)}".encode())
    raw = b"\r\n".join(head) + b"\r\nConnection: close\r\n\r\n" + body
    with socket.create_connection(("127.0.0.1", int(where)), timeout=SECONDS) as line:
        line.sendall(raw)
        found = b""
        while chunk := line.recv(65_536):
            found += chunk
    top, _, content = found.partition(b"\r\n\r\n")
    first, *rest = top.split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(b": ") for one in rest)}
    return int(first.split()[1]) if first else 0, headers, content


def judge(row: Endpoint, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    """Refused or answered; nothing from inside; an error for a program is short and has its trace."""
    assert 200 <= status < 500, status
    assert b"server" not in headers
    if status < 400:
        return
    media = headers.get(b"content-type", b"")
    if media.startswith(b"application/"):
        assert media == b"application/problem+json"
        assert len(body) <= MOST_BYTES
        told = orjson.loads(body)
        assert told["status"] == status
        assert told["trace"] == headers[b"x-trace-id"].decode()
        assert told["type"].startswith("urn:citygate:problem:")
        assert told["title"]
    elif body:
        assert media == b"text/html; charset=utf-8"
        assert b"<h1" in body
    else:
        assert headers[b"content-length"] == b"0"  # from the edge, before anything was read
        assert headers[b"connection"] == b"close"
    assert not INSIDE.search(body), INSIDE.search(body)
    assert row.path


ROWS = [pytest.param(row, id=f"P30-{row.method} {row.path} {row.zone}") for row in ENDPOINTS]


def _throw(place: Place, row: Endpoint, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @example(Sent("", row.path.encode(), (), b""))
    @given(sent(row))
    def throw(what: Sent) -> None:
        judge(row, *answer(place, row, what))

    throw()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("row", ROWS)
def test_nonsense_is_refused_and_never_a_5xx(place: Place, row: Endpoint) -> None:
    """Paths, queries, headers, cookies, bodies of any kind, as nobody, citizen, publisher, forger."""
    _throw(place, row, EXAMPLES)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("row", ROWS)
def test_each_field_alone_may_be_nonsense(place: Place, row: Endpoint) -> None:
    """Where the others are missing or right: nothing hides behind another's refusal."""
    parts = [_right(hole) for hole in re.findall(r"\{(\w+)\}", row.path)]
    for name in names_of(row):
        for odd in ("", "-1", "①", "9" * 40, "\ud800", "\x00", "a" * 3000):
            made = _made(
                row, "admin-publisher" if row.zone == "admin" else "he-jing", parts,
                [(name, odd)], [], MEDIA[0], [(name, odd)], "token",
            )  # fmt: skip
            judge(row, *answer(place, row, made))
            judge(row, *answer(place, row, replace(made, who="")))


def _right(hole: str) -> str:
    return {"service": "gjj", "function": "withdraw", "upstream": "anlan", "revision": "1"}.get(
        hole, "x"
    )


@pytest.mark.exam
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("row", ROWS)
def test_much_nonsense_is_refused_and_never_a_5xx(place: Place, row: Endpoint) -> None:
    """The same, many times more."""
    _throw(place, row, EXAM_EXAMPLES)


def test_after_all_of_it_everybody_is_served(place: Place) -> None:
    """Nothing is left broken: the hall stands, nobody's log has an unexpected line."""
    assert Person(place.city.gateway).get("/").status_code == 200
    assert '"event":"unexpected"' not in place.city.log()
