"""The volatile store when its server dies, hangs, fills up, is demoted or is busy."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from gateway.running import valkey
from gateway.store.away import Away
from gateway.store.dialling import read_address
from gateway.store.volatile import Script, Volatile, WrongServer, open_volatile


@pytest.fixture
def server(tmp_path: Path) -> Iterator[valkey.Running]:
    """A server of the test's own, to be hurt."""
    running = valkey.start(tmp_path, memory_mb=16, say=lambda _: None)
    yield running
    running.stop()


@pytest.fixture
async def store(server: valkey.Running) -> AsyncIterator[Volatile]:
    """A store over that server."""
    async with open_volatile(server.url) as opened:
        yield opened


async def again(store: Volatile, seconds: float = 5.0) -> float:
    """Wait until the store answers; how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            await store.ask(("PING",))
        except Away:
            await asyncio.sleep(0.02)
        else:
            return time.monotonic() - began
    raise AssertionError("it does not come back")


async def fails(store: Volatile, *commands: tuple[str | int | bytes, ...]) -> None:
    """Ask until the store is Away."""
    for command in commands or [("PING",)] * 10_000:
        try:
            await store.ask(command)
        except Away:
            return
        await asyncio.sleep(0)
    raise AssertionError("it goes on answering")


async def test_commands_of_one_call_are_answered_in_order(volatile: Volatile) -> None:
    """Many callers share the connections and nobody gets another's answer."""

    async def one(number: int) -> None:
        key = f"k{number}"
        assert await volatile.ask(("SET", key, number), ("GET", key), ("DEL", key)) == [
            b"OK",
            str(number).encode(),
            1,
        ]

    await asyncio.gather(*(one(n) for n in range(500)))


async def test_a_caller_that_gives_up_disturbs_nobody(volatile: Volatile) -> None:
    """A cancelled call's answer is read and thrown away, not given to the next."""
    impatient = [asyncio.create_task(volatile.ask(("GET", "a"))) for _ in range(50)]
    await asyncio.sleep(0)
    for task in impatient[::2]:
        task.cancel()
    assert await volatile.ask(("ECHO", "mine")) == [b"mine"]
    done = await asyncio.gather(*impatient, return_exceptions=True)
    assert [d for d in done[1::2] if d != [None]] == []


async def test_nonsense_is_an_error_and_costs_the_others_nothing(volatile: Volatile) -> None:
    """A refused command raises for its caller; the connection lives."""
    await volatile.ask(("SET", "text", "x"))
    with pytest.raises(ResponseError):
        await volatile.ask(("INCR", "text"))
    with pytest.raises(TypeError):
        await volatile.ask(("SET", "k", None))  # type: ignore[arg-type]
    assert await volatile.ask(("GET", "text")) == [b"x"]


@pytest.mark.parametrize("id_", ["B79"], ids=["B79"])
async def test_words_cannot_become_commands(volatile: Volatile, id_: str) -> None:
    """CR, LF and quotes in ids travel as bytes; nothing of them is read as a command."""
    assert id_
    evil = "a\r\nFLUSHALL\r\n*1\r\n$4\r\nPING\r\n\"\x00'; return 1 --"
    await volatile.ask(("SET", "kept", "1"), ("SET", evil, evil))
    assert await volatile.ask(("GET", evil), ("GET", "kept")) == [evil.encode(), b"1"]
    script = Script("return {KEYS[1], ARGV[1]}")
    assert await volatile.script(script, [evil], [evil]) == [evil.encode()] * 2


async def test_a_script_is_sent_once(volatile: Volatile) -> None:
    """The second run goes by its digest; a server that forgot it gets it again."""
    script = Script("return redis.call('INCR', KEYS[1])")
    assert await volatile.script(script, ["n"], []) == 1
    assert await volatile.script(script, ["n"], []) == 2
    await volatile.ask(("SCRIPT", "FLUSH"))
    assert await volatile.script(script, ["n"], []) == 3


async def test_notices_reach_whoever_listens(volatile: Volatile) -> None:
    """A published notice is heard within a moment."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen() -> None:
        async for notice in volatile.notices():
            await heard.put(notice)

    task = asyncio.create_task(listen())
    async with asyncio.timeout(5):
        while heard.empty():
            await volatile.publish_notice(b"registry 5")
            await asyncio.sleep(0.02)
    assert await heard.get() == b"registry 5"
    task.cancel()


@pytest.mark.parametrize("id_", ["F25"], ids=["F25"])
async def test_a_killed_server_costs_a_moment(
    server: valkey.Running, store: Volatile, tmp_path: Path, id_: str
) -> None:
    """kill -9: callers are told at once; the next start needs no hand and kept what was on disk."""
    assert id_
    await store.ask(("SET", "session", "x"))
    first = await store.run_id()
    await asyncio.sleep(1.2)  # the append-only file is written each second
    os.kill(server.pid, signal.SIGKILL)
    began = time.monotonic()
    await fails(store)
    with pytest.raises(Away):
        await store.ask(("GET", "session"))
    assert time.monotonic() - began < 1.0

    fresh = valkey.start(tmp_path, memory_mb=16, say=lambda _: None)
    try:
        await again(store)
        assert await store.ask(("GET", "session")) == [b"x"]
        assert await store.run_id() != first
    finally:
        fresh.stop()


@pytest.mark.parametrize("id_", ["F27"], ids=["F27"])
async def test_a_server_that_hangs_costs_each_caller_the_deadline(
    server: valkey.Running, store: Volatile, id_: str
) -> None:
    """SIGSTOP: Away within the deadline, then at once; SIGCONT: it answers again, by itself."""
    assert id_
    await store.ask(("PING",))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        waits = []
        for _ in range(8):
            began = time.monotonic()
            with pytest.raises(Away):
                await store.ask(("GET", "a"))
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.2)
        assert max(waits) < 0.5
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await again(store)


@pytest.mark.parametrize("id_", ["F28"], ids=["F28"])
async def test_a_full_server_refuses_writes_and_goes_on_reading(store: Volatile, id_: str) -> None:
    """Sessions have no TTL and are never evicted; what does not fit is Away, reading goes on."""
    assert id_
    await store.ask(("SET", "session", "x"))
    (_, memory) = (await store.ask(("CONFIG", "GET", "maxmemory")))[0]
    assert int(memory) == 16 << 20
    await store.ask(("CONFIG", "SET", "maxmemory", 1_500_000))
    await fails(store, *(("SET", f"big{number}", b"x" * 20_000) for number in range(400)))
    assert await store.ask(("GET", "session"), ("DEL", "big0")) == [b"x", 1]


async def test_only_what_has_a_ttl_is_evicted(store: Volatile) -> None:
    """Copies of cards make room for sessions, never the other way round."""
    await store.ask(("SET", "session", "x"), ("CONFIG", "SET", "maxmemory", 4_000_000))
    for number in range(400):
        await store.ask(("SET", f"cards{number}", b"x" * 20_000, "EX", 600))
    assert await store.ask(("GET", "session")) == [b"x"]
    kept = [await store.ask(("EXISTS", f"cards{n}")) for n in range(400)]
    assert 0 < kept.count([1]) < 400


@pytest.mark.parametrize("id_", ["F30"], ids=["F30"])
async def test_a_demoted_server_is_away_until_it_is_primary_again(
    store: Volatile, id_: str
) -> None:
    """READONLY is no answer to work with: the lane asks anew who the primary is."""
    assert id_
    await store.ask(("REPLICAOF", "127.0.0.1", "1"))
    with pytest.raises(Away):
        await store.ask(("SET", "a", "1"))
    await again(store)
    await store.ask(("REPLICAOF", "NO", "ONE"))
    await again(store)
    assert await store.ask(("SET", "a", "1")) == [b"OK"]


@pytest.mark.parametrize("id_", ["F33"], ids=["F33"])
async def test_a_busy_server_holds_nobody_past_the_deadline(
    server: valkey.Running, store: Volatile, id_: str
) -> None:
    """A script without end elsewhere: our calls end in time and the loop goes on turning."""
    assert id_
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(server.url.removeprefix("unix://"))
        raw.sendall(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n")
        await asyncio.sleep(0.05)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        began = time.monotonic()
        for _ in range(4):
            with pytest.raises(Away):
                await store.ask(("GET", "a"))
        assert time.monotonic() - began < 2.0
        assert ticks > 20
        ticking.cancel()
        with socket.socket(socket.AF_UNIX) as killer:
            killer.connect(server.url.removeprefix("unix://"))
            killer.settimeout(10)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                killer.sendall(b"SCRIPT KILL\r\n")
                if (await asyncio.to_thread(killer.recv, 200)).startswith(b"+OK"):
                    break
                await asyncio.sleep(0.05)
    await again(store)


async def test_a_server_that_is_down_at_start_is_no_error(tmp_path: Path) -> None:
    """Opening succeeds, `up` is False, and it mends itself when the server comes."""
    async with open_volatile(f"unix://{tmp_path}/nobody.sock") as store:
        assert not store.up
        with pytest.raises(Away):
            await store.ask(("PING",))
        with pytest.raises(Away):
            await store.run_id()


@pytest.mark.parametrize("id_", ["F34"], ids=["F34"])
async def test_a_wrong_password_refuses_to_start(server: valkey.Running, id_: str) -> None:
    """It is a matter of settings: said once, at start."""
    assert id_
    path = server.url.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.sendall(b"CONFIG SET requirepass secret\r\n")
        assert raw.recv(100).startswith(b"+OK")
    with pytest.raises(WrongServer):
        async with open_volatile(f"unix://:wrong@{path}"):
            pass
    async with open_volatile(f"unix://:secret@{path}") as store:
        assert await store.ask(("PING",)) == [b"PONG"]


@pytest.mark.parametrize(
    "url",
    ["http://x", "redis+sentinel://host", "redis://host:notaport/0", "redis://h/one", "redis+cluster://h/1"],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    """The sentence never repeats what stands before the @."""
    secret = url.replace("://", "://user:s3cret@")
    with pytest.raises(ValueError, match=r".+") as error:
        read_address(secret)
    assert "s3cret" not in str(error.value)
