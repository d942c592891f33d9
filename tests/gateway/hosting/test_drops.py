"""Dropped files: whole or not at all, found by key, sealed."""

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.clock import OffsetClock
from gateway.contract.ids import PluginId
from gateway.hosting.drops import CHUNK, DropRefused, Drops, Taken
from gateway.hosting.outcome import Answered, Failed, Nothing, Reason
from gateway.hosting.package import Package
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.sealing import FileKek, Keys, open_keys
from gateway.store.tables import dropped
from tests.gateway.hosting.offices import TEXT, opened, package

PEOPLE = [f"00100119900101{n:03d}X" for n in range(10)]
OFFICE = PluginId("office")
HEAD = "身份证号,应缴金额,状态"


def office(folder: Path, /, **more: Any) -> Package:
    """A department that only leaves files."""
    drop = {
        "folder": "{setting.folder}", "files": "bills-*.csv", "done": "{file}.done", "charset": "gb18030",
        "columns": {"id": "身份证号", "amount": "应缴金额", "status": "状态"},
        "key": "id", "key_is": "{citizen.id_number}", "min_rows": 1, "max_change": 30,
        **more,
    }  # fmt: skip
    recipe = {
        "recipe": 1, "drop": drop,
        "cards": {"main": {"facts": {"value": "amount"}, "state": {"at": "status", "map": {"未缴": "action_required", "已缴": "ready"}}}},
    }  # fmt: skip
    card = {
        "id": "main",
        "template": "figure",
        "facts": [{"id": "value", "label": TEXT, "kind": "money"}],
        "speak": TEXT,
        "empty": TEXT,
    }
    return package(None, recipe, settings={"folder": str(folder)}, cards=[card])


def lines(people: list[str], amount: str = "38.40", head: str = HEAD) -> str:
    """The text of a file."""
    return "\r\n".join([head, *(f"{one},{amount},未缴" for one in people)]) + "\r\n"


def leave(folder: Path, name: str, text: str | bytes, *, done: bool = True, age: float = 0) -> Path:
    """Leave a file as the department does."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("gb18030"))
    if age:
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    if done:
        path.with_name(name + ".done").touch()
    return path


@pytest.fixture
def drops(ledger: Ledger, keys: Keys, clock: OffsetClock) -> Drops:
    """Drops over a ledger of the test's own."""
    return Drops(ledger, keys, clock)


async def amount(drops: Drops, person: str) -> str | None:
    """What the rows say of somebody."""
    found = await drops.find(OFFICE, person)
    return found[0]["amount"] if found else None


async def test_a_drop_replaces_the_one_before(tmp_path: Path, drops: Drops) -> None:
    """The newest finished file counts; nothing is read twice."""
    one = office(tmp_path)
    assert await drops.take_in(one) is None
    leave(tmp_path, "bills-1.csv", lines(PEOPLE), age=60)
    assert await drops.take_in(one) == Taken("bills-1.csv", 10)
    assert await drops.take_in(one) is None
    leave(tmp_path, "bills-2.csv", lines(PEOPLE[1:], "12.00"))
    assert await drops.take_in(one) == Taken("bills-2.csv", 9)
    assert await amount(drops, PEOPLE[0]) is None
    assert await amount(drops, PEOPLE[1]) == "12.00"
    assert await amount(drops, PEOPLE[1].lower() + " ") == "12.00"


@pytest.mark.parametrize("more", [{"files": "**bills.csv"}, {"folder": "{setting.nowhere}"}])
async def test_what_cannot_be_looked_for_is_refused_like_a_file(
    tmp_path: Path, drops: Drops, more: dict[str, str]
) -> None:
    """A mistake in one department's recipe is named; it must not end the leader's turn."""
    with pytest.raises(DropRefused):
        await drops.take_in(office(tmp_path, **more))


async def test_an_unfinished_file_is_left_alone(tmp_path: Path, drops: Drops) -> None:
    """Without its marker it may still be written; other files and links are none of ours."""
    leave(tmp_path, "bills-1.csv", lines(PEOPLE), done=False)
    leave(tmp_path, "other-1.csv", lines(PEOPLE))
    (tmp_path / "bills-3.csv").symlink_to("/etc/passwd")
    (tmp_path / "bills-3.csv.done").touch()
    assert await drops.take_in(office(tmp_path)) is None
    assert await drops.take_in(office(tmp_path / "none")) is None


GOOD = lines(PEOPLE)
BAD = {
    "cut-in-a-row": lines(PEOPLE).encode("gb18030")[:-8],
    "cut-between-rows": lines(PEOPLE[:6]),
    "utf-8": lines(PEOPLE).encode() + "余".encode(),
    "empty": "",
    "header-only": HEAD + "\r\n",
    "other-header": lines(PEOPLE, head="a,b,c"),
    "no-key": HEAD + "\r\n,1,未缴\r\n",
    "other-people": lines(["x" + p for p in PEOPLE]),
    "open-quote": HEAD + '\r\n"1,2,3\r\n',
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_file_that_is_not_as_agreed_changes_nothing(
    tmp_path: Path, drops: Drops, kind: str
) -> None:
    """Said once, with no value of it; the rows before it stay, and the next good file comes in."""
    one = office(tmp_path)
    leave(tmp_path, "bills-1.csv", GOOD, age=60)
    await drops.take_in(one)
    leave(tmp_path, "bills-2.csv", BAD[kind], age=30)
    with pytest.raises(DropRefused) as caught:
        await drops.take_in(one)
    assert not any(person in str(caught.value) for person in PEOPLE)
    assert await drops.take_in(one) is None, "it is said once"
    assert await amount(drops, PEOPLE[0]) == "38.40"
    leave(tmp_path, "bills-3.csv", lines(PEOPLE, "1.00"))
    assert await drops.take_in(one) == Taken("bills-3.csv", 10)
    assert await amount(drops, PEOPLE[0]) == "1.00"


async def test_nobody_can_be_read_from_the_table(
    tmp_path: Path, drops: Drops, ledger: Ledger
) -> None:
    """Keys are HMACs, rows are sealed, and no row opens under another's key."""
    leave(tmp_path, "bills-1.csv", GOOD)
    await drops.take_in(office(tmp_path))
    rows = await ledger.read(lambda c: [tuple(row) for row in c.execute(select(dropped))])
    raw = repr(rows).encode()
    assert len(rows) == 11
    assert not any(person.encode() in raw for person in PEOPLE)
    assert b"38.40" not in raw


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(key, id=f"B68-{n}")
        for n, key in enumerate(("' OR '1'='1", "%", "_", "x'; DROP TABLE dropped; --", "\x00", ""))
    ],
)
async def test_a_key_is_a_value_and_never_a_statement(
    tmp_path: Path, drops: Drops, key: str
) -> None:
    """Wildcards and quotes find nobody and break nothing."""
    leave(tmp_path, "bills-1.csv", GOOD)
    await drops.take_in(office(tmp_path))
    assert await drops.find(OFFICE, key) is None
    assert await amount(drops, PEOPLE[0]) == "38.40"


async def test_many_rows_come_in_parts_and_count_at_once(tmp_path: Path, ledger_url: str) -> None:
    """On both kinds of ledger; what an earlier attempt left behind does not count."""
    clock = OffsetClock()
    people = [f"p{n}" for n in range(CHUNK + 500)]
    async with open_ledger(ledger_url, clock=clock) as ledger:
        keys = await open_keys(ledger, FileKek.create(tmp_path / "kek2"))
        drops = Drops(ledger, keys, clock)
        leave(tmp_path, "bills-1.csv", lines(people), age=60)
        assert await drops.take_in(office(tmp_path)) == Taken("bills-1.csv", len(people))
        leave(tmp_path, "bills-2.csv", lines(people, "2.00"))
        assert await drops.take_in(office(tmp_path)) == Taken("bills-2.csv", len(people))
        assert await amount(drops, people[-1]) == "2.00"

        again = Drops(ledger, keys, clock)
        assert await again.take_in(office(tmp_path)) is None, "the same file after a restart"


async def test_a_card_of_a_row(tmp_path: Path, drops: Drops, clock: OffsetClock) -> None:
    """As of the file; nobody of that number is a normal answer; no file or an old one is a failure."""
    one = office(tmp_path, max_age="3d")
    async with opened(one, drops=drops, clock=clock) as hands:
        outcome = await hands.card(id_number=PEOPLE[0])
        assert isinstance(outcome, Failed)
        assert outcome.reason is Reason.UNREACHABLE

        path = leave(tmp_path, "bills-1.csv", GOOD)
        await drops.take_in(one)
        outcome = await hands.card(id_number=PEOPLE[0])
        assert isinstance(outcome, Answered), outcome
        assert outcome.answer.facts == {"value": 3840}
        assert outcome.answer.as_of is not None
        assert outcome.answer.as_of.timestamp() == pytest.approx(path.stat().st_mtime, abs=1)
        assert isinstance(await hands.card(id_number="nobody"), Nothing)

        clock.offset += 4 * 86_400 * 1_000_000
        outcome = await hands.card(id_number=PEOPLE[0])
        assert isinstance(outcome, Failed)
        assert outcome.what == "the last file is older than 3d"


async def test_a_row_may_say_its_own_time(tmp_path: Path, drops: Drops) -> None:
    """A column instead of the file's time."""
    head = "身份证号,应缴金额,状态,月"
    text = f"{head}\r\n{PEOPLE[0]},1,未缴,202610\r\n"
    columns = {"id": "身份证号", "amount": "应缴金额", "status": "状态", "month": "月"}
    leave(tmp_path, "bills-1.csv", text)
    await drops.take_in(office(tmp_path, columns=columns, as_of="month", as_of_format="%Y%m"))
    found = await drops.find(OFFICE, PEOPLE[0])
    assert found is not None
    assert found[1] == 1_790_784_000_000_000
