"""People at work while somebody kills processes, and the count of what they were promised.

Each of them repeats one act until it is acknowledged, as people do, and notes it then. What the
ledger holds afterwards must be exactly that: nothing missing, nothing twice.
"""

import contextlib
import html
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx
import orjson
from sqlalchemy import select
from sqlalchemy.engine import Connection

from gateway.store.ids import digest
from gateway.store.ledger import open_ledger_sync
from gateway.store.tables import audit, consent, feedback, revision
from tests.city import City, Form, Person, forms

ITEMS = {"gjj": ("id_number",), "property": ("id_number", "name"), "water": ("account",)}
PUBLISHES = ("registry.published", "registry.restored", "service.suspended", "service.resumed")
_STRANGE = "something else than yes, no or not now"


class NotNow(Exception):
    """It was not acknowledged: the connection broke, or the answer was 503."""


@dataclass
class Scene:
    """Where the city is now; changes with each start of it."""

    city: City
    over: threading.Event = field(default_factory=threading.Event)
    surprises: list[str] = field(default_factory=list)


class Client:
    """Somebody with a browser who does one thing after the other."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.name = name
        self.person = Person(scene.city.gateway)
        self.done = 0
        self._thread = threading.Thread(target=self._work, name=name)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the act in hand is acknowledged."""
        self._thread.join(90)
        assert not self._thread.is_alive(), f"{self.name} was never answered"

    def _work(self) -> None:
        try:
            while not self.scene.over.is_set():
                self.act()
                self.done += 1
                time.sleep(0.02)
        except Exception as error:  # noqa: BLE001 - told to the test, which fails by it
            self.scene.surprises.append(f"{self.name}: {type(error).__name__} {error}")

    def act(self) -> None:
        """One act, until it is acknowledged."""
        raise NotImplementedError

    def until_acknowledged(self, attempt: Callable[[], Any]) -> Any:
        """Try again as long as it is not now."""
        deadline = time.monotonic() + 80
        while True:
            try:
                return attempt()
            except (NotNow, httpx.TransportError):
                assert time.monotonic() < deadline, "not acknowledged"
                time.sleep(0.1)

    def get(self, path: str) -> httpx.Response:
        """A page, or not now."""
        return self._judged(self.person.get(path))

    def send(self, path: str, **fields: Any) -> httpx.Response:
        """A form, with the token of the page that was read before."""
        address = urljoin(self.scene.city.gateway, path)
        return self._judged(self.person.client.post(address, data=fields))

    def _judged(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 503:
            raise NotNow
        if answer.status_code >= 500:
            self.scene.surprises.append(f"{self.name}: {answer.status_code}")
            raise NotNow
        return answer

    def form(self, page: httpx.Response, wanted: Callable[[Form], bool]) -> Form:
        """A form of a page; not now where the page is another one, as when she was signed out."""
        for form in forms(page.text):
            if wanted(form):
                return form
        raise NotNow

    def signed_in(self, who: str) -> None:
        """Come in where she is not in (any more)."""
        if self.get("/me/sessions").status_code == 401:
            landed = self.person.sign_in(who, next_path="/me/sessions")
            if landed.status_code != 200:  # the city's platform was killed, or a store is away
                raise NotNow


class Consenting(Client):
    """Agrees and takes it back, in turn; each is one row and one event."""

    def __init__(self, scene: Scene, who: str, service: str) -> None:
        super().__init__(scene, f"{who} {service}")
        self.who, self.service = who, service
        self.given = self.withdrawn = 0

    def act(self) -> None:
        """Agree, or take back."""
        if self.given == self.withdrawn:
            self.until_acknowledged(self._agree)
            self.given += 1
        else:
            self.until_acknowledged(self._withdraw)
            self.withdrawn += 1

    def _agree(self) -> None:
        self.signed_in(self.who)
        page = self.get(f"/consent/{self.service}")
        form = self.form(page, lambda form: form.action.startswith("/consent/"))
        boxes = re.findall(r'name="items\[\]" value="(\w+)"', page.text)
        sent = self.send(form.action, **form.fields, answer="agree", **{"items[]": boxes})
        if sent.status_code != 303:
            raise NotNow

    def _withdraw(self) -> None:
        self.signed_in(self.who)
        page = self.get("/me/consents")
        if page.status_code == 200 and f'value="{self.service}"' not in page.text:
            return  # what broke off before was done all the same
        form = self.form(page, lambda form: form.fields.get("service") == self.service)
        if self.send("/me/consents", **form.fields).status_code != 303:
            raise NotNow


class Reporting(Client):
    """Hands in reports, each with a key of its own, sent again until it has a number."""

    def __init__(self, scene: Scene, who: str = "") -> None:
        super().__init__(scene, f"report {who}")
        self.who = who
        self.numbers: dict[str, str] = {}

    def act(self) -> None:
        """One report."""
        key = secrets.token_urlsafe(16)
        self.numbers[key] = self.until_acknowledged(lambda: self._report(key))

    def _report(self, key: str) -> str:
        if self.who:
            self.signed_in(self.who)
        page = self.get("/feedback")
        form = self.form(page, lambda form: form.action.endswith("/feedback"))
        sent = self.send(form.action, **{**form.fields, "key": key, "text": f"杀不掉 {key}"})
        found = re.search(r"AL[0-9]{15}", sent.text)
        if sent.status_code != 200 or not found:
            raise NotNow
        return found[0]


class Publishing(Client):
    """Suspends and opens a service again; each attempt has a reason of its own."""

    def __init__(self, scene: Scene, who: str, service: str) -> None:
        super().__init__(scene, who)
        self.who, self.service = who, service
        self.acknowledged: dict[str, int] = {}
        self.attempts = 0

    def act(self) -> None:
        """One publish."""
        reason, number = self.until_acknowledged(self._publish)
        self.acknowledged[reason] = number

    def _publish(self) -> tuple[str, int]:
        self.signed_in(self.who)
        page = self.get(f"/admin/registry/{self.service}")
        form = self.form(page, lambda form: form.action.endswith(("/suspend", "/resume")))
        self.attempts += 1
        reason = f"第 {self.attempts} 次"
        sent = self.send(
            form.action,
            **{**form.fields, "reason": reason, "sentence_zh": "系统维护，请稍后再来。"},
        )
        if sent.status_code != 303:  # 412: what broke off before was done all the same
            raise NotNow
        return reason, int(html.unescape(sent.headers["location"]).partition("after=")[2])


class Reading(Client):
    """Looks at the hall and its cards; sees a page, a banner, or a broken connection."""

    def __init__(self, scene: Scene, who: str) -> None:
        super().__init__(scene, f"reads {who}")
        self.who = who

    def act(self) -> None:
        """One look."""
        self.until_acknowledged(self._look)

    def _look(self) -> None:
        self.signed_in(self.who)
        assert self.get("/").status_code == 200, _STRANGE
        assert self.get("/api/v1/cards").status_code == 200, _STRANGE


@contextlib.contextmanager
def at_work(scene: Scene, clients: list[Client]) -> Iterator[None]:
    """They work for the length of a block and finish what they have in hand."""
    for client in clients:
        client.start()
    try:
        yield
    finally:
        scene.over.set()
        for client in clients:
            client.join()


def judge(url: str, clients: list[Client]) -> None:
    """What stands in the ledger is what was acknowledged, once each, and so is the trail."""
    with open_ledger_sync(url) as ledger:
        for client in clients:
            if isinstance(client, Consenting):
                ledger.read(lambda c, one=client: _judge_consents(c, one))
            if isinstance(client, Publishing):
                ledger.read(lambda c, one=client: _judge_revisions(c, one))
        ledger.read(lambda c: _judge_reports(c, clients))


def _events(connection: Connection, *names: str) -> list[dict[str, Any]]:
    rows = connection.execute(select(audit).where(audit.c.name.in_(names))).all()
    return [orjson.loads(row.json) for row in rows]


def _judge_consents(connection: Connection, one: Consenting) -> None:
    rows = connection.execute(select(consent).where(consent.c.service == one.service)).all()
    assert len(rows) == one.given, one.name
    assert sum(row.withdrawn is not None for row in rows) == one.withdrawn, one.name
    for name, count in (("consent.given", one.given), ("consent.withdrawn", one.withdrawn)):
        told = [e for e in _events(connection, name) if e["service"] == one.service]
        assert len(told) == count, (one.name, name)


def _judge_reports(connection: Connection, clients: list[Client]) -> None:
    numbers: dict[str, str] = {}
    for client in clients:
        if isinstance(client, Reporting):
            numbers |= client.numbers
    rows = {row.key: row.number for row in connection.execute(select(feedback)).all()}
    assert rows == {digest(key): number for key, number in numbers.items()}
    told = Counter(e["number"] for e in _events(connection, "feedback.received"))
    assert told == Counter(numbers.values())


def _judge_revisions(connection: Connection, one: Publishing) -> None:
    rows = connection.execute(select(revision).order_by(revision.c.id)).all()
    assert [row.id for row in rows] == list(range(1, len(rows) + 1))
    assert [row.base for row in rows] == list(range(len(rows)))
    by_reason = Counter(row.reason for row in rows)
    stands = {row.reason: row.id for row in rows}
    for reason, number in one.acknowledged.items():
        assert by_reason[reason] == 1, reason
        assert stands[reason] == number, reason
    assert max(by_reason.values()) == 1
    told = Counter(e["revision"] for e in _events(connection, *PUBLISHES))
    assert told == Counter(row.id for row in rows)
