"""Citizens whose copies must not be trusted: remembered in this process, whatever the store does.

A withdrawal stands in the ledger before anybody hears of it here. Where Valkey is away its hash
cannot be removed at once: the citizen is *owed* that, and until it was done her copies are not read
and nothing of hers is written.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.contract.ids import CitizenId

_SECONDS: Final = 300.0  # longer than any flight
_MOST: Final = 50_000


@dataclass(frozen=True, slots=True)
class _Mark:
    monotonic: float
    wall: int  # UTC microseconds


class Forgotten:
    """Marks by citizen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: OrderedDict[CitizenId, _Mark] = OrderedDict()
        self.owed: set[CitizenId] = set()

    def mark(self, citizen: CitizenId, at: int | None = None) -> None:
        """Whatever began for her before now, or before the instant `at`, is void."""
        known = self._marks.pop(citizen, None)
        now, wall = self._clock.monotonic(), self._clock.now()
        moment = now if at is None else min(now - (wall - at) / 1e6, now)
        if known is not None:
            moment = max(moment, known.monotonic)
        self._marks[citizen] = _Mark(moment, wall)
        while self._marks:
            oldest = next(iter(self._marks))
            if len(self._marks) <= _MOST and now - self._marks[oldest].monotonic < _SECONDS:
                break
            del self._marks[oldest]

    def since(self, citizen: CitizenId, began: float) -> bool:
        """Whether she was marked after `began` (monotonic)."""
        mark = self._marks.get(citizen)
        return mark is not None and mark.monotonic >= began

    def known(self, citizen: CitizenId, at: int) -> bool:
        """Whether a withdrawal of that instant was heard of already."""
        mark = self._marks.get(citizen)
        return mark is not None and mark.wall >= at
