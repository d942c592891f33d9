"""The whole city as a person starts it: `citygate run` as a subprocess, steered over HTTP."""

import contextlib
import html
import os
import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import orjson

ROOT = Path(__file__).resolve().parent.parent
STARTED: list[
    Path
] = []  # folders of all cities of this run, for whoever looks for leaks in the end


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def free_range(count: int) -> int:
    """The first of so many ports in a row that nobody listens on just now."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class _Loopback(httpx.HTTPTransport):
    """Reaches `*.localhost` without a resolver, as browsers do."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.host.endswith("localhost"):
            return super().handle_request(request)
        # A request of its own: cookies belong to the name, not to the address.
        headers = httpx.Headers(request.headers)
        headers["host"] = request.url.netloc.decode()
        return super().handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),
                headers=headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )


def browser() -> httpx.Client:
    """A client that keeps cookies by host name and follows nothing by itself."""
    transport = _Loopback()
    client = httpx.Client(transport=transport, timeout=10, follow_redirects=False, trust_env=False)
    weakref.finalize(client, transport.close)  # whoever made her forgets her without a word
    return client


@dataclass
class Person:
    """Somebody with a browser of her own; `get` and `post` know the page-level form token."""

    gateway: str
    client: httpx.Client = field(default_factory=browser)

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        """Ask for a page of the gateway."""
        return self.client.get(urljoin(self.gateway, path), **kwargs)

    def token(self, page: str = "/me/display") -> str:
        """The form token that this browser's pages carry."""
        found = re.search(r'name="form_token"[^>]*value="([^"]+)"', self.get(page).text)
        assert found, f"no form on {page}"
        return found[1]

    def post(self, path: str, page: str = "/me/display", **fields: str) -> httpx.Response:
        """Hand in a form of the gateway."""
        data = {"form_token": self.token(page), **fields}
        return self.client.post(urljoin(self.gateway, path), data=data)

    def follow(self, response: httpx.Response, hops: int = 12) -> httpx.Response:
        """Go where a browser would go: redirects and the Refresh of launch pages."""
        for _ in range(hops):
            target = response.headers.get("location")
            if target is None and (refresh := response.headers.get("refresh")):
                target = refresh.partition("url=")[2]
            if not target:
                return response
            response = self.client.get(urljoin(str(response.request.url), html.unescape(target)))
        raise AssertionError("redirects without end")

    def sign_in(self, person: str, level: int = 3, next_path: str = "/") -> httpx.Response:
        """Come in through the identity platform as one of its people."""
        page = self.follow(self.get("/sign-in", params={"next": next_path}))
        form = forms(page.text)[0]
        fields = {**form.fields, "person": person, "level": str(level)}
        answer = self.client.post(urljoin(str(page.request.url), form.action), data=fields)
        return self.follow(answer)

    def agree(self, service: str) -> None:
        """Consent to everything that a service asks for."""
        page = self.get(f"/consent/{service}").text
        form = next(one for one in forms(page) if one.action == f"/consent/{service}")
        items = re.findall(r'name="items\[\]" value="([^"]+)"', page)
        data = {**form.fields, "items[]": items, "answer": "agree"}
        answer = self.client.post(urljoin(self.gateway, form.action), data=data)
        assert answer.status_code == 303, answer.status_code

    def feed(self, **query: str) -> dict[str, Any]:
        """The feed as the app reads it."""
        answer = self.get("/api/v1/cards", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def card(self, service: str) -> dict[str, Any]:
        """One feed item."""
        return next(c for c in self.feed(services=service)["cards"] if c["service"] == service)


@dataclass(frozen=True)
class Form:
    """A form of a page: where it goes and its hidden fields."""

    action: str
    fields: dict[str, str]


def forms(page: str) -> list[Form]:
    """The forms of a page."""
    found = []
    for match in re.finditer(r"<form([^>]*)>(.*?)</form>", page, re.DOTALL):
        action = re.search(r'action="([^"]*)"', match[1])
        fields = {}
        for tag in re.findall(r"<input[^>]*>", match[2]):
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name and 'type="hidden"' in tag:
                fields[name[1]] = html.unescape(value[1]) if value else ""
        found.append(Form(html.unescape(action[1]) if action else "", fields))
    return found


@dataclass
class City:
    """A running gateway with its city."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    addresses: dict[str, str]
    moved: float = 0.0  # seconds that its clocks are ahead

    @property
    def gateway(self) -> str:
        """Where citizens come in."""
        return self.addresses["gateway"]

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    def person(self) -> Person:
        """Somebody new, signed out."""
        return Person(self.gateway)

    def control(self, path: str, **body: Any) -> Any:
        """Steer the simulated city."""
        with browser() as client:
            answer = client.post(f"{self.addresses['panel']}/control/{path}", json=body)
            answer.raise_for_status()
            return answer.json()

    def calls(self) -> dict[str, int]:
        """How often each department's interface was called."""
        with browser() as client:
            found: dict[str, int] = client.get(f"{self.addresses['panel']}/control/calls").json()
            return found

    def reset(self) -> None:
        """Departments as on the first day; their clocks stay with the gateway's."""
        self.control("reset")
        self.control("clock", advance_seconds=self.moved)

    def move_clock(self, seconds: float) -> None:
        """Move the gateway's and the city's clocks."""
        for path in self.state.glob("control.*"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(path))
                sock.sendall(orjson.dumps({"advance_seconds": seconds}) + b"\n")
                assert sock.recv(200)
        self.control("clock", advance_seconds=seconds)
        self.moved += seconds

    def log(self) -> str:
        """What the gateway's processes wrote."""
        return (self.folder / "log").read_text("utf-8")

    def end(self) -> int:
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def start(
    folder: Path,
    *,
    seconds: float = 60,
    arguments: tuple[str, ...] = (),
    ports: tuple[int, int, int] | None = None,
    **environment: str,
) -> City:
    """Start a city in a folder of its own and wait until it serves.

    `ports`: the citizens' one, the internal one, the city's first; by default whatever is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    STARTED.append(folder)
    port, internal, _ = ports or (free_port(), free_port(), 0)
    systems = ("--free-ports",) if ports is None else ("--city-port", str(ports[2]))
    settings = {
        "CITYGATE_PROFILE": "test",
        "CITYGATE_STATE_DIR": str(folder / "state"),
        "CITYGATE_INTERNAL_LISTEN": f"127.0.0.1:{internal}",
        "CITYGATE_CONTROL_SOCKET": str(folder / "state" / "control"),
        "CITYGATE_LISTEN": f"127.0.0.1:{port}",
        "CITYGATE_REGISTRY": str(ROOT / "service_registry.yaml"),
        "CITYGATE_PLUGINS": str(ROOT / "plugins"),
        **environment,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CITYGATE_")}
    ready = folder / "state" / "run" / "addresses.json"
    with contextlib.suppress(FileNotFoundError):
        ready.unlink()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "run", "--port", str(port)),
                *(*systems, "--control", *arguments),
            ],
            cwd=ROOT,
            env={**inherited, **settings},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready.exists():
            addresses = orjson.loads(ready.read_bytes())
            addresses["internal"] = f"http://127.0.0.1:{internal}"
            return City(folder, port, process, addresses)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(f"the city did not start:\n{(folder / 'log').read_text()[-4000:]}")


@contextlib.contextmanager
def running(folder: Path, **environment: str) -> Iterator[City]:
    """A city for the length of a block."""
    city = start(folder, **environment)
    try:
        yield city
    finally:
        city.end()
