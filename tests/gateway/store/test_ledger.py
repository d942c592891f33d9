"""The ledger means the same on SQLite and on PostgreSQL."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, inspect, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.clock import OffsetClock, SystemClock
from gateway.store import schema
from gateway.store.ledger import Ledger, LedgerAway, open_ledger, open_ledger_sync
from gateway.store.tables import blob, lease, metadata, revocation
from tests import postgres


@pytest.fixture
async def book(ledger_url: str, clock: OffsetClock) -> AsyncIterator[Ledger]:
    """A new ledger of each kind."""
    async with open_ledger(ledger_url, clock=clock) as opened:
        yield opened


def keep(connection: Connection, name: str, count: int = 1) -> None:
    """One row."""
    row = {"name": name, "holder": "h", "until": 0, "fence": count}
    connection.execute(insert(lease).values(row))


def fence(connection: Connection, name: str) -> int | None:
    """That row's number."""
    return connection.execute(select(lease.c.fence).where(lease.c.name == name)).scalar()


async def test_what_is_written_can_be_read(book: Ledger) -> None:
    """Rows, bytes and large numbers come back as they went in."""
    content = bytes(range(256)) * 40
    await book.write(lambda c: keep(c, "安澜", 2**62))
    await book.write(lambda c: c.execute(insert(blob).values(sha256="x", bytes=content)).rowcount)

    assert await book.read(lambda c: fence(c, "安澜")) == 2**62
    assert await book.read(lambda c: c.execute(select(blob.c.bytes)).scalar()) == content


async def test_a_failure_undoes_itself_and_nobody_else(book: Ledger) -> None:
    """Ten writes at once, every other one fails half-way: the good stand, the bad left nothing."""

    def unit(number: int) -> None:
        def fn(connection: Connection) -> None:
            keep(connection, f"n{number}")
            if number % 2:
                raise LookupError(f"no {number}")

        return fn  # type: ignore[return-value]

    done = await asyncio.gather(
        *(book.write(unit(n)) for n in range(10)),  # type: ignore[arg-type, func-returns-value]
        return_exceptions=True,
    )
    assert [str(d) for d in done if d] == [f"no {n}" for n in (1, 3, 5, 7, 9)]
    found = await book.read(lambda c: c.execute(select(lease.c.name)).scalars().all())
    assert sorted(found) == [f"n{n}" for n in (0, 2, 4, 6, 8)]


async def test_nothing_is_lost_between_two_processes(ledger_url: str, book: Ledger) -> None:
    """What a function has read stays true until it commits, over all openings of one ledger."""
    await book.write(lambda c: keep(c, "counter", 0))

    def more(connection: Connection) -> int:
        now = (fence(connection, "counter") or 0) + 1
        connection.execute(update(lease).values(fence=now))
        return now

    async with open_ledger(ledger_url, clock=SystemClock()) as other:
        seen = await asyncio.gather(*(one.write(more) for one in (book, other) for _ in range(20)))
    assert sorted(seen) == list(range(1, 41))


async def test_a_taken_key_is_survived_in_a_savepoint(book: Ledger) -> None:
    """A function may try, be refused by a unique column, and go on."""

    def unit(connection: Connection) -> str:
        keep(connection, "a")
        try:
            with connection.begin_nested():
                keep(connection, "a")
        except IntegrityError:
            keep(connection, "b")
        return "done"

    assert await book.write(unit) == "done"
    assert await book.read(lambda c: fence(c, "b")) == 1


async def test_reading_cannot_write(book: Ledger) -> None:
    """A reading function that writes is refused."""
    with pytest.raises((DBAPIError, LedgerAway)):
        await book.read(lambda c: keep(c, "a"))
    assert await book.read(lambda c: fence(c, "a")) is None


async def test_a_reader_sees_one_state(book: Ledger) -> None:
    """Two looks in one function see the same, whatever is written between them."""
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[int, int]:
        count = select(func.count()).select_from(lease)
        first = connection.execute(count).scalar_one()
        if book.kind == "sqlite":  # readers are threads there: write in the middle
            asyncio.run_coroutine_threadsafe(book.write(lambda c: keep(c, "x")), loop).result(5)
        return first, connection.execute(count).scalar_one()

    assert await book.read(twice) == (0, 0)


async def test_programming_errors_are_told_as_they_are(book: Ledger) -> None:
    """A wrong statement is not mistaken for a ledger that is away."""
    with pytest.raises(DBAPIError):
        await book.write(lambda c: c.execute(text("INSERT INTO nowhere VALUES (1)")).rowcount)


async def test_numbers_of_revocations_only_rise(book: Ledger) -> None:
    """The tail that workers follow is never numbered anew."""
    for name in "abc":
        await book.write(
            lambda c, n=name: c.execute(insert(revocation).values(citizen=n, at=1)).rowcount
        )
    await book.write(lambda c: c.execute(revocation.delete()).rowcount)
    await book.write(lambda c: c.execute(insert(revocation).values(citizen="d", at=1)).rowcount)
    assert await book.read(lambda c: c.execute(select(revocation.c.id)).scalar()) == 4


# --- migrations


async def test_the_migrations_make_exactly_the_tables(book: Ledger) -> None:
    """The tables in the program and those that migrations make do not differ."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await book.write(differences) == []
    versions = sorted(Path(schema.__file__).parent.glob("migrations/versions/v*.py"))
    assert versions[-1].name[1:5] == schema.HEAD


async def test_constraints_carry_their_names(book: Ledger) -> None:
    """Each constraint has the name that the next migration will call it by."""

    def named(connection: Connection) -> set[str | None]:
        return {c["name"] for c in inspect(connection).get_unique_constraints("revision")}

    assert await book.read(named) == {"uq_revision_base"}


async def test_two_programs_starting_at_once_migrate_once(
    ledger_url: str, clock: OffsetClock
) -> None:
    """An empty ledger opened four times in one moment is made once."""

    async def opened() -> str:
        async with open_ledger(ledger_url, clock=clock) as one:
            return str(await one.read(schema.version_of))

    assert await asyncio.gather(*(opened() for _ in range(4))) == [schema.HEAD] * 4


@pytest.mark.parametrize(("ahead", "fits"), [(1, True), (2, False)])
async def test_a_newer_ledger_is_used_or_refused(
    ledger_url: str, clock: OffsetClock, ahead: int, *, fits: bool
) -> None:
    """One version newer only has more; two is refused in a sentence that says what to do."""
    version = f"{int(schema.HEAD) + ahead:04d}"
    async with open_ledger(ledger_url, clock=clock) as one:
        statement = text("UPDATE alembic_version SET version_num = :v").bindparams(v=version)
        await one.write(lambda c: c.execute(statement).rowcount)
    if fits:
        async with open_ledger(ledger_url, clock=clock) as one:
            assert await one.read(schema.version_of) == version
    else:
        with pytest.raises(LedgerAway, match="newer program"):
            async with open_ledger(ledger_url, clock=clock):
                pass


def test_commands_use_it_without_a_loop(ledger_url: str) -> None:
    """The synchronous ledger answers the same."""
    with open_ledger_sync(ledger_url) as ledger:
        ledger.write(lambda c: keep(c, "a", 7))
        assert ledger.read(lambda c: fence(c, "a")) == 7


# --- what goes wrong


_WRITER = """
import asyncio, sys
from gateway.clock import SystemClock
from gateway.store.ledger import open_ledger
from gateway.store.tables import lease
async def main():
    async with open_ledger(sys.argv[1], clock=SystemClock()) as ledger:
        number = 0
        while True:
            rows = [{"name": f"{k}{number}", "holder": "h", "until": 0, "fence": 0} for k in "ab"]
            await ledger.write(lambda c: c.execute(lease.insert(), rows).rowcount)
            print(number, flush=True)
            number += 1
asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_it_acknowledged(
    ledger_url: str, clock: OffsetClock
) -> None:
    """kill -9 in the middle of writing: what was acknowledged stands, no pair is half there."""
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITER, ledger_url], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    acknowledged = [int(await asyncio.to_thread(child.stdout.readline)) for _ in range(30)]
    child.kill()
    acknowledged += [int(line) for line in child.stdout.read().split()]
    child.wait()
    child.stdout.close()

    async with open_ledger(ledger_url, clock=clock) as ledger:
        names = set(await ledger.read(lambda c: c.execute(select(lease.c.name)).scalars().all()))
    assert names >= {f"{k}{n}" for k in "ab" for n in acknowledged}
    assert {n[1:] for n in names if n[0] == "a"} == {n[1:] for n in names if n[0] == "b"}


async def test_a_ledger_whose_file_is_gone_is_away(tmp_path: Path, ledger: Ledger) -> None:
    """A deleted file does not go on taking writes that nobody will ever see."""
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(LedgerAway, match="gone"):
        await ledger.write(lambda c: keep(c, "a"))
    with pytest.raises(LedgerAway):
        await ledger.read(lambda c: fence(c, "a"))


@pytest.mark.parametrize("id_", ["F38"], ids=["F38"])
async def test_a_full_disk_refuses_writes_and_goes_on_reading(
    tmp_path: Path, clock: OffsetClock, id_: str
) -> None:
    """Nothing is said to be written that is not; reading goes on; with room again, writing too."""
    assert id_
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    try:
        async with open_ledger(f"sqlite:///{disk}/ledger.db", clock=clock) as book:
            written = await _fill(book)
            assert await book.read(lambda c: c.execute(select(blob.c.sha256)).scalars().all())
            found = await book.read(lambda c: c.execute(select(blob.c.sha256)).scalars().all())
            assert set(found) == written
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            await book.write(lambda c: keep(c, "after"))
            assert await book.read(lambda c: fence(c, "after")) == 1
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


async def _fill(book: Ledger) -> set[str]:
    written = set()
    for number in range(200):
        row = {"sha256": str(number), "bytes": bytes(20_000)}
        try:
            await book.write(lambda c, r=row: c.execute(insert(blob).values(r)).rowcount)
        except LedgerAway as away:
            refused = away
            break
        written.add(str(number))
    else:
        raise AssertionError("the disk never became full")
    assert "full" in str(refused)
    assert refused.sent == "no"
    return written


async def test_another_writer_that_does_not_let_go_is_waited_for_in_vain(
    tmp_path: Path, ledger: Ledger
) -> None:
    """Somebody holding the file costs the deadline and an honest refusal, not a hang."""
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(LedgerAway):
            await ledger.write(lambda c: keep(c, "a"))
        assert time.monotonic() - began < 8
        assert await ledger.read(lambda c: fence(c, "a")) is None
        raw.execute("ROLLBACK")


async def test_a_damaged_file_is_refused_at_start(tmp_path: Path, clock: OffsetClock) -> None:
    """A page overwritten with noise is found before anything is built on it."""
    path = tmp_path / "ledger.db"
    async with open_ledger(f"sqlite:///{path}", clock=clock):
        pass
    raw = bytearray(path.read_bytes())
    raw[4096 * 2 : 4096 * 4] = b"\xff" * 8192
    path.write_bytes(raw)
    with pytest.raises(LedgerAway, match=r"damaged|malformed"):
        async with open_ledger(f"sqlite:///{path}", clock=clock):
            pass


async def test_a_folder_without_right_is_said_in_one_sentence(
    tmp_path: Path, clock: OffsetClock
) -> None:
    """The ledger cannot be made where there is a folder of that name."""
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerAway, match="cannot be opened"):
        async with open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock=clock):
            pass


async def test_a_postgresql_that_was_killed_is_found_again(
    postgresql: postgres.Postgres, clock: OffsetClock
) -> None:
    """While it is down every call says so at once; when it is back the pool mends itself."""
    async with open_ledger(postgresql.database(), clock=clock) as book:
        await book.write(lambda c: keep(c, "a"))
        postgresql.kill()
        with pytest.raises(LedgerAway):
            await book.write(lambda c: keep(c, "b"))
        with pytest.raises(LedgerAway):
            await book.read(lambda c: fence(c, "a"))
        await asyncio.to_thread(postgresql.again)
        await book.write(lambda c: keep(c, "c"))
        assert await book.read(lambda c: fence(c, "a")) == 1
