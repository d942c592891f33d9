"""Revisions: who, when, why, what changed in sentences, and 恢复为第 N 版."""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from gateway.errors import Malformed, NotFound, Problem
from gateway.registry import revisions
from gateway.registry.publish import CannotPrepare, Published
from gateway.registry.revisions import Revision
from gateway.web.admin.saying import Failed, failed, number, who
from gateway.web.visit import Visit

PAGE: Final = 50


async def history(visit: Visit) -> Response:
    """The latest revisions, newest first."""
    before = number(visit.request.query_params.get("before", "")) or None
    found = await visit.parts.ledger.read(
        lambda c: revisions.history(c, most=PAGE + 1, before=before)
    )
    return visit.page(
        "admin/revisions.html",
        title=visit.say("admin.revisions.title"),
        rows=[(one, who(visit, one.author)) for one in found[:PAGE]],
        more=found[PAGE - 1].id if len(found) > PAGE else 0,
        live=visit.parts.live.current.revision,
    )


async def show(visit: Visit) -> Response:
    """One revision: what it changed, and what restoring it would change."""
    return await _page(visit)


async def restore(visit: Visit) -> Response:
    """恢复为第 N 版: publish its content again as a new revision, with a reason."""
    base = number(visit.form.get("base", ""))
    if not base:
        raise Malformed(428, "base")
    assert visit.visitor.citizen is not None  # noqa: S101 - the guard saw to it
    try:
        done = await visit.parts.publisher.restore(
            _number(visit),
            author=visit.visitor.citizen.id,
            reason=visit.form.get("reason", ""),
            base=base,
        )
    except (Problem, CannotPrepare) as error:
        return await _page(visit, failed(visit, error))
    if not isinstance(done, Published):
        return await _page(visit, failed(visit, done))
    return visit.to(f"/admin/revisions/{done.revision}")


async def _page(visit: Visit, why: Failed | None = None) -> Response:
    wanted = _number(visit)
    found, latest = await visit.parts.ledger.read(
        lambda c: (revisions.show(c, wanted), revisions.latest_id(c))
    )
    if found is None:
        raise NotFound
    is_live = wanted == latest
    changed, restoring = await asyncio.gather(
        _told(visit, found.base, wanted),
        _none() if is_live else _told(visit, latest, wanted),
    )
    return visit.page(
        "admin/revision.html",
        status=why.status if why else 200,
        title=visit.say("admin.revisions.one", revision=wanted),
        revision=found,
        author=who(visit, found.author),
        latest=latest,
        is_live=is_live,
        changed=changed,
        restoring=restoring,
        paths=await _paths(visit, found),
        may_act="publisher" in visit.visitor.roles,
        typed=visit.form if why else {},
        why=why,
    )


async def _told(visit: Visit, before: int, after: int) -> list[str]:
    """The difference in sentences; a revision that cannot be read any more says so."""
    try:
        files = await visit.parts.ledger.read(
            lambda c: {n: revisions.files_of(c, n) if n else {} for n in (before, after)}
        )
        told = await visit.parts.publisher.workshop.difference(files[before], files[after])
    except (CannotPrepare, LookupError) as error:
        return [visit.say("admin.revisions.unreadable", why=str(error)[:200])]
    return told[visit.language]


async def _none() -> list[str]:
    """Nothing to restore: it is live."""
    return []


async def _paths(visit: Visit, revision: Revision) -> list[tuple[str, str]]:
    """The files that it changed, each with added, changed or removed."""
    before = await visit.parts.ledger.read(lambda c: revisions.show(c, revision.base))
    was: Mapping[str, str] = before.manifest if before else {}
    rows = []
    for path in sorted({*was, *revision.manifest}):
        if was.get(path) != revision.manifest.get(path):
            kind = "added" if path not in was else "changed"
            rows.append((path, kind if path in revision.manifest else "removed"))
    return rows


def _number(visit: Visit) -> int:
    wanted = number(visit.place("revision"))
    if not wanted:
        raise NotFound
    return wanted
