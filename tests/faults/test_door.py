"""The whole city's front door over raw sockets, and what happens when its parts are killed."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests import city
from tests.city import City, Person


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city with two workers, for all of this file."""
    with city.running(tmp_path_factory.mktemp("door"), CITYGATE_WORKERS="2") as running:
        yield running


def ask(town: City, *lines: str, host: str = "") -> httpx.Response:
    """One request as it is written, over a raw socket."""
    head = "\r\n".join([lines[0], f"Host: {host or f'localhost:{town.port}'}", *lines[1:]])
    with socket.create_connection(("127.0.0.1", town.port), timeout=5) as raw:
        raw.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        found = b""
        while chunk := raw.recv(65_536):
            found += chunk
    top, _, body = found.partition(b"\r\n\r\n")
    first, *rest = top.split(b"\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in rest]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost", "localhost:1", "user@localhost:{port}", "localhost:{port}.evil",
     "127.0.0.1:{port}/..", "LOCALHOST:{port}0"],
    ids=lambda h: f"B22-{h}",
)  # fmt: skip
def test_a_host_that_is_not_ours_is_misdirected(town: City, host: str) -> None:
    """421 (or 400), and nothing in the answer is built from it."""
    answer = ask(town, "GET / HTTP/1.1", host=host.replace("{port}", str(town.port)))
    assert answer.status_code in (400, 421)
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "line", ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
             "Forwarded: host=evil.example", "X-User-Id: admin", "X-Original-URL: /admin/",
             "X-HTTP-Method-Override: POST"],
    ids=lambda line: f"B25-{line.split(':')[0]}",
)  # fmt: skip
@pytest.mark.row("B36")
def test_headers_that_claim_something_are_not_believed(town: City, line: str) -> None:
    """The page is the same with and without them: no address, right or method comes from them."""
    plain, with_it = (ask(town, "GET /sign-in?next=/ HTTP/1.1", *more) for more in ((), (line,)))
    assert with_it.status_code == plain.status_code
    assert "evil" not in with_it.text
    assert "evil" not in str(with_it.headers)


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS"],
                         ids=lambda m: f"B26-{m}")  # fmt: skip
@pytest.mark.row("B36")
def test_other_methods_are_not_allowed(town: City, method: str) -> None:
    """405 with what is allowed; TRACE echoes nothing."""
    answer = ask(town, f"{method} / HTTP/1.1", "X-Canary: secret")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert "secret" not in answer.text


def test_head_is_get_without_a_body(town: City) -> None:
    """HEAD of a page has no body; HEAD of a form's address is not allowed (B26)."""
    assert ask(town, "HEAD / HTTP/1.1").content == b""
    assert ask(town, "HEAD /sign-out HTTP/1.1").status_code == 405


PATHS = ("//", "//evil.example/", "/./", "/..", "/s/../admin/", "/%2e%2e/admin/", "/s%2fgjj", "/s/gjj;x",
         "/s/gjj%00", "/s/gjj/", "/S/gjj", "/%c0%ae%c0%ae/", "/s/%ff", "/s\\gjj", "/s/gjj%0d%0aX:y",
         "/admin", "/admin//registry", "/static/../app.py", "/.git/config", "/.env", "/s/%E2%80%AE")  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda p: f"B29-{p}")
def test_odd_paths_lead_nowhere(town: City, path: str) -> None:
    """400 or 404, never a page, a redirect elsewhere or an error of ours."""
    answer = ask(town, f"GET {path} HTTP/1.1")
    assert answer.status_code in (400, 404, 410)
    assert "location" not in answer.headers
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "value", ["//evil.example", "/\\evil.example", "https://evil.example", "/%0d%0aSet-Cookie:x=1",
              "javascript:alert(1)", "/%2f%2fevil.example", "\tevil", "/a%00"],
    ids=lambda v: f"B49-{v}",
)  # fmt: skip
def test_where_to_go_next_is_a_path_of_ours(town: City, value: str) -> None:
    """`next` never becomes a header of its own or another site's address (B30)."""
    answer = Person(town.gateway).get("/sign-in", params={"next": value})
    assert answer.status_code < 500
    assert "x" not in [c.name for c in answer.cookies.jar]
    assert "evil" not in answer.headers.get("location", "")


@pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost.evil"],
                         ids=lambda o: f"B31-{o}")  # fmt: skip
def test_no_other_site_may_read_answers(town: City, origin: str) -> None:
    """No CORS header, whatever origin asks."""
    answer = ask(town, "GET /api/v1/cards HTTP/1.1", f"Origin: {origin}")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("id_", ["B43"], ids=["B43"])
def test_two_session_cookies_are_refused(town: City, id_: str) -> None:
    """One of them may have been tossed in by a neighbour."""
    assert id_
    token = "A" * 43
    assert (
        ask(town, "GET / HTTP/1.1", f"Cookie: citygate={token}; citygate={token}").status_code
        == 400
    )
    one = ask(town, "GET / HTTP/1.1", f"Cookie: citygate={token}")
    assert one.status_code == 200
    assert ask(town, "GET / HTTP/1.1", 'Cookie: citygate="<script>"; ;;=;a').status_code == 200


HIDDEN = ("/metrics", "/docs", "/debug", "/.git/HEAD", "/server-status", "/ledger.db", "/backup.tar",
          "/admin/config", "/service_registry.yaml", "/kek", "/api/v1/cards.css", "/readyz/verbose")  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN, ids=lambda p: f"B95-{p}")
def test_what_is_not_for_citizens_is_not_found(town: City, path: str) -> None:
    """Everything that is not in the table of this listener is the same 404."""
    assert ask(town, f"GET {path} HTTP/1.1").status_code == 404


@pytest.mark.parametrize("id_", ["B30"], ids=["B30"])
def test_a_problem_names_nothing_from_inside(town: City, id_: str) -> None:
    """problem+json for programs, a page for people: short, with a trace, without paths (P30)."""
    assert id_
    answer = ask(town, "GET /api/v1/cards/nobody HTTP/1.1", "Accept: application/json")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert len(answer.content) < 2000
    told = orjson.loads(answer.content)
    assert told["status"] == 404
    assert not re.search(r"\.py|/work|Traceback|starlette|uvicorn", answer.text)


# --- and now somebody kills things


def workers(town: City) -> list[int]:
    """The worker processes."""
    found: list[int] = orjson.loads((town.state / "run" / "workers.json").read_bytes())
    return found


@pytest.mark.parametrize("id_", ["F49"], ids=["F49"])
def test_a_killed_worker_costs_its_own_requests_only(town: City, id_: str) -> None:
    """kill -9 of one of two while people read: the rest is answered, a new one serves again."""
    assert id_
    before = workers(town)
    statuses: list[int] = []
    stop = threading.Event()

    def read() -> None:
        with city.browser() as client:
            while not stop.is_set():
                try:
                    statuses.append(client.get(f"{town.gateway}/livez").status_code)
                except httpx.TransportError:
                    statuses.append(0)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for one in readers:
        one.start()
    time.sleep(0.3)
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while before[0] in workers(town) or len(workers(town)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    for one in readers:
        one.join()
    assert set(statuses) <= {0, 200}
    assert statuses.count(0) <= len(readers)


@pytest.mark.parametrize("id_", ["F25"], ids=["F25"])
def test_a_killed_valkey_costs_a_moment_and_no_session(town: City, id_: str) -> None:
    """The page is served meanwhile, the cookie is kept, afterwards she is still signed in."""
    assert id_
    citizen = Person(town.gateway)
    citizen.sign_in("li-wei", next_path="/me/display")
    assert citizen.get("/me/sessions").status_code == 200
    time.sleep(1.2)  # the append-only file is written each second
    pid = orjson.loads((town.state / "valkey" / "valkey.lock").read_bytes())["pid"]
    os.kill(pid, signal.SIGKILL)
    worst = 0.0
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        began = time.monotonic()
        page = citizen.get("/")
        worst = max(worst, time.monotonic() - began)
        assert page.status_code == 200
        assert "citygate" not in [c.name for c in page.cookies.jar if not c.value]
        if citizen.get("/me/sessions").status_code == 200:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("her session did not come back")
    assert worst < 3


@pytest.mark.parametrize("id_", ["F29"], ids=["F29"])
def test_a_wiped_valkey_costs_a_sign_in_and_revives_nobody(town: City, id_: str) -> None:
    """FLUSHALL: everybody signs in once more; pages go on; whoever signed out stays out."""
    assert id_
    citizen, gone = Person(town.gateway), Person(town.gateway)
    citizen.sign_in("wang-fang", next_path="/me/display")
    gone.sign_in("li-wei", next_path="/me/display")
    old = {c.name: c.value for c in gone.client.cookies.jar}
    gone.post("/sign-out")
    path = orjson.loads((town.state / "valkey" / "valkey.lock").read_bytes())["socket"]
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.sendall(b"FLUSHALL\r\n")
        assert raw.recv(100).startswith(b"+OK")
    assert citizen.get("/").status_code == 200
    assert citizen.get("/me/sessions").status_code == 401
    thief = Person(town.gateway)
    thief.client.cookies.set("citygate", old["citygate"], domain="localhost.local")
    assert thief.get("/me/sessions").status_code == 401
    citizen.sign_in("wang-fang", next_path="/me/display")
    assert citizen.get("/me/sessions").status_code == 200
