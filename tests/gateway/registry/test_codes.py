"""Every kind of mistake is named by its own code, at its own line and column, with a cure."""

import pytest

from gateway.conformance import surprises
from gateway.registry.codes import SENTENCES, WARNINGS
from gateway.registry.gather import REGISTRY, gather
from gateway.words.loader import table
from tests.gateway.registry import samples
from tests.gateway.registry.mistakes import ENTRY, FATAL, HEADS, Mistake, planted


def check(mistake: Mistake) -> tuple[str, int, list[tuple[str, int, int]]]:
    """Prepare a registry with one mistake; the text, lines above the planted part, findings."""
    text, _, _ = planted(mistake)
    whole = {"gjj": samples.GJJ, "care": samples.CARE, "plain": samples.plain("plain")}
    if mistake.base == "head":
        above, document = 0, text + "services:\n" + "".join(whole.values())
    elif mistake.base == "text":
        begin = samples.HEAD + "services:\n" + "".join(whole.values())
        above, document = begin.count("\n"), begin + text
    else:
        parts = [samples.HEAD, "services:\n"]
        above = 0
        for name, entry in whole.items():
            if name == mistake.base:
                above = "".join(parts).count("\n")
            parts.append(text if name == mistake.base else entry)
        document = "".join(parts)
    done = samples.prepared(
        samples.files(document), environment=mistake.environment, now=mistake.now
    )
    return document, above, [(f.code, f.line, f.column) for f in done.findings]


@pytest.mark.parametrize("mistake", [*ENTRY, *FATAL], ids=lambda m: m.code)
def test_each_mistake_is_named_where_it_stands(mistake: Mistake) -> None:
    """One planted mistake gives its code at its line and column."""
    _, above, found = check(mistake)
    _, _, place = planted(mistake)
    assert mistake.code in [code for code, _, _ in found]
    if place is not None:
        assert (mistake.code, place[0] + above + 1, place[1]) in found


@pytest.mark.parametrize("mistake", HEADS, ids=lambda m: f"head-{m.code}")
def test_mistakes_in_the_head_are_named(mistake: Mistake, tmp_path) -> None:
    """City, topics, departments and `include` have their own findings."""
    text, _, place = planted(mistake)
    document = text + "services:\n" + samples.GJJ + samples.CARE + samples.plain("plain")
    registry = samples.write(tmp_path, samples.files(document))
    given, found = gather(registry, tmp_path / "plugins")
    found += samples.prepared(given).findings
    assert place is None or (mistake.code, place[0] + 1, place[1]) in [
        (f.code, f.line, f.column) for f in found
    ]
    assert mistake.code in [f.code for f in found]


def test_the_sample_itself_is_clean() -> None:
    """Without a planted mistake there is no finding, in any environment that it is made for."""
    assert samples.prepared(samples.files()).findings == []


OWN = [m for m in ENTRY if m.base != "text" and m.environment == "demo"]


@pytest.mark.parametrize("mistake", OWN, ids=lambda m: f"{m.base}-{m.code}")
def test_a_mistake_disturbs_no_other_entry(mistake: Mistake) -> None:
    """What is wrong in one entry is not said of another."""
    document, _, found = check(mistake)
    lines = document.split("\n")
    begin = {"gjj": "  gjj:", "care": "  care:", "plain": "  plain:"}[mistake.base]
    first = next(n for n, line in enumerate(lines) if line.startswith(begin)) + 1
    last = next(
        (
            n
            for n, line in enumerate(lines)
            if n >= first and line.startswith("  ") and line[2] != " "
        ),
        len(lines),
    )
    assert all(first <= line <= last for _, line, _ in found)


def test_each_code_has_a_sentence_in_both_languages() -> None:
    """Admins read a sentence for each code."""
    for code in {*SENTENCES, *surprises.SENTENCES}:
        for language in ("zh", "en"):
            assert table(language)[f"registry.code.{code}"]


def test_each_sentence_has_a_cure() -> None:
    """A finding says what to do, except where the cure depends on what there is."""
    open_ended = {code for code, (_, cure) in SENTENCES.items() if not cure}
    assert open_ended <= {c for c in SENTENCES if c.startswith("unknown-")} | {"credit-code"}
    assert SENTENCES.keys() >= WARNINGS


def test_at_least_forty_kinds_are_told_apart() -> None:
    """The table of planted mistakes covers forty kinds and more."""
    kinds = {mistake.code for mistake in (*ENTRY, *HEADS, *FATAL)}
    assert len(kinds) >= 60
    assert REGISTRY
