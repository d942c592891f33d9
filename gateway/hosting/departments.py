"""All departments of a worker: adopted from a generation, asked for cards, shown on the health page."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import structlog

from gateway.clock import Clock, rfc3339
from gateway.contract.answer import Probe
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import PluginId
from gateway.hosting.breaker import Breakers
from gateway.hosting.call import Asking, label, outcome_of
from gateway.hosting.department import Department, HasChildren, HasDrops, House, facts, same
from gateway.hosting.outcome import Failed, Outcome, Reason
from gateway.hosting.package import Package
from gateway.hosting.recipes.program import BadRecipe
from gateway.hosting.resolving import Resolver
from gateway.hosting.secrets import MissingSecret, Secrets
from gateway.observe.metrics import call_children

READERS: Final = 2  # threads for answers over 128 kB
CLOSE_SECONDS: Final = 2.0
QUIET_SECONDS: Final = 10.0  # a department that flaps must not fill the log
_QUIET: Final = frozenset({Reason.BUSY, Reason.PAUSED, Reason.TRY_LATER, Reason.CLOSED_NOW})
_log = structlog.get_logger(__name__)


class Reports(Protocol):
    """Where faults are noted for the health page (`Board.report`)."""

    def __call__(self, plugin: str, reason: str, what: str, /) -> None:
        """Note one."""
        ...


@dataclass(slots=True)
class _Tally:
    """What a worker has seen of one plugin since it started."""

    calls: int = 0
    failed: int = 0
    reason: str = ""  # of the last call, "" when it was answered
    told: str = ""  # the reason that was logged and has not ended yet
    quiet_until: float = 0.0  # monotonic


class Departments:
    """Every plugin's department; `adopt` brings a generation's packages to life."""

    def __init__(
        self,
        *,
        clock: Clock,
        secrets: Secrets,
        networks: Mapping[str, tuple[str, ...]],
        loopback: bool,
        workers: int,
        children: HasChildren | None,
        drops: HasDrops | None,
        report: Reports,
    ) -> None:
        self._clock = clock
        self._report = report
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="answers")
        self._house = House(
            clock=clock,
            secrets=secrets,
            networks=networks,
            loopback=loopback,
            workers=workers,
            children=children,
            drops=drops,
            breakers=Breakers(clock, self._ours),
            resolver=Resolver(),
            threads=self._threads,
        )
        self._all: dict[PluginId, Department] = {}
        self._parked: dict[PluginId, str] = {}
        self._tallies: dict[PluginId, _Tally] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def adopt(self, packages: Mapping[PluginId, Package]) -> None:
        """Make these the plugins that can be asked.

        Unchanged ones keep connections, tokens, breakers and children; the others are let finish
        and closed. One that cannot be brought to life is parked by name, all else serves.
        """
        before = self._all
        now: dict[PluginId, Department] = {}
        parked: dict[PluginId, str] = {}
        self._forget_breakers(packages)
        for plugin, package in packages.items():
            old = before.get(plugin)
            if old is not None and same(old.package, package):
                now[plugin] = old
                continue
            try:
                now[plugin] = Department(package, self._house, self._watch(plugin))
            except (BadRecipe, ValueError, MissingSecret) as error:
                parked[plugin] = str(error)[:200]
                self._report(plugin, Reason.PARKED, parked[plugin])
                _log.warning("hosting.parked", plugin=plugin, what=parked[plugin])
        self._all, self._parked = now, parked
        self._tallies = {p: tally for p, tally in self._tallies.items() if p in packages}
        for plugin, old in before.items():
            if now.get(plugin) is not old:
                self._leave(old)

    def _forget_breakers(self, packages: Mapping[PluginId, Package]) -> None:
        """Keep the breakers of unchanged plugins only: a mended one is asked again at once."""
        self._house.breakers.keep(
            {
                old.breaker_key
                for plugin, old in self._all.items()
                if plugin in packages and same(old.package, packages[plugin])
            }
        )

    def _leave(self, old: Department) -> None:
        task = asyncio.get_running_loop().create_task(old.close())
        self._leaving.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: "asyncio.Task[None]") -> None:
        self._leaving.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("hosting.close_failed", kind=type(error).__name__)

    async def card(
        self, plugin: PluginId, ask: CardAsk, *, who: str = "", seconds: float
    ) -> Outcome:
        """Ask a plugin for a card; never raises but `CancelledError`.

        The call runs to its own timeout or `seconds`, whichever is shorter. `who` is an opaque key
        of the citizen, so that one odd record cannot shut a service; "" for cards for everybody.
        """
        department = self._all.get(plugin)
        if department is None:
            what = self._parked.get(plugin, "no such plugin in this generation")
            return Failed(Reason.PARKED, what=what)
        seconds = min(seconds, department.timeout)
        deadline = self._clock.monotonic() + seconds
        return await department.card(Asking(replace(ask, seconds=seconds), who, deadline))

    async def probe(self, plugin: PluginId) -> Probe:
        """Whether a plugin's back end is there and accepts us; within about a second."""
        department = self._all.get(plugin)
        if department is None:
            return Probe(ok=False, note=self._parked.get(plugin, "no such plugin")[:200])
        try:
            return await department.probe()
        except Exception as error:  # noqa: BLE001 - whatever it was, the probe failed
            outcome = outcome_of(error)
            return Probe(ok=False, note=(outcome.what if isinstance(outcome, Failed) else "")[:200])

    def _watch(self, plugin: PluginId) -> Any:
        """Count one plugin's calls; its faults are logged when they begin and end, not each time."""

        def saw(outcome: Outcome, seconds: float) -> None:
            word = label(outcome)
            counter, histogram = call_children(plugin, word)
            counter.inc()
            tally = self._tallies.setdefault(plugin, _Tally())
            if isinstance(outcome, Failed) and outcome.reason in (Reason.PAUSED, Reason.BUSY):
                return  # it was not asked
            histogram.observe(seconds)
            tally.calls += 1
            failed = isinstance(outcome, Failed)
            tally.failed += failed
            tally.reason = word if failed else ""
            if isinstance(outcome, Failed):
                self._tell(plugin, outcome, tally)
            elif tally.told:
                _log.info("hosting.recovered", plugin=plugin, reason=tally.told)
                tally.told = ""

        return saw

    def _tell(self, plugin: PluginId, outcome: Failed, tally: _Tally) -> None:
        if outcome.reason not in _QUIET:
            self._report(plugin, outcome.reason, outcome.what)
        now = self._clock.monotonic()
        if tally.told != outcome.reason and now >= tally.quiet_until:
            tally.told, tally.quiet_until = outcome.reason.value, now + QUIET_SECONDS
            _log.warning("hosting.failed", plugin=plugin, reason=tally.told, what=outcome.what)

    def _ours(self) -> None:
        what = "more than half of all departments fail at once: the fault is on this side"
        self._report("*", "ours", what)
        _log.error("hosting.ours", what=what)

    @property
    def ours(self) -> bool:
        """Whether so many departments fail that the fault must be on our side."""
        return self._house.breakers.ours

    def health(self) -> list[dict[str, object]]:
        """One row for each plugin, for the health page; nothing personal."""
        confined = getattr(self._house.children, "confined", None)
        rows: list[dict[str, object]] = []
        for plugin in (*self._all, *self._parked):
            department = self._all.get(plugin)
            tally = self._tallies.get(plugin, _Tally())
            stand = facts(department)
            until = self._clock.now() + int(stand["until"] * 1_000_000)
            code = department is not None and department.package.manifest.kind == "code"
            rows.append(
                {
                    "plugin": plugin,
                    "breaker": stand["breaker"],
                    "until": rfc3339(until) if stand["until"] else "",
                    "calls": tally.calls,
                    "failed": tally.failed,
                    "reason": Reason.PARKED.value if department is None else tally.reason,
                    "running": department.running if department else 0,
                    "confined": confined if code else None,
                }
            )
        return rows

    async def close(self) -> None:
        """Close every department; nothing stays open or running."""

        async def end(department: Department) -> None:
            with suppress(OSError):
                await department.close(drain=CLOSE_SECONDS)

        leaving, self._all = [*self._all.values()], {}
        await asyncio.gather(*(end(one) for one in leaving), *self._leaving)
        await self._house.resolver.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def open_departments(
    *,
    clock: Clock,
    secrets: Secrets,
    networks: Mapping[str, tuple[str, ...]],
    loopback: bool,
    workers: int,
    children: HasChildren | None,
    drops: HasDrops | None,
    report: Reports,
) -> AsyncIterator[Departments]:
    """The departments of a worker; closed at the end."""
    departments = Departments(
        clock=clock,
        secrets=secrets,
        networks=networks,
        loopback=loopback,
        workers=workers,
        children=children,
        drops=drops,
        report=report,
    )
    try:
        yield departments
    finally:
        await departments.close()
