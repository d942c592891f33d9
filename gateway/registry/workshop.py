"""Preparing in a child process of low priority: `python -m gateway prepare`.

An order goes to its standard input (one JSON line, then the files' bytes), the answer comes from its
standard output; the artefact is written straight into the state folder. The child opens no store.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from gateway.clock import Clock, SystemClock
from gateway.conformance.finding import Finding, errors
from gateway.registry.artefact import BadArtefact, write_whole
from gateway.registry.generation import Generation
from gateway.registry.prepare import Extras, generation_digest, manifest_of, prepare

DEADLINE: Final = 60.0  # seconds; a preparing that takes longer is ended
_COMMAND: Final = (sys.executable, "-m", "gateway", "prepare")
_KEPT: Final = 6  # artefacts in the folder
_NICE: Final = 10


class CannotPrepare(Exception):
    """The child failed by itself; nothing is known about the registry."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What came of an order: the artefact's file, unless an error stands among the findings."""

    path: Path | None
    findings: list[Finding]
    digest: str

    @property
    def errors(self) -> list[Finding]:
        """What kept it from being made."""
        return errors(self.findings)


@dataclass(frozen=True)
class Workshop:
    """Where generations are made and lie: `state/generations/`."""

    state: Path
    environment: str
    variables: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    command: Sequence[str] = _COMMAND

    @property
    def folder(self) -> Path:
        """The artefacts' folder."""
        return self.state / "generations"

    def path(self, revision: int, manifest: Mapping[str, str]) -> Path:
        """Where the artefact of a revision lies, once somebody has made it."""
        digest = generation_digest(manifest, self.environment, self.variables)
        return self.folder / f"r{revision}-{digest[:32]}.generation"

    async def make(
        self,
        files: Mapping[str, bytes],
        revision: int,
        *,
        before: Path | None = None,
        tolerant: bool = False,
    ) -> Ready:
        """Prepare in a child without blocking the loop.

        Raises:
            CannotPrepare: the child crashed or took longer than `DEADLINE`.
        """
        order, target = self._order(files, revision, before, tolerant=tolerant)
        child = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(DEADLINE):
                out, err = await child.communicate(order)
        except TimeoutError:
            raise CannotPrepare(f"preparing took longer than {DEADLINE:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return self._ready(child.returncode, out, err, target)

    def make_now(
        self,
        files: Mapping[str, bytes],
        revision: int,
        *,
        before: Path | None = None,
        tolerant: bool = False,
    ) -> Ready:
        """As `make`, for commands without a loop."""
        order, target = self._order(files, revision, before, tolerant=tolerant)
        try:
            child = subprocess.run(  # noqa: S603 - our own program
                list(self.command), input=order, capture_output=True, timeout=DEADLINE, check=False
            )
        except subprocess.TimeoutExpired:
            raise CannotPrepare(f"preparing took longer than {DEADLINE:.0f} s") from None
        return self._ready(child.returncode, child.stdout, child.stderr, target)

    def _order(
        self, files: Mapping[str, bytes], revision: int, before: Path | None, *, tolerant: bool
    ) -> tuple[bytes, Path]:
        target = self.path(revision, manifest_of(files))
        header = {
            "environment": self.environment,
            "variables": dict(self.variables),
            "revision": revision,
            "before": str(before or self.newest() or ""),
            "target": str(target),
            "now": self.clock.now(),
            "tolerant": tolerant,
            "files": [[path, len(content)] for path, content in files.items()],
        }
        return orjson.dumps(header) + b"\n" + b"".join(files.values()), target

    def _ready(self, code: int | None, out: bytes, err: bytes, target: Path) -> Ready:
        try:
            answer = orjson.loads(out)
        except orjson.JSONDecodeError:
            last = err.decode("utf-8", "replace").strip().splitlines()[-1:]
            said = last[0][:300] if last else f"exit code {code}"
            raise CannotPrepare(f"preparing failed: {said}") from None
        findings = [Finding(*row) for row in answer["findings"]]
        made = target if answer["made"] else None
        if made is not None:
            self.tidy(keep=made)
        return Ready(made, findings, answer["digest"])

    def newest(self) -> Path | None:
        """The artefact made last, from which the next one takes what did not change."""
        made = self._all()
        return made[-1] if made else None

    def tidy(self, keep: Path) -> None:
        """Remove old artefacts; workers that still serve one have it mapped and keep it."""
        for old in self._all()[:-_KEPT]:
            if old != keep:
                old.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        found = []
        for path in self.folder.glob("*.generation"):
            try:
                found.append((path.stat().st_mtime_ns, path))
            except OSError:
                continue
        return [path for _, path in sorted(found)]


def run_prepare(
    extras: Extras, source: BinaryIO | None = None, sink: BinaryIO | None = None
) -> int:
    """The child: carry out the one order on standard input. `extras` is the app's.

    Returns:
        The process's exit code: 0 made, 1 findings, 2 the order could not be read.
    """
    source, sink = source or sys.stdin.buffer, sink or sys.stdout.buffer
    if hasattr(os, "nice"):
        os.nice(_NICE)
    header: dict[str, Any] = orjson.loads(source.readline())
    files = {path: source.read(length) for path, length in header["files"]}
    prepared = prepare(
        files,
        environment=header["environment"],
        variables=header["variables"],
        revision=header["revision"],
        extras=extras,
        before=_before(header["before"]),
        now=header["now"],
        tolerant=header["tolerant"],
    )
    if prepared.artefact is not None:
        write_whole(Path(header["target"]), prepared.artefact)
    rows = [[getattr(f, name) for name in Finding.__dataclass_fields__] for f in prepared.findings]
    made = prepared.artefact is not None
    sink.write(orjson.dumps({"made": made, "findings": rows, "digest": prepared.digest}))
    sink.flush()
    return 0 if made else 1


def _before(path: str) -> Generation | None:
    try:
        return Generation.load(Path(path)) if path else None
    except (BadArtefact, OSError, KeyError, ValueError):
        return None
