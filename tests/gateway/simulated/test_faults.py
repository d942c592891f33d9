"""The faults are real: what arrives on the socket is what the panel says."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest


async def raw(hands: Any, system: str, path: str, seconds: float = 3) -> bytes:
    """What a socket reads until the other side ends it."""
    host, port = hands.at[system].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1 << 27)
    finally:
        writer.close()


async def fetch(hands: Any) -> httpx.Response:
    answer: httpx.Response = await hands.http.get(f"{hands.at['jobs']}/feed.json", timeout=2)
    return answer


async def test_silent_accepts_and_never_answers(hands: Any) -> None:
    """F: a department that hangs; its own pages still open."""
    await hands.control("fault", system="jobs", fault="silent")

    with pytest.raises(httpx.ReadTimeout):
        await fetch(hands)
    assert (await hands.http.get(f"{hands.at['jobs']}/")).status_code == 200


async def test_reset_is_a_real_reset(hands: Any) -> None:
    """ECONNRESET, not a clean end."""
    await hands.control("fault", system="jobs", fault="reset")

    with pytest.raises(ConnectionResetError):
        await raw(hands, "jobs", "/feed.json")


async def test_close_sends_not_one_byte(hands: Any) -> None:
    """The request was read, the answer never came: whether it was obeyed is unknown."""
    await hands.control("fault", system="jobs", fault="close")

    assert await raw(hands, "jobs", "/feed.json") == b""
    assert (await hands.calls("jobs"))["total"] == 1


async def test_drip_sends_byte_by_byte(hands: Any) -> None:
    """Something comes all the time, and it takes for ever."""
    await hands.control("fault", system="jobs", fault="drip", seconds=0.1)
    got = bytearray()

    async def read() -> None:
        async with hands.http.stream("GET", f"{hands.at['jobs']}/feed.json") as answer:
            async for part in answer.aiter_raw():
                got.extend(part)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 1)

    assert 3 <= len(got) <= 12


async def test_truncated_promises_more_than_it_sends(hands: Any) -> None:
    """Content-Length is longer than the body."""
    await hands.control("fault", system="jobs", fault="truncated")

    with pytest.raises(httpx.RemoteProtocolError):
        await fetch(hands)


async def test_huge_is_fifty_megabytes(hands: Any) -> None:
    """All of it comes, if one reads on."""
    await hands.control("fault", system="jobs", fault="huge")

    assert len((await fetch(hands)).content) == 50 * 1024 * 1024


async def test_bomb_is_small_on_the_wire(hands: Any) -> None:
    """Under a megabyte compressed, 128 MiB unpacked."""
    await hands.control("fault", system="jobs", fault="bomb")
    async with hands.http.stream("GET", f"{hands.at['jobs']}/feed.json") as answer:
        packed = b"".join([part async for part in answer.aiter_raw()])

    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 1 << 20
    assert len(gzip.decompress(packed)) == 128 << 20


async def test_redirect_leads_into_the_trap(hands: Any) -> None:
    """Whoever follows is counted."""
    await hands.control("fault", system="jobs", fault="redirect")
    answer = await fetch(hands)

    assert answer.status_code == 302
    assert (await hands.calls("trap"))["total"] == 0
    await hands.http.get(answer.headers["location"])
    assert (await hands.calls("trap"))["total"] == 1


async def test_flapping_fails_every_other_call(hands: Any) -> None:
    """500, 200, 500, 200."""
    await hands.control("fault", system="jobs", fault="flapping")

    assert [(await fetch(hands)).status_code for _ in range(4)] == [500, 200, 500, 200]


async def test_wrong_charset_keeps_the_label(hands: Any) -> None:
    """JSON in GB18030 that says it is UTF-8."""
    await hands.control("fault", system="gjj", fault="wrong-charset")
    answer = await hands.account("li-wei")

    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode("utf-8")


async def test_two_hundred_with_an_error_in_it(hands: Any) -> None:
    """Each department has its own way of saying so."""
    for system in ("gjj", "property"):
        await hands.control("fault", system=system, fault="200-with-error")

    assert (await hands.account("li-wei")).json()["code"] == "9001"
    assert "<code>99</code>" in (await hands.property("li-wei")).content.decode("gb18030")


async def test_slow_answers_late_and_ends_by_itself(hands: Any) -> None:
    """The real answer after the delay; `for_seconds` ends the fault."""
    await hands.control("fault", system="jobs", fault="slow", seconds=0.6, for_seconds=1.2)
    loop = asyncio.get_running_loop()
    begun = loop.time()

    assert (await fetch(hands)).json()["items"]
    assert loop.time() - begun >= 0.6
    await asyncio.sleep(0.7)
    begun = loop.time()
    await fetch(hands)
    assert loop.time() - begun < 0.5


async def test_unknown_faults_are_refused(hands: Any) -> None:
    """With the list of those there are."""
    answer = await hands.http.post(
        f"{hands.at['panel']}/control/fault", json={"system": "jobs", "fault": "fire"}
    )

    assert answer.status_code == 400
    assert "silent" in answer.json()["error"]


async def test_the_panel_presses_for_its_own_page_only(hands: Any) -> None:
    """Buttons work without the control; another site's page cannot press them."""
    form = {"system": "jobs", "fault": "500"}
    address = f"{hands.at['panel']}/panel/fault"

    assert (
        await hands.http.post(address, data=form, headers={"Origin": "http://e"})
    ).status_code == 403
    good = await hands.http.post(address, data=form, headers={"Origin": hands.at["panel"]})
    assert good.status_code == 303
    assert (await fetch(hands)).status_code == 500
