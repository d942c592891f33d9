"""Backup and restore of a ledger that is being used meanwhile."""

import asyncio
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
import typer
from sqlalchemy import select, text
from typer.testing import CliRunner

from gateway.audit import trail
from gateway.audit.events import RoleGranted
from gateway.cli import backup as commands
from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.running import backup
from gateway.running.backup import CannotBackUp
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit, revocation

app = typer.Typer()
commands.mount(app)


async def note(ledger: Ledger, who: str) -> None:
    """One more audit event."""
    event = RoleGranted(citizen=CitizenId(who), role="viewer", author="cli", reason="test")
    await ledger.write(lambda c: trail.append(c, event, at=1))


async def names(ledger: Ledger) -> list[str]:
    """The audit events there are."""
    rows = await ledger.read(lambda c: c.execute(select(audit.c.name)).scalars().all())
    return [str(row) for row in rows]


@pytest.fixture
def place(tmp_path: Path, keys: Keys) -> Path:
    """A state folder with ledger and key."""
    assert keys
    return tmp_path


async def test_a_backup_made_while_others_write_is_whole(
    place: Path, ledger: Ledger, clock: OffsetClock
) -> None:
    """The copy holds one state; the key is not in it but beside it; nobody else may read either."""
    await note(ledger, "before")
    writing = asyncio.create_task(_write_on(ledger))
    made = await asyncio.to_thread(backup.make, place / "ledger.db", place / "kek", place, clock)
    writing.cancel()

    assert made.key is not None
    assert made.key.read_bytes() == (place / "kek").read_bytes()
    assert (place / "kek").read_bytes() not in made.archive.read_bytes()
    assert made.archive.stat().st_mode & 0o77 == made.key.stat().st_mode & 0o77 == 0
    with tarfile.open(made.archive) as opened:
        assert opened.getnames() == ["facts.json", "ledger.db"]


async def _write_on(ledger: Ledger) -> None:
    while True:
        await note(ledger, "meanwhile")


async def test_a_restore_under_an_open_ledger_is_seen_at_once(
    place: Path, ledger: Ledger, clock: OffsetClock
) -> None:
    """What came after the backup is gone, sessions are void, the act is in the trail."""
    await note(ledger, "kept")
    made = await asyncio.to_thread(backup.make, place / "ledger.db", place / "kek", place, clock)
    await note(ledger, "lost")
    await ledger.write(lambda c: c.execute(revocation.insert().values(citizen="x", at=2)).rowcount)
    newest = await ledger.read(lambda c: c.execute(select(revocation.c.id)).scalars().all())

    done = await asyncio.to_thread(
        backup.restore, made.archive, place / "ledger.db", place / "kek",
        author="cli:test", reason="drill", clock=clock,
    )  # fmt: skip

    assert await names(ledger) == ["role.granted", "backup.restored"]
    rows = await ledger.read(lambda c: c.execute(select(revocation)).all())
    assert [(r.session, r.citizen) for r in rows] == [(None, None)]
    assert rows[0].id > max(newest)
    assert await ledger.read(trail.verify) is None
    await note(ledger, "after")  # and it can be written
    assert done.kept is not None
    with closing(sqlite3.connect(done.kept)) as kept:
        assert "lost" in str(kept.execute("select json from audit").fetchall())


async def test_a_damaged_ledger_is_put_back_while_nobody_uses_it(
    tmp_path: Path, clock: OffsetClock
) -> None:
    """A ledger that is no database any more is replaced; in use, it is refused in one sentence."""
    path = tmp_path / "ledger.db"
    async with open_ledger(f"sqlite:///{path}", clock=clock) as ledger:
        await note(ledger, "kept")
    made = backup.make(path, tmp_path / "none", tmp_path, clock)
    path.write_bytes(os.urandom(8192))

    backup.restore(made.archive, path, tmp_path / "none", author="cli", reason="drill", clock=clock)

    async with open_ledger(f"sqlite:///{path}", clock=clock) as ledger:
        assert await names(ledger) == ["role.granted", "backup.restored"]


async def test_a_backup_that_is_no_backup_changes_nothing(
    place: Path, ledger: Ledger, clock: OffsetClock
) -> None:
    """Another file, a changed one, a broken trail and another key are refused, each in words."""
    await note(ledger, "kept")
    path = place / "ledger.db"
    made = await asyncio.to_thread(backup.make, path, place / "kek", place, clock)
    other = place / "other"
    shutil.copy(made.archive, other)
    raw = bytearray(other.read_bytes())
    raw[-20_000] ^= 1
    other.write_bytes(raw)
    (place / "text").write_text("hello")
    key = place / "another-key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    assert made.key is not None
    made.key.unlink()

    for archive, kek, words in (
        (place / "text", place / "kek", "no backup"),
        (place / "nothing", place / "kek", "No such file"),
        (other, place / "kek", "damaged"),
        (made.archive, key, "key"),
    ):
        with pytest.raises(CannotBackUp, match=words):
            await asyncio.to_thread(
                backup.restore, archive, path, kek, author="a", reason="b", clock=clock
            )
    assert await names(ledger) == ["role.granted"]


async def test_a_backup_with_a_changed_trail_is_refused(
    place: Path, ledger: Ledger, clock: OffsetClock
) -> None:
    """Whoever edited a row of the trail cannot have it backed up as if it were whole (P7)."""
    for name in ("one", "two"):
        await note(ledger, name)
    await ledger.write(lambda c: c.execute(text("UPDATE audit SET json='{}' WHERE seq=1")).rowcount)

    with pytest.raises(CannotBackUp, match="event 1"):
        await asyncio.to_thread(backup.make, place / "ledger.db", place / "kek", place, clock)


async def test_the_commands_say_what_they_did(
    place: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backup` prints the archive's path and is audited; `restore` wants a reason."""
    monkeypatch.setenv("CITYGATE_STATE_DIR", str(place))
    runner = CliRunner()
    done = await asyncio.to_thread(runner.invoke, app, ["backup", str(place)])
    archive = done.stdout.strip()
    assert done.exit_code == 0, done.output
    assert Path(archive).exists()
    assert await names(ledger) == ["backup.made"]

    refused = await asyncio.to_thread(runner.invoke, app, ["restore", archive])
    assert refused.exit_code == 2
    assert "reason" in refused.output
    put_back = await asyncio.to_thread(runner.invoke, app, ["restore", archive, "-r", "drill"])
    assert put_back.exit_code == 0, put_back.output
    assert await names(ledger) == ["backup.restored"]


def test_postgresql_is_backed_up_by_its_own_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands point at pg_dump; the key is copied all the same."""
    monkeypatch.setenv("CITYGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CITYGATE_LEDGER", "postgresql://u@localhost/x")
    (tmp_path / "kek").write_bytes(b"k" * 32)
    done = CliRunner().invoke(app, ["backup", str(tmp_path)])
    assert done.exit_code == 1
    assert "pg_dump" in done.output
    assert (tmp_path / "citygate.kek").read_bytes() == b"k" * 32
