"""Publishing: one compare-and-swap row, for the file watch, the console, commands and peers alike.

Strict: while one error stands nothing is written. The reason is compulsory.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.audit.events import Published as PublishedEvent
from gateway.audit.events import Restored, Resumed, Suspended
from gateway.clock import Clock, instant
from gateway.conformance.finding import Finding, errors
from gateway.contract.ids import RevisionId, ServiceId
from gateway.errors import Conflict, Invalid, NotFound, StaleEdit
from gateway.registry import edit, revisions
from gateway.registry.gather import REGISTRY, about
from gateway.registry.prepare import manifest_of
from gateway.registry.revisions import Event, Revision
from gateway.registry.working_copy import WorkingCopy
from gateway.registry.workshop import CannotPrepare, Ready, Workshop
from gateway.store.ledger import Ledger

_TRIES: Final = 5
_MOST_REASON: Final = 400


@dataclass(frozen=True, slots=True)
class Published:
    """A revision is live, or was already."""

    revision: RevisionId
    base: RevisionId
    changed: bool  # False: exactly the same content was live
    findings: list[Finding]  # warnings
    left: tuple[str, ...] = ()  # files on this machine that could not be brought forward


@dataclass(frozen=True)
class Publisher:
    """What publishing needs.

    `announce` tells the workers (`Live.announce`); `copy` is the working copy, given only where
    the file is watched: what the console changes is written back there.
    """

    ledger: Ledger
    clock: Clock
    workshop: Workshop
    announce: Callable[[int], Awaitable[None]]
    copy: WorkingCopy | None = None

    async def publish(
        self,
        files: Mapping[str, bytes],
        *,
        base: int,
        author: str,
        reason: str,
        event: Event | None = None,
        tolerant: bool = False,
    ) -> Published | list[Finding]:
        """Make `files` the live revision, or return everything that is wrong with them.

        Args:
            files: as `gather` gives them.
            base: the revision that they are an edit of.
            author: who; random id, "cli:<name>" or "file".
            reason: why; compulsory.
            event: another audit event than `registry.published`.
            tolerant: errors elsewhere do not keep it back (only what must always work).

        Raises:
            Invalid: no reason.
            StaleEdit: another revision came after `base`.
            CannotPrepare: preparing failed by itself.
            LedgerAway: the ledger cannot be written.
        """
        why = _reason(reason)
        current = await self.ledger.read(revisions.latest)
        if (current.id if current else 0) != base:
            raise StaleEdit(members={"base": base, "current": current.id if current else 0})
        if current is not None and dict(current.manifest) == manifest_of(files):
            return Published(current.id, current.id, changed=False, findings=[])
        if REGISTRY not in files:
            return [about(REGISTRY, "no-registry", value=repr(REGISTRY))]
        ready = await self.workshop.make(files, base + 1, tolerant=tolerant)
        if ready.path is None or (ready.errors and not tolerant):
            return ready.findings
        made = await self.ledger.write(
            lambda c: revisions.append(
                c,
                files,
                base=base,
                author=author,
                reason=why,
                at=self.clock.now(),
                event=event or _published(base, author, why),
            )
        )
        await self.announce(made)
        warnings = [f for f in ready.findings if f.severity == "warning"]
        return Published(made, RevisionId(base), changed=True, findings=warnings)

    async def restore(
        self, number: int, *, author: str, reason: str, base: int | None = None
    ) -> Published | list[Finding]:
        """Publish the content of an older revision again, as a new one.

        Refused with findings if it no longer holds (a rule is stricter now, say).

        Raises:
            NotFound: no such revision.
            Invalid, StaleEdit, CannotPrepare, LedgerAway: as `publish`.
        """
        _reason(reason)
        current = await self._current()
        try:
            files = await self.ledger.read(lambda c: revisions.files_of(c, number))
        except LookupError as error:
            raise NotFound(detail=str(error)) from None

        def restored(new: RevisionId, _digest: str) -> Restored:
            of = RevisionId(number)
            return Restored(revision=new, of=of, author=author, reason=reason.strip())

        done = await self.publish(
            files, base=current.id if base is None else base, author=author, reason=reason,
            event=restored,
        )  # fmt: skip
        return self._written_back(done, current, files)

    async def suspend(
        self,
        service: str,
        *,
        author: str,
        reason: str,
        sentence: Mapping[str, str] | None = None,
        base: int | None = None,
    ) -> Published | list[Finding]:
        """Switch a service off at once, with the sentence that citizens read ({"zh", "en"}).

        Works whatever else is wrong with the registry, and retries when somebody publishes at the
        same time (unless `base` says which revision was looked at).

        Raises:
            NotFound: no such entry.
            Conflict: its text cannot be edited by the program.
            Invalid, StaleEdit, CannotPrepare, LedgerAway: as `publish`.
        """
        since = instant(self.clock.now())
        change = partial(
            edit.suspend, service=service, reason=_reason(reason), sentence=sentence, since=since
        )

        def event(new: RevisionId, _digest: str) -> Suspended:
            return Suspended(
                service=ServiceId(service), revision=new, author=author, reason=reason.strip()
            )

        return await self._edited(service, change, event, author, reason, base)

    async def resume(
        self, service: str, *, author: str, reason: str, base: int | None = None
    ) -> Published | list[Finding]:
        """Open a suspended service again. Raises as `suspend`."""

        def event(new: RevisionId, _digest: str) -> Resumed:
            return Resumed(
                service=ServiceId(service), revision=new, author=author, reason=reason.strip()
            )

        change = partial(edit.resume, service=service)
        return await self._edited(service, change, event, author, reason, base)

    async def _edited(
        self,
        service: str,
        change: Callable[[str], str],
        event: Event,
        author: str,
        reason: str,
        base: int | None,
    ) -> Published | list[Finding]:
        _reason(reason)
        for attempt in range(_TRIES):
            current = await self._current()
            if base is not None and base != current.id:
                raise StaleEdit(members={"base": base, "current": current.id})
            before = await self.ledger.read(partial(revisions.files_of, number=current.id))
            after = dict(before)
            try:
                path = edit.file_of(before, service)
            except edit.CannotEdit:
                raise NotFound(detail=f"no entry {service!r}") from None
            try:
                after[path] = change(before[path].decode()).encode()
            except (edit.CannotEdit, UnicodeDecodeError) as error:
                raise Conflict(detail=str(error)) from None
            try:
                done = await self.publish(
                    after, base=current.id, author=author, reason=reason, event=event, tolerant=True
                )
            except StaleEdit:
                if base is not None or attempt == _TRIES - 1:
                    raise
                continue
            return self._written_back(done, current, after, path, change)
        raise AssertionError("unreachable")

    async def _current(self) -> Revision:
        current = await self.ledger.read(revisions.latest)
        if current is None:
            raise NotFound(detail="nothing was ever published")
        return current

    def _written_back(
        self,
        done: Published | list[Finding],
        current: Revision,
        after: Mapping[str, bytes],
        path: str = "",
        change: Callable[[str], str] | None = None,
    ) -> Published | list[Finding]:
        """Bring the watched files to what was published; an edit begun there is kept."""
        if self.copy is None or not isinstance(done, Published) or not done.changed:
            return done
        left = self.copy.bring(current.manifest, after)
        if path in left and change is not None and self._same_edit(path, change):
            left.remove(path)
        if not left:
            self.copy.in_step(done.revision)
        return Published(done.revision, done.base, done.changed, done.findings, tuple(left))

    def _same_edit(self, path: str, change: Callable[[str], str]) -> bool:
        """Make the same edit in a file that somebody is working on."""
        if self.copy is None:
            return False
        try:
            text = self.copy.place(path).read_bytes().decode()
            self.copy.write(path, change(text).encode())
        except (OSError, UnicodeDecodeError, edit.CannotEdit):
            return False
        return True


def _published(base: int, author: str, reason: str) -> Event:
    def event(new: RevisionId, digest: str) -> PublishedEvent:
        return PublishedEvent(
            revision=new, base=RevisionId(base), author=author, reason=reason, digest=digest
        )

    return event


def _reason(reason: str) -> str:
    said = reason.strip()
    if not said or len(said) > _MOST_REASON:
        message = "a reason is required" if not said else f"at most {_MOST_REASON} characters"
        raise Invalid(members={"fields": [{"field": "reason", "message": message}]})
    return said


__all__ = ["CannotPrepare", "Published", "Publisher", "Ready", "errors"]
