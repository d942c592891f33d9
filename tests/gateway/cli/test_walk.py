"""The handbook's afternoon with a plugin, as far as publishing: the page's own blocks are run."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import orjson

from tests.city import free_port

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "gateway" / "handbook" / "writing-a-plugin.md"
BASH = shutil.which("bash") or "/bin/bash"


def blocks() -> list[str]:
    """The page's commands in order."""
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_page_is_true(tmp_path: Path) -> None:
    """In an empty folder: back end, new, check, preview, add, publish; the last block serves."""
    tool = tmp_path / "bin" / "citygate"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gateway "$@"\n')
    tool.chmod(0o755)
    ports = {"LIBRARY_PORT": str(free_port()), "PREVIEW_PORT": str(free_port())}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CITYGATE_")}
    environment |= ports | {
        "PATH": f"{tool.parent}:{os.environ['PATH']}",
        "CITYGATE_VAR_LIBRARY_PORT": ports["LIBRARY_PORT"],
    }
    work = tmp_path / "empty"
    work.mkdir()
    *steps, serve = blocks()
    assert "citygate serve" in serve
    process = subprocess.Popen(
        [BASH, "-ec", "\n".join([*steps, "read end"])],
        cwd=work, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        told = []
        for line in process.stdout:
            told.append(line)
            if "接入市图书馆" in line:
                break
        assert told[-1:], "nothing was said"
        assert "接入市图书馆" in told[-1], "".join(told)
        assert any("all 11 rules hold, 4 samples" in line for line in told), told
        assert not any(" E " in line or " S " in line for line in told), told
        assert _page(f"http://127.0.0.1:{ports['PREVIEW_PORT']}/").count("<article") > 14
        asked = httpx.post(
            f"http://127.0.0.1:{ports['LIBRARY_PORT']}/reader",
            json={"id": "000000199001010157"},
            headers={"X-Library-Token": "sample-token"},
        )
        assert orjson.loads(asked.content)["reader"]["books"] == 3
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _page(address: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(address, timeout=10).text
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
