"""Nothing outlives its worker, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gateway.hosting.children.conftest import living, processes

WORKER = """
import asyncio
from tests.gateway.hosting.children.conftest import pool, package, living

async def main():
    made = pool(user={user!r})
    await made.card("from gateway.contract import CardAnswer\\nasync def card(c, a): return CardAnswer()")
    spin = "async def card(c, a):\\n    while True: pass"
    spinning = asyncio.create_task(made.card(package(spin, "spin"), seconds=600))
    stay = "import time, ctypes, os\\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\\ntime.sleep(600)"
    staying = asyncio.create_task(made.card(package(stay, "stay"), seconds=600))
    while sum(name == "citygate-plugin" for name in living().values()) < 3:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    print("ready", flush=True)
    await spinning, staying

asyncio.run(main())
"""
USERS = ["root", "plain"] if os.getuid() == 0 else ["own"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("stopped", [False, True], ids=["awake", "nursery-stopped"])
def test_no_process_outlives_its_worker(user: str, stopped: bool) -> None:
    """[A6] A worker is killed while children spin and sleep: all are gone in a moment.

    Also when the nursery does not run just then and cannot see that its socket was closed.
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(user=user)],
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    ours = set(living(worker.pid))
    assert len(ours) == 4

    if stopped:
        nurse = next(n for n, name in living(worker.pid).items() if name == "citygate-nurse")
        os.kill(nurse, signal.SIGSTOP)
    worker.kill()
    worker.wait(10)
    worker.stdout.close()

    until = time.monotonic() + 3
    while left := {n for n in ours if processes().get(n, ("", "Z", 0))[1] != "Z"}:
        assert time.monotonic() < until, left
        time.sleep(0.02)
