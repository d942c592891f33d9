"""Opening hours, seasons and windows, over midnight and over the new year."""

from datetime import datetime

import pytest

from gateway.cards.calendar import closed_until, window_end
from gateway.cards.gates import serves, version
from gateway.clock import CITY_ZONE
from gateway.registry.entry import Hours, Window


def at(day: int, hour: int, minute: int = 0, month: int = 11, year: int = 2026) -> datetime:
    """An instant of the city; the 25th of November 2026 is a Wednesday."""
    return datetime(year, month, day, hour, minute, tzinfo=CITY_ZONE)


NIGHT = Window(daily_start="23:00", daily_end="01:00", weekdays=(3,))
OFFICE = Hours(weekdays=(1, 2, 3, 4, 5), opens="09:00", closes="17:30")
BAR = Hours(opens="20:00", closes="02:00", weekdays=(3,))
SUMMER = Hours(season_start="06-01", season_end="07-15")
WINTER = Hours(season_start="11-01", season_end="01-31")


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        (NIGHT, at(25, 23, 30), at(26, 1)),
        (NIGHT, at(26, 0, 59), at(26, 1)),
        (NIGHT, at(26, 1), None),
        (NIGHT, at(26, 23, 30), None),
        (NIGHT, at(25, 0, 30), None),
        (Window(start=at(25, 11), end=at(25, 13)), at(25, 12), at(25, 13)),
        (Window(start=at(25, 11), end=at(25, 13)), at(25, 13), None),
        (Window(end=at(25, 13)), at(1, 1), at(25, 13)),
        (Window(daily_start="11:00", daily_end="13:00", end=at(25, 12, 30)), at(25, 12), at(25, 12, 30)),
        (Window(), at(25, 12), None),
        (Window(daily_start="00:00", daily_end="24:00"), at(25, 12), at(26, 0)),
    ],
)  # fmt: skip
def test_windows(window: Window, now: datetime, end: datetime | None) -> None:
    """A window holds or not, and says until when."""
    found = window_end((window,), now)
    assert (found[1] if found else None) == end


def test_a_window_without_end() -> None:
    """From then on, nobody knows how long."""
    window = Window(start=at(25, 11))
    assert window_end((window,), at(25, 12)) == (window, None)


@pytest.mark.parametrize(
    ("hours", "now", "found"),
    [
        (OFFICE, at(25, 9), None),
        (OFFICE, at(25, 17, 30), ("hours", at(26, 9))),
        (OFFICE, at(27, 18), ("hours", at(30, 9))),  # Friday evening: Monday
        (BAR, at(26, 1), None),
        (BAR, at(26, 2), ("hours", at(2, 20, month=12))),
        (SUMMER, at(25, 12), ("season", at(1, 0, month=6, year=2027))),
        (SUMMER, at(15, 23, month=7), None),
        (WINTER, at(25, 12), None),
        (WINTER, at(31, 23, month=1, year=2027), None),
        (WINTER, at(1, 0, month=2, year=2027), ("season", at(1, 0, year=2027))),
        (Hours(weekdays=()), at(25, 12), ("hours", None)),
        (Hours(), at(25, 0), None),
    ],
)
def test_hours(hours: Hours, now: datetime, found: tuple[str, datetime | None] | None) -> None:
    """Open or not, why, and when next."""
    assert closed_until(hours, now) == found


@pytest.mark.parametrize(
    ("lower", "higher"), [("6.1.9", "6.2.0"), ("6.9", "6.10"), ("beta", "0.1"), ("6", "6.0.1")]
)
def test_versions_compare_by_number(lower: str, higher: str) -> None:
    """Not as texts."""
    assert version(lower) < version(higher)
    assert version("6.2") == version("6.2.0")


@pytest.mark.parametrize(
    ("codes", "here", "served"),
    [
        (("000121",), "000121", True),
        (("000121",), "000102", False),
        (("000100",), "000102", True),
        (("000121",), "000100", True),
        (("000121", "000102"), "000102", True),
    ],
)
def test_regions(codes: tuple[str, ...], here: str, served: bool) -> None:
    """A city's code stands for its districts."""
    assert serves(codes, here) is served
