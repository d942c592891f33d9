"""The wheel carries what an installed gateway reads, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from tests.wheel import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all files in the wheel."""
    with zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_carries_every_file_of_the_package(carried: set[str]) -> None:
    """Templates, styles, words, schemas, the skeleton, migrations, the handbook: all of it."""
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gateway").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in carried if name.startswith("gateway/")} == wanted
    for kind in (".html", ".css", ".js", ".json", ".yaml", ".md", ".svg", ".mako"):
        assert any(name.endswith(kind) for name in wanted), kind


def test_the_wheel_carries_nothing_else(carried: set[str]) -> None:
    """No tests, no plugins of this city, no registry, no state."""
    assert {name.split("/")[0].split("-")[0] for name in carried} == {"gateway", "citygate"}
    assert not [name for name in carried if "test" in name.split("/")[1]]
