"""The gateway as it is installed, `citygate serve` in profile test, over departments on real ports.

A test says which plugins stand in the street; recipes, manifests, icons and the registry are written
for them. People come in through a small identity provider of the test's own.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import redis
from joserfc.jwk import ECKey

from tests.city import ROOT, Person, browser, free_port
from tests.department import Department
from tests.upstream import LEVEL, Provider

ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
)
START_SECONDS: Final = 60.0
WAY: Final = "10000002000"  # the telephone that every card of the street names
RECIPE: Final[dict[str, Any]] = {
    "recipe": 1,
    "calls": {
        "ask": {
            "path": "/ask",
            "query": {"who": "{ask.subject}"},
            "check": [{"at": "code", "is": "0"}],
        }
    },
    "errors": [{"status": 404, "then": "empty"}],
    "cards": {
        "main": {
            "from": "ask",
            "facts": {"value": "data.value"},
            "state": {
                "at": "data.state",
                "map": {"due": "action_required", "running": "in_progress", "over": "done"},
                "else": "ready",
                "stage": "data.stage",
                "holder": "data.holder",
                "due": "data.due",
            },
        }
    },
}
Document = dict[str, Any]


def text(zh: str, en: str = "") -> Document:
    """A text in both languages."""
    return {"zh": zh, "en": en or zh}


SHEET: Final[Document] = {
    **{part: text("见窗口", "At the desk") for part in ("audience", "fee", "promised", "result", "place")},
    "phone": WAY,
}  # fmt: skip


def laid_over(base: Document, more: Mapping[str, Any]) -> Document:
    """A document with another laid over it, member by member; lists are replaced."""
    made = dict(base)
    for name, value in more.items():
        known = made.get(name)
        both = isinstance(known, dict) and isinstance(value, dict)
        made[name] = laid_over(known, value) if both else value  # type: ignore[arg-type]
    return made


@dataclass
class Plugin:
    """One plugin of the street with one service; its id is the service's too."""

    id: str
    port: int | None = None  # of its department; None: it has none
    code: str = ""  # a code plugin's source; else it is a recipe
    recipe: Document = field(default_factory=dict)  # laid over the recipe
    manifest: Document = field(default_factory=dict)  # laid over plugin.yaml
    service: Document = field(default_factory=dict)  # laid over its one service
    entry: Document = field(default_factory=dict)  # laid over its line in the registry
    files: dict[str, bytes] = field(default_factory=dict)  # written last, as they are

    @property
    def document(self) -> Document:
        """`plugin.yaml`."""
        name = text(f"服务{self.id}", f"Service {self.id}")
        service = {
            "id": self.id,
            "name": name,
            "short": name,
            "summary": text("一句话", "A sentence"),
            "card": "main",
            "level": 2,
            "sheet": SHEET,
        }
        base: Document = {
            "contract": "1.0",
            "id": self.id,
            "version": "1.0.0",
            "name": name,
            "kind": "code" if self.code else "recipe",
            "department": {
                "id": self.id,
                "name": text(f"部门{self.id}", f"Department {self.id}"),
                "credit_code": "00000100MB0000002G",
                "people": [
                    {"name": "甲", "phone": WAY, "email": "a@anlan.example"},
                    {"name": "乙", "phone": WAY, "email": "b@anlan.example"},
                ],
                "duty_phone": WAY,
                "privacy": "https://anlan.example/privacy",
            },
            "cards": [
                {
                    "id": "main",
                    "template": "figure",
                    "facts": [{"id": "value", "label": text("数值", "Value"), "optional": True}],
                    "speak": text("数值{value}", "Value {value}"),
                    "empty": text("没有记录。", "No record."),
                }
            ],
            "services": [laid_over(service, self.service)],
        }
        if self.port is not None:
            host = f"{self.id}.localhost"
            base["network"] = [f"{host}:{self.port}"]
            base["connect"] = {"base": f"http://{host}:{self.port}", "timeout": "3s"}
        return laid_over(base, self.manifest)

    def write(self, folder: Path) -> None:
        """Make its folder anew."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "plugin.yaml").write_bytes(_yaml(self.document))
        if self.code:
            (folder / "plugin.py").write_text(self.code, "utf-8")
        else:
            (folder / "recipe.yaml").write_bytes(_yaml(laid_over(RECIPE, self.recipe)))
        (folder / "icon.svg").write_bytes(ICON)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def _yaml(document: Document) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)  # JSON is YAML


def directory(name: str, **more: Any) -> Document:
    """An entry without a plugin."""
    shown = text(f"服务{name}", f"Service {name}")
    return {
        "name": shown,
        "short": shown,
        "summary": text("一句话", "A sentence"),
        "topic": "housing",
        "owner": "zjj",
        "sheet": SHEET,
        **more,
    }


@dataclass
class Street:
    """A running gateway; made by `street(...)`."""

    folder: Path
    plugins: list[Plugin]
    provider: Provider
    entries: Document = field(default_factory=dict)  # of the registry, beside those of plugins
    settings: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.port = free_port()
        self.internal = f"http://127.0.0.1:{free_port()}"
        self.provider.callback = f"{self.gateway}/sign-in/anlan/callback"
        self.write()

    @property
    def gateway(self) -> str:
        """Where citizens come in."""
        return f"http://localhost:{self.port}"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def registry(self) -> Document:
        """`service_registry.yaml`."""
        entries = {
            one.id: {"plugin": f"{one.id}/{one.id}", "topic": "housing", **one.entry}
            for one in self.plugins
        }
        return {
            "registry": 1,
            "city": {
                "code": "000100",
                "prefix": "AL",
                "name": text("安澜市", "Anlan"),
                "regions": {"000102": text("望江区", "Wangjiang"), "000121": text("青溪县", "Qingxi")},
            },
            "topics": [
                {"id": "housing", "icon": "home", "name": text("住房", "Housing")},
                {"id": "health", "icon": "heart", "name": text("健康", "Health")},
            ],
            "departments": {
                "zjj": {
                    "name": text("住建局", "Housing Bureau"),
                    "credit_code": "00000100MB0000001D",
                    "phone": WAY,
                    "privacy": "https://anlan.example/privacy",
                }
            },
            "services": {**entries, **self.entries},
        }  # fmt: skip

    def write(self) -> None:
        """Write registry and plugin folders as they shall be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for one in self.plugins:
            one.write(self.folder / "plugins" / one.id)
        (self.folder / "service_registry.yaml").write_bytes(_yaml(self.registry))

    @property
    def environment(self) -> dict[str, str]:
        """What the gateway and its command line are told."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CITYGATE_")}
        return {
            **inherited,
            "CITYGATE_PROFILE": "test",
            "CITYGATE_STATE_DIR": str(self.state),
            "CITYGATE_LISTEN": f"127.0.0.1:{self.port}",
            "CITYGATE_INTERNAL_LISTEN": self.internal.removeprefix("http://"),
            "CITYGATE_CONTROL_SOCKET": str(self.state / "control"),
            "CITYGATE_REGISTRY": str(self.folder / "service_registry.yaml"),
            "CITYGATE_PLUGINS": str(self.folder / "plugins"),
            "CITYGATE_UPSTREAMS_FILE": str(self._upstreams()),
            "CITYGATE_DRAIN_S": "2",
            **self.settings,
        }

    def _upstreams(self) -> Path:
        folder = self.folder / "upstream"
        folder.mkdir(exist_ok=True)
        key = folder / "client_key"
        key.write_bytes(orjson.dumps(self.provider.client_key.as_dict(private=True)))
        key.chmod(0o600)
        one = {
            "id": "anlan",
            "name_zh": "身份平台",
            "name_en": "Identity platform",
            "issuer": self.provider.issuer,
            "client_id": self.provider.client,
            "client_key_file": str(key),
            "levels": {f"{LEVEL}{level}": level for level in (1, 2, 3, 4)},
        }
        path = folder / "upstreams.json"
        path.write_bytes(orjson.dumps([one]))
        return path

    # --- life

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start it and wait until it serves."""
        ready = self.state / "run" / "addresses.json"
        ready.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if ready.exists() and self._all_serve():
                return
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the gateway did not start:\n{self.log()[-4000:]}")

    def _all_serve(self) -> bool:
        return all(Path(f"{self.state / 'control'}.{pid}").exists() for pid in self.workers)

    def end(self) -> int:
        """End it as an operator does."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def again(self) -> None:
        """End it and start it once more, over the same stores."""
        self.end()
        self.start()

    @property
    def workers(self) -> list[int]:
        """The worker processes."""
        found: list[int] = orjson.loads((self.state / "run" / "workers.json").read_bytes())
        return found

    def below(self) -> dict[int, str]:
        """Every process below the supervisor with its name, zombies too."""
        assert self.process is not None
        return below(self.process.pid)

    # --- what an operator does

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command on the same machine, while it runs."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environment, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip

    def publish(self) -> int:
        """Write the street anew, publish it and wait until every worker serves it."""
        self.write()
        done = self.cli("registry", "publish", "--reason", "test")
        assert done.returncode == 0, done.stdout + done.stderr
        revision = int(done.stdout.split()[-1])
        until(lambda: self.revisions() == {revision}, 10, f"not adopted: {self.revisions()}")
        return revision

    def revisions(self) -> set[int]:
        """Which revisions the workers serve, as they said last."""
        return {part["revision"] for part in self.health()}

    def health(self) -> list[Document]:
        """What the workers left for the health page."""
        parts = []
        for pid in self.workers:
            path = self.state / "run" / "health" / f"health-{pid}.json"
            with contextlib.suppress(FileNotFoundError):
                parts.append(orjson.loads(path.read_bytes()))
        return parts

    def clock(self, **said: Any) -> None:
        """Move or stop the gateway's clock in every worker."""
        for pid in self.workers:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(f"{self.state / 'control'}.{pid}")
                sock.sendall(orjson.dumps(said) + b"\n")
                assert sock.recv(200)

    def log(self) -> str:
        """What its processes wrote."""
        return (self.folder / "log").read_text("utf-8")

    def volatile(self) -> "redis.Redis":
        """Its Valkey; to be closed."""
        lock = orjson.loads((self.state / "valkey" / "valkey.lock").read_bytes())
        return redis.Redis(unix_socket_path=lock["socket"])

    def forget_copies(self) -> None:
        """Let every card be asked for anew."""
        with contextlib.closing(self.volatile()) as store:
            for kind in ("cards:*", "html:*", "pub:*"):
                for key in store.scan_iter(match=kind):
                    store.delete(key)

    def metrics(self) -> str:
        """What it counts."""
        with browser() as client:
            return client.get(f"{self.internal}/metrics").text

    # --- who comes

    def person(self) -> Person:
        """Somebody new, signed out."""
        return Person(self.gateway)

    def signed_in(self, who: str = "person-1", level: int = 2) -> Person:
        """Somebody who came in through the provider."""
        self.provider.person, self.provider.level = who, level
        self.provider.people.setdefault(who, {"name": f"测试{who}"})
        one = self.person()
        last = one.follow(one.get("/sign-in", params={"next": "/me/sessions"}))
        assert last.status_code == 200, last.text[:2000]
        return one

    def staff(self, role: str) -> Person:
        """Somebody with a role, signed in."""
        who = f"staff-{role}"
        done = self.cli(
            *("staff", "add", "--upstream", "anlan", "--sub", who, "--role", role),
            *("--reason", "test"),
        )
        assert done.returncode == 0, done.stderr
        return self.signed_in(who, 3)


def below(ancestor: int) -> dict[int, str]:
    """Every process below another with its name."""
    everyone: dict[int, tuple[str, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                said = (entry / "stat").read_text("utf-8", "replace")
                name = said[said.index("(") + 1 : said.rindex(")")]
                everyone[int(entry.name)] = (name, int(said[said.rindex(")") + 2 :].split()[1]))

    def is_below(process: int) -> bool:
        while process in everyone and process > 1:
            process = everyone[process][1]
            if process == ancestor:
                return True
        return False

    return {number: name for number, (name, _) in everyone.items() if is_below(number)}


def until(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> float:
    """Wait for something; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, what or "it did not happen in time"
        time.sleep(0.03)
    return time.monotonic() - began


@contextlib.contextmanager
def street(
    folder: Path,
    plugins: list[Plugin],
    *,
    entries: Document | None = None,
    **settings: str,
) -> Iterator[Street]:
    """A running gateway for the length of a block."""
    with Provider(client_key=ECKey.generate_key("P-256", {"kid": "client"}, private=True)) as who:
        made = Street(folder, plugins, who, entries or {}, settings)
        made.start()
        try:
            yield made
        finally:
            made.end()


@contextlib.contextmanager
def departments(count: int) -> Iterator[list[Department]]:
    """Some departments that are well."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Department()) for _ in range(count)]


@dataclass(frozen=True)
class Answer:
    """What came back over a raw socket, and after how long."""

    status: int
    body: bytes
    seconds: float


def at_once(street: Street, path: str, people: list[Person]) -> list[Answer]:
    """All of them ask at the same moment, each over a connection of her own."""

    async def ask(person: Person) -> Answer:
        cookies = "; ".join(f"{one.name}={one.value}" for one in person.client.cookies.jar)
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:{street.port}\r\nCookie: {cookies}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        raw = await reader.read(-1)
        took = time.monotonic() - began
        writer.close()
        top, _, body = raw.partition(b"\r\n\r\n")
        return Answer(int(top.split()[1]), body, took)

    async def all_ask() -> list[Answer]:
        return await asyncio.gather(*(ask(person) for person in people))

    return asyncio.run(all_ask())


def items(feed: bytes) -> dict[str, bytes]:
    """Each item of a feed as the bytes it came in."""
    whole, at, found = feed.decode(), len('{"cards":['), {}
    assert whole[:at] == '{"cards":['
    while whole[at] == "{":
        item, end = json.JSONDecoder().raw_decode(whole, at)
        found[item["service"]] = whole[at:end].encode()
        at = end + (whole[end] == ",")
    return found


def articles(page: str) -> dict[str, str]:
    """The cards of a page as they stand there."""
    found = re.findall(r'<article [^>]*id="c-([a-z0-9-]+)".*?</article>', page, re.DOTALL)
    whole = re.findall(r"<article .*?</article>", page, re.DOTALL)
    assert len(found) == len(whole)
    return dict(zip(found, whole, strict=True))


def shown(article: str) -> str:
    """Which state a card of a page is in."""
    found = re.search(r'data-state="([a-z_]+)"', article)
    assert found, article
    return found[1]
