"""Starts a code plugin on the bench (`guarded`) and hands back what was seen."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.conformance.folder import Folder
from gateway.contract.sample import Recorded, Sample
from gateway.hosting.package import Package

MOST_SECONDS: Final = 30.0
_ROOT: Final = str(Path(__file__).parents[2])
_PROGRAM: Final = (
    f"import sys; sys.path.insert(0, {_ROOT!r});"
    "from gateway.conformance.guarded import main; main()"
)
_JSON: Final = "application/json;charset=UTF-8"


class OffBench(Exception):
    """The plugin ended the process, or did not end."""


def bench(folder: Folder) -> dict[str, Any]:
    """Import the plugin and run its samples in a process of its own.

    Raises:
        OffBench: it left no report.
    """
    package = folder.package
    samples = {p: _told(folder, package, s) for p, s in folder.samples.items()} if package else {}
    source = folder.files["plugin.py"].decode("utf-8", "replace")
    # Nothing of our environment reaches the plugin; Windows cannot start a program without its own.
    environment = {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}  # noqa: TID251 - see above
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-I", "-c", _PROGRAM],
            input=orjson.dumps({"source": source, "samples": samples}),
            capture_output=True,
            timeout=MOST_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise OffBench(f"it did not end within {MOST_SECONDS:.0f} s") from None
    try:
        report: dict[str, Any] = orjson.loads(done.stdout)
    except orjson.JSONDecodeError:
        raise OffBench(f"it ended its process (exit {done.returncode})") from None
    return report


def _told(folder: Folder, package: Package, sample: Sample) -> dict[str, Any]:
    """One sample as the bench takes it."""
    level = next((s.level for s in package.manifest.services if s.id == sample.service), 2)
    return {
        "ask": {
            "service": sample.service,
            "card": sample.card,
            "subject": "sample",
            "claims": sample.citizen,
            "level": level,
            "language": "zh",
            "trace": "sample",
            "seconds": 3.0,
        },
        "settings": dict(package.settings),
        "now": sample.now.isoformat(),
        "answers": {
            key: [_reply(folder, package, one) for one in _row(answers)]
            for key, answers in sample.answers.items()
        },
    }


def _row(answers: Recorded | tuple[Recorded, ...]) -> tuple[Recorded, ...]:
    return (answers,) if isinstance(answers, Recorded) else answers


def _reply(folder: Folder, package: Package, one: Recorded) -> dict[str, Any]:
    """A recorded answer decoded, as a code plugin gets it."""
    connect = package.manifest.connect
    named = connect.charset if connect else "auto"
    charset = "gb18030" if named == "gb18030" else "utf-8"
    body, kind = recorded(folder, package, one)
    text = body.decode(charset, "replace")
    return {"status": one.status, "content_type": kind, "text": text, "lost": one.lost}


def recorded(folder: Folder, package: Package, one: Recorded) -> tuple[bytes, str]:
    """Bytes and content type of a recorded answer, as the department sent them."""
    connect = package.manifest.connect
    named = connect.charset if connect else "auto"
    charset = "gb18030" if named == "gb18030" else "utf-8"
    if one.json_ is not None:
        return orjson.dumps(one.json_), one.content_type or _JSON
    if one.file is not None:
        body = folder.files.get(f"samples/{one.file}", b"")
        return body, one.content_type or f"text/plain;charset={charset}"
    text = one.text or ""
    return text.encode(charset), one.content_type or f"text/plain;charset={charset}"
