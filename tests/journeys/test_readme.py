"""A12: what both READMEs tell a newcomer to type, typed; what they show, looked at."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.city import free_port, free_range

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")


def fenced(page: str, kind: str) -> list[str]:
    """What stands in the page's blocks of a kind, in order."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", READMES)
def test_the_commands_are_two(page: str) -> None:
    """`make run`, `make test`; the second is what decides elsewhere too."""
    assert fenced(page, "sh") == ["make run\n", "make test\n"]
    assert "make test" in (ROOT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize("page", READMES)
def test_what_the_page_links_to_is_there(page: str) -> None:
    """No link of the README leads to nothing."""
    linked = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text("utf-8"))
    assert len(linked) > 8
    assert [target for target in linked if not (ROOT / target).exists()] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", READMES)
def test_the_first_command_ends_with_the_table(page: str, tmp_path: Path) -> None:
    """`make run` prints the table that the page shows, and the hall answers; it ends cleanly."""
    command = fenced(page, "sh")[0]
    shown = [line[:24].strip() for line in fenced(page, "text")[0].splitlines()[1:-1]]
    port = free_port()
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("CITYGATE_", "MAKE", "MFLAGS"))
    }
    process = subprocess.Popen(
        ["sh", "-ec", command], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**clean, "PORT": str(port), "CITYGATE_STATE_DIR": str(tmp_path / "state"),
             "CITYGATE_CITY_PORT": str(free_range(40)), "CITYGATE_WATCH": "0"},
    )  # fmt: skip
    printed = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        assert [label for label in shown if label not in printed] == [], printed
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("make run left a process")
