"""The leader's eye on the working copy: a saved file is published, a broken one is explained.

What stands in the files is compared with the ledger by content, so nothing depends on events: they
only make it quicker. A file equal to an older revision is drift, shown and never published.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from watchfiles import awatch

from gateway.clock import Clock
from gateway.conformance.finding import Finding, errors
from gateway.contract.ids import RevisionId
from gateway.errors import StaleEdit
from gateway.registry import revisions
from gateway.registry.artefact import write_whole
from gateway.registry.gather import REGISTRY
from gateway.registry.prepare import manifest_of
from gateway.registry.publish import Published, Publisher
from gateway.registry.revisions import Revision
from gateway.registry.working_copy import WorkingCopy
from gateway.registry.workshop import CannotPrepare
from gateway.store.away import LedgerAway

_POLL: Final = 1.0  # seconds; the truth where events get lost
_QUIET: Final = 0.3  # seconds without a change before a file counts as saved
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Drift:
    """The files on this machine are not what is live."""

    live: RevisionId
    like: RevisionId | None  # the older revision that they equal
    base: int | None  # the older revision that they are an edit of, where that is known
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the watch saw last, for pages in any worker of this machine."""

    findings: list[Finding] = field(default_factory=list)
    drift: Drift | None = None
    trouble: str = ""  # why nothing could be published, in one sentence
    at: int = 0  # UTC microseconds

    @classmethod
    def load(cls, state: Path) -> "Report":
        """The last report of this machine's leader; an empty one where there is none."""
        with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError):
            told = orjson.loads((state / "registry-watch.json").read_bytes())
            drift = told["drift"] and Drift(
                **{**told["drift"], "paths": tuple(told["drift"]["paths"])}
            )
            findings = [Finding(*row) for row in told["findings"]]
            return cls(findings, drift or None, told["trouble"], told["at"])
        return cls()

    def save(self, state: Path) -> None:
        """Leave it for the other workers."""
        rows = [[getattr(f, n) for n in Finding.__dataclass_fields__] for f in self.findings]
        drift: dict[str, Any] | None = None
        if self.drift is not None:
            drift = {name: getattr(self.drift, name) for name in Drift.__dataclass_fields__}
        told = {"findings": rows, "drift": drift, "trouble": self.trouble, "at": self.at}
        write_whole(state / "registry-watch.json", orjson.dumps(told))


class Watch:
    """Runs in the leader; publishes only where `publishing`."""

    def __init__(
        self, *, publisher: Publisher, copy: WorkingCopy, clock: Clock, publishing: bool
    ) -> None:
        """Begin without having looked."""
        self.report = Report()
        self._publisher = publisher
        self._copy = copy
        self._clock = clock
        self._publishing = publishing
        self._looked_at: tuple[str, int] | None = None  # files' digest, live revision
        self._live: RevisionId | None = None

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the files as they are now."""
        return self.report.findings

    @property
    def drift(self) -> Drift | None:
        """How the files differ from what is live, where nothing is published by itself."""
        return self.report.drift

    async def run(self) -> None:
        """Look whenever something changes and each second, for ever."""
        woken = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._events(woken))
            while True:
                try:
                    await self.look()
                except (LedgerAway, OSError) as error:
                    _log.warning("registry.watch_failed", why=f"{type(error).__name__}: {error}")
                with suppress(TimeoutError):
                    async with self._clock.within(_POLL):
                        await woken.wait()
                        await self._clock.sleep(_QUIET)
                woken.clear()

    async def _events(self, woken: asyncio.Event) -> None:
        while True:
            folders = [path for path in self._folders() if path.is_dir()]
            with suppress(OSError, FileNotFoundError, RuntimeError):
                async for _ in self._changes(folders):
                    woken.set()
            await self._clock.sleep(_POLL)

    def _folders(self) -> list[Path]:
        return [self._copy.registry.parent, self._copy.plugins]

    @staticmethod
    async def _changes(folders: list[Path]) -> AsyncIterator[None]:
        async for _ in awatch(*folders, recursive=False, debounce=200, step=50):
            yield None

    async def look(self) -> None:
        """Compare the files with the live revision, and publish or explain the difference."""
        live = await self._publisher.ledger.read(revisions.latest)
        if live is None:
            live = Revision(RevisionId(0), RevisionId(0), {}, "", "", 0)
        await self._forward(live)
        files, found = await self._stable()
        if files is None:
            return
        digest = _digest(files, found)
        if self._looked_at == (digest, live.id):
            return
        manifest = manifest_of(files)
        if manifest == dict(live.manifest):
            self._copy.in_step(live.id)
            await self._tell(Report(findings=found), digest, live.id)
            return
        like = await self._publisher.ledger.read(lambda c: revisions.same_content(c, manifest))
        paths = tuple(
            path
            for path in sorted({*manifest, *live.manifest})
            if manifest.get(path) != live.manifest.get(path)
        )
        base = self._copy.base()
        behind = live.id not in (0, base)  # an edit of something older, or of who knows what
        drift = Drift(live.id, like, base if behind else None, paths)
        if like is not None or behind or not self._publishing:
            told = Report(findings=found, drift=drift)
            if not self._publishing and REGISTRY in files and like is None:
                told = replace(told, findings=await self._check(files, found, live.id))
            await self._tell(told, digest, live.id)
            return
        await self._publish(files, found, digest, live, drift)

    async def _forward(self, live: Revision) -> None:
        """A revision that others published while the files stood at its base is written there."""
        if not self._publishing:
            return
        before, self._live = self._live, live.id
        base = self._copy.base()
        if before is None or before == live.id or base != before:
            return
        known = await self._publisher.ledger.read(lambda c: revisions.show(c, before))
        if known is None:
            return
        after = await self._publisher.ledger.read(lambda c: revisions.files_of(c, live.id))
        left = await asyncio.to_thread(self._copy.bring, known.manifest, after)
        if not left:
            self._copy.in_step(live.id)

    async def _stable(self) -> tuple[dict[str, bytes] | None, list[Finding]]:
        """The files, read twice with the same content; None while somebody is writing."""
        files, found = await asyncio.to_thread(self._copy.read)
        if self._looked_at is not None and self._looked_at[0] == _digest(files, found):
            return files, found
        await self._clock.sleep(_QUIET)
        again, found = await asyncio.to_thread(self._copy.read)
        return (again, found) if again == files else (None, found)

    async def _check(
        self, files: Mapping[str, bytes], found: list[Finding], live: int
    ) -> list[Finding]:
        try:
            ready = await self._publisher.workshop.make(files, live + 1)
        except CannotPrepare as error:
            _log.error("registry.cannot_prepare", why=str(error))
            return found
        return sorted({*found, *ready.findings})

    async def _publish(
        self,
        files: Mapping[str, bytes],
        found: list[Finding],
        digest: str,
        live: Revision,
        drift: Drift,
    ) -> None:
        if errors(found):
            findings = await self._check(files, found, live.id) if REGISTRY in files else found
            await self._tell(Report(findings=findings, drift=drift), digest, live.id)
            return
        try:
            done = await self._publisher.publish(
                files, base=live.id, author="file", reason=_reason(drift.paths)
            )
        except StaleEdit:
            return  # looked at again in a second
        except CannotPrepare as error:
            await self._tell(Report(drift=drift, trouble=str(error)), digest, live.id)
            return
        if isinstance(done, Published):
            self._live = done.revision
            self._copy.in_step(done.revision)
            await self._tell(Report(findings=done.findings), digest, done.revision)
            _log.info(
                "registry.published_from_file", revision=done.revision, files=len(drift.paths)
            )
        else:
            told = Report(findings=sorted({*found, *done}), drift=drift)
            await self._tell(told, digest, live.id)
            first = errors(told.findings)[:1]
            _log.warning(
                "registry.file_refused",
                errors=len(errors(told.findings)),
                first=first[0].line_of_text() if first else "",
            )

    async def _tell(self, report: Report, digest: str, live: int) -> None:
        self._looked_at = (digest, live)
        self.report = replace(report, at=self._clock.now())
        with suppress(OSError):
            await asyncio.to_thread(self.report.save, self._copy.state)


def _digest(files: Mapping[str, bytes], found: list[Finding]) -> str:
    whole = hashlib.sha256(orjson.dumps(manifest_of(files)))
    whole.update("".join(finding.line_of_text() for finding in found).encode())
    return whole.hexdigest()


def _reason(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""  # noqa: PLR2004 - three are enough
    return f"saved: {shown}{more}"
