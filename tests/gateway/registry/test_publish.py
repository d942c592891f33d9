"""Publishing: all or nothing, one after another, with who and why; back again, plugins included."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.clock import OffsetClock
from gateway.errors import Conflict, Invalid, NotFound, StaleEdit
from gateway.registry import revisions
from gateway.registry.publish import Published, Publisher
from gateway.registry.revisions import Revision
from gateway.registry.workshop import CannotPrepare, Workshop
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.tables import blob
from tests.gateway.registry import samples
from tests.gateway.registry.conftest import Bench

Names = Callable[[], Awaitable[list[str]]]


async def test_a_published_revision_says_who_and_why(bench: Bench, names: Names) -> None:
    """Number, author, reason, contents and one audit event stand together."""
    done = await bench.publish(author="cli:chen")

    found = await bench.ledger.read(revisions.latest)
    assert isinstance(found, Revision)
    assert (done.revision, found.author, found.reason) == (1, "cli:chen", "test")
    assert await bench.ledger.read(lambda c: revisions.files_of(c, 1)) == samples.files()
    assert bench.announced == [1]
    assert await names() == ["registry.published"]


async def test_the_same_again_is_no_revision(bench: Bench) -> None:
    """Publishing what is live changes nothing and says so."""
    await bench.publish()
    again = await bench.publisher.publish(samples.files(), base=1, author="a", reason="r")
    assert isinstance(again, Published)
    assert not again.changed
    assert await bench.ledger.read(revisions.latest_id) == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 401])
async def test_without_a_reason_nothing_is_published(bench: Bench, reason: str) -> None:
    """The reason is compulsory, for every act."""
    await bench.publish()
    text = samples.registry(samples.GJJ)
    with pytest.raises(Invalid):
        await bench.publisher.publish(samples.files(text), base=1, author="a", reason=reason)
    with pytest.raises(Invalid):
        await bench.publisher.restore(1, author="a", reason=reason)
    with pytest.raises(Invalid):
        await bench.publisher.suspend("gjj", author="a", reason=reason)
    assert await bench.ledger.read(revisions.latest_id) == 1


async def test_one_error_keeps_everything_back(bench: Bench, names: Names) -> None:
    """Every mistake is returned, nothing is written, the last revision stays."""
    await bench.publish()
    text = samples.registry().replace("topic: health", "topic: helth").replace("zjj\n", "zjx\n")
    found = await bench.publisher.publish(samples.files(text), base=1, author="a", reason="r")
    assert isinstance(found, list)
    assert len({f.code for f in found}) > 1
    assert await bench.ledger.read(revisions.latest_id) == 1
    assert await names() == ["registry.published"]


async def test_an_edit_of_something_older_is_refused(bench: Bench) -> None:
    """Who looked at revision 1 cannot overwrite revision 2 unseen."""
    await bench.publish()
    await bench.publish(samples.registry(samples.GJJ), base=1)
    with pytest.raises(StaleEdit) as refused:
        await bench.publisher.publish(samples.files(), base=1, author="a", reason="r")
    assert refused.value.members == {"base": 1, "current": 2}


@pytest.fixture
async def shared(
    ledger_url: str, tmp_path: Path, clock: OffsetClock
) -> AsyncIterator[list[Publisher]]:
    """Two publishers on one ledger, as on two hosts, of each kind."""

    async def announce(_: int) -> None:
        """Nobody listens."""

    async with (
        open_ledger(ledger_url, clock=clock) as one,
        open_ledger(ledger_url, clock=clock) as two,
    ):
        yield [
            Publisher(ledger, clock, samples.workshop(tmp_path / name), announce)
            for ledger, name in ((one, "a"), (two, "b"))
        ]


async def test_of_two_publishers_at_once_one_wins(shared: list[Publisher]) -> None:
    """Both edit revision 1: one becomes 2, the other is told; no half of either is left."""
    assert isinstance(
        await shared[0].publish(samples.files(), base=0, author="a", reason="r"), Published
    )
    texts = [samples.registry(samples.GJJ), samples.registry(samples.CARE, samples.plain("plain"))]
    done = await asyncio.gather(
        *(
            one.publish(samples.files(text), base=1, author="a", reason="r")
            for one, text in zip(shared, texts, strict=True)
        ),
        return_exceptions=True,
    )
    kinds = sorted(type(d).__name__ for d in done)
    assert kinds == ["Published", "StaleEdit"]
    won = next(n for n, d in enumerate(done) if isinstance(d, Published))
    files = await shared[0].ledger.read(lambda c: revisions.files_of(c, 2))
    assert files == samples.files(texts[won])
    assert await shared[0].ledger.read(revisions.latest_id) == 2


async def test_suspensions_at_the_same_time_both_hold(shared: list[Publisher]) -> None:
    """Two admins suspend two services in one moment: both are suspended, one after the other."""
    await shared[0].publish(samples.files(), base=0, author="a", reason="r")
    done = await asyncio.gather(
        shared[0].suspend("gjj", author="a", reason="故障", sentence={"zh": "维护", "en": "Down"}),
        shared[1].suspend(
            "plain", author="b", reason="演练", sentence={"zh": "维护", "en": "Down"}
        ),
    )
    assert sorted(d.revision for d in done if isinstance(d, Published)) == [2, 3]
    files = await shared[0].ledger.read(lambda c: revisions.files_of(c, 3))
    assert files["service_registry.yaml"].count(b"state: suspended") == 2


async def test_restoring_brings_the_plugins_back_too(bench: Bench, names: Names) -> None:
    """Revision 3 has exactly the content of revision 1: registry file and plugin folder."""
    await bench.publish()
    older = samples.plugin(samples.MANIFEST.replace("version: 1.0.0", "version: 2.0.0"))
    changed = {**samples.files(samples.registry(samples.GJJ)), **older}
    await bench.publisher.publish(changed, base=1, author="a", reason="new plugin")

    done = await bench.publisher.restore(1, author="a", reason="broke")

    assert isinstance(done, Published)
    assert done.revision == 3
    assert await bench.ledger.read(lambda c: revisions.files_of(c, 3)) == samples.files()
    assert await names() == ["registry.published", "registry.published", "registry.restored"]
    worker = bench.live()
    await worker.start()
    assert worker.current.package("gjj").manifest.version == "1.0.0"  # type: ignore[arg-type]


async def test_a_revision_that_is_not_there_cannot_be_restored(bench: Bench) -> None:
    """Unknown numbers are not found."""
    await bench.publish()
    with pytest.raises(NotFound):
        await bench.publisher.restore(41, author="a", reason="r")


async def test_a_restored_revision_must_still_hold(bench: Bench, names: Names) -> None:
    """By today's rules an old revision may be wrong: refused with findings."""
    await bench.publish()
    await bench.publish(samples.registry(samples.GJJ), base=1)
    elsewhere = Publisher(
        bench.ledger, bench.clock, samples.workshop(bench.folder / "p", "production"),
        bench.publisher.announce,
    )  # fmt: skip
    done = await elsewhere.restore(1, author="a", reason="r")
    assert isinstance(done, list)
    assert [f for f in done if f.code == "invented"]
    assert len(await names()) == 2


SENTENCE = {"zh": "系统维护，请明天再来。", "en": "Closed for today."}


async def test_suspending_writes_back_and_keeps_every_comment(bench: Bench, names: Names) -> None:
    """The file gets the suspension, every other byte stays; resuming takes it out again."""
    await bench.publish()
    before = bench.text()

    done = await bench.publisher.suspend("gjj", author="c1", reason="接口故障", sentence=SENTENCE)

    assert isinstance(done, Published)
    assert done.left == ()
    after = bench.text()
    assert "接口故障" in after
    assert SENTENCE["zh"] in after
    lines = after.splitlines()
    assert [line for line in before.splitlines() if line not in lines] == []
    assert bench.copy.base() == done.revision

    opened = await bench.publisher.resume("gjj", author="c1", reason="修好了")
    assert isinstance(opened, Published)
    assert "suspended" not in bench.text()
    assert "# 公积金" in bench.text()
    assert "# a comment that must stay" in bench.text()
    assert await names() == ["registry.published", "service.suspended", "service.resumed"]


async def test_an_edit_begun_in_the_file_is_kept(bench: Bench) -> None:
    """Somebody is working on the file: her lines stay, the suspension is made in it as well."""
    await bench.publish()
    mine = bench.text().replace("order: 10", "order: 77", 1)
    bench.registry.write_text(mine, "utf-8")

    done = await bench.publisher.suspend("care", author="c1", reason="停", sentence=SENTENCE)

    assert isinstance(done, Published)
    assert done.left == ()
    assert "order: 77" in bench.text()
    assert "state: suspended" in bench.text()
    live = await bench.ledger.read(lambda c: revisions.files_of(c, 2))
    assert b"order: 77" not in live["service_registry.yaml"]


async def test_a_broken_file_is_left_alone_and_named(bench: Bench) -> None:
    """What cannot be read cannot be edited: the act holds all the same, the file is named."""
    await bench.publish()
    bench.registry.write_text("services: {", "utf-8")
    done = await bench.publisher.suspend("care", author="c1", reason="停", sentence=SENTENCE)
    assert isinstance(done, Published)
    assert done.left == ("service_registry.yaml",)
    assert bench.text() == "services: {"


async def test_a_service_is_switched_off_whatever_else_is_wrong(bench: Bench) -> None:
    """Errors elsewhere do not stand between an admin and the switch."""
    await bench.publish(
        samples.registry().replace("https://care.anlan.example/", "https://127.0.0.1/")
    )
    strict = Publisher(
        bench.ledger, bench.clock, samples.workshop(bench.folder / "p", "staging"),
        bench.publisher.announce,
    )  # fmt: skip
    refused = await strict.publish(
        samples.files(samples.registry().replace("https://care.anlan.example/", "https://127.0.0.2/")),
        base=1, author="a", reason="r",
    )  # fmt: skip
    assert isinstance(refused, list)
    done = await strict.suspend("plain", author="a", reason="停", sentence=SENTENCE)
    assert isinstance(done, Published)


async def test_an_unknown_service_cannot_be_suspended(bench: Bench) -> None:
    """It is not found; nothing is written."""
    await bench.publish()
    with pytest.raises(NotFound):
        await bench.publisher.suspend("nobody", author="a", reason="r")
    with pytest.raises(StaleEdit):
        await bench.publisher.suspend("gjj", author="a", reason="r", base=7)
    assert await bench.ledger.read(revisions.latest_id) == 1
    assert Conflict.status == 409


async def test_a_child_that_fails_says_nothing_of_the_registry(bench: Bench) -> None:
    """A crashed or silent preparing is its own error, and nothing is published."""
    broken = Workshop(bench.folder / "s", "demo", {}, bench.clock, ("/bin/false",))
    publisher = Publisher(bench.ledger, bench.clock, broken, bench.publisher.announce)
    with pytest.raises(CannotPrepare):
        await publisher.publish(samples.files(), base=0, author="a", reason="r")
    assert await bench.ledger.read(revisions.latest_id) == 0


async def test_equal_contents_are_kept_once(bench: Bench, ledger: Ledger) -> None:
    """Ten revisions of one line do not keep the plugin ten times."""
    await bench.publish()
    for number in range(1, 4):
        text = samples.registry().replace("order: 10", f"order: {number}", 1)
        await bench.publish(text, base=number)
    count = await ledger.read(lambda c: c.execute(select(func.count()).select_from(blob)).scalar())
    assert count == len(samples.files()) + 3
