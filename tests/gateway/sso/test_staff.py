"""Roles are ours: given with a reason, taken away at once, never by what a provider says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import select
from typer.testing import CliRunner

from gateway.cli.staff import app
from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.errors import Invalid
from gateway.sso.citizens import find_or_make
from gateway.sso.staff import Staff
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit


@pytest.fixture
def staff(ledger: Ledger, keys: Keys, clock: OffsetClock) -> Staff:
    """Staff over a fresh ledger."""
    return Staff(ledger=ledger, keys=keys, clock=clock)


async def who(ledger: Ledger, keys: Keys, clock: OffsetClock) -> CitizenId:
    """The citizen that signing in would find."""
    return await ledger.write(lambda c: find_or_make(c, keys, clock, upstream="town", sub="ann"))


async def test_a_role_is_hers_before_she_ever_signs_in(
    staff: Staff, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """Her row is made by the grant, and signing in finds it."""
    assert await staff.grant("town", "ann", "viewer", author="cli:root", reason="first admin")
    assert not await staff.grant("town", "ann", "viewer", author="cli:root", reason="again")
    citizen = await who(ledger, keys, clock)
    assert await staff.roles(citizen) == {"viewer"}

    assert await staff.remove("town", "ann", "viewer", author="cli:root", reason="left")
    assert not await staff.remove("town", "ann", "viewer", author="cli:root", reason="left")
    assert not await staff.remove("town", "nobody", "viewer", author="cli:root", reason="typo")
    assert await staff.roles(citizen) == frozenset()
    names = await ledger.read(lambda c: list(c.execute(select(audit.c.name)).scalars()))
    assert names == ["role.granted", "role.removed"]


async def test_testers_are_no_staff(
    staff: Staff, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """A group of testers opens no console, and a console role is in no group."""
    await staff.grant("town", "ann", "tester", scope="pilot", author="x", reason="y")
    citizen = await who(ledger, keys, clock)
    assert await staff.roles(citizen) == frozenset()
    assert await staff.groups(citizen) == {"pilot"}
    assert [(row.role, row.scope) for row in await staff.list()] == [("tester", "pilot")]


async def test_looking_up_testers_costs_no_read_a_view(
    staff: Staff, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """However many citizens ask, the ledger is read once in five seconds, and then it is heard."""
    reads: list[object] = []
    read = ledger.read

    def counted(unit: Any) -> Any:
        reads.append(unit)
        return read(unit)

    ledger.read = counted  # type: ignore[method-assign]
    citizen = await who(ledger, keys, clock)
    together = await asyncio.gather(*(staff.groups(CitizenId(f"c{n}")) for n in range(50)))
    assert set(together) == {frozenset()}
    assert len(reads) == 1
    await staff.grant("town", "ann", "tester", scope="pilot", author="x", reason="y")
    assert await staff.groups(citizen) == frozenset()
    clock.monotonic = lambda base=clock.monotonic: base() + 5  # type: ignore[method-assign, misc]
    assert await staff.groups(citizen) == {"pilot"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "root"},
        {"role": "tester"},
        {"scope": "pilot"},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "a\nb"},
        {"author": ""},
        {"sub": ""},
        {"sub": "x" * 300},
    ],
    ids=str,
)
async def test_what_is_missing_or_odd_is_refused(
    staff: Staff, ledger: Ledger, wrong: dict[str, str]
) -> None:
    """Nothing is written without a role of the list and a reason."""
    good = {
        "upstream": "town",
        "sub": "ann",
        "role": "viewer",
        "scope": "",
        "author": "cli:root",
        "reason": "first admin",
    }
    with pytest.raises(Invalid):
        await staff.grant(**(good | wrong))
    assert await staff.list() == []


def cli(state: Path, *words: str) -> Result:
    """`citygate staff …` on this state folder, no server anywhere."""
    env = {"CITYGATE_STATE_DIR": str(state), "CITYGATE_PROFILE": "demo"}
    return CliRunner().invoke(app, words, env=env)


def test_the_command_line_works_with_the_server_down(tmp_path: Path) -> None:
    """The first admin is made before anything runs; acts without a reason are refused."""
    one = ("--upstream", "town", "--sub", "ann", "--role", "publisher")
    assert cli(tmp_path, "add", *one).exit_code == 2
    assert cli(tmp_path, "add", *one, "--reason", " ").exit_code == 2
    added = cli(tmp_path, "add", *one, "--reason", "first admin")
    assert (added.exit_code, added.stdout) == (0, "granted\n")

    rows = json.loads(cli(tmp_path, "list", "--json").stdout)
    assert [(row["role"], row["reason"]) for row in rows] == [("publisher", "first admin")]
    assert "ann" not in str(rows)
    assert cli(tmp_path, "remove", *one, "--reason", "left").stdout == "removed\n"
    assert cli(tmp_path, "remove", *one, "--reason", "left").exit_code == 1
    assert json.loads(cli(tmp_path, "list", "--json").stdout) == []


def test_the_command_line_says_what_is_in_the_way(tmp_path: Path) -> None:
    """A ledger without its key is one sentence on stderr, and no new key is made."""
    (tmp_path / "ledger.db").write_bytes(b"")
    told = cli(tmp_path, "list")
    assert told.exit_code == 2
    assert told.stderr.startswith("citygate: ")
    assert isinstance(told.exception, SystemExit)
    assert not (tmp_path / "kek").exists()
