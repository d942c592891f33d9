"""A state folder as one release leaves it, for the releases after it.

`python -m tests.kept` packs one into tests/kept/; `tests/journeys/test_kept.py` opens each of them.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from tests import city
from tests.city import ROOT

FOLDER = Path(__file__).parent / "kept"
AGREED = ("gjj", "water")


def pack(target: Path) -> Path:
    """Live a day in a city and pack what its state folder holds in the evening."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        shutil.copy(ROOT / "service_registry.yaml", folder)
        registry = {"CITYGATE_REGISTRY": str(folder / "service_registry.yaml")}
        with city.running(folder, **registry) as running:
            person = running.person()
            person.sign_in("li-wei")
            for service in AGREED:
                person.agree(service)
            said = person.post("/feedback", page="/feedback", text="灯不亮", key="k" * 32)
            receipt = re.search(r"\bAL\d{15}", person.follow(said).text)
            assert receipt, said.text[:2000]
            for word in ("suspend", "resume"):
                command(folder, "registry", word, "jobs", "--reason", "一年一次的检修")
        facts = told(folder) | {"release": version("citygate"), "feedback": receipt[0]}
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "state" / "facts.json").write_bytes(orjson.dumps(facts))
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted((folder / "state").rglob("*")):
                inside = path.relative_to(folder)
                if path.is_file() and inside.parts[1] != "run":
                    archive.add(path, inside)
    return target


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Lay it down again; what its release said of it."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    facts: dict[str, Any] = orjson.loads((folder / "state" / "facts.json").read_bytes())
    return facts


def told(folder: Path) -> dict[str, Any]:
    """What a state folder must have for good."""
    history = orjson.loads(command(folder, "registry", "history", "--json"))
    return {"revisions": history, "trail": command(folder, "audit", "verify")}


def command(folder: Path, *words: str) -> str:
    """A command of a maintainer's, beside what runs there."""
    settings = {
        "CITYGATE_PROFILE": "test",
        "CITYGATE_STATE_DIR": str(folder / "state"),
        "CITYGATE_REGISTRY": str(folder / "service_registry.yaml"),
        "CITYGATE_PLUGINS": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    print(pack(FOLDER / f"{version('citygate')}.tar.xz"))  # noqa: T201 - its answer
