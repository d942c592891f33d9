"""A13: a department that nobody here has met, with the installed program and the handbook alone."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.city import Person, forms, free_port
from tests.upstream import LEVEL, Provider
from tests.wheel import install

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "gateway" / "handbook" / "writing-a-plugin.md"
READER = "000000199001010157"
BASH = shutil.which("bash") or "/bin/bash"


def blocks() -> list[str]:
    """The page's commands in order."""
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def installed(tmp_path: Path) -> Path:
    """The wheel in an environment of its own, without the simulated city; its command."""
    site = install(tmp_path)
    shutil.rmtree(site / "gateway" / "simulated")
    assert not (tmp_path / "plugins").exists()
    return site.parents[2] / "bin" / "citygate"


def upstreams(folder: Path, provider: Provider) -> None:
    """What a maintainer writes about the city's identity platform."""
    key = folder / "keys" / "city.jwk"
    key.parent.mkdir()
    key.write_text(orjson.dumps(provider.client_key.as_dict(private=True)).decode())
    key.chmod(0o600)
    one = {
        "id": "city",
        "name_zh": "统一身份认证平台",
        "name_en": "City identity platform",
        "issuer": provider.issuer,
        "client_id": provider.client,
        "client_key_file": str(key),
        "levels": {f"{LEVEL}{level}": level for level in (1, 2, 3)},
    }
    (folder / "upstreams.json").write_bytes(orjson.dumps([one]))


@contextmanager
def walked(tmp_path: Path, provider: Provider) -> Iterator[tuple[str, str, Path]]:
    """Every block of the page in an empty folder; addresses of gateway and preview, the folder."""
    tool = installed(tmp_path)
    work = tmp_path / "empty"
    work.mkdir()
    upstreams(work, provider)
    port = free_port()
    library, preview = str(free_port()), str(free_port())
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CITYGATE_", "PYTHON"))}
    environment |= {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "LIBRARY_PORT": library,
        "PREVIEW_PORT": preview,
        "CITYGATE_VAR_LIBRARY_PORT": library,
        "CITYGATE_LISTEN": f"127.0.0.1:{port}",
        "CITYGATE_INTERNAL_LISTEN": f"127.0.0.1:{free_port()}",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [BASH, "-ec", "\n".join(blocks())],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield f"http://localhost:{port}", f"http://127.0.0.1:{preview}", work
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(told: Callable[[], Any], tmp_path: Path, seconds: float = 40) -> Any:
    """Ask again until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if found := told():
                return found
        assert time.monotonic() < deadline, (tmp_path / "log").read_text("utf-8")[-4000:]
        time.sleep(0.2)


def facts(person: Person) -> dict[str, str]:
    """What her card says."""
    card = person.card("library")["card"]
    return {fact["name"]: fact["value"] for fact in card["facts"]} if card else {}


def test_a_strangers_department(tmp_path: Path) -> None:
    """From the page's blocks to a citizen's card, which follows the back end."""
    reader = {"name": "安测试", "id_number": READER}
    with Provider(people={"person-1": reader}) as provider, walked(tmp_path, provider) as city:
        address, preview, work = city
        person = Person(address)
        until(lambda: person.get("/readyz").status_code == 200, tmp_path)
        assert httpx.get(preview, timeout=20).text.count("<article") > 14
        assert person.card("library")["state"]["code"] == "needs_login"
        hall = person.follow(person.get("/sign-in", params={"next": "/"}))
        assert hall.status_code == 200, hall.text[:2000]
        assert person.card("library")["state"]["code"] == "needs_consent"
        page = person.get("/consent/library")
        form = next(one for one in forms(page.text) if "/consent/library" in one.action)
        fields = {**form.fields, "items[]": "id_number", "answer": "agree"}
        assert person.client.post(f"{address}{form.action}", data=fields).status_code == 303
        until(lambda: person.card("library")["state"]["code"] == "ready", tmp_path)
        assert facts(person)["books"].startswith("3")
        database = work / "readers.json"
        database.write_text(database.read_text().replace('"books": 3', '"books": 4'))
        until(lambda: facts(person).get("books", "").startswith("4"), tmp_path)
    log = (tmp_path / "log").read_text("utf-8")
    assert "all 11 rules hold, 4 samples" in log
    assert READER not in log
    assert "Traceback" not in log
