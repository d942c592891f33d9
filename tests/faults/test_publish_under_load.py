"""Publishing while people ask: nothing is dropped, no answer mixes two revisions (A5)."""

import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import orjson
import pytest

from tests.department import Department
from tests.street import Plugin, Street, directory, street, text, until

ASKERS = 8
PAUSE = 0.04  # eight askers, each at most 25 times a second: 200 requests/s
NAMES = tuple(f"d{number:02d}" for number in range(20))


def named(version: int) -> dict[str, object]:
    """Twenty entries that all bear one version."""
    return {name: directory(name, short=text(f"第{version}版")) for name in NAMES}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Two workers; one plugin beside the twenty."""
    with Department() as department:
        plugins = [Plugin("gjj", department.port)]
        folder = tmp_path_factory.mktemp("publish")
        with street(folder, plugins, entries=named(1), CITYGATE_WORKERS="2") as made:
            yield made


@dataclass
class Crowd:
    """People who ask for the feed again and again, over kept connections."""

    port: int
    versions: list[frozenset[str]] = field(default_factory=list)  # in each answer
    lost: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(ASKERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def _ask(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self._over.wait(PAUSE):
            began = time.monotonic()
            try:
                line.request("GET", "/api/v1/cards", headers={"Host": f"localhost:{self.port}"})
                answer = line.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                line.close()
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status != 200:
                self.lost.append(f"{answer.status} {body[:200]!r}")
                continue
            cards = [c["card"] for c in orjson.loads(body)["cards"] if c["service"] in NAMES]
            titles = {card["header"]["title"] for card in cards}
            self.versions.append(frozenset(titles) if len(cards) == len(NAMES) else frozenset())
        line.close()


def test_no_request_is_lost_and_no_answer_is_half_new(city: Street) -> None:
    """Four publishes under load on two workers: every answer is 200 and of one revision whole."""
    with Crowd(city.port) as crowd:
        until(lambda: len(crowd.versions) > 100, 20)
        for version in (2, 3, 4, 5):
            city.entries = named(version)
            city.publish()
        seen = len(crowd.versions)
        until(lambda: len(crowd.versions) > seen + 100, 20)
        until(lambda: set(crowd.versions[-40:]) == {frozenset({"第5版"})}, 10)
    assert crowd.lost == []
    assert {len(titles) for titles in crowd.versions} == {1}
    said = {title for titles in crowd.versions for title in titles}
    assert {"第1版", "第5版"} <= said <= {f"第{n}版" for n in range(1, 6)}
    assert crowd.slowest < 1.0  # no worker stood still while it adopted


def test_restoring_a_revision_restores_its_plugins(city: Street) -> None:
    """A plugin's new name goes with the revision that brought it; the folder keeps what it says."""

    def title() -> str:
        with_plugin = city.person().feed(services="gjj")["cards"]
        return str(with_plugin[0]["state"]["speak"])

    first, before = max(city.revisions()), title()
    city.plugins[0].service = {
        "short": text("改了名", "Renamed"),
        "name": text("改了名", "Renamed"),
    }
    city.publish()
    assert "改了名" in title()
    done = city.cli("registry", "restore", str(first), "--reason", "wrong name")
    assert done.returncode == 0, done.stderr
    until(lambda: title() == before, 10)
    assert "改了名" in (city.folder / "plugins/gjj/plugin.yaml").read_text("utf-8")
