"""What the tests run with is what the lock gives everybody."""

import re
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"citygate", "pip", "setuptools", "wheel", "uv"}  # ours, and what makes an environment


def plain(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nothing_is_installed_that_the_lock_does_not_name() -> None:
    """A package put in by hand hides that every fresh machine lacks it: add it, or take it out."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    named = {plain(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    installed = {plain(one.metadata["Name"]) for one in distributions()}
    assert len(named) > 60
    assert installed - named - TOOLS == set()
