"""The health board: worst first, one sentence on top; what every worker of this machine knows."""

import asyncio
import shutil
from pathlib import Path

from starlette.responses import Response

from gateway.conformance.finding import errors
from gateway.contract.ids import PluginId
from gateway.observe.health import Health, Level, Row, Seen, health
from gateway.store.away import LedgerAway
from gateway.store.schema import is_current
from gateway.web.visit import Visit

_ASK_SECONDS = 1.0


async def board(visit: Visit) -> Response:
    """Show the board."""
    parts = await asyncio.to_thread(visit.parts.board.read)
    found = health(parts, await _seen(visit))
    return visit.page(
        "admin/health.html",
        title=visit.say("admin.health.title"),
        sentence=_sentence(visit, found),
        worst=found.worst,
        rows=[(row, _name(visit, row), _text(visit, row)) for row in found.rows],
        now=visit.parts.clock.now(),
    )


async def _seen(visit: Visit) -> Seen:
    live, report = visit.parts.live, visit.parts.watch_report()
    wrong = errors(list(report.findings))
    return Seen(
        ledger=await _ledger(visit),
        volatile=visit.parts.volatile.up,
        revision=live.current.revision,
        not_served=live.trouble_with,
        errors=len(wrong),
        warnings=len({*live.current.findings, *report.findings} - {*wrong}),
        drift=report.drift is not None,
        trouble=report.trouble,
        free=await asyncio.to_thread(_free, visit.parts.settings.state_dir),
        workers=visit.parts.settings.workers,
        parked=live.current.parked,
    )


async def _ledger(visit: Visit) -> bool:
    try:
        async with visit.parts.clock.within(_ASK_SECONDS):
            return await visit.parts.ledger.read(is_current)
    except (LedgerAway, TimeoutError):
        return False


def _free(folder: Path) -> float:
    disk = shutil.disk_usage(folder)
    return disk.free / disk.total


def _sentence(visit: Visit, found: Health) -> str:
    """The one sentence on top: the worst thing that is true."""
    if found.bad_own:
        return visit.say("admin.health.sentence_own", count=found.bad_own)
    if found.bad_plugins:
        return visit.say("admin.health.sentence_departments", count=found.bad_plugins)
    if found.worst is Level.WARN:
        return visit.say("admin.health.sentence_warnings", count=found.warnings)
    return visit.say("admin.health.sentence_good")


def _name(visit: Visit, row: Row) -> str:
    if not row.plugin:
        return visit.say(f"admin.health.subject_{row.subject}")
    try:
        return visit.text(visit.generation.package(PluginId(row.subject)).manifest.name)
    except KeyError:  # parked, or no longer used
        return row.subject


def _text(visit: Visit, row: Row) -> str:
    return visit.say(f"admin.health.{row.key}", **row.places)
