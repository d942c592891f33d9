"""One package's place in a worker: its child, and how long to wait before it gets another."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from gateway.contract.ids import PluginId
from gateway.hosting.children.link import Link

STEADY_SECONDS: Final = 10.0  # a child that lived so long did not fail at its start
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
_MAX_DOUBLINGS: Final = 10


@dataclass(slots=True, eq=False)
class Slot:
    """One package: its child, or why there is none just now."""

    plugin: PluginId
    digest: str
    link: Link | None = None
    starting: "asyncio.Task[Link] | None" = None
    failures: int = 0
    not_before: float = 0.0
    used: float = 0.0
    held: frozenset[str] | None = None
    old: list[Link] = field(default_factory=list)  # being drained

    def pause(self, now: float) -> None:
        """The first failure costs no wait; each further one twice as long as the last."""
        self.failures += 1
        if self.failures > 1:
            doublings = min(self.failures - 2, _MAX_DOUBLINGS)
            self.not_before = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2**doublings)

    def lived(self, seconds: float) -> None:
        """A child ended that had lived so long: what was before it counts no more."""
        if seconds > STEADY_SECONDS:
            self.failures = 0
