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
from gateway.registry.difference import sentences
from gateway.registry.generation import Generation
from gateway.registry.prepare import Extras, Prepared, generation_digest, manifest_of, prepare
from gateway.words.loader import LANGUAGES, Language

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
        out, err, code = await self._run(order)
        return self._ready(code, out, err, target)

    async def difference(
        self, before: Mapping[str, bytes], after: Mapping[str, bytes]
    ) -> dict[Language, list[str]]:
        """What changed from one revision's files to another's, in sentences, made by a child.

        Raises:
            CannotPrepare: as `make`, or one of the two is broken beyond reading.
        """
        orders = [self._order(files, 1, None, tolerant=True)[0] for files in (before, after)]
        out, err, _ = await self._run(b"".join(orders), "--difference")
        try:
            told: dict[Language, list[str]] = orjson.loads(out)
        except orjson.JSONDecodeError:
            raise CannotPrepare(_last_line(err)) from None
        return told

    async def _run(self, order: bytes, *more: str) -> tuple[bytes, bytes, int | None]:
        child = await asyncio.create_subprocess_exec(
            *self.command,
            *more,
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
        return out, err, child.returncode

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
            raise CannotPrepare(_last_line(err) or f"preparing failed with {code}") from None
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


def _last_line(err: bytes) -> str:
    last = err.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"preparing failed: {last[0][:300]}" if last else ""


def run_prepare(
    arguments: Sequence[str],
    extras: Extras,
    source: BinaryIO | None = None,
    sink: BinaryIO | None = None,
) -> int:
    """The child: carry out the order on standard input. `extras` is the app's.

    Returns:
        The process's exit code: 0 made, 1 findings.
    """
    source, sink = source or sys.stdin.buffer, sink or sys.stdout.buffer
    if hasattr(os, "nice"):
        os.nice(_NICE)
    if "--difference" in arguments:
        return _tell_difference(source, sink)
    prepared, target = _carried_out(source, extras)
    if prepared.artefact is not None:
        write_whole(target, prepared.artefact)
    rows = [[getattr(f, name) for name in Finding.__dataclass_fields__] for f in prepared.findings]
    made = prepared.artefact is not None
    sink.write(orjson.dumps({"made": made, "findings": rows, "digest": prepared.digest}))
    sink.flush()
    return 0 if made else 1


def _tell_difference(source: BinaryIO, sink: BinaryIO) -> int:
    before, _ = _carried_out(source, lambda _draft: {})
    after, _ = _carried_out(source, lambda _draft: {})
    if after.artefact is None:
        sys.stderr.write("the later one cannot be read\n")
        return 1
    old = Generation.load(before.artefact) if before.artefact else None
    new = Generation.load(after.artefact)
    sink.write(orjson.dumps({language: sentences(old, new, language) for language in LANGUAGES}))
    sink.flush()
    return 0


def _carried_out(source: BinaryIO, extras: Extras) -> tuple[Prepared, Path]:
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
    return prepared, Path(header["target"])


def _before(path: str) -> Generation | None:
    try:
        return Generation.load(Path(path)) if path else None
    except (BadArtefact, OSError, KeyError, ValueError):
        return None
