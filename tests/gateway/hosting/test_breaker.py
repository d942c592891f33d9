"""Breakers on a clock that the test moves."""

from collections.abc import Callable

import pytest

from gateway.clock import SystemClock
from gateway.hosting.breaker import Breaker, Breakers, Verdict


class Moved(SystemClock):
    """Monotonic time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        """Where the test put it."""
        return self.at


def several(
    count: int, breaker: Breaker, verdict: Verdict, who: Callable[[int], str] = str
) -> None:
    """So many calls with the same end, those that are let through."""
    for number in range(count):
        leave = breaker.let_through()
        if leave is not None:
            breaker.saw(verdict, who(number), leave=leave)


@pytest.fixture
def clock() -> Moved:
    return Moved()


@pytest.fixture
def breaker(clock: Moved) -> Breaker:
    return Breaker(clock, lambda _: True)


def test_five_in_a_row_open_it_and_one_trial_closes_it(clock: Moved, breaker: Breaker) -> None:
    """Closed, open for about 5 s, one trial, closed."""
    several(4, breaker, "failed")
    assert breaker.standing == "closed"
    several(1, breaker, "failed")
    assert breaker.standing == "open"
    assert 4.0 <= breaker.left <= 6.0
    assert not breaker.let_through()

    clock.at += 6.1
    assert breaker.standing == "trial"
    trial = breaker.let_through()
    assert trial is not None
    assert breaker.let_through() is None, "one trial at a time"
    breaker.saw("good", leave=trial)
    assert breaker.standing == "closed"
    assert breaker.let_through()


def test_the_pause_doubles_up_to_five_minutes(clock: Moved, breaker: Breaker) -> None:
    """5 s × 2ⁿ ≤ 300 s, ± 20 %."""
    several(5, breaker, "failed")
    for number in range(1, 10):
        clock.at += breaker.left + 0.01
        trial = breaker.let_through()
        assert trial is not None
        breaker.saw("failed", leave=trial)
        assert 0.8 <= breaker.left / min(5 * 2**number, 300) <= 1.2


def test_half_of_twenty_open_it(clock: Moved, breaker: Breaker) -> None:
    """A share, where successes come in between; old calls do not count."""
    for _ in range(9):
        several(1, breaker, "failed")
        several(1, breaker, "good")
    assert breaker.standing == "closed", "18 calls are too few"
    several(1, breaker, "good")
    several(1, breaker, "failed")
    assert breaker.standing == "open"

    other = Breaker(clock, lambda _: True)
    for _ in range(30):
        several(1, other, "failed")
        clock.at += 1.0
        several(2, other, "good")
        clock.at += 1.0
    assert other.standing == "closed", "a third is not half"


@pytest.mark.parametrize("row", [pytest.param(0, id="F15")])
def test_flapping_is_asked_less_and_less(clock: Moved, breaker: Breaker, row: int) -> None:
    """5 s up, 5 s down: the breaker does not follow every swing."""
    changes, calls, before = 0, 0, breaker.standing
    for tick in range(1200):
        clock.at += 0.25
        up = tick // 20 % 2 == 0
        leave = breaker.let_through()
        if leave is not None:
            calls += 1
            breaker.saw("good" if up else "failed", leave=leave)
        changes += (breaker.standing == "open") != (before == "open")
        before = breaker.standing
    assert changes <= 30, f"{row}: at most one change in ten seconds"
    assert calls < 1000


def test_one_odd_record_does_not_shut_a_service(breaker: Breaker) -> None:
    """`CallOwner` counts from three different citizens on."""
    several(50, breaker, "odd", lambda n: "ab"[n % 2])
    assert breaker.standing == "closed"
    several(1, breaker, "odd", lambda _: "c")
    assert breaker.standing == "open"


def test_a_card_for_everybody_is_met_by_everybody(breaker: Breaker) -> None:
    """Nobody's record is behind it: five in a row are enough."""
    several(5, breaker, "odd", lambda _: "")
    assert breaker.standing == "open"


def test_what_only_the_citizen_can_mend_says_nothing(clock: Moved, breaker: Breaker) -> None:
    """Neither opens it nor closes it, and gives the trial back."""
    several(100, breaker, "neither")
    assert breaker.standing == "closed"
    several(5, breaker, "failed")
    clock.at += 7
    several(1, breaker, "neither")
    assert breaker.standing == "trial"
    assert breaker.let_through()


def test_late_ends_of_old_calls_do_not_disturb(clock: Moved, breaker: Breaker) -> None:
    """What began before it opened is no trial."""
    old = breaker.let_through()
    assert old is not None
    several(5, breaker, "failed")
    breaker.saw("good", leave=old)
    assert breaker.standing == "open"
    clock.at += 1
    assert breaker.let_through() is None


@pytest.mark.parametrize("verdict", ["good", "failed", "neither"])
def test_an_old_call_that_ends_during_the_trial_decides_nothing(
    clock: Moved, breaker: Breaker, verdict: Verdict
) -> None:
    """Only the trial's own end counts; until then there is no second one."""
    old = breaker.let_through()
    assert old is not None
    several(5, breaker, "failed")
    clock.at += 6.1
    trial = breaker.let_through()
    assert trial is not None
    breaker.saw(verdict, leave=old)
    assert breaker.standing == "trial"
    assert breaker.let_through() is None, "one trial at a time"
    breaker.saw("good", leave=trial)
    assert breaker.standing == "closed"


@pytest.mark.parametrize("row", [pytest.param(0, id="F22")])
def test_more_than_half_open_is_our_fault(clock: Moved, row: int) -> None:
    """It is said once, and no further one opens; when it is over, breakers open again."""
    said: list[int] = []
    every = Breakers(clock, lambda: said.append(row))
    all_ = [every.of(("office", f"host-{n}")) for n in range(6)]
    for breaker in all_:
        several(5, breaker, "failed")

    assert [b.standing for b in all_] == ["open"] * 3 + ["closed"] * 3
    assert every.ours
    assert said == [row]

    for breaker in all_[:3]:
        clock.at += 7
        several(1, breaker, "good")
    clock.at += 31
    assert not every.ours
    several(5, all_[5], "failed")
    assert all_[5].standing == "open"


def test_few_departments_open_without_that_rule(clock: Moved) -> None:
    """One of two is no sign of a fault of ours."""
    every = Breakers(clock, lambda: pytest.fail("said"))
    breaker = every.of(("a", "h"))
    every.of(("b", "h"))
    several(5, breaker, "failed")
    assert breaker.standing == "open"
    assert every.of(("a", "h")) is breaker
    every.keep({("b", "h")})
    assert every.of(("a", "h")) is not breaker
