"""The registry's entries: state, owner, last change, findings; and the two acts on one of them.

Everything else is edited in the file. Suspending and opening again are publishes like any other,
with author and reason; they hold for every worker as soon as it has seen the revision.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from gateway.conformance.finding import Finding
from gateway.contract.ids import CitizenId
from gateway.errors import Malformed, NotFound, Problem
from gateway.registry.changes import Changes
from gateway.registry.entry import Entry, Shown, Visibility
from gateway.registry.generation import Generation
from gateway.registry.publish import CannotPrepare, Published
from gateway.registry.revisions import Revision
from gateway.registry.showing import shown_at
from gateway.web.admin.saying import (
    MAX_SENTENCE,
    Failed,
    about,
    failed,
    number,
    sentence,
    service_of,
    told,
    who,
)
from gateway.web.visit import Visit

PAGE: Final = 100
_ADOPT_SECONDS: Final = 3.0
_CHANGES: Final = Changes()  # of texts by their digest, so the same for every ledger
_OPEN: Final = (Visibility.PUBLISHED, Visibility.TRIAL, Visibility.GRAY)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in the list."""

    entry: Entry
    shown: Shown
    errors: int
    warnings: int
    changed: Revision | None
    changed_by: str

    @property
    def order(self) -> tuple[bool, bool, bool]:
        """What needs somebody comes first."""
        parked = self.entry.parked is not None
        return (not parked, not self.errors, self.shown.state is not Visibility.SUSPENDED)


@dataclass(frozen=True, slots=True)
class Found:
    """Findings by where they stand."""

    file: list[Finding]  # of the watched files as they are now
    live: list[Finding]  # of what is served

    @property
    def every(self) -> list[Finding]:
        """Both."""
        return [*self.file, *self.live]


async def entries(visit: Visit) -> Response:
    """List the entries, those with trouble first."""
    generation = visit.generation
    wanted = visit.request.query_params.get("q", "").strip()[:64]
    page = max(1, number(visit.request.query_params.get("page", "1")))
    found = _findings(visit, generation)
    changed = await _changed(visit, generation)
    lines = await asyncio.to_thread(_lines, visit, generation, found, changed)
    if wanted:
        lines = [line for line in lines if _matches(line.entry, wanted.casefold())]
    report = visit.parts.watch_report()
    return visit.page(
        "admin/registry.html",
        title=visit.say("admin.registry.title"),
        lines=lines[(page - 1) * PAGE : page * PAGE],
        count=len(lines),
        page=page,
        pages=max(1, -(-len(lines) // PAGE)),
        wanted=wanted,
        file_findings=told(visit, found.file),
        live_findings=told(visit, found.live),
        drift=report.drift,
        trouble=report.trouble,
        not_served=visit.parts.live.trouble_with,
        watching=visit.parts.settings.watching,
    )


async def entry(visit: Visit) -> Response:
    """One entry; after an act this worker catches up with the new revision first."""
    after = number(visit.request.query_params.get("after", ""))
    generation = await _caught_up(visit, after)
    return await _entry_page(visit, generation, done=generation.revision if after else 0)


async def suspend(visit: Visit) -> Response:
    """暂停: switch the service off, with the reason and the citizen's sentence."""
    said = sentence(visit.form)
    if said is None or max(map(len, said.values())) > MAX_SENTENCE:
        why = Failed(422, visit.say("admin.failed.sentence", most=MAX_SENTENCE))
        return await _entry_page(visit, visit.parts.live.current, why=why)
    act = visit.parts.publisher.suspend(
        visit.place("service"),
        author=_author(visit),
        reason=visit.form.get("reason", ""),
        sentence=said,
        base=_base(visit),
    )
    return await _acted(visit, act)


async def resume(visit: Visit) -> Response:
    """重新开放: open a suspended service again, with a reason."""
    act = visit.parts.publisher.resume(
        visit.place("service"),
        author=_author(visit),
        reason=visit.form.get("reason", ""),
        base=_base(visit),
    )
    return await _acted(visit, act)


async def _acted(visit: Visit, act: Awaitable[Published | list[Finding]]) -> Response:
    """Carry it out; where nothing was done, say why on the same page with what was typed."""
    try:
        done = await act
    except (Problem, CannotPrepare) as error:
        return await _entry_page(visit, visit.parts.live.current, why=failed(visit, error))
    if not isinstance(done, Published):
        return await _entry_page(visit, visit.parts.live.current, why=failed(visit, done))
    return visit.to(f"/admin/registry/{visit.place('service')}?after={done.revision}")


async def _entry_page(
    visit: Visit, generation: Generation, *, why: Failed | None = None, done: int = 0
) -> Response:
    found = generation.entry(visit.place("service"))
    if found is None:
        raise NotFound
    shown = shown_at(found, visit.parts.clock.now())
    changed = (await _changed(visit, generation)).get(found.id)
    findings = _findings(visit, generation)
    return visit.page(
        "admin/entry.html",
        status=why.status if why else 200,
        title=visit.text(found.name),
        entry=found,
        shown=shown,
        base=generation.revision,
        can_suspend=shown.state in _OPEN,
        can_resume=any(line.state is Visibility.SUSPENDED for line in found.shown),
        may_act="publisher" in visit.visitor.roles,
        changed=changed,
        changed_by=who(visit, changed.author) if changed else "",
        file_findings=told(visit, about(findings.file, found.id, found.plugin)),
        live_findings=told(visit, about(findings.live, found.id, found.plugin)),
        left_behind=visit.parts.watch_report().drift is not None,
        typed=visit.form if why else {},
        why=why,
        done=done,
    )


async def _caught_up(visit: Visit, revision: int) -> Generation:
    """The live generation, once it is not older than `revision` (or after a moment)."""
    live, clock = visit.parts.live, visit.parts.clock
    if live.current.revision >= revision:
        return live.current
    try:
        async with clock.within(_ADOPT_SECONDS):
            while live.current.revision < revision:
                await live.look()
                await clock.sleep(0.05)
    except TimeoutError:
        pass  # the page says which revision it shows
    return live.current


async def _changed(visit: Visit, generation: Generation) -> dict[str, Revision]:
    plugins = await asyncio.to_thread(_plugins, generation)  # the first time it reads every entry
    return await visit.parts.ledger.read(lambda c: _CHANGES.last(c, plugins))


def _plugins(generation: Generation) -> dict[str, str]:
    found = ((service, generation.entry(service)) for service in generation.services)
    return {service: entry.plugin or "" for service, entry in found if entry is not None}


def _findings(visit: Visit, generation: Generation) -> Found:
    report = visit.parts.watch_report()
    live = {*generation.findings, *visit.parts.live.trouble} - {*report.findings}
    return Found(file=list(report.findings), live=sorted(live))


def _lines(
    visit: Visit, generation: Generation, found: Found, changed: dict[str, Revision]
) -> list[Line]:
    now = visit.parts.clock.now()
    counts: dict[str, list[int]] = {}
    for finding in found.every:
        count = counts.setdefault(service_of(finding), [0, 0])
        count[finding.severity == "warning"] += 1
    lines = []
    for service in generation.services:
        entry = generation.entry(service)
        if entry is None:
            continue
        wrong, warned = counts.get(service, (0, 0))
        revision = changed.get(service)
        by = who(visit, revision.author) if revision else ""
        lines.append(Line(entry, shown_at(entry, now), wrong, warned, revision, by))
    return sorted(lines, key=lambda line: line.order)


def _matches(entry: Entry, wanted: str) -> bool:
    texts = (entry.id, entry.name.zh, entry.name.en, entry.owner.name.zh, entry.plugin or "")
    return any(wanted in text.casefold() for text in texts)


def _author(visit: Visit) -> CitizenId:
    assert visit.visitor.citizen is not None  # noqa: S101 - the guard saw to it
    return visit.visitor.citizen.id


def _base(visit: Visit) -> int:
    """The revision that was looked at: an act without it could be meant for something else."""
    base = number(visit.form.get("base", ""))
    if not base:
        raise Malformed(428, "base")
    return base
