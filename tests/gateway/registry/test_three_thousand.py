"""Three thousand entries over included files: forty mistakes named in one run (A5)."""

import time
from collections.abc import Callable
from pathlib import Path

from gateway.conformance.finding import Finding
from gateway.registry.gather import gather
from gateway.registry.generation import Generation
from gateway.registry.making import Maker
from gateway.registry.reading import read_files
from tests.gateway.registry import samples
from tests.gateway.registry.mistakes import ENTRY, FATAL, Mistake, planted

FILES = 30
EACH = 100  # entries in a file
WANTED = [m for m in ENTRY if m.base in ("care", "plain") and m.environment == "demo" and not m.now]


def big(folder: Path, mistakes: list[Mistake], fatal: list[Mistake]) -> tuple[Path, set[tuple]]:
    """Write the registry; where each planted mistake must be found."""
    bodies = [["services:\n"] for _ in range(FILES)]
    expected: set[tuple] = set()
    number = 0
    for index in range(FILES * EACH):
        body = bodies[index % FILES]
        at = "".join(body).count("\n")
        if index % 70 == 0 and number < len(mistakes):
            text, _, place = planted(mistakes[number], f"e{index}")
            if place:
                expected.add((f"parts/{index % FILES:02d}.yaml", place[0] + at + 1, place[1],
                              mistakes[number].code))  # fmt: skip
            number += 1
        else:
            text = samples.plain(f"e{index}")
        body.append(text)
    for index, one in enumerate(fatal):
        text, _, place = planted(one)
        body = bodies[-1 - index]
        at = "".join(body).count("\n")
        assert place is not None
        expected.add((f"parts/{FILES - 1 - index:02d}.yaml", place[0] + at + 1, place[1], one.code))
        body.append(text)
    head = samples.HEAD + "include: [parts/*.yaml]\nservices:\n" + samples.GJJ
    head += samples.plain("plain")
    parts = {f"parts/{n:02d}.yaml": "".join(body).encode() for n, body in enumerate(bodies)}
    return samples.write(folder, samples.files(head, **parts)), expected


def where(findings: list[Finding]) -> set[tuple]:
    """File, line, column and code of each."""
    return {(f.file, f.line, f.column, f.code) for f in findings}


def test_forty_mistakes_are_named_where_they_stand(tmp_path: Path) -> None:
    """All of them in one run, spread over thirty files; those that end a file's reading as well."""
    placed = [m for m in WANTED if "§" in m.new][:36]
    registry, expected = big(tmp_path, placed, list(FATAL[:4]))
    assert len(expected) >= 40
    files, found = gather(registry, tmp_path / "plugins")
    done = samples.prepared(files)
    named = where([*found, *done.findings])
    assert expected - named == set()
    assert done.artefact is None
    # and not a flood of others: what follows from a mistake is not told as one more
    assert len([n for n in named if n not in expected]) <= 3


def test_three_thousand_entries_are_prepared_whole(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Clean, all served; one changed entry is prepared anew alone. Times are noted, not judged."""
    registry, _ = big(tmp_path, [], [])
    files, found = gather(registry, tmp_path / "plugins")
    assert found == []
    began = time.perf_counter()
    done = samples.prepared(files)
    whole = time.perf_counter() - began
    assert done.findings == []
    assert done.artefact is not None
    began = time.perf_counter()
    generation = Generation.load(done.artefact)
    known = Maker("demo", {}, generation).known
    assert len(known) > FILES * EACH  # each entry is remembered, so that only changed ones are read
    loaded = time.perf_counter() - began
    assert len(generation.services) == FILES * EACH + 2

    path = "parts/07.yaml"
    changed = {**files, path: files[path].replace("服务e7".encode(), "改名e7".encode(), 1)}
    began = time.perf_counter()
    again = samples.prepared(changed, before=generation)
    one = time.perf_counter() - began
    assert again.artefact is not None
    after = Generation.load(again.artefact, generation)
    assert sum(not file.cut for file in read_files(changed, known)) <= 1
    differ = [s for s in after.services if after.digest_of(s) != generation.digest_of(s)]
    assert differ == ["e7"]
    for name, seconds in (("whole", whole), ("one", one), ("load", loaded)):
        record_property(name, round(seconds, 3))
