"""The leader's eye on the files: saved is published, broken is explained, old is never rolled back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.registry import revisions
from gateway.registry.publish import Published
from gateway.registry.watch import Report, Watch
from gateway.registry.working_copy import WorkingCopy
from tests.gateway.registry import samples
from tests.gateway.registry.conftest import Bench
from tests.gateway.registry.test_publish import SENTENCE


def watch(bench: Bench, *, publishing: bool = True) -> Watch:
    """A watch that looks when the test says so."""
    return Watch(
        publisher=bench.publisher, copy=bench.copy, clock=bench.clock, publishing=publishing
    )


@pytest.fixture
async def eye(bench: Bench) -> Watch:
    """Version 1 is live and the files stand at it."""
    await bench.publish()
    made = watch(bench)
    await made.look()
    return made


async def latest(bench: Bench) -> int:
    """The live revision."""
    return int(await bench.ledger.read(revisions.latest_id))


async def test_a_saved_edit_is_published_by_the_file(bench: Bench, eye: Watch) -> None:
    """Author `file`, a reason that names the file, nothing to mend."""
    bench.registry.write_text(bench.text().replace("上门服务, en", "上门照护, en"), "utf-8")
    await eye.look()
    found = await bench.ledger.read(revisions.latest)
    assert found is not None
    assert (found.id, found.author) == (2, "file")
    assert "service_registry.yaml" in found.reason
    assert eye.findings == []
    assert eye.drift is None


async def test_a_broken_edit_is_explained_and_nothing_is_published(
    bench: Bench, eye: Watch
) -> None:
    """The page of any worker names line and cure; mended, it is published."""
    good = bench.text()
    bench.registry.write_text(good.replace("topic: health", "topic: helth", 1), "utf-8")
    await eye.look()
    assert await latest(bench) == 1
    told = Report.load(bench.copy.state)
    assert [f.code for f in told.findings] == ["unknown-topic"]
    line = good.split("\n").index("    topic: health") + 1
    assert (told.findings[0].line, told.findings[0].column) == (line, 12)
    assert told.findings[0].cure

    bench.registry.write_text(good.replace("order: 10", "order: 11", 1), "utf-8")
    await eye.look()
    assert await latest(bench) == 2
    assert Report.load(bench.copy.state).findings == []


async def test_an_old_file_does_not_roll_the_city_back(bench: Bench, eye: Watch) -> None:
    """A file that equals revision 1 while 2 is live is drift: shown, never published."""
    old = bench.text()
    bench.registry.write_text(old.replace("order: 10", "order: 12", 1), "utf-8")
    await eye.look()
    bench.registry.write_text(old, "utf-8")
    await eye.look()
    await eye.look()
    assert await latest(bench) == 2
    assert eye.drift is not None
    assert (eye.drift.live, eye.drift.like) == (2, 1)
    assert eye.drift.paths == ("service_registry.yaml",)


@pytest.mark.parametrize("id_", ["F70"], ids=["F70"])
async def test_another_node_with_an_old_edit_does_not_publish_it(
    bench: Bench, tmp_path: Path, id_: str
) -> None:
    """A node that starts with files of which nobody knows what they are an edit of only shows it."""
    assert id_
    await bench.publish()
    await bench.publish(samples.registry(samples.GJJ, samples.CARE, samples.plain("plain"),
                                         samples.plain("new")), base=1)  # fmt: skip
    shutil.rmtree(bench.copy.state, ignore_errors=True)
    bench.registry.write_text(samples.registry().replace("order: 10", "order: 9", 1), "utf-8")
    copy = WorkingCopy(bench.registry, bench.folder / "plugins", tmp_path / "other")
    (tmp_path / "other").mkdir()
    node = Watch(publisher=bench.publisher, copy=copy, clock=bench.clock, publishing=True)
    await node.look()
    await node.look()
    assert await latest(bench) == 2
    assert node.drift is not None
    assert node.drift.like is None


async def test_what_the_console_published_is_brought_into_the_files(
    bench: Bench, eye: Watch
) -> None:
    """A suspension from elsewhere appears in the file; the watch does not publish it back."""
    elsewhere = await bench.publisher.suspend("gjj", author="c1", reason="停", sentence=SENTENCE)
    assert isinstance(elsewhere, Published)
    await eye.look()
    assert "state: suspended" in bench.text()
    assert await latest(bench) == 2
    assert eye.drift is None


async def test_a_revision_of_another_host_is_brought_forward(bench: Bench, eye: Watch) -> None:
    """The files stood at its base and nobody edits them: they are brought to it."""
    text = samples.registry(samples.GJJ, samples.plain("plain"))
    await bench.publish(text, base=1)
    await eye.look()
    assert bench.text() == text
    assert await latest(bench) == 2


async def test_where_nothing_is_published_by_itself_drift_and_findings_are_shown(
    bench: Bench,
) -> None:
    """In production the file is not the truth, but its mistakes are named all the same."""
    await bench.publish()
    quiet = watch(bench, publishing=False)
    bench.registry.write_text(bench.text().replace("topic: health", "topic: helth", 1), "utf-8")
    await quiet.look()
    assert await latest(bench) == 1
    assert quiet.drift is not None
    assert [f.code for f in quiet.findings] == ["unknown-topic"]


@asynccontextmanager
async def looking(one: Watch) -> AsyncIterator[None]:
    """The watch runs as in the leader."""
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()


async def until(bench: Bench, revision: int) -> None:
    """Wait for a revision."""
    async with asyncio.timeout(10):
        while await latest(bench) < revision:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("id_", ["F64"], ids=["F64"])
async def test_half_a_file_never_goes_live(bench: Bench, eye: Watch, id_: str) -> None:
    """Written in pieces, swapped by rename, replaced by a link: only whole contents are published."""
    assert id_
    whole = bench.text().replace("order: 10", "order: 21", 1)
    async with looking(eye):
        with bench.registry.open("w", encoding="utf-8") as file:
            for begin in range(0, len(whole), 200):
                file.write(whole[begin : begin + 200])
                file.flush()
                await asyncio.sleep(0.02)
        await until(bench, 2)
        swap = bench.registry.with_suffix(".swp")
        swap.write_text(whole.replace("order: 21", "order: 22"), "utf-8")
        os.replace(swap, bench.registry)  # noqa: PTH105 - as editors do it
        await until(bench, 3)
        elsewhere = bench.folder / "kept.yaml"
        elsewhere.write_text(whole.replace("order: 21", "order: 23"), "utf-8")
        bench.registry.unlink()
        bench.registry.symlink_to(elsewhere)
        await until(bench, 4)
    for number in range(2, 5):
        files = await bench.ledger.read(lambda c, n=number: revisions.files_of(c, n))
        assert files["service_registry.yaml"].decode().endswith('phone: "10000002103"\n')


async def test_a_plugin_that_is_changed_is_published_too(bench: Bench, eye: Watch) -> None:
    """Plugin folders belong to the revision as the registry file does."""
    path = bench.folder / "plugins/gjj/plugin.yaml"
    async with looking(eye):
        path.write_text(path.read_text().replace("version: 1.0.0", "version: 1.1.0"))
        await until(bench, 2)
    found = await bench.ledger.read(revisions.latest)
    assert found is not None
    assert "plugins/gjj/plugin.yaml" in found.reason
