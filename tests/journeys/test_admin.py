"""An admin's day (A14): breaks the file, mends it, switches a service off, takes it all back."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.simulated.people import BY_ID
from tests import city
from tests.city import ROOT, City, Person


@dataclass
class Office:
    """A running city whose registry file may be edited, and its staff."""

    city: City
    registry: Path

    def person(self, who: str) -> Person:
        """Somebody signed in, on her way to the consoles."""
        one = Person(self.city.gateway)
        one.sign_in(who, next_path="/me/display")
        return one

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command on the same machine, while everything runs."""
        environment = {
            **os.environ,
            "CITYGATE_STATE_DIR": str(self.city.state),
            "CITYGATE_REGISTRY": str(self.registry),
            "CITYGATE_PLUGINS": str(self.registry.parent / "plugins"),
            "CITYGATE_PROFILE": "test",
        }
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=environment, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip

    def audited(self, *names: str) -> int:
        """How many events of these kinds the trail holds."""
        marks = ",".join("?" * len(names))
        with closing(sqlite3.connect(self.city.state / "ledger.db")) as raw:
            query = f"SELECT count(*) FROM audit WHERE name IN ({marks})"
            return int(raw.execute(query, names).fetchone()[0])

    def revision(self) -> int:
        """The live revision."""
        with closing(sqlite3.connect(self.city.state / "ledger.db")) as raw:
            return int(raw.execute("SELECT max(id) FROM revision").fetchone()[0])


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Two workers, a watched file, a publisher, an editor and a viewer."""
    folder = tmp_path_factory.mktemp("office")
    registry = folder / "service_registry.yaml"
    shutil.copy(ROOT / "service_registry.yaml", registry)
    shutil.copytree(ROOT / "plugins", folder / "plugins")
    with city.running(
        folder / "city", CITYGATE_REGISTRY=str(registry), CITYGATE_WATCH="1", CITYGATE_WORKERS="2",
        CITYGATE_PLUGINS=str(folder / "plugins"),
    ) as running:  # fmt: skip
        made = Office(running, registry)
        for role in ("publisher", "editor", "viewer"):
            done = made.cli(
                "staff", "add", "--upstream", "anlan", "--sub", BY_ID[f"admin-{role}"].sub,
                "--role", role, "--reason", "test",
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(scope="module")
def publisher(office: Office) -> Person:
    """唐发布, signed in."""
    return office.person("admin-publisher")


def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Wait for something that people are promised; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - began


PAGES = ("/admin/", "/admin/registry", "/admin/registry/gjj", "/admin/revisions",
         "/admin/revisions/1", "/admin/feedback")  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_staff_see_every_page(office: Office, publisher: Person, path: str) -> None:
    """Each page has one h1, is never kept by anybody, and runs no script of its own."""
    page = publisher.get(path)
    assert page.status_code == 200
    assert page.text.count("<h1") == 1
    assert page.headers["cache-control"] == "private, no-store"
    assert "Traceback" not in page.text
    assert office.person("admin-viewer").get(path).status_code == 200


ACTS = (
    ("/admin/registry/gjj/suspend", {"base": "1", "reason": "x", "sentence_zh": "维护"}),
    ("/admin/registry/gjj/resume", {"base": "1", "reason": "x"}),
    ("/admin/revisions/1/restore", {"base": "1", "reason": "x"}),
    ("/admin/feedback/none", {"state": "read"}),
)


@pytest.mark.parametrize("who", ["li-wei", "admin-viewer"])
def test_a_citizen_and_a_viewer_may_do_nothing(office: Office, who: str) -> None:
    """403 for each act; for citizens each page too; nothing is published."""
    before = office.revision()
    one = office.person(who)
    for path, fields in ACTS:
        assert one.post(path, **fields).status_code == 403
    if who == "li-wei":
        assert [one.get(path).status_code for path in PAGES] == [403] * len(PAGES)
    assert office.revision() == before


def test_nobody_signed_in_is_asked_to_sign_in(office: Office) -> None:
    """401 without a session, and an act without the form's token is refused as foreign."""
    stranger = Person(office.city.gateway)
    assert [stranger.get(path).status_code for path in PAGES] == [401] * len(PAGES)
    refused = stranger.client.post(
        f"{office.city.gateway}/admin/registry/gjj/suspend", data={"base": "1"}
    )
    assert refused.status_code in (401, 403)


def test_a_broken_file_is_explained_and_citizens_notice_nothing(
    office: Office, publisher: Person
) -> None:
    """Page and command name line and cure; mended with a change, a new revision says what."""
    good = office.registry.read_text("utf-8")
    before = office.revision()
    citizen = office.person("li-wei")
    seen = citizen.get("/api/v1/cards").json()["cards"]
    office.registry.write_text(good.replace("topic: housing", "topic: husing", 1), "utf-8")
    line = good.split("topic: housing", 1)[0].count("\n") + 1
    until(lambda: "husing" in publisher.get("/admin/registry").text)
    page = publisher.get("/admin/registry").text
    assert f"service_registry.yaml:{line}:" in page
    assert "did you mean" in page
    done = office.cli("check")
    assert done.returncode == 1
    assert re.search(rf":{line}:\d+ .*did you mean 'housing'", done.stdout)
    assert office.revision() == before
    assert without_times(citizen.get("/api/v1/cards").json()["cards"]) == without_times(seen)

    published = office.audited("registry.published")
    office.registry.write_text(good.replace("公租房申请", "公租房申领", 1), "utf-8")
    until(lambda: office.revision() == before + 1)
    until(lambda: f"/admin/revisions/{before + 1}" in publisher.get("/admin/revisions").text)
    until(lambda: all("公租房申领" in citizen.get("/").text for _ in range(4)))
    assert office.audited("registry.published") == published + 1
    shown = publisher.get(f"/admin/revisions/{before + 1}")
    assert shown.status_code == 200
    assert "公租房申领" in shown.text


def without_times(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a citizen sees, whenever the department was asked last."""
    return [
        {**card, "freshness": None, "card": (card["card"] or {}).get("service")} for card in cards
    ]


SENTENCE = "公积金系统今晚维护，请明早再来，急事请拨 12345。"


def test_a_service_is_switched_off_and_on_again(office: Office, publisher: Person) -> None:
    """Suspended with a reason: every worker says so within five seconds; restored: all is as before."""
    before = office.revision()
    citizen = office.person("li-wei")
    assert citizen.card("gjj")["state"]["code"] != "suspended"
    events = office.audited("service.suspended", "registry.restored", "registry.published")

    nothing = publisher.post("/admin/registry/gjj/suspend", base=str(before), reason="",
                             sentence_zh=SENTENCE)  # fmt: skip
    assert nothing.status_code == 422
    assert SENTENCE in nothing.text
    stale = publisher.post("/admin/registry/gjj/suspend", base=str(before - 1 or 99), reason="停",
                           sentence_zh=SENTENCE)  # fmt: skip
    assert stale.status_code == 412
    assert SENTENCE in stale.text
    unsaid = publisher.post("/admin/registry/gjj/suspend", reason="停", sentence_zh=SENTENCE)
    assert unsaid.status_code == 428
    assert office.revision() == before

    done = publisher.post("/admin/registry/gjj/suspend", base=str(before), reason="接口升级",
                          sentence_zh=SENTENCE)  # fmt: skip
    assert done.status_code == 303
    until(lambda: all(
        citizen.card("gjj")["state"]["code"] == "suspended" for _ in range(4)
    ))  # fmt: skip
    assert citizen.card("gjj")["state"]["message"] == SENTENCE
    page = publisher.follow(done)
    assert page.status_code == 200
    assert "接口升级" in page.text
    assert "接口升级" in office.registry.read_text("utf-8")
    assert (
        office.audited("service.suspended", "registry.restored", "registry.published") == events + 1
    )

    back = publisher.post(f"/admin/revisions/{before}/restore", base=str(before + 1), reason="好了")
    assert back.status_code == 303
    until(lambda: all(
        citizen.card("gjj")["state"]["code"] != "suspended" for _ in range(4)
    ))  # fmt: skip
    assert office.revision() == before + 2
    assert (
        office.audited("service.suspended", "registry.restored", "registry.published") == events + 2
    )
    assert "接口升级" not in office.registry.read_text("utf-8")


def test_commands_without_a_reason_are_refused(office: Office) -> None:
    """Publish, restore, suspend, resume, staff: exit 2 and nothing done."""
    before = office.revision()
    for arguments in (
        ("registry", "publish"), ("registry", "restore", "1"), ("registry", "suspend", "gjj"),
        ("registry", "resume", "gjj"), ("restore", "nothing"),
        ("staff", "remove", "--upstream", "anlan", "--sub", "u", "--role", "viewer"),
    ):  # fmt: skip
        assert office.cli(*arguments).returncode == 2, arguments
    assert office.revision() == before


def test_a_report_is_read_and_answered(office: Office, publisher: Person) -> None:
    """What a citizen hands in appears; marked read, then answered, each once in the trail."""
    citizen = Person(office.city.gateway)
    form = city.forms(citizen.get("/feedback").text)
    fields = next(f.fields for f in form if f.action.endswith("/feedback"))
    answer = citizen.client.post(
        f"{office.city.gateway}/feedback", data={**fields, "text": "打不开贷款进度"}
    )
    assert answer.status_code in (200, 303)
    page = publisher.get("/admin/feedback").text
    assert "打不开贷款进度" in page
    action = next(f.action for f in city.forms(page) if f.action.startswith("/admin/feedback/"))
    editor = office.person("admin-editor")
    assert editor.post(action, state="answered", answer="").status_code == 422
    assert editor.post(action, state="read").status_code == 303
    assert editor.post(action, state="answered", answer="已修复").status_code == 303
    assert "已修复" in publisher.get("/admin/feedback").text
    assert office.audited("feedback.answered") == 2


@pytest.mark.parametrize("id_", ["B96"], ids=["B96"])
def test_health_says_what_is_wrong_and_metrics_stay_inside(
    office: Office, publisher: Person, id_: str
) -> None:
    """The board names stores, workers, registry; metrics and details are 404 outside."""
    assert id_
    page = publisher.get("/admin/")
    assert page.status_code == 200
    for word in ("账本", "会话存储", "注册表", "工作进程"):
        assert word in page.text
    outside = Person(office.city.gateway)
    assert outside.get("/metrics").status_code == 404
    assert outside.get("/readyz?verbose").json() == {"status": "ready"}
    inside = outside.client.get(f"{office.city.addresses['internal']}/readyz?verbose").json()
    assert inside["checks"] == {"registry": "ok", "ledger": "ok", "volatile": "ok"}
    assert outside.client.get(f"{office.city.addresses['internal']}/").status_code == 404
    assert office.cli("audit", "verify").stdout.strip() == "whole"
