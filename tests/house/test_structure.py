"""The house stays as small and as tidy as it was planned."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for path in (ROOT / "gateway").rglob("*.py")
    if "simulated" not in path.parts and "migrations" not in path.parts
)
TOO_LONG = 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_really_four_files(path: Path) -> None:
    """A file over 400 lines wants to be taken apart."""
    assert len(path.read_text("utf-8").splitlines()) <= TOO_LONG


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_packages_hold_no_code_and_nothing_hides_behind_type_checking(path: Path) -> None:
    """`__init__` files are docstrings (the contract re-exports), imports are never hidden."""
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path} says nothing of itself"
    assert "TYPE_CHECKING" not in path.read_text("utf-8")
    if path.name == "__init__.py" and path.parent.name != "contract":
        assert len(tree.body) == 1


def test_plugins_import_the_contract_and_the_standard_library_only() -> None:
    """A code plugin knows nothing of us but the contract."""
    for path in (ROOT / "plugins").glob("*/plugin.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.startswith("gateway.contract") or name.split(".")[0] in (
                    sys.stdlib_module_names
                ), f"{path} imports {name}"


def test_the_map_names_modules_that_exist() -> None:
    """Each module that the handbook's map names is there."""
    page = (ROOT / "gateway/handbook/map.md").read_text("utf-8")
    named = re.findall(r"`((?:gateway|plugins)/[a-z_/]+(?:\.py|/)?)`", page)
    assert len(named) > 20
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []
