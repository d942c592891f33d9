"""What YAML readers disagree about is told, never guessed."""

import pytest

from tests.gateway.registry import samples

SURPRISES = {
    "no-as-word": ("topic: health", "topic: no", "yaml-1.1-word"),
    "octal": ("order: 10", "order: 010", "octal"),
    "base-60": ('opens: "08:30"', "opens: 8:30", "base-60"),
    "date": ('"2030-01-01T00:00:00+08:00"', "2030-01-01", "date"),
    "key-twice": ("    owner: zjj\n", "    owner: zjj\n    owner: zjj\n", "twice"),
    "entry-twice": ("  care:\n", "  care:\n    x: 1\n  care:\n", "twice"),
    "anchor": ("topic: health", "topic: &a health", "anchor"),
    "tag": ("topic: health", "topic: !!python/object:os.system health", "tag"),
    "merge": ("    owner: zjj\n", "    owner: zjj\n    <<: {a: 1}\n", "merge"),
}


@pytest.mark.parametrize("kind", SURPRISES, ids=[f"F66-{k}" for k in SURPRISES])
def test_a_surprise_is_an_error_with_its_line(kind: str) -> None:
    """Nothing is published while it stands; line and column are those of the value."""
    old, new, code = SURPRISES[kind]
    text = samples.registry(samples.GJJ, samples.CARE.replace(old, new, 1), samples.plain("plain"))
    done = samples.prepared(samples.files(text))
    found = [f for f in done.findings if f.code == code]
    assert found, done.findings
    assert done.artefact is None
    assert samples.HEAD.count("\n") + 2 < found[0].line <= text.count("\n")


def bomb(levels: int) -> bytes:
    """Each level names the one before nine times."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)
    ]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "content", [bomb(12), b"[" * 200_000, b"{a: " * 50_000, b"a: " + b"'" * 100_001],
    ids=["B72-aliases", "B72-lists", "B72-mappings", "B72-quotes"],
)  # fmt: skip
def test_a_bomb_costs_nothing(content: bytes) -> None:
    """Refused in a moment, without unfolding it."""
    given = {**samples.files(), "service_registry.yaml": content}
    done = samples.prepared(given)
    assert done.artefact is None
    assert done.findings


LINKS = (
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\\tscript:alert(1)", "data:text/html,<script>",
    "intent://x#Intent;end", "weixin://dl/business", "file:///etc/passwd", "//evil.example/", "evil.example",
    "https://", "https://user:word@care.anlan.example/", "https://care.anlan.example/\\r\\nX: y",
)  # fmt: skip


@pytest.mark.row("B12")
@pytest.mark.parametrize("link", LINKS)
def test_a_link_is_http_or_nothing(link: str) -> None:
    """No other scheme, however it is spelled, becomes a link on a card."""
    care = samples.CARE.replace("link: https://care.anlan.example/", f'link: "{link}"')
    assert link in care
    done = samples.prepared(
        samples.files(samples.registry(samples.GJJ, care, samples.plain("plain")))
    )
    assert done.artefact is None
    assert {f.code for f in done.findings if f.severity == "error"} == {"address"}


@pytest.mark.row("B73")
@pytest.mark.parametrize("sign", ["\u001b[31m", "\u202e", "\u200b", "\u0000", "\ud83d"], ids=ascii)
@pytest.mark.parametrize("written", ["raw", "escaped"])
def test_signs_that_nobody_sees_are_no_text(sign: str, written: str) -> None:
    """Terminals and consoles show what stands there: no colours, no turned-round letters."""
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) > 126 or ord(char) < 32 else char for char in sign
    )
    text = sign if written == "raw" else escaped
    care = samples.CARE.replace("{zh: 上门服务,", f'{{zh: "上门{text}服务",')
    assert text in care
    whole = samples.registry(samples.GJJ, care, samples.plain("plain"))
    raw = whole.encode("utf-8", "surrogatepass")
    done = samples.prepared({**samples.files(), "service_registry.yaml": raw})
    assert done.artefact is None
    found = {f.code for f in done.findings if f.severity == "error"}
    assert found & {"control", "invisible", "not-utf-8", "syntax"}, found
    assert len(found) == 1
