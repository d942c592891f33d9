"""The health board's answer: from all workers' parts to rows, worst first, and one sentence.

Pure: what it is given are the parts that `Board.read` found and what the asking worker sees itself.
Texts are keys of the words area `admin`, so that the page says them in its own language.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

LEAST_FREE: Final = 0.2  # of the disk
_HALF: Final = 0.5


class Level(IntEnum):
    """How bad; the worst first in any list."""

    BAD = 0
    WARN = 1
    GOOD = 2

    @property
    def word(self) -> str:
        """For the template."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at."""

    level: Level
    subject: str  # registry | ledger | volatile | disk | workers | log | breakers | a plugin's id
    key: str  # words key admin.health.<key>
    places: Mapping[str, object] = field(default_factory=dict)
    plugin: bool = False
    at: int = 0  # UTC microseconds; 0: not a moment
    detail: str = ""  # of closed lists and places in documents, never a value

    @property
    def order(self) -> tuple[int, bool, str]:
        """Worst first, then what is ours, then by name."""
        return (self.level, self.plugin, self.subject)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the asking worker sees itself."""

    ledger: bool
    volatile: bool
    revision: int
    not_served: int | None = None  # a revision that could not be adopted
    errors: int = 0  # findings of the watched files
    warnings: int = 0
    drift: bool = False
    trouble: str = ""
    free: float = 1.0  # share of the disk
    workers: int = 1  # how many there should be
    parked: Mapping[str, str] = field(default_factory=dict)  # plugins that could not be loaded


@dataclass(frozen=True, slots=True)
class Health:
    """The board."""

    rows: tuple[Row, ...]

    @property
    def worst(self) -> Level:
        """The worst of all."""
        return min((row.level for row in self.rows), default=Level.GOOD)

    @property
    def bad_plugins(self) -> int:
        """How many departments' services have trouble."""
        return sum(row.plugin and row.level is Level.BAD for row in self.rows)

    @property
    def bad_own(self) -> int:
        """How many parts of the gateway itself have trouble."""
        return sum(not row.plugin and row.level is Level.BAD for row in self.rows)

    @property
    def warnings(self) -> int:
        """How much wants a look."""
        return sum(row.level is Level.WARN for row in self.rows)


def health(parts: Sequence[Mapping[str, Any]], seen: Seen) -> Health:
    """Everything, worst first."""
    plugins = _plugins(parts)
    rows = [*_own(parts, seen), *_breakers(plugins), *plugins]
    rows += [
        Row(Level.BAD, name, "plugin_parked", plugin=True, detail=why)
        for name, why in seen.parked.items()
    ]
    return Health(tuple(sorted(rows, key=lambda row: row.order)))


def _own(parts: Sequence[Mapping[str, Any]], seen: Seen) -> Iterable[Row]:
    yield _store("ledger", seen.ledger)
    yield _store("volatile", seen.volatile)
    yield from _registry(seen)
    revisions = {part["revision"] for part in parts if "revision" in part}
    if len(revisions) > 1:
        said = ", ".join(str(number) for number in sorted(revisions))
        yield Row(Level.WARN, "registry", "revisions_differ", {"revisions": said})
    short = len(parts) < seen.workers
    level, key = (Level.WARN, "workers_missing") if short else (Level.GOOD, "workers")
    yield Row(level, "workers", key, {"count": len(parts), "wanted": seen.workers})
    low = seen.free < LEAST_FREE
    key = "disk_low" if low else "disk"
    yield Row(Level.WARN if low else Level.GOOD, "disk", key, {"free": f"{seen.free:.0%}"})
    dropped = sum(int(part.get("log_dropped", 0)) for part in parts)
    if dropped:
        yield Row(Level.WARN, "log", "log_dropped", {"count": dropped})


def _store(name: str, up: bool) -> Row:
    return Row(Level.GOOD if up else Level.BAD, name, name if up else f"{name}_away")


def _registry(seen: Seen) -> Iterable[Row]:
    if seen.revision == 0:
        yield Row(Level.BAD, "registry", "registry_none")
    elif seen.not_served is not None:
        places = {"revision": seen.revision, "refused": seen.not_served}
        yield Row(Level.BAD, "registry", "registry_not_served", places)
    else:
        yield Row(Level.GOOD, "registry", "registry", {"revision": seen.revision})
    if seen.errors:
        yield Row(Level.WARN, "registry", "registry_errors", {"count": seen.errors})
    elif seen.drift:
        yield Row(Level.WARN, "registry", "registry_drift")
    if seen.trouble:
        yield Row(Level.WARN, "registry", "registry_trouble", detail=seen.trouble)
    if seen.warnings:
        yield Row(Level.GOOD, "registry", "registry_warnings", {"count": seen.warnings})


def _plugins(parts: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row a plugin: the worst that any worker says of it."""
    worst: dict[str, Row] = {}
    for part in parts:
        faults = {fault["plugin"]: fault for fault in part.get("faults", ())}
        states = {state["plugin"]: state for state in part.get("plugins", ())}
        for name in {*faults, *states}:
            row = _plugin(name, states.get(name, {}), faults.get(name))
            known = worst.get(name)
            if known is None or (row.level, -row.at) < (known.level, -known.at):
                worst[name] = row
    return list(worst.values())


def _plugin(name: str, state: Mapping[str, Any], fault: Mapping[str, Any] | None) -> Row:
    at = int(fault["at"]) if fault else 0
    detail = f"{fault['reason']}: {fault['what']}" if fault else str(state.get("reason") or "")
    calls, failed = int(state.get("calls") or 0), int(state.get("failed") or 0)
    places = {"calls": calls, "failed": failed}
    breaker = state.get("breaker", "closed")
    if breaker in ("open", "trial"):
        return Row(Level.BAD, name, f"plugin_{breaker}", places, True, at, detail)
    if state.get("confined") is False:
        return Row(Level.WARN, name, "plugin_unconfined", places, True, at, detail)
    if calls and failed / calls >= _HALF:
        return Row(Level.BAD, name, "plugin_failing", places, True, at, detail)
    if failed or fault:
        return Row(Level.WARN, name, "plugin_faults", places, True, at, detail)
    return Row(Level.GOOD, name, "plugin" if calls else "plugin_idle", places, True, at)


def _breakers(plugins: Sequence[Row]) -> Iterable[Row]:
    """More than half of all departments away at once: the fault is rather ours."""
    opened = sum(row.key == "plugin_open" for row in plugins)
    if len(plugins) > 1 and opened > len(plugins) * _HALF:
        yield Row(Level.BAD, "breakers", "breakers", {"count": opened, "of": len(plugins)})
