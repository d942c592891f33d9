"""No personal value of the test people in any byte that the gateway's own processes left (A7, P26)."""

import base64
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import orjson
import pytest
import redis

from gateway.audit import trail
from gateway.audit.events import RoleGranted
from gateway.clock import SystemClock
from gateway.contract.ids import CitizenId
from gateway.running import valkey
from gateway.simulated.people import BY_ID, GJJ_ACCOUNTS, PERSONAL_VALUES
from gateway.store.ledger import open_ledger_sync
from tests import city
from tests.city import City, Person, forms
from tests.leaks import Leak, Scanner

WHO = BY_ID["long-jianing"]
VALUES = (WHO.name, WHO.id_number, WHO.phone, WHO.address, GJJ_ACCOUNTS["long-jianing"], "李伟")
OTHERS_OWN = ("city",)  # the state folder's one part that belongs to the simulated city


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    """One for all of this file."""
    return Scanner()


# --- the scanner finds what is planted


def base64_at(shift: int) -> Callable[[str], bytes]:
    """Written in base64 behind so many other bytes."""
    return lambda value: base64.b64encode(b"xyz"[:shift] + value.encode() + b" and more")


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "escaped": lambda v: orjson.dumps(v).decode().encode("ascii", "backslashreplace"),
    "escaped, capitals": lambda v: "".join(
        c if c < "\x80" else f"\\u{ord(c):04X}" for c in v
    ).encode(),
    "percent": lambda v: quote(v, safe="").encode(),
    "percent, small": lambda v: re.sub(r"%..", lambda m: m[0].lower(), quote(v)).encode(),
    "percent of GB18030": lambda v: quote(v.encode("gb18030"), safe="").encode(),
    "GB18030": lambda v: v.encode("gb18030"),
    "UTF-16": lambda v: v.encode("utf-16-le"),
    "hexadecimal": lambda v: v.encode().hex().encode(),
    "base64 for addresses": lambda v: base64.urlsafe_b64encode(v.encode()),
    **{f"base64 behind {n}": base64_at(n) for n in range(3)},
}


# A short name in UTF-16 is four bytes, which stand in anything sealed: it is not looked for.
CASES = [(w, v) for w in WRITTEN for v in VALUES if w != "UTF-16" or len(v) > 2]


@pytest.mark.parametrize(("way", "value"), CASES, ids=[f"{w}-{VALUES.index(v)}" for w, v in CASES])
def test_each_way_of_writing_is_found(scanner: Scanner, way: str, value: str) -> None:
    """In the middle of a line, at its beginning and at its end."""
    written = WRITTEN[way](value)
    number = PERSONAL_VALUES.index(value)
    for line in (b'{"at": ' + written + b'}"', written + b" end", b"begin " + written):
        assert {leak.value for leak in scanner.look(line, "a line")} >= {number}


def in_a_log(folder: Path) -> None:
    """A log line."""
    (folder / "log").write_text(f'{{"event":"x","who":"{WHO.id_number}"}}\n')


def in_a_row(folder: Path) -> None:
    """A long value of a table."""
    with closing(sqlite3.connect(folder / "ledger.db")) as raw:
        raw.execute("CREATE TABLE t (v)")
        raw.execute("INSERT INTO t VALUES (?)", ("x" * 4090 + WHO.id_number + "x" * 9000,))
        raw.commit()


def in_the_write_ahead_log(folder: Path) -> None:
    """A row that no checkpoint has reached: the process was killed before."""
    script = (
        "import sqlite3,os,sys;c=sqlite3.connect(sys.argv[1]);c.execute('PRAGMA journal_mode=WAL');"
        "c.execute('CREATE TABLE t (v)');c.execute('INSERT INTO t VALUES (?)',(sys.argv[2],));"
        "c.commit();os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, folder / "raw", WHO.phone], check=True)
    (folder / "raw").unlink()
    assert (folder / "raw-wal").exists()


def in_the_trail(folder: Path) -> None:
    """An audit event."""
    event = RoleGranted(
        citizen=CitizenId("c"), role="viewer", author="x", reason=f"为{WHO.name}开通"
    )
    with open_ledger_sync(f"sqlite:///{folder}/ledger.db", clock=SystemClock()) as ledger:
        ledger.write(lambda c: trail.append(c, event, at=1))


def in_valkeys_file(folder: Path) -> None:
    """A value in the append-only file of a server that was killed."""
    running = valkey.start(folder, memory_mb=16, say=lambda _: None)
    with closing(redis.Redis(unix_socket_path=running.url.removeprefix("unix://"))) as client:
        client.set("cards:{x}", WHO.address)
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    while running.alive():
        time.sleep(0.01)


def in_a_files_name(folder: Path) -> None:
    """The name of a file."""
    (folder / f"copy-{WHO.id_number}.tmp").touch()


@pytest.mark.parametrize(
    "plant",
    [in_a_log, in_a_row, in_the_write_ahead_log, in_the_trail, in_valkeys_file, in_a_files_name],
)
def test_a_leak_in_each_kind_of_file_is_found(
    scanner: Scanner, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    """One planted value, found; before it was there, nothing."""
    assert scanner.folder(tmp_path) == []
    plant(tmp_path)
    found = {leak.value for leak in scanner.folder(tmp_path)}
    expected = {PERSONAL_VALUES.index(v) for v in (WHO.name, WHO.id_number, WHO.phone, WHO.address)}
    assert found
    assert found <= expected


def test_a_leak_in_a_living_store_is_found(scanner: Scanner, tmp_path: Path) -> None:
    """In a key, a string, a hash, a list by rank, a set."""
    running = valkey.start(tmp_path, memory_mb=16, say=lambda _: None)
    path = running.url.removeprefix("unix://")
    try:
        with closing(redis.Redis(unix_socket_path=path)) as client:
            for plant in (
                lambda: client.set(f"cards:{WHO.phone}", "x"),
                lambda: client.set("a", f"\x01{WHO.id_number}"),
                lambda: client.hset("a", WHO.name, "x"),
                lambda: client.zadd("a", {WHO.address: 1}),
                lambda: client.sadd("a", WHO.address),
            ):
                client.flushall()
                assert scanner.valkey(path) == []
                plant()
                assert len(scanner.valkey(path)) >= 1
    finally:
        running.stop()


def test_a_leak_in_a_process_title_is_found(scanner: Scanner) -> None:
    """Arguments, a name set afterwards, the environment."""
    sleeping = [sys.executable, "-c", "input()"]
    environment = {**os.environ, "WHO": WHO.id_number}
    for command, env in (([*sleeping, WHO.phone], None), (sleeping, environment)):
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE)
        try:
            assert len(scanner.titles([process.pid])) >= 1
        finally:
            process.communicate(b"\n")
    script = (
        "import ctypes;name=input().encode();ctypes.CDLL(None).prctl(15,name,0,0,0);"
        "print(flush=True);input()"
    )
    named = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert named.stdin is not None
    assert named.stdout is not None
    named.stdin.write(WHO.phone.encode() + b"\n")
    named.stdin.flush()
    named.stdout.readline()
    try:
        assert [leak.place for leak in scanner.titles([named.pid])] == ["comm of a process"]
    finally:
        named.communicate(b"\n")


def test_what_is_none_is_not_found(scanner: Scanner, tmp_path: Path) -> None:
    """Digits inside longer numbers, random bytes, the table that a start prints; but all after it."""
    assert scanner.look(f"10{WHO.phone}1".encode(), "") == []
    assert scanner.look(random.Random(7).randbytes(4 << 20), "") == []
    rule = "─" * 72
    (tmp_path / "log").write_text(f"a\n{rule}\n  {WHO.name}\n{rule}\nb\n")
    assert scanner.log(tmp_path / "log") == []
    (tmp_path / "log").write_text(f"a\n{rule}\n  x\n{rule}\n{WHO.name}\n")
    assert len(scanner.log(tmp_path / "log")) == 1


# --- a whole journey


class Watched(Person):
    """Her browser notes every address it is sent to, and every page that says no."""

    def __init__(self, gateway: str) -> None:
        super().__init__(gateway)
        self.seen: list[bytes] = []
        self.client.event_hooks["response"].append(self._note)

    def _note(self, answer: httpx.Response) -> None:
        self.seen.append(str(answer.request.url).encode())
        if not str(answer.request.url).startswith(self.gateway):
            return
        answer.read()
        self.seen += [value for name, value in answer.headers.raw if name.lower() != b"set-cookie"]
        if answer.status_code >= 400:
            self.seen.append(answer.content)

    def agree(self, service: str) -> None:
        """Agree to everything that a service asks."""
        page = self.get(f"/consent/{service}").text
        form = next(f for f in forms(page) if f.action.startswith("/consent/"))
        boxes = re.findall(r'name="items\[\]" value="(\w+)"', page)
        sent = self._sent(form.action, {**form.fields, "answer": "agree", "items[]": boxes})
        assert sent.status_code == 303

    def launch(self, service: str) -> None:
        """Over to the department, all hops."""
        address = f"/s/{service}/launch"
        landed = self.follow(self._sent(address, {"form_token": self.token()}))
        assert landed.status_code == 200
        assert "data-subject=" in landed.text or not str(landed.url).startswith(self.gateway)

    def report(self, text: str) -> None:
        """Hand in a report."""
        form = next(f for f in forms(self.get("/feedback").text) if f.action == "/feedback")
        assert self._sent(form.action, {**form.fields, "text": text}).status_code == 200

    def _sent(self, path: str, data: dict[str, object]) -> httpx.Response:
        return self.client.post(f"{self.gateway}{path}", data=data)


FAULTS = ("500", "200-with-error", "wrong-charset", "truncated", "close")


@pytest.mark.parametrize("id_", ["A7"], ids=["A7"])
def test_a_whole_journey_leaves_no_personal_value(a_city: City, scanner: Scanner, id_: str) -> None:
    """Signed in, consents, figures, launches, faults, refusals, reports: then every byte is searched."""
    assert id_
    a_city.reset()
    people = [Watched(a_city.gateway) for _ in range(4)]
    for person, who in zip(people, ("wang-fang", "long-jianing", "abla", "wu-gang"), strict=True):
        travels(person, who, a_city)
    for fault in FAULTS:
        for system in ("gjj", "property", "legal"):
            a_city.control("fault", system=system, fault=fault)
        for person in people:
            for service in ("gjj", "property", "legal"):
                person.client.get(f"{a_city.gateway}/api/v1/cards/{service}?fresh=1")
    a_city.reset()
    for person in people:
        is_refused(person)

    seen = b"\n".join(part for person in people for part in person.seen)
    assert scanner.look(seen, "addresses, headers and pages that say no") == []
    assert left_by(a_city, scanner) == []
    internal = a_city.addresses["internal"]
    for path in ("metrics", "readyz?verbose"):
        content = people[0].client.get(f"{internal}/{path}").content
        assert len(content) > 30
        assert scanner.look(content, path) == []
    lock = orjson.loads((a_city.state / "valkey" / "valkey.lock").read_bytes())
    assert scanner.valkey(lock["socket"]) == []
    assert scanner.titles(processes(a_city)) == []


def travels(person: Watched, who: str, where: City) -> None:
    """Comes in, agrees, looks, goes over, reports, changes how pages look, goes out and in again."""
    one = BY_ID[who]
    person.sign_in(who)
    for service in ("gjj", "property", "legal", "water", "huzheng"):
        person.agree(service)
    assert one.name in person.get("/").text
    assert {"ready", "in_progress", "action_required", "done", "none"} & {
        card["state"]["code"] for card in person.feed()["cards"] if card["service"] == "gjj"
    }
    for service in ("gjj", "legal", "property", "huzheng"):
        person.launch(service)
    person.get("/s/gjj")
    person.get("/search", params={"q": "公积金"})
    person.report(f"我叫{one.name}，身份证 {one.id_number}，电话 {one.phone}，住在{one.address}。")
    person.post("/me/display", mode="elder")
    for path in ("/me/where", "/me/where?export=json", "/me/sessions", "/me/consents"):
        assert person.get(path).status_code == 200
    person.post("/sign-out")
    person.sign_in(who)
    assert where.process.poll() is None


def is_refused(person: Watched) -> None:
    """Says personal things where they do not belong: no page or log says them again."""
    said = f"{WHO.name} {WHO.id_number}"
    for path in (f"/s/{said}", f"/consent/{said}", f"/go/{said}", f"/api/v1/cards/{said}",
                 f"/sign-in/{said}/callback", f"/admin/registry/{said}", f"/{said}", f"/static/{said}",
                 f"/s/gjj/{said}", f"/embed/cards/{said}"):  # fmt: skip
        answer = person.client.get(f"{person.gateway}{quote(path)}")
        person.seen.remove(str(answer.request.url).encode())  # she typed that one herself
        assert 400 <= answer.status_code < 500, path
    person.client.post(f"{person.gateway}/feedback", data={"text": said, "form_token": said})
    person.client.post(f"{person.gateway}/s/gjj/launch", data={"function": said})
    for header in ("User-Agent", "Referer", "X-Citygate-Host", "Accept-Language", "Cookie"):
        person.client.get(f"{person.gateway}/none", headers={header: said.encode()})
    person.client.post(
        f"{person.gateway}/api/v1/tickets/redeem",
        data={"ticket": said, "client_assertion": said, "address": said},
    )


def processes(running: City) -> list[int]:
    """The supervisor and whatever it started, but for the city."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(stat[1])
    found = [running.process.pid]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    city_of_its_own = b"gateway.simulated"
    return [p for p in found if city_of_its_own not in Path(f"/proc/{p}/cmdline").read_bytes()]


def left_by(running: City, scanner: Scanner) -> list[Leak]:
    """What stands in the files of a city's gateway."""
    time.sleep(1.1)  # the log's thread and the append-only file write each second at the latest
    return scanner.folder(running.state, but=OTHERS_OWN) + scanner.log(running.folder / "log")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("id_", ["A7"], ids=["A7"])
def test_the_whole_run_left_no_personal_value(scanner: Scanner, id_: str) -> None:
    """Every city that a test of this run started: state folder and log. Runs last (tests/conftest.py)."""
    assert id_
    found: list[Leak] = []
    for folder in dict.fromkeys(city.STARTED):
        found += scanner.folder(folder / "state", but=OTHERS_OWN) + scanner.log(folder / "log")
    assert found == []
