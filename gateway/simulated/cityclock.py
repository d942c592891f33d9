"""The city's clock: two hands, because signatures and matters are moved apart.

`protocol` is what signatures, tokens and tickets are checked against; it runs with the machine unless
a test moves it together with the gateway. `matters` is what stages, dates and nights follow; the
panel can push it ahead without breaking anybody's signature.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Asia/Shanghai")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
STAMP: Final = "%Y-%m-%d %H:%M:%S"


def machine_now() -> int:
    """UTC microseconds of the machine."""
    return time_ns() // 1000


class CityClock:
    """The machine's time (or a test's) plus two offsets in seconds."""

    def __init__(self, base: Callable[[], int] = machine_now) -> None:
        """Base gives UTC microseconds."""
        self._base = base
        self.offset = 0.0  # moves both hands
        self.lead = 0.0  # moves matters only; kept over a restart
        self.held: datetime | None = None  # matters stand still here, plus what is advanced

    def protocol(self) -> datetime:
        """Now, for signatures and tokens."""
        return (EPOCH + timedelta(microseconds=self._base(), seconds=self.offset)).astimezone(ZONE)

    def matters(self) -> datetime:
        """Now, for stages and dates."""
        if self.held is not None:
            return self.held + timedelta(seconds=self.offset + self.lead)
        return self.protocol() + timedelta(seconds=self.lead)

    def hold(self, *, still: bool) -> None:
        """Let matters stand still, so that two runs answer the same bytes; or run again."""
        moved = timedelta(seconds=self.offset + self.lead)
        self.held = self.matters() - moved if still else None

    def seconds(self) -> float:
        """Protocol time as seconds since 1970."""
        return self.protocol().timestamp()


def stamp(moment: datetime) -> str:
    """As Chinese back ends write it: local time without a zone."""
    return moment.astimezone(ZONE).strftime(STAMP)


def rfc3339(moment: datetime) -> str:
    """With the city's offset, to the second."""
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


def last_night(now: datetime, hour: int = 2, minute: int = 10) -> datetime:
    """The latest nightly run before now."""
    run = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return run if run <= now else run - timedelta(days=1)
