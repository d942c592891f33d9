"""The console's "last change" of an entry, and what differs in sentences."""

from gateway.registry.changes import Changes, entries_of
from gateway.registry.showing import shown_at
from tests.gateway.registry import samples
from tests.gateway.registry.conftest import Bench

PLUGINS = {"gjj": "gjj", "care": "", "plain": ""}


async def test_each_entry_names_the_revision_that_changed_it(bench: Bench) -> None:
    """A line of its own, its plugin's files, or nothing since the first version."""
    await bench.publish()
    text = samples.registry().replace("上门服务, en", "上门照护, en")
    await bench.publish(text, base=1)
    plugin = samples.plugin(samples.MANIFEST.replace("version: 1.0.0", "version: 1.1.0"))
    await bench.publisher.publish(
        {**samples.files(text), **plugin}, base=2, author="cli", reason="plugin"
    )
    noted = text.replace("# 公积金", "# 住房公积金").replace("    topic: health\n    order: 10",
                                                       "\n    topic: health\n    order: 10")  # fmt: skip
    await bench.publisher.publish(
        {**samples.files(noted), **plugin}, base=3, author="cli", reason="comment"
    )
    changes = Changes()
    for _ in range(2):  # the second time from what is known
        found = await bench.ledger.read(lambda c: changes.last(c, PLUGINS))
        assert {k: v.id for k, v in found.items()} == {"gjj": 3, "care": 2, "plain": 1}


def test_entries_are_told_apart_by_their_lines() -> None:
    """Comments, blank lines and what stands after the services do not count."""
    one = entries_of("services:\n  a:\n    x: 1\n  'b': # note\n    - y\nother:\n  a: 2\n")
    two = entries_of("registry: 1\nservices:\n\n  a: # hi\n\n    x: 1\n  # c\n  b:\n    - y\n")
    assert one == two
    assert set(one) == {"a", "b"}
    assert entries_of("services:\n  a:\n    x: 2\n")["a"] != one["a"]
    assert entries_of("nothing: here\n") == {}


def test_what_is_shown_depends_on_the_instant() -> None:
    """The last line whose time has come holds."""
    entry = samples.generation().entry("care")
    assert entry is not None
    assert shown_at(entry, 1_764_000_000_000_000).state == "published"
    assert shown_at(entry, 1_900_000_000_000_000).state == "retired"


async def test_the_difference_is_told_in_sentences(bench: Bench) -> None:
    """By a child process, in both languages; equal contents say so."""
    after = samples.files(samples.registry(samples.GJJ, samples.CARE.replace("免费", "10 元")))
    told = await bench.publisher.workshop.difference(samples.files(), after)
    assert any("10 元" in sentence for sentence in told["zh"])
    assert len(told["zh"]) == len(told["en"]) == 2
    same = await bench.publisher.workshop.difference(after, after)
    assert len(same["zh"]) == 1
