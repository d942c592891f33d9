"""Every misbehaviour of a department ends as the right outcome, and the next call works."""

import asyncio
import time

import pytest

from gateway.hosting.outcome import Answered, Failed, Reason
from tests.department import MISBEHAVIOURS, Department
from tests.gateway.hosting.offices import opened, package

WRONG = Reason.CONTRACT
EXPECTED = {
    "500": Reason.TRY_LATER,
    "503": Reason.TRY_LATER,
    "503-date": Reason.TRY_LATER,
    "503-negative": Reason.TRY_LATER,
    "429": Reason.TRY_LATER,
    "401": Reason.CREDENTIALS,
    "403": Reason.CREDENTIALS,
    "204": WRONG,
    "206": WRONG,
    "304": WRONG,
    "101": WRONG,
    "200-with-error": WRONG,
    "login-page": WRONG,
    "empty": WRONG,
    "null": WRONG,
    "not-json": WRONG,
    "twice": WRONG,
    "nan": WRONG,
    "deep": WRONG,
    "big-number": WRONG,
    "trailing": WRONG,
    "utf-16": Reason.ENCODING,
    "gbk-bytes": Reason.ENCODING,
    "mojibake": Reason.ENCODING,
    "missing": WRONG,
    "renamed": WRONG,
    "wrong-type": WRONG,
    "list-10000": WRONG,
    "huge": Reason.TOO_BIG,
    "bomb": Reason.TOO_BIG,
    "br": WRONG,
    "double-gzip": WRONG,
    "cut-gzip": WRONG,
    "two-lengths": WRONG,
    "length-and-chunked": WRONG,
    "header-200k": WRONG,
    "headers-5000": WRONG,
    "header-crlf": WRONG,
    "redirect-loopback": WRONG,
    "redirect-metadata": WRONG,
    "redirect-file": WRONG,
    "redirect-loop": WRONG,
    "nonsense": WRONG,
    "slow:3": Reason.TIMEOUT,
    "silent": Reason.TIMEOUT,
    "drip": Reason.TIMEOUT,
    "reset": Reason.UNREACHABLE,
    "cut": Reason.UNREACHABLE,
    "half-head": Reason.UNREACHABLE,
    "endless": Reason.TOO_BIG,
}
ROWS = {
    "slow:3": "F1", "drip": "F2", "silent": "F3", "reset": "F4", "half-head": "F4", "cut": "F4",
    "two-lengths": "F5", "length-and-chunked": "F5", "endless": "F6", "huge": "F6", "bomb": "F7",
    "br": "F7", "double-gzip": "F7", "cut-gzip": "F7", "gbk-bytes": "F8", "utf-16": "F8",
    "mojibake": "F8", "200-with-error": "F9", "login-page": "F9", "empty": "F9", "null": "F9",
    "204": "F10", "206": "F10", "304": "F10", "101": "F10", "401": "F11", "403": "F11",
    "503": "F12", "503-date": "F12", "503-negative": "F12", "429": "F12",
    "redirect-loopback": "F13", "redirect-metadata": "F13", "redirect-file": "F13",
    "redirect-loop": "F13", "missing": "F17", "renamed": "F17", "wrong-type": "F17",
    "list-10000": "F17",
}  # fmt: skip


def test_every_misbehaviour_is_expected_here() -> None:
    """A new way to misbehave needs a line in this table."""
    assert not set(MISBEHAVIOURS) - set(EXPECTED)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=f"{ROWS.get(kind, 'B72')}-{kind}") for kind in EXPECTED]
)
@pytest.mark.row("B10", "B17")
async def test_a_misbehaviour_is_said_and_the_next_call_works(kind: str) -> None:
    """The card says why it is not there, in time; the same pool serves the next call."""
    connect = {"charset": "utf-8", "timeout": "600ms"}
    with Department() as office:
        async with opened(package(office.port, connect=connect)) as hands:
            assert await hands.value() == "100"
            office.behave(kind)
            begun = time.monotonic()
            outcome = await hands.card()
            took = time.monotonic() - begun
            office.behave("well")

            assert isinstance(outcome, Failed), outcome
            assert outcome.reason is EXPECTED[kind], outcome
            assert took < 1.2
            assert [await hands.value() for _ in range(3)] == ["100"] * 3


@pytest.mark.parametrize("kind", ["bom", "html-in-text", "1xx-flood", "cookie"])
async def test_what_is_odd_but_harmless_is_an_answer(kind: str) -> None:
    """A BOM, interim answers, markup in a text and cookies do no harm."""
    with Department() as office:
        office.behave(kind)
        async with opened(package(office.port)) as hands:
            assert isinstance(await hands.card(), Answered)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        pytest.param("503", 3600.0, id="F12-absurd"),
        pytest.param("503-date", None, id="F12-nonsense"),
        pytest.param("503-negative", None, id="F12-negative"),
        pytest.param("429", 7.0, id="F12"),
    ],
)
async def test_retry_after_is_obeyed_within_an_hour(kind: str, after: float | None) -> None:
    """What a department says about waiting is passed on, and it is not asked again at once."""
    with Department() as office:
        office.behave(kind)
        async with opened(package(office.port)) as hands:
            outcome = await hands.card()

            assert isinstance(outcome, Failed)
            assert outcome.retry_after == after
            assert office.calls == 1


@pytest.mark.parametrize("kind", [pytest.param("gbk", id="F8-gb18030")])
async def test_the_charset_of_the_manifest_holds(kind: str) -> None:
    """GBK bytes are read as GB18030, whatever the label says."""
    with Department() as office:
        office.behave("gbk-bytes")
        async with opened(package(office.port, connect={"charset": "gb18030"})) as hands:
            assert await hands.value() == "余额", kind


@pytest.mark.parametrize("kind", [pytest.param("endless", id="F6-memory")])
async def test_an_endless_body_is_cut_where_the_cap_is(kind: str) -> None:
    """Not 64 MB are read to know that one is too much."""
    with Department() as office:
        office.behave(kind)
        async with opened(package(office.port, connect={"max_body": 65_536})) as hands:
            outcome = await hands.card()

            assert isinstance(outcome, Failed)
            assert outcome.what == "more than 65536 bytes"


@pytest.mark.parametrize("row", [pytest.param(0, id="F1-two")])
async def test_a_slow_department_holds_up_no_other(row: int) -> None:
    """While one says nothing the other answers at its own pace."""
    with Department() as slow, Department() as well:
        slow.behave("silent")
        packages = (
            package(slow.port, plugin="slow", host="slow.localhost"),
            package(well.port, plugin="well", host="well.localhost"),
        )
        async with opened(*packages) as hands:
            silent = asyncio.create_task(hands.card("slow"))
            await asyncio.sleep(0.05)
            begun = time.monotonic()
            assert [await hands.value("well") for _ in range(5)] == ["100"] * 5, row
            assert time.monotonic() - begun < 0.5
            assert not silent.done()
            await silent


@pytest.mark.parametrize("row", [pytest.param(0, id="F4-refused")])
async def test_a_closed_port_is_unreachable(row: int) -> None:
    """Nobody listens: said at once, and twice at most."""
    with Department() as office:
        port = office.port
    async with opened(package(port)) as hands:
        outcome = await hands.card()

        assert isinstance(outcome, Failed), row
        assert outcome.reason is Reason.UNREACHABLE
