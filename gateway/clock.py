"""The only place where time is read and waited for, so that a test can move it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta, timezone
from time import monotonic, time_ns
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from typing_extensions import override

CITY_ZONE: Final = ZoneInfo("Asia/Shanghai")
_CITY_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).astimezone(CITY_ZONE)


class Clock(Protocol):
    """What every package takes instead of calling `time` itself."""

    def now(self) -> int:
        """UTC microseconds since 1970: for stored instants."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def within(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Bound what happens inside; raises `TimeoutError` when it takes longer."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """UTC microseconds since 1970."""
        return time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(seconds)

    def within(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Bound what happens inside by real time."""
        return asyncio.timeout(seconds)


class OffsetClock(SystemClock):
    """The machine's clock moved by an offset; monotonic time stays real.

    Profile test only: a control socket sets `offset` (microseconds), `fixed` stops `now` there.
    """

    def __init__(self) -> None:
        """Start unmoved."""
        self.offset = 0
        self.fixed: int | None = None

    @override
    def now(self) -> int:
        """UTC microseconds, moved."""
        return self.fixed if self.fixed is not None else super().now() + self.offset


def instant(microseconds: int, zone: timezone | ZoneInfo = CITY_ZONE) -> datetime:
    """Stored microseconds as an aware datetime in the city's zone."""
    if zone is CITY_ZONE:
        return _CITY_EPOCH + timedelta(microseconds=microseconds)
    return datetime.fromtimestamp(0, UTC).astimezone(zone) + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int:
    """An aware datetime as stored microseconds.

    Raises:
        ValueError: the datetime has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def rfc3339(stored: int) -> str:
    """Stored microseconds as RFC 3339 with the city's offset, to the second."""
    return instant(stored).isoformat(timespec="seconds")
