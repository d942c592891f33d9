"""The city as a child process: ready, steered, ended."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.simulated.city import City
from gateway.simulated.world import PORTS


def test_it_writes_addresses_secrets_and_people_and_ends_in_time(tmp_path: Path) -> None:
    """Ready when all listen; 0600 secrets that stay; gone within two seconds of SIGTERM."""
    command = [sys.executable, "-m", "gateway.simulated", "--state", str(tmp_path), "--free-ports"]
    kept = ""
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        at = orjson.loads((tmp_path / "addresses.json").read_bytes())
        assert set(at) == set(PORTS)
        for name, address in at.items():
            assert address.startswith(f"http://{name}.localhost:")
            socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), 2).close()
        secret = tmp_path / "secrets" / "gjj" / "app_secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert kept in ("", secret.read_text())
        kept = secret.read_text()
        begun = time.monotonic()
        process.terminate()
        process.wait(5)
        process.stdout.close()
        assert time.monotonic() - begun < 2
    assert len(orjson.loads((tmp_path / "people.json").read_bytes())) > 18


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """However the parent ends."""
    script = (
        "import subprocess,sys,time;"
        f"p=subprocess.Popen([sys.executable,'-m','gateway.simulated','--state',{str(tmp_path)!r},'--free-ports'],stdout=subprocess.PIPE,text=True);"
        "p.stdout.readline();print(p.pid,flush=True);time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait(5)
    parent.stdout.close()

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _alive(child):
        time.sleep(0.05)
    assert not _alive(child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux")
def test_it_never_begins_where_its_parent_died_meanwhile(tmp_path: Path) -> None:
    """Killed while its child was still being loaded: the child must not hold the ports for ever."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(10)
    command = [sys.executable, "-m", "gateway.simulated", "--state", str(tmp_path), "--free-ports"]
    orphan = subprocess.Popen([*command, "--parent", str(dead.pid)], stdout=subprocess.DEVNULL)
    try:
        assert orphan.wait(20) == 0
    finally:
        orphan.kill()
        orphan.wait()
    assert not (tmp_path / "addresses.json").exists()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """Exit 2 and what to do; no stack trace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway.simulated", "--state", str(tmp_path)]
        done = subprocess.run(
            [*command, "--ports-from", str(port)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert done.returncode == 2
    assert "--free-ports" in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_control_is_there_only_when_asked_for(hands: Any) -> None:
    """With --control it answers; every system answers its own pages."""
    assert (await hands.http.get(f"{hands.at['panel']}/control/clock")).status_code == 200
    for name in (
        "app",
        "gjj",
        "legal",
        "property",
        "huzheng",
        "water",
        "jobs",
        "identity",
        "panel",
    ):
        page = await hands.http.get(f"{hands.at[name]}/")
        assert page.status_code == 200, name
        assert 'lang="zh-Hans"' in page.text


async def test_without_control_nothing_can_be_steered(tmp_path: Path) -> None:
    """404; the panel's page is there all the same."""
    city = City(tmp_path, control=False)
    transport = httpx.ASGITransport(city.apps["panel"])
    async with httpx.AsyncClient(transport=transport, base_url="http://panel") as http:
        assert (await http.post("/control/reset", json={})).status_code == 404
        assert (await http.get("/")).status_code == 200
    await city.close()


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("set", {"system": "gjj", "person": "nobody", "field": "balance", "value": "1"}),
        ("set", {"system": "gjj", "person": "li-wei", "field": "colour", "value": "1"}),
        ("clock", {"advance_seconds": "soon"}),
        ("gateway", {"url": 3}),
        ("client", {}),
        ("set", []),
    ],
)
async def test_senseless_control_is_refused(hands: Any, act: str, body: object) -> None:
    """400 and why, never a 500."""
    answer = await hands.http.post(f"{hands.at['panel']}/control/{act}", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]
