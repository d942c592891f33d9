"""If it exists it is documented, guarded and fresh."""

import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

from gateway.cli.generated import pages
from gateway.cli.main import app
from gateway.errors import MALFORMED, Problem
from gateway.routes import ADMIN, CITIZEN, ENDPOINTS, EVERY, INTERNAL
from gateway.settings import Settings
from gateway.words.loader import table

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "gateway" / "handbook"
PAGES = pages(get_command(app))


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_generated_pages_are_fresh(path: Path) -> None:
    """What is made from the code is what the code says; else run `citygate generated`."""
    assert (ROOT / path).read_text("utf-8") == PAGES[path]()


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_says_what_it_is(field: str) -> None:
    """A setting nobody can read about does not exist."""
    assert Settings.model_fields[field].description
    assert f"`CITYGATE_{field.upper()}`" in (HANDBOOK / "settings.md").read_text("utf-8")


def test_every_page_of_the_handbook_is_linked_or_generated() -> None:
    """Links between pages lead somewhere."""
    for page in HANDBOOK.glob("*.md"):
        for target in re.findall(r"\]\(([a-z-]+\.md)\)", page.read_text("utf-8")):
            assert (HANDBOOK / target).exists(), f"{page.name} -> {target}"


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: f"{row.zone} {row.method} {row.path}")
def test_every_endpoint_is_guarded(row: object) -> None:
    """Zone, method and guard are of the closed lists; consoles are for staff only."""
    assert row.zone in (CITIZEN, ADMIN, INTERNAL, EVERY)  # type: ignore[attr-defined]
    assert row.method in ("GET", "POST")  # type: ignore[attr-defined]
    assert row.guard_name  # type: ignore[attr-defined]
    if row.path.startswith("/admin"):  # type: ignore[attr-defined]
        assert row.zone == ADMIN  # type: ignore[attr-defined]
        assert row.guard_name.startswith("staff")  # type: ignore[attr-defined]
        if row.method == "POST":  # type: ignore[attr-defined]
            assert row.guard_name in ("staff: publisher", "staff: editor")  # type: ignore[attr-defined]
    assert inspect.getdoc(row.handler)  # type: ignore[attr-defined]


def test_no_two_rows_answer_the_same() -> None:
    """One row for each zone, method and path."""
    keys = [(row.zone, row.method, row.path) for row in ENDPOINTS]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("id_", ["B95"], ids=["B95"])
def test_what_machines_ask_is_on_a_listener_of_its_own(id_: str) -> None:
    """Metrics are in zone internal; nothing else there is open to citizens."""
    assert id_
    assert [row.path for row in ENDPOINTS if row.zone == INTERNAL] == ["/metrics"]
    assert {row.path for row in ENDPOINTS if row.zone == EVERY} == {"/livez", "/readyz"}


def test_every_problem_has_a_text() -> None:
    """What a caller may be told has a title in both languages."""
    kinds = [Problem, *Problem.__subclasses__()]
    codes = {kind.code for kind in kinds} | set(MALFORMED.values())
    for language in ("zh", "en"):
        texts = " ".join(table(language))
        assert [code for code in codes if code not in texts] == []


HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][(),:;!?][\u4e00-\u9fff]")


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "gateway" / "web" / "templates").rglob("*.html"), ROOT / "service_registry.yaml",
     *(ROOT / "plugins").rglob("*.yaml"), *HANDBOOK.glob("*.md"), ROOT / "README.zh-CN.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_chinese_has_chinese_punctuation(path: Path) -> None:
    """No half-width sign stands between two Chinese characters."""
    assert HALF_WIDTH.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "gateway" / "web" / "templates").rglob("*.html")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_templates_hold_no_inline_code(path: Path) -> None:
    """The content security policy allows none: no `style=`, no `on…=`, no script of its own."""
    text = path.read_text("utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=[\"'{]|<style|<script(?![^>]*\ssrc=)", text)


@pytest.mark.row("B74")
@pytest.mark.parametrize("id_", ["B80"], ids=["B80"])
def test_nothing_unpickles_or_opens_a_shell(id_: str) -> None:
    """No pickle, marshal, unsafe YAML or shell; ruff holds eval and exec."""
    assert id_
    banned = re.compile(
        r"\b(?:import|from) (?:pickle|marshal|shelve)\b|unsafe_load|full_load|UnsafeLoader|shell=True|os\.system\("
    )
    for path in (ROOT / "gateway").rglob("*.py"):
        if "simulated" not in path.parts:
            for line in path.read_text("utf-8").splitlines():
                assert not banned.search(line.partition("#")[0]), f"{path}: {line}"
