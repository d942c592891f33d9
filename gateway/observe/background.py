"""Work that goes on as long as the process: what fails is named and begins again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from gateway.clock import Clock

_FIRST_PAUSE: Final = 0.5  # seconds until a task that failed begins again
_LONGEST_PAUSE: Final = 30.0
_log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


class Background:
    """Tasks that run as long as the process: one that fails is named and begins again."""

    def __init__(self, clock: Clock, work: Mapping[str, Work]) -> None:
        self._clock = clock
        self._work = work
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [
            asyncio.create_task(self._for_ever(name, work)) for name, work in self._work.items()
        ]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _for_ever(self, name: str, work: Work) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            try:
                await work()
                why = "it ended"
            except Exception as error:  # noqa: BLE001 - whatever it is, it is named and tried again
                why = type(error).__name__
            if self._clock.monotonic() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            _log.error("background.failed", task=name, why=why, again_in=pause)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def every(clock: Clock, seconds: float, work: Work) -> None:
    """Do it again and again, so many seconds apart."""
    while True:
        await work()
        await clock.sleep(seconds)
