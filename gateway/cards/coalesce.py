"""Share one flight: many callers wait for one run, and none who leaves takes it down."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

import structlog

T = TypeVar("T")

MOST: Final = 2048  # flights in the air in one worker
_UNSEEN: Final = 4096  # results kept for a next look
_UNSEEN_SECONDS: Final = 15.0
_log = structlog.get_logger(__name__)


class Full(Exception):
    """Too many flights are in the air already."""


class Flights(Generic[T]):
    """Flights by key, each a task that ends by itself.

    What a flight brought when nobody waited any more is kept for the next look, once: so a page
    that asks again learns of a failure instead of starting the same wait anew.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        worth_keeping: Callable[[T], bool] = lambda _: True,
        most: int = MOST,
    ) -> None:
        self._monotonic = monotonic
        self._worth_keeping = worth_keeping
        self._most = most
        self._in_air: dict[object, asyncio.Task[T]] = {}
        self._waiting: dict[object, int] = {}
        self._unseen: dict[object, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._in_air)

    def join(self, key: object, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The flight of this key, started if there is none. Wait for it with `asyncio.wait`.

        Raises:
            Full: none may start now.
        """
        flight = self._in_air.get(key)
        if flight is None:
            if len(self._in_air) >= self._most:
                raise Full
            flight = self._in_air[key] = asyncio.create_task(work())
            flight.add_done_callback(lambda done: self._landed(key, done))
        self._waiting[key] = self._waiting.get(key, 0) + 1
        return flight

    def leave(self, key: object) -> None:
        """Say that one caller waits no more; each `join` has one `leave`."""
        left = self._waiting.get(key, 0) - 1
        if left > 0:
            self._waiting[key] = left
        else:
            self._waiting.pop(key, None)

    def unseen(self, key: object) -> T | None:
        """What a flight brought after all had left, once."""
        found = self._unseen.pop(key, None)
        if found is None or self._monotonic() - found[0] > _UNSEEN_SECONDS:
            return None
        return found[1]

    def drop_unseen(self, wanted: Callable[[object], bool]) -> None:
        """Forget unseen results by their keys."""
        for key in [key for key in self._unseen if wanted(key)]:
            del self._unseen[key]

    def _landed(self, key: object, done: asyncio.Task[T]) -> None:
        if self._in_air.get(key) is done:
            del self._in_air[key]
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            _log.error("cards.flight_failed", error=type(error).__name__)
        elif key not in self._waiting and self._worth_keeping(done.result()):
            while len(self._unseen) >= _UNSEEN:
                del self._unseen[next(iter(self._unseen))]
            self._unseen[key] = (self._monotonic(), done.result())

    async def close(self) -> None:
        """End what is still in the air."""
        tasks = list(self._in_air.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
