"""`citygate plugin …` as a department's developer types it."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.gateway.conformance.folders import change, code, recipe
from tests.laptop import STARTED

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str) -> Any:
    """One command in this process."""
    return CliRunner().invoke(app, list(words))


def bare(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """One command in a process that has the base packages only."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CITYGATE_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, "-c", STARTED, *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


def test_new_writes_a_folder_that_passes(tmp_path: Path) -> None:
    """From nothing to a passing check, with the base packages only."""
    made = bare("plugin", "new", "parks", folder=tmp_path)
    assert (made.returncode, made.stdout) == (0, "plugins/parks\n"), made.stderr
    assert "18 lines" in made.stderr
    marks = (tmp_path / "plugins/parks/plugin.yaml").read_text("utf-8").count("← 改")
    marks += (tmp_path / "plugins/parks/recipe.yaml").read_text("utf-8").count("← 改")
    assert marks - 1 == 18
    checked = bare("plugin", "check", "plugins/parks", folder=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
    assert "all 11 rules hold" in checked.stderr


@pytest.mark.parametrize("name", ["Parks", "p", "1parks", "parks/..", "a" * 40, "公园"])
def test_new_refuses_what_is_no_id(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert run("plugin", "new", name).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_new_never_writes_over(tmp_path: Path) -> None:
    """A folder that has something in it stays as it is."""
    folder = recipe(tmp_path)
    change(folder, "README.md", "# parks", "# mine")
    said = run("plugin", "new", "parks", "--plugins", str(tmp_path))
    assert said.exit_code == 2
    assert "is there already" in said.stderr
    assert (folder / "README.md").read_text("utf-8").startswith("# mine")


def test_check_names_places_for_people_and_machines(tmp_path: Path) -> None:
    """One finding a line on stdout, the sum on stderr; the same as JSON."""
    folder = recipe(tmp_path)
    change(folder, "recipe.yaml", "from: record", "from: rekord")
    said = run("plugin", "check", str(folder))
    assert said.exit_code == 1
    line = said.stdout.splitlines()[0]
    assert re.match(
        rf"^C14 S {re.escape(folder.as_posix())}/recipe\.yaml:\d+:\d+ cards\.record", line
    )
    assert "did you mean 'record'" in line
    assert "1 of 11 rules do not hold: C14" in said.stderr
    told = json.loads(run("plugin", "check", str(folder), "--json").stdout)
    (plugin,) = told["plugins"]
    assert not told["passed"]
    assert (plugin["id"], plugin["tier"], plugin["errors"]) == ("parks", None, 1)
    (finding,) = plugin["findings"]
    assert (finding["rule"], finding["severity"]) == ("C14", "S")
    assert finding["line"] > 1
    assert finding["column"] > 1


def test_check_takes_several_folders(tmp_path: Path) -> None:
    """Each is told; one that fails fails the whole."""
    good, bad = recipe(tmp_path / "a"), code(tmp_path / "b")
    change(bad, "plugin.py", "fen = int", "fen = 1 + int")
    said = run("plugin", "check", str(good), str(bad), "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == 1
    assert [plugin["tier"] for plugin in told["plugins"]] == ["bronze", None]


def test_check_of_nothing_is_a_wrong_call(tmp_path: Path) -> None:
    """Exit 2, one sentence."""
    said = run("plugin", "check", str(tmp_path / "nowhere"))
    assert said.exit_code == 2
    assert "there is no folder" in said.stderr


def test_check_survives_any_bytes(tmp_path: Path) -> None:
    """[C02] GBK, binary, empty, deeply nested: findings, never a crash."""
    for number, content in enumerate(
        (b"", b"\xff\xfe\0", "名字: 值".encode("gbk"), b"[" * 5000, b"a: &x [*x]", b"\t- a", b"- 1")
    ):
        folder = recipe(tmp_path / str(number))
        (folder / "plugin.yaml").write_bytes(content)
        said = run("plugin", "check", str(folder))
        assert said.exit_code == 1, content
        assert "C02 S" in said.stdout


def test_rules_lists_the_table() -> None:
    """Every rule with its promise."""
    told = json.loads(run("plugin", "rules", "--json").stdout)
    assert [row["rule"] for row in told][:4] == ["C01", "C02", "C03", "C04"]


@contextmanager
def previewing(folder: Path) -> Iterator[str]:
    """`plugin preview` on a free port, with the base packages only."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, "plugin", "preview", str(folder), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        _, told = process.communicate(timeout=20)
        assert "Traceback" not in told


def test_preview_shows_samples_and_states_and_follows_the_folder(tmp_path: Path) -> None:
    """Every sample and state in both languages; a saved file is seen; a broken one is named."""
    folder = recipe(tmp_path)
    with previewing(folder) as address, httpx.Client(base_url=address, timeout=10) as http:
        page = http.get("/")
        assert page.status_code == 200
        assert "¥128.50" in page.text or "128.50" in page.text
        for state in (
            "retired", "suspended", "maintenance", "closed", "upgrade_required", "out_of_region",
            "not_in_release", "needs_login", "needs_identity", "needs_proxy_right", "needs_consent",
            "pending", "unavailable", "empty",
        ):  # fmt: skip
            assert f'data-state="{state}"' in page.text, state
        assert "Ask" in http.get("/?lang=en&mode=elder").text
        known = re.search(r'data-version="([0-9a-f]+)"', page.text)
        assert known
        for path in (*re.findall(r'src="(/icons/[^"]+)"', page.text)[:1], "/reload.js"):
            assert http.get(path).status_code == 200, path
        change(folder, "samples/found.yaml", '"128.50"', '"256.00"')
        change(folder, "samples/found.yaml", "12850", "25600")
        assert http.get("/changed", params={"since": known[1]}).status_code == 205
        assert "256.00" in http.get("/").text
        change(folder, "plugin.yaml", "kind: recipe #", "kind: receipt #")
        assert "did you mean" in http.get("/").text
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_preview_says_that_a_port_is_taken(tmp_path: Path) -> None:
    """One sentence, exit 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run(
            "plugin", "preview", str(recipe(tmp_path)), "--port", str(taken.getsockname()[1])
        )
    assert said.exit_code == 2
    assert "cannot listen" in said.stderr
