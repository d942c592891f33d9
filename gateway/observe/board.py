"""The health board's facts: what each worker of this machine knows, met in small files.

A worker writes its part every two seconds; whoever shows the page reads all. No personal data can
be here: plugins, reasons of closed lists, times and counts.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.clock import Clock

STALE_SECONDS: Final = 10.0
MAX_FAULTS: Final = 50


@dataclass(slots=True)
class Fault:
    """The last thing that went wrong with one plugin in one worker."""

    plugin: str
    reason: str
    what: str
    at: int  # microseconds
    count: int = 1


@dataclass(slots=True)
class Board:
    """One worker's part, and the reading of all parts."""

    folder: Path
    clock: Clock
    facts: Callable[[], dict[str, Any]] = dict
    faults: dict[str, Fault] = field(default_factory=dict)

    def report(self, plugin: str, reason: str, what: str) -> None:
        """Note a fault of a plugin; the newest of each plugin is kept."""
        known = self.faults.pop(plugin, None)
        count = known.count + 1 if known is not None and known.reason == reason else 1
        while len(self.faults) >= MAX_FAULTS:
            self.faults.pop(next(iter(self.faults)))
        self.faults[plugin] = Fault(plugin, reason, what[:200], self.clock.now(), count)

    def write(self) -> None:
        """Leave this worker's part where the others find it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"health-{os.getpid()}.json"
        part = {**self.facts(), "faults": [asdict(fault) for fault in self.faults.values()]}
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(part, default=str))
        fresh.replace(path)

    def read(self) -> list[dict[str, Any]]:
        """All workers' parts that are not older than ten seconds; older files are removed."""
        parts = []
        for path in sorted(self.folder.glob("health-*.json")):
            with contextlib.suppress(OSError, orjson.JSONDecodeError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:  # noqa: TID251 - a file's age
                    path.unlink()
                    continue
                parts.append(orjson.loads(path.read_bytes()))
        return parts
