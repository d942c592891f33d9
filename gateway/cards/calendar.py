"""Opening hours, seasons and maintenance windows, in the city's own time."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from gateway.clock import CITY_ZONE
from gateway.registry.entry import Hours, Window

_AHEAD = 800  # days looked ahead for the next opening; two seasons


def window_end(windows: tuple[Window, ...], now: datetime) -> tuple[Window, datetime | None] | None:
    """The maintenance window that holds now and when it ends (None: not said); None where none does."""
    for window in windows:
        if window.start is not None and now < window.start:
            continue
        if window.end is not None and now >= window.end:
            continue
        if window.daily_start is None or window.daily_end is None:
            if window.start is not None or window.end is not None:
                return window, window.end
            continue
        end = _daily_end(window, window.daily_start, window.daily_end, now)
        if end is not None:
            return window, min(end, window.end) if window.end is not None else end
    return None


def _daily_end(window: Window, start: str, end: str, now: datetime) -> datetime | None:
    """When today's (or last night's) part of a daily window ends, if it holds now."""
    today = now.astimezone(CITY_ZONE).date()
    for day in (today - timedelta(days=1), today):
        if window.weekdays and day.isoweekday() not in window.weekdays:
            continue
        begins, ends = span(day, start, end)
        if begins <= now < ends:
            return ends
    return None


def span(day: date, start: str, end: str) -> tuple[datetime, datetime]:
    """Two times of the city as instants; an end that is not later belongs to the next day."""
    begins, ends = _at(day, start), _at(day, end)
    return begins, ends if ends > begins else _at(day + timedelta(days=1), end)


def _at(day: date, said: str) -> datetime:
    hour, minute = int(said[:2]), int(said[3:])
    extra = timedelta(days=1) if hour >= 24 else timedelta()  # noqa: PLR2004 - "24:00"
    return datetime.combine(day + extra, time(hour % 24, minute), CITY_ZONE)


def closed_until(hours: Hours, now: datetime) -> tuple[str, datetime | None] | None:
    """Why it is closed ("hours" or "season") and when it opens next; None while it is open."""
    today = now.astimezone(CITY_ZONE).date()
    for day in (today - timedelta(days=1), today):
        begins, ends = _opening(hours, day)
        if begins is not None and ends is not None and begins <= now < ends:
            return None
    reason = "hours" if _in_season(hours, today) else "season"
    return reason, next(_openings(hours, today, now), None)


def _openings(hours: Hours, today: date, now: datetime) -> Iterator[datetime]:
    for ahead in range(_AHEAD):
        begins, _ = _opening(hours, today + timedelta(days=ahead))
        if begins is not None and begins > now:
            yield begins


def _opening(hours: Hours, day: date) -> tuple[datetime | None, datetime | None]:
    if day.isoweekday() not in hours.weekdays or not _in_season(hours, day):
        return None, None
    return span(day, hours.opens, hours.closes)


def _in_season(hours: Hours, day: date) -> bool:
    first, last = hours.season_start, hours.season_end
    if first is None and last is None:
        return True
    here = day.strftime("%m-%d")
    first, last = first or "01-01", last or "12-31"
    if first <= last:
        return first <= here <= last
    return here >= first or here <= last  # over the new year
