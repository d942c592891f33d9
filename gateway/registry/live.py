"""The live generation of one process: what it serves from, and how it follows the ledger.

The latest revision in the ledger is the truth; a notice only makes it quicker. Adopting is one
assignment: a request takes `current` once and keeps it.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import orjson
import structlog

from gateway.audit.events import Published as PublishedEvent
from gateway.clock import Clock
from gateway.conformance.finding import Finding
from gateway.contract.ids import RevisionId
from gateway.errors import StaleEdit
from gateway.registry.artefact import BadArtefact, write_whole
from gateway.registry.gather import gather
from gateway.registry.generation import Generation
from gateway.registry.revisions import Revision, append, files_of, latest, latest_id
from gateway.registry.working_copy import WorkingCopy
from gateway.registry.workshop import CannotPrepare, Workshop
from gateway.store.away import Away, LedgerAway
from gateway.store.ledger import Ledger
from gateway.store.volatile import Volatile

NOTICE: Final = b"registry "
_POLL: Final = 1.0  # seconds
_AGAIN: Final = 10.0  # seconds until something that failed is tried again
_log = structlog.get_logger(__name__)

OnAdopt = Callable[[Generation], Awaitable[None] | None]


class Live:
    """Follows the ledger's latest revision; made once in each worker."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        volatile: Volatile | None,
        clock: Clock,
        workshop: Workshop,
        registry: Path,
        plugins: Path,
        on_adopt: OnAdopt | None = None,
    ) -> None:
        """Begin with nothing to serve; `start` brings the first generation."""
        self.current = Generation.empty(workshop.environment)
        self.trouble: tuple[Finding, ...] = ()  # why the latest revision or the file is not served
        self.trouble_with: RevisionId | None = None
        self._ledger = ledger
        self._volatile = volatile
        self._clock = clock
        self._workshop = workshop
        self._registry = registry
        self._plugins = plugins
        self._on_adopt = on_adopt
        self._wake = asyncio.Event()
        self._adopting = asyncio.Lock()
        self._retry_at = 0.0
        self._path: Path | None = None

    @property
    def workshop(self) -> Workshop:
        """Where generations are made."""
        return self._workshop

    async def start(self) -> None:
        """Serve the latest revision; an empty ledger takes the file as version 1.

        Where neither can be served, `current` is empty and `trouble` says why; `follow` mends it.

        Raises:
            LedgerAway: the ledger cannot be read.
        """
        if await self._ledger.read(latest_id) == 0:
            await self._first()
        await self.look()

    async def follow(self) -> None:
        """Adopt every later revision, for ever: a notice wakes it, the poll is the truth."""
        async with asyncio.TaskGroup() as group:
            if self._volatile is not None:
                group.create_task(self._listen(self._volatile))
            while True:
                with suppress(TimeoutError):
                    async with self._clock.within(_POLL):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    await self.look()
                except LedgerAway:
                    continue  # what is live stays live

    async def _listen(self, volatile: Volatile) -> None:
        async for notice in volatile.notices():
            if notice.startswith(NOTICE):
                self._wake.set()

    def hurry(self) -> None:
        """Look at the ledger now instead of at the next second."""
        self._wake.set()

    async def announce(self, revision: int) -> None:
        """Tell every worker on every host that there is a new revision."""
        self.hurry()
        if self._volatile is not None:
            with suppress(Away):
                await self._volatile.publish_notice(NOTICE + str(revision).encode())

    async def look(self) -> None:
        """Adopt the latest revision if it is not the live one."""
        async with self._adopting:
            newest = await self._ledger.read(latest_id)
            if newest in (0, self.current.revision):
                return
            if newest == self.trouble_with and self._clock.monotonic() < self._retry_at:
                return
            revision = await self._ledger.read(latest)
            if revision is not None:
                await self._adopt(revision)

    async def _adopt(self, revision: Revision) -> None:
        try:
            path = await self._artefact(revision)
            generation = await asyncio.to_thread(self._load, path) if path else None
        except (CannotPrepare, BadArtefact, OSError, LookupError) as error:
            self._not_served(revision.id, f"{type(error).__name__}: {error}")
            return
        if generation is None or path is None:
            self._not_served(revision.id, "it has errors here")
            return
        if self._on_adopt is not None:
            done = self._on_adopt(generation)
            if done is not None:
                await done
        self.current, self._path = generation, path
        self.trouble, self.trouble_with = (), None
        _log.info("registry.adopted", revision=generation.revision, digest=generation.digest[:16])
        await asyncio.to_thread(self._note)

    def _not_served(self, revision: RevisionId, why: str) -> None:
        self.trouble_with = revision
        self._retry_at = self._clock.monotonic() + _AGAIN
        _log.error(
            "registry.not_adopted", revision=revision, why=why, serving=self.current.revision
        )

    def _load(self, path: Path) -> Generation:
        """In a thread: open it and its plugins, so that the swap itself costs nothing."""
        try:
            generation = Generation.load(path, self.current)
            generation.packages()
        except (BadArtefact, KeyError, ValueError) as error:
            path.unlink(missing_ok=True)  # made anew at the next look
            raise BadArtefact(str(error)) from error
        return generation

    def _note(self) -> None:
        """Leave word for commands on this machine: which environment and values hold here."""
        facts = {
            "revision": self.current.revision,
            "environment": self._workshop.environment,
            "variables": dict(self._workshop.variables),
        }
        with suppress(OSError):
            write_whole(self._workshop.folder / "now.json", orjson.dumps(facts))

    async def _artefact(self, revision: Revision) -> Path | None:
        """The artefact's file; one process of this machine makes it, the others wait for it."""
        path = self._workshop.path(revision.id, revision.manifest)
        while not path.exists():
            async with _turn(self._workshop.folder / "lock") as mine:
                if mine and not path.exists():
                    files = await self._ledger.read(lambda c: files_of(c, revision.id))
                    ready = await self._workshop.make(
                        files, revision.id, before=self._path, tolerant=True
                    )
                    self.trouble = tuple(ready.findings)
                    return ready.path
            await self._clock.sleep(0.05)
        return path

    async def _first(self) -> None:
        """Take the file as version 1; what is broken in it is left out and named."""
        async with _turn(self._workshop.folder / "lock", wait=self._clock) as _:
            if await self._ledger.read(latest_id) != 0:
                return
            files, found = await asyncio.to_thread(gather, self._registry, self._plugins)
            try:
                ready = await self._workshop.make(files, 1, tolerant=True)
            except CannotPrepare as error:
                self._not_served(RevisionId(1), str(error))
                return
            self.trouble = tuple(sorted({*found, *ready.findings}))
            if ready.path is None:
                _log.error("registry.no_first_version", findings=len(self.trouble))
                return
            with suppress(StaleEdit):
                await self._ledger.write(
                    lambda c: append(
                        c,
                        files,
                        base=0,
                        author="file",
                        reason="first start",
                        at=self._clock.now(),
                        event=lambda new, digest: PublishedEvent(
                            revision=new,
                            base=RevisionId(0),
                            author="file",
                            reason="first start",
                            digest=digest,
                        ),
                    )
                )
                state = self._workshop.state
                WorkingCopy(self._registry, self._plugins, state).in_step(1)


@asynccontextmanager
async def _turn(path: Path, wait: Clock | None = None) -> AsyncIterator[bool]:
    """Whether this process may work now; the kernel frees the lock of one that died."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        mine = _try(descriptor)
        while not mine and wait is not None:
            await wait.sleep(0.05)
            mine = _try(descriptor)
        yield mine
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
