"""Every numbered fault and attack that this release answers for has a test that carries its number."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAULTS = "1-15 17 22 25-30 33 38 49 50 53-57 60-64 66-70"
ATTACKS = "1-12 14 17 18 20-30 34-39 42-46 49-51 53 68-77 93-96"
# No test carries these: a test that comes takes its number out of here.
OPEN = {"B76"}  # formulas in exported tables: nothing is exported as a table yet


def rows(kind: str, said: str) -> set[str]:
    """The numbers of a list with ranges."""
    found = set()
    for part in said.split():
        first, _, last = part.partition("-")
        found |= {f"{kind}{n}" for n in range(int(first), int(last or first) + 1)}
    return found


def test_every_row_has_a_test() -> None:
    """What is missing is exactly what is written down as missing."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    parameters = re.findall(r"\[(.*)\]$", done.stdout, re.MULTILINE)
    carried = {
        row for one in parameters for row in re.findall(r"(?<![A-Za-z0-9])[FB]\d+(?!\w)", one)
    }
    missing = (rows("F", FAULTS) | rows("B", ATTACKS)) - carried
    assert missing == OPEN
