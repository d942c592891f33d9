"""How much one department is asked: at once, in a minute, and again after a failure."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from gateway.clock import Clock

WAITING: Final = 32  # callers that may wait for a place
WAIT_SECONDS: Final = 0.3  # a queue longer than a glance is useless
RETRY_SHARE: Final = 0.1
RETRIES_SAVED: Final = 10.0
RETRY_TRICKLE: Final = 0.1  # a second, so that a quiet department may be asked twice too
BURST_SECONDS: Final = 10.0
MINUTE: Final = 60.0


def share(cap: int, workers: int) -> int:
    """A department's cap divided by the workers that call it; each has at least one."""
    return max(1, cap // max(1, workers))


class Places:
    """So many calls at once, and a short queue, first come first served."""

    def __init__(self, clock: Clock, cap: int) -> None:
        self._clock = clock
        self._free = cap
        self._cap = cap
        self._queue: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def taken(self) -> int:
        """How many run now."""
        return self._cap - self._free

    async def take(self, seconds: float) -> bool:
        """Take a place, waiting a moment for one; False: all are taken."""
        if self._free > 0:
            self._free -= 1
            self._idle.clear()
            return True
        if len(self._queue) >= WAITING or seconds <= 0:
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            async with self._clock.within(min(seconds, WAIT_SECONDS)):
                await place
        except TimeoutError:
            return self._gave_up(place)
        except asyncio.CancelledError:
            if self._gave_up(place):
                self.give_back()
            raise
        return True

    def _gave_up(self, place: "asyncio.Future[None]") -> bool:
        """Leave the queue; True where a place was handed over at that very moment."""
        if place.done() and not place.cancelled():
            return True
        if place in self._queue:
            self._queue.remove(place)
        return False

    def give_back(self) -> None:
        """Hand the place to whoever waits longest."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
        if self._free == self._cap:
            self._idle.set()

    async def idle(self, seconds: float) -> None:
        """Wait until nobody has a place, at most so long."""
        with suppress(TimeoutError):
            async with self._clock.within(seconds):
                await self._idle.wait()


class Rate:
    """So many requests in any minute: a bucket that holds the burst of some seconds."""

    def __init__(self, clock: Clock, per_minute: int | None, workers: int) -> None:
        self._clock = clock
        # burst + 60 s of refill together are what a minute may hold
        per_second = (per_minute or 0) / max(1, workers) / (MINUTE + BURST_SECONDS)
        self._per_second = per_second
        self._most = max(1.0, per_second * BURST_SECONDS)
        self._tokens = self._most
        self._at = clock.monotonic()
        self._limited = per_minute is not None

    def take(self) -> bool:
        """Take one request; False: the minute is used up."""
        if not self._limited:
            return True
        now = self._clock.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RetryBudget:
    """Second tries are at most a tenth of the calls, so that trouble is not made worse."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = 1.0
        self._at = clock.monotonic()

    def called(self) -> None:
        """A call was made: a tenth of a second try is earned."""
        self._tokens = min(RETRIES_SAVED, self._tokens + RETRY_SHARE)

    def take(self) -> bool:
        """Whether a second try is left."""
        now = self._clock.monotonic()
        earned = (now - self._at) * RETRY_TRICKLE
        self._tokens, self._at = min(RETRIES_SAVED, self._tokens + earned), now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
