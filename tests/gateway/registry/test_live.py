"""Workers follow the ledger: first start, every later revision, whatever cannot be served."""

import asyncio
from pathlib import Path

import pytest

from gateway.registry import revisions
from gateway.registry.gather import gather
from gateway.registry.generation import Generation
from gateway.registry.live import Live
from gateway.registry.prepare import prepare
from gateway.store.ledger import LedgerAway
from gateway.store.volatile import Volatile
from tests.gateway.registry import samples
from tests.gateway.registry.conftest import Bench


async def until(live: Live, revision: int, seconds: float = 10) -> None:
    """Wait until a worker serves it."""
    async with asyncio.timeout(seconds):
        while live.current.revision < revision:
            await asyncio.sleep(0.01)


async def test_an_empty_ledger_takes_the_file_as_version_one(bench: Bench) -> None:
    """Of four workers starting at once one makes it; all serve the same bytes."""
    workers = [bench.live() for _ in range(4)]
    await asyncio.gather(*(worker.start() for worker in workers))
    assert {w.current.revision for w in workers} == {1}
    assert len({w.current.digest for w in workers}) == 1
    assert workers[0].current.services == ("gjj", "care", "plain")
    assert bench.copy.base() == 1


async def test_a_broken_plugin_is_parked_and_all_else_serves(bench: Bench) -> None:
    """Tolerant at start: a package that cannot load is named; no other entry is missing."""
    (bench.folder / "plugins/gjj/recipe.yaml").write_text("recipe: [")
    worker = bench.live()
    await worker.start()
    entry = worker.current.entry("gjj")
    assert entry is not None
    assert entry.parked
    assert "gjj" in worker.current.parked
    assert worker.current.entry("care") is not None


async def test_a_file_that_cannot_be_read_leaves_nothing_to_serve(bench: Bench) -> None:
    """The program is up, says why, and takes the file once it is mended."""
    good = bench.text()
    bench.registry.write_text("a: [")
    worker = bench.live()
    await worker.start()
    assert worker.current.revision == 0
    assert worker.trouble
    bench.registry.write_text(good)
    await worker.start()
    assert worker.current.revision == 1


@pytest.mark.parametrize("id_", ["F63"], ids=["F63"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xef\xbb\xbfregistry: 1\n", "注册: 一".encode("gbk"), b"\ta: 1\n", b"a: &a [*a]\n",
     b"x" * (9 << 20), b"a: 1\n---\nb: 2\n", b"[" * 100_000, b"\x00\x01\x02"],
    ids=["empty", "bom", "gbk", "tab", "alias", "huge", "two", "deep", "binary"],
)  # fmt: skip
async def test_no_file_whatever_loses_the_last_revision(
    bench: Bench, content: bytes, id_: str
) -> None:
    """Anything at all in the file: what is live stays, byte for byte, and findings are named."""
    assert id_
    await bench.publish()
    worker = bench.live()
    await worker.start()
    bench.registry.write_bytes(content)
    files, found = gather(bench.registry, bench.folder / "plugins")
    if "service_registry.yaml" in files:
        found += prepare(files, environment="demo", variables={}, revision=2, now=0).findings
    assert [f for f in found if f.severity == "error"]
    await worker.look()
    assert worker.current.revision == 1


async def test_a_folder_in_place_of_the_file_is_named(bench: Bench) -> None:
    """A directory is no registry."""
    bench.registry.unlink()
    bench.registry.mkdir()
    assert [f.code for f in gather(bench.registry, bench.folder / "plugins")[1]]


async def test_a_notice_is_quicker_than_the_poll(bench: Bench, volatile: Volatile) -> None:
    """Told by another worker it adopts within a moment; without being told, within seconds."""
    await bench.publish()
    told = Live(
        ledger=bench.ledger, volatile=volatile, clock=bench.clock,
        workshop=bench.publisher.workshop, registry=bench.registry,
        plugins=bench.folder / "plugins",
    )  # fmt: skip
    alone = bench.live()
    await told.start()
    await alone.start()
    following = [asyncio.create_task(one.follow()) for one in (told, alone)]
    await asyncio.sleep(0.2)
    await bench.publish(samples.registry(samples.GJJ), base=1)
    await told.announce(2)
    await asyncio.gather(until(told, 2), until(alone, 2, 5))
    for task in following:
        task.cancel()


async def test_a_request_keeps_the_generation_it_took(bench: Bench) -> None:
    """Adopting is one assignment: what was taken before stays whole."""
    await bench.publish()
    worker = bench.live()
    await worker.start()
    taken = worker.current
    await bench.publish(samples.registry(samples.GJJ), base=1)
    await worker.look()
    assert worker.current.services == ("gjj",)
    assert taken.services == ("gjj", "care", "plain")
    care = taken.entry("care")
    assert care is not None
    assert care.name.zh == "居家养老"


async def test_what_did_not_change_is_taken_over(bench: Bench) -> None:
    """Entries and packages that are the same are the same objects: nothing is opened again."""
    await bench.publish()
    worker = bench.live()
    await worker.start()
    before = worker.current.entry("gjj"), worker.current.package("gjj")  # type: ignore[arg-type]
    await bench.publish(samples.registry().replace("上门服务, en", "上门照护, en"), base=1)
    await worker.look()
    assert worker.current.entry("gjj") is before[0]
    assert worker.current.package("gjj") is before[1]  # type: ignore[arg-type]


async def test_a_damaged_artefact_is_made_anew(bench: Bench) -> None:
    """A half-written file in the state folder costs one more preparing, not the service."""
    await bench.publish()
    revision = await bench.ledger.read(revisions.latest)
    assert revision is not None
    path = bench.publisher.workshop.path(1, revision.manifest)
    path.write_bytes(path.read_bytes()[:-100])
    worker = bench.live()
    await worker.start()
    assert worker.current.revision == 0
    bench.clock.monotonic = lambda base=bench.clock.monotonic: base() + 60  # type: ignore[method-assign, misc]
    await worker.look()
    assert worker.current.revision == 1


async def test_what_is_live_stays_live_without_the_ledger(bench: Bench, tmp_path: Path) -> None:
    """A ledger that is gone changes nothing of what is served."""
    await bench.publish()
    worker = bench.live()
    await worker.start()
    following = asyncio.create_task(worker.follow())
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    with pytest.raises(LedgerAway):
        await worker.look()
    worker.hurry()
    await asyncio.sleep(0.1)
    assert worker.current.revision == 1
    assert not following.done()
    (tmp_path / "away.db").rename(tmp_path / "ledger.db")
    await bench.publish(samples.registry(samples.GJJ), base=1)
    await until(worker, 2)
    following.cancel()


def test_bytes_are_the_same_on_every_node() -> None:
    """Preparing twice gives one digest, whatever was prepared before."""
    one = samples.prepared(samples.files())
    other = samples.prepared(samples.files(samples.registry(samples.GJJ)))
    assert other.artefact is not None
    two = samples.prepared(samples.files(), before=Generation.load(other.artefact))
    assert one.digest == two.digest
    assert one.artefact is not None
    assert two.artefact is not None
    first, second = Generation.load(one.artefact), Generation.load(two.artefact)
    assert first.services == second.services
    assert [first.digest_of(s) for s in first.services] == [
        second.digest_of(s) for s in first.services
    ]


@pytest.mark.parametrize("id_", ["P21"], ids=["P21"])
def test_a_changed_entry_changes_no_other(id_: str) -> None:
    """All other entries keep their digest, so copies, breakers and connections stay."""
    assert id_
    before = samples.generation()
    after = samples.generation(
        samples.files(samples.registry().replace("上门服务, en", "上门照护, en")), before
    )
    changed = [s for s in after.services if after.digest_of(s) != before.digest_of(s)]
    assert changed == ["care"]
