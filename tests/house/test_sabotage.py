"""The breakages of `make sabotage` still fit the code that they break."""

import ast
from pathlib import Path

import pytest

from tests.sabotage.breakages import BREAKAGES, Breakage

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda one: one.promise)
def test_a_breakage_fits(breakage: Breakage) -> None:
    """Each text stands exactly once, stays Python when changed, and its test exists."""
    for edit in breakage.edits:
        text = (ROOT / edit.file).read_text("utf-8")
        assert text.count(edit.old) == 1, edit.file
        ast.parse(text.replace(edit.old, edit.new))
    page = (ROOT / breakage.test.partition("::")[0]).read_text("utf-8")
    assert f"def {breakage.name}(" in page
