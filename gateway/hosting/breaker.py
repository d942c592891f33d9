"""Breakers: a department that does not answer is left alone for a while and costs nothing.

A breaker looks at the last 30 s in ten buckets. It opens at ≥ 20 calls of which ≥ 50 % failed, or
after 5 failures in a row; then one trial is let through after 5 s × 2ⁿ (≤ 300 s, ± 20 %). The pause
starts anew from 5 s only after a whole window without opening, so that a flapping department is
asked less and less (reliability F15). Failures that one odd record can cause (`CallOwner`) count
only when at least three different citizens met them. More than half of all breakers open means that
the fault is ours: that is said, and no further one opens.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.clock import Clock

WINDOW: Final = 30.0
BUCKETS: Final = 10
CALLS: Final = 20
SHARE: Final = 0.5
IN_A_ROW: Final = 5
CITIZENS: Final = 3
PAUSE: Final = 5.0
LONGEST: Final = 300.0
JITTER: Final = 0.2
ENOUGH_BREAKERS: Final = 4  # fewer departments say nothing about whose fault it is

Standing = Literal["closed", "open", "trial"]
Verdict = Literal["good", "failed", "odd", "neither"]  # odd: counts from three citizens on


@dataclass(slots=True)
class _Bucket:
    until: float
    calls: int = 0
    failed: int = 0
    odd: int = 0
    citizens: set[str] = field(default_factory=set)  # who met the odd ones; three are enough


@dataclass(slots=True)
class Row:
    """Failures since the last good answer."""

    failed: int = 0
    odd: int = 0
    citizens: set[str] = field(default_factory=set)  # of the odd ones; three are enough

    @property
    def counted(self) -> int:
        """How many count."""
        return self.failed + (self.odd if len(self.citizens) >= CITIZENS else 0)


class Breaker:
    """One department's breaker; `may_open` asks whether others leave room for it."""

    def __init__(self, clock: Clock, may_open: Callable[["Breaker"], bool]) -> None:
        self._clock = clock
        self._may_open = may_open
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._row = Row()
        self._opened = 0  # n of the pause
        self._until: float | None = None  # open until then; None: closed
        self._trying = False
        self._turn = 1  # one more with each opening, trial and closing
        self._closed_at = clock.monotonic()

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        if self._until is None:
            return "closed"
        return "open" if self._clock.monotonic() < self._until else "trial"

    @property
    def left(self) -> float:
        """Seconds of the pause that are left; 0 when it is closed or due for a trial."""
        return max(0.0, (self._until or 0.0) - self._clock.monotonic()) if self._until else 0.0

    def let_through(self) -> int | None:
        """Leave for one call, to be given back to `saw` with what came of it; None: not now."""
        if self._until is None:
            return self._turn
        if self._trying or self._clock.monotonic() < self._until:
            return None
        self._trying = True
        self._turn += 1
        return self._turn

    def saw(self, verdict: Verdict, citizen: str = "", *, leave: int) -> None:
        """What came of a call; `neither` (the citizen's own matter) says nothing of the department."""
        if leave != self._turn:
            return  # it began before the breaker opened or closed: only the trial decides
        trial, self._trying = self._trying, False
        if verdict == "neither":
            return
        if trial:
            self._end_trial(good=verdict == "good")
            return
        self._count(verdict, citizen)
        if verdict != "good" and self._enough() and self._may_open(self):
            self._open()

    def _end_trial(self, *, good: bool) -> None:
        if not good:
            self._open()
            return
        self._until = None
        self._turn += 1
        self._closed_at = self._clock.monotonic()
        self._buckets.clear()
        self._row = Row()

    def _open(self) -> None:
        now = self._clock.monotonic()
        if self._until is None and now - self._closed_at >= WINDOW:
            self._opened = 0
        pause = min(PAUSE * 2**self._opened, LONGEST)
        self._turn += 1
        self._until = now + pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads trials
        self._opened = min(self._opened + 1, 10)

    def _count(self, verdict: Verdict, citizen: str) -> None:
        now = self._clock.monotonic()
        while self._buckets and self._buckets[0].until <= now - WINDOW:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1].until <= now:
            self._buckets.append(_Bucket(now + WINDOW / BUCKETS))
        bucket = self._buckets[-1]
        bucket.calls += 1
        if verdict == "good":
            self._row = Row()
        elif verdict == "failed":
            bucket.failed += 1
            self._row.failed += 1
        else:
            bucket.odd += 1
            self._row.odd += 1
            for citizens in (bucket.citizens, self._row.citizens):
                _note(citizens, citizen)

    def _enough(self) -> bool:
        if self._row.counted >= IN_A_ROW:
            return True
        calls = sum(bucket.calls for bucket in self._buckets)
        met = set().union(*(bucket.citizens for bucket in self._buckets))
        odd = sum(b.odd for b in self._buckets) if len(met) >= CITIZENS else 0
        failed = sum(bucket.failed for bucket in self._buckets) + odd
        return calls >= CALLS and failed >= calls * SHARE


def _note(citizens: set[str], citizen: str) -> None:
    """Who met an odd failure; a card for everybody is met by everybody."""
    if not citizen:
        citizens.update(f"everybody {n}" for n in range(CITIZENS))
    elif len(citizens) < CITIZENS:
        citizens.add(citizen)


class Breakers:
    """All breakers of a worker, by department and host."""

    def __init__(self, clock: Clock, say: Callable[[], None]) -> None:
        self._clock = clock
        self._say = say  # called when it begins to look as if the fault were ours
        self._all: dict[tuple[str, str], Breaker] = {}
        self._ours_until = float("-inf")

    def of(self, key: tuple[str, str]) -> Breaker:
        """The breaker of a department at a host, made when it is first asked for."""
        if key not in self._all:
            self._all[key] = Breaker(self._clock, self._may_open)
        return self._all[key]

    def keep(self, keys: set[tuple[str, str]]) -> None:
        """Forget all others."""
        self._all = {key: breaker for key, breaker in self._all.items() if key in keys}

    @property
    def ours(self) -> bool:
        """Whether so many are open that the fault must be on our side."""
        return self._clock.monotonic() < self._ours_until

    def _may_open(self, one: Breaker) -> bool:
        opened = sum(b is one or b.standing != "closed" for b in self._all.values())
        if len(self._all) < ENOUGH_BREAKERS or opened * 2 <= len(self._all):
            return True
        begins = not self.ours
        self._ours_until = self._clock.monotonic() + WINDOW
        if begins:
            self._say()
        return False
