"""The wheel, built without the network, and installed where the project itself is not."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """Build the wheel from a clean copy of what it is made of."""
    tree = folder / "tree"
    clean = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gateway", tree / "gateway", ignore=clean)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    _quietly(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=tree)
    (wheel,) = folder.glob("citygate-*.whl")
    return wheel


def install(folder: Path) -> Path:
    """Install the wheel into an environment of its own; its folder of packages.

    Dependencies come from the project's environment by a path file. Path files in a folder that
    is named by one are not read, so the project's own installation does not come along.
    """
    wheel = build(folder)
    home = folder / "venv"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    site = home / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--python", python]
        _quietly(*pip, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    else:
        pip = [shutil.which("uv") or "uv", "pip"]
        _quietly(*pip, "install", "-q", "-p", python, "--no-deps", "--offline", wheel, cwd=folder)
    where = "import gateway; print(gateway.__file__)"
    told = subprocess.run(
        [python, "-c", where], cwd=folder, capture_output=True, text=True, check=True
    )
    assert Path(told.stdout.strip()).is_relative_to(site), told.stdout
    return site


def _quietly(*words: str | Path, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
