"""Sessions on a real Valkey: found, kept awake, ended, and never back from the dead."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.running import valkey
from gateway.sso.citizens import find_or_make
from gateway.sso.session import Sessions
from gateway.store.away import Away, LedgerAway
from gateway.store.ids import digest
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit, revocation
from gateway.store.volatile import Volatile, open_volatile

MINUTE = 60_000_000
HOUR = 60 * MINUTE
CLAIMS = {"name": "测试一", "id_number": "000101199001010014"}


@pytest.fixture
def forgotten() -> list[CitizenId]:
    """Whose cards were told to go."""
    return []


@pytest.fixture
async def sessions(
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    forgotten: list[CitizenId],
) -> Sessions:
    """One worker's sessions."""
    return make(volatile, ledger, keys, clock, forgotten)


def make(
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    forgotten: list[CitizenId] | None = None,
) -> Sessions:
    """Sessions as `app` makes them."""
    heard = [] if forgotten is None else forgotten

    async def forget(citizen: CitizenId) -> None:
        heard.append(citizen)

    return Sessions(
        volatile=volatile,
        ledger=ledger,
        keys=keys,
        clock=clock,
        idle_minutes=30,
        hours=12,
        forgotten=forget,
    )


@pytest.fixture
async def wei(ledger: Ledger, keys: Keys, clock: OffsetClock) -> CitizenId:
    """A citizen."""
    return await person(ledger, keys, clock, "wei")


async def person(ledger: Ledger, keys: Keys, clock: OffsetClock, sub: str) -> CitizenId:
    """A citizen's row."""
    return await ledger.write(lambda c: find_or_make(c, keys, clock, upstream="town", sub=sub))


async def enter(sessions: Sessions, who: CitizenId, *, level: int = 2, old: str = "") -> str:
    """A session's token."""
    return await sessions.open(
        who, level=level, upstream="town", claims=CLAIMS, old=old or None, device="phone"
    )


async def told(ledger: Ledger) -> list[str]:
    """What the trail says, name and reason."""

    def read(connection: Connection) -> list[str]:
        rows = connection.execute(select(audit.c.name, audit.c.json).order_by(audit.c.seq))
        return [name for name, _ in rows]

    return await ledger.read(read)


async def test_only_the_token_opens(sessions: Sessions, wei: CitizenId) -> None:
    """Found by the token; neither by its digest nor by anything like it."""
    token = await enter(sessions, wei)

    citizen = await sessions.find(token)
    assert citizen is not None
    assert (citizen.id, citizen.level, citizen.session) == (wei, 2, digest(token))
    for wrong in (digest(token), token[:-1], token[::-1], "", "x" * 43):
        assert await sessions.find(wrong) is None


async def test_the_store_holds_no_token_and_no_claim_in_the_open(
    sessions: Sessions, wei: CitizenId, volatile: Volatile
) -> None:
    """Who reads all of the store can neither sign in nor learn a name."""
    token = await enter(sessions, wei)

    (names,) = await volatile.ask(("KEYS", "*"))
    texts = list(names)
    for name in names:
        texts += await volatile.ask(("DUMP", name))
    everything = b"".join(texts)
    assert len(names) == 3
    for secret in (token, *CLAIMS.values()):
        assert secret.encode() not in everything
    citizen = await sessions.find(token)
    assert citizen is not None
    assert await sessions.claims(citizen) == CLAIMS


async def test_idle_and_absolute_ends(
    sessions: Sessions, wei: CitizenId, clock: OffsetClock
) -> None:
    """30 idle minutes end it, use keeps it awake, 12 hours end it all the same (N64)."""
    idle, used = await enter(sessions, wei), await enter(sessions, wei)

    for _ in range(36):
        clock.offset += 20 * MINUTE - 1
        found = await sessions.find(used)
        if clock.offset < 12 * HOUR - 36:
            assert found is not None
    assert await sessions.find(idle) is None
    clock.offset += 40
    assert await sessions.find(used) is None


async def test_an_unused_session_ends_on_the_minute(
    sessions: Sessions, wei: CitizenId, clock: OffsetClock
) -> None:
    """A second before the half hour it lives."""
    token = await enter(sessions, wei)
    clock.offset += 30 * MINUTE + 1_000_000
    assert await sessions.find(token) is None


@pytest.mark.row("B42")
async def test_signing_in_again_ends_the_old_session(
    sessions: Sessions, wei: CitizenId, ledger: Ledger, forgotten: list[CitizenId]
) -> None:
    """A new token at every rise; the trail says step-up, and step-down forgets her cards (N62)."""
    first = await enter(sessions, wei)
    second = await enter(sessions, wei, level=3, old=first)
    assert await sessions.find(first) is None
    assert forgotten == []
    third = await enter(sessions, wei, level=1, old=second)
    assert await sessions.find(second) is None
    assert forgotten == [wei]
    assert await sessions.find(third) is not None
    assert await told(ledger) == [
        "session.opened",
        "session.raised",
        "session.ended",
        "session.opened",
    ]


async def test_another_person_takes_over_the_browser(
    sessions: Sessions,
    wei: CitizenId,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    forgotten: list[CitizenId],
) -> None:
    """Her session ends when his begins, and nothing of hers is his."""
    hers = await enter(sessions, wei)
    fang = await person(ledger, keys, clock, "fang")
    his = await enter(sessions, fang, old=hers)
    citizen = await sessions.find(his)
    assert await sessions.find(hers) is None
    assert citizen is not None
    assert citizen.id == fang
    assert [row.session for row in await sessions.listed(citizen)] == [digest(his)]
    assert forgotten == [wei]


@pytest.mark.row("B42")
async def test_a_planted_token_is_never_upgraded(sessions: Sessions, wei: CitizenId) -> None:
    """A cookie that somebody chose beforehand stays worth nothing (B42)."""
    planted = "p" * 43
    token = await enter(sessions, wei, old=planted)
    assert token != planted
    assert await sessions.find(planted) is None


async def test_she_lists_and_ends_her_sessions(
    sessions: Sessions, wei: CitizenId, forgotten: list[CitizenId]
) -> None:
    """Each by itself, then all at once; ending calls for her cards to go."""
    here, there, third = [await enter(sessions, wei) for _ in range(3)]
    citizen = await sessions.find(here)
    assert citizen is not None
    rows = await sessions.listed(citizen)
    assert [(row.current, row.device, row.level) for row in rows if row.current] == [
        (True, "phone", 2)
    ]
    assert len(rows) == 3

    await sessions.end(citizen, digest(there))
    assert await sessions.find(there) is None
    assert await sessions.find(here) is not None
    assert forgotten == [wei]
    await sessions.end_all(citizen)
    assert await sessions.find(here) is None
    assert await sessions.find(third) is None
    assert await sessions.find(await enter(sessions, wei)) is not None


async def test_sessions_of_one_person_are_bounded(sessions: Sessions, wei: CitizenId) -> None:
    """The twenty-first ends the oldest."""
    tokens = [await enter(sessions, wei) for _ in range(21)]
    assert await sessions.find(tokens[0]) is None
    assert await sessions.find(tokens[1]) is not None


async def test_a_suspended_person_is_out_at_once(
    sessions: Sessions, wei: CitizenId, ledger: Ledger, forgotten: list[CitizenId]
) -> None:
    """All her sessions end with the word (N100), and again she may come in after the other."""
    token = await enter(sessions, wei)
    assert await sessions.suspend(wei)
    assert await sessions.find(token) is None
    assert forgotten == [wei]
    assert not await sessions.suspend(CitizenId("nobody"))
    assert await sessions.resume(wei)
    assert await told(ledger) == ["session.opened", "session.ended"]


async def test_another_worker_knows_within_a_second_even_without_the_store(
    sessions: Sessions,
    wei: CitizenId,
    volatile: Volatile,
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
) -> None:
    """The ledger's tail ends a session that the store still holds (P22)."""
    elsewhere = make(volatile, ledger, keys, clock)
    token = await enter(sessions, wei)
    (kept,) = await volatile.ask(("GET", f"session:{digest(token)}"))
    citizen = await elsewhere.find(token)
    assert citizen is not None
    task = asyncio.create_task(elsewhere.follow())
    try:
        await sessions.end(citizen, citizen.session)
        await volatile.ask(("SET", f"session:{digest(token)}", kept))  # as if DEL had been lost
        await asyncio.sleep(1.2)
        assert await elsewhere.find(token) is None
    finally:
        task.cancel()


async def test_use_does_not_bring_back_what_was_ended(
    sessions: Sessions, wei: CitizenId, volatile: Volatile, clock: OffsetClock
) -> None:
    """A request that was under way when she signed out writes no session again."""
    token = await enter(sessions, wei)
    clock.offset += 5 * MINUTE
    kept = await sessions._shelf.find(digest(token))
    assert kept is not None
    await sessions.end(kept.citizen, digest(token))
    await sessions._shelf.keep_awake(kept)
    assert await volatile.ask(("EXISTS", f"session:{digest(token)}")) == [0]


async def test_after_a_clock_that_went_back_she_can_sign_in(
    sessions: Sessions, wei: CitizenId, clock: OffsetClock
) -> None:
    """A session is always younger than what ended the ones before."""
    citizen = await sessions.find(await enter(sessions, wei))
    assert citizen is not None
    await sessions.end_all(citizen)
    clock.offset -= HOUR
    assert await sessions.find(await enter(sessions, wei)) is not None


async def test_unknown_formats_are_misses(
    sessions: Sessions, wei: CitizenId, volatile: Volatile
) -> None:
    """What another release wrote signs nobody in and breaks nothing."""
    token = await enter(sessions, wei)
    for value in (b"", b"\x02" + b"x" * 50, b"\x01", b"{}"):
        await volatile.ask(("SET", f"session:{digest(token)}", value))
        assert await sessions.find(token) is None


async def test_the_leader_sweeps_what_has_ended(
    sessions: Sessions, wei: CitizenId, volatile: Volatile, clock: OffsetClock
) -> None:
    """Nothing of a session is left behind, and living ones are left alone."""
    await enter(sessions, wei)
    clock.offset += 11 * HOUR
    token = await enter(sessions, wei)
    assert await sessions.sweep() == 1
    clock.offset += 2 * HOUR
    await volatile.ask(("SET", "login:x", b"\x01" + b"\0" * 8 + b"sealed"))
    assert await sessions.find(token) is None
    await sessions.sweep()
    clock.offset += 11 * HOUR
    await sessions.sweep()
    assert await volatile.ask(("KEYS", "*")) == [[]]


async def test_the_ledger_away_refuses_and_still_signs_out(
    sessions: Sessions, wei: CitizenId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing out says that it was not written; the session is gone all the same."""
    token = await enter(sessions, wei)
    citizen = await sessions.find(token)
    assert citizen is not None

    async def away(_: object) -> None:
        raise LedgerAway("disk full")

    monkeypatch.setattr(sessions._ledger, "write", away)
    with pytest.raises(LedgerAway):
        await sessions.end(citizen, citizen.session)
    with pytest.raises(LedgerAway):
        await enter(sessions, wei)
    assert await sessions.find(token) is None


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[valkey.Running, Volatile]]:
    """A Valkey of the test's own, to be killed."""
    running = valkey.start(tmp_path / "own", memory_mb=32, say=lambda _: None)
    async with open_volatile(running.url) as opened:
        yield running, opened
    running.stop()


async def back(volatile: Volatile, run: str) -> None:
    """Wait until another run of the store answers."""
    for _ in range(200):
        try:
            if await volatile.run_id() != run:
                return
        except Away:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("the store did not come back")


@pytest.mark.parametrize("_", [pytest.param(0, id="F25")])
async def test_a_killed_store_brings_no_ended_session_back(
    own: tuple[valkey.Running, Volatile],
    ledger: Ledger,
    keys: Keys,
    clock: OffsetClock,
    wei: CitizenId,
    tmp_path: Path,
    _: int,
) -> None:
    """Killed, it is away; started again, live sessions live and what was ended stays so (P15)."""
    running, volatile = own
    sessions = make(volatile, ledger, keys, clock)
    live, ended = await enter(sessions, wei), await enter(sessions, wei)
    citizen = await sessions.find(ended)
    assert citizen is not None
    (kept,) = await volatile.ask(("GET", f"session:{digest(ended)}"))
    await sessions.end(citizen, citizen.session)
    await volatile.ask(
        ("SET", f"session:{digest(ended)}", kept)
    )  # as if the DEL never reached disk
    await asyncio.sleep(1.2)  # it writes its file every second
    run = await volatile.run_id()

    assert running._process is not None
    running._process.kill()
    running._process.wait()
    with pytest.raises(Away):
        await sessions.find(live)
    again = valkey.start(tmp_path / "own", memory_mb=32, say=lambda _: None)
    try:
        await back(volatile, run)
        fresh = make(volatile, ledger, keys, clock)  # a worker that has just begun
        for worker in (sessions, fresh):
            assert await worker.find(live) is not None
            assert await worker.find(ended) is None
        await volatile.ask(("FLUSHALL",))
        assert await sessions.find(live) is None
    finally:
        again.stop()


async def test_a_new_run_is_not_trusted_while_the_ledger_is_away(
    sessions: Sessions, wei: CitizenId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ended cannot be known then: nobody is taken for signed in, the cookie is kept."""
    token = await enter(sessions, wei)
    assert await sessions.find(token) is not None

    async def away(_: object) -> None:
        raise LedgerAway("gone")

    async def another() -> str:
        return "another run"

    monkeypatch.setattr(sessions._ledger, "read", away)
    assert await sessions.find(token) is not None  # the run is known: reading goes on
    monkeypatch.setattr(sessions._volatile, "run_id", another)
    with pytest.raises(Away):
        await sessions.find(token)


async def test_an_unseen_session_can_be_ended(
    sessions: Sessions, wei: CitizenId, ledger: Ledger
) -> None:
    """With the store away the ledger is told by the token alone."""
    token = await enter(sessions, wei)
    await sessions.end_unseen(token)
    assert await sessions.find(token) is None
    rows = await ledger.read(lambda c: list(c.execute(select(revocation.c.session)).scalars()))
    assert rows == [digest(token)]
