"""`make sabotage`: break each promise in a copy of the tree and see its test turn red.

Exit 0: every breakage was noticed, and every test is green without it. Words on the command line
choose promises by a part of their text.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.sabotage.breakages import BREAKAGES, Breakage

ROOT = Path(__file__).resolve().parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "--timeout", "120")
RED = 1  # pytest's exit for failed tests; others mean that it could not run them


def main() -> int:
    """Try all of them."""
    wanted = [
        one for one in BREAKAGES if not sys.argv[1:] or any(w in one.promise for w in sys.argv[1:])
    ]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy(tree)
        tests = dict.fromkeys(one.test for one in wanted)
        whole = subprocess.run(
            [*PYTEST, *tests], cwd=tree, check=False, capture_output=True, text=True
        )
        if whole.returncode:
            print(whole.stdout[-4000:])
            print("these tests are red without any breakage")
            return 1
        missed = [one.promise for one in wanted if not noticed(tree, one)]
    for promise in missed:
        print(f"nobody noticed: {promise}")
    return bool(missed)


def copy(tree: Path) -> None:
    """What a clean clone would hold, with the edits that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)


def noticed(tree: Path, breakage: Breakage) -> bool:
    """Whether its test turns red; the tree is whole again afterwards."""
    before = {edit.file: (tree / edit.file).read_text("utf-8") for edit in breakage.edits}
    for edit in breakage.edits:
        text = (tree / edit.file).read_text("utf-8")
        (tree / edit.file).write_text(text.replace(edit.old, edit.new), "utf-8")
    began = time.monotonic()
    done = subprocess.run(
        [*PYTEST, breakage.test], cwd=tree, check=False, capture_output=True, text=True
    )
    for file, text in before.items():
        (tree / file).write_text(text, "utf-8")
    red = done.returncode == RED
    word = "red" if red else f"NOT RED (exit {done.returncode})"
    print(
        f"{word}  {breakage.promise}  [{breakage.name}, {time.monotonic() - began:.0f} s]",
        flush=True,
    )
    return red


if __name__ == "__main__":
    raise SystemExit(main())
