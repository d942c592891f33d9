"""Expressions: what our grammar takes, and what it must not."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.hosting.recipes.expressions import BadExpression, compiled, pattern
from gateway.hosting.recipes.expressions import tested as looks

DATA = {
    "code": 0,
    "data": {"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "ok": True},
    "名": "甲",
}
XML = etree.fromstring(
    "<r xmlns:q='urn:q'><q:head><code> 1 </code></q:head><row><k>a</k><v n='1'>A</v></row><row><k>b</k><v>B</v></row></r>"
)


@pytest.mark.parametrize(
    ("text", "one", "every"),
    [
        ("code", 0, [0]),
        ("data.ok", True, [True]),
        ("data.rows[1].b", "y", ["y"]),
        ("data.rows[-1].a", 2, [2]),
        ("data.rows[*].a", 1, [1, 2]),
        ("data.rows[0:1].b", "x", ["x"]),
        ("data.rows[?b=='y'].a", 2, [2]),
        ("data.rows[?a==`2`].b", "y", ["y"]),
        ("data.none.deeper", None, []),
        ('"名"', "甲", ["甲"]),
    ],
)
def test_paths_of_json(text: str, one: Any, every: list[Any]) -> None:
    """Fields, index, slice, projection, filter with one comparison."""
    assert compiled(text, "json").one(DATA) == one
    assert compiled(text, "json").every(DATA) == every


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"B70-{n}") for n, text in enumerate((
        "length(data)", "sum(data.rows[*].a)", "data.rows[]", "*.a", "data | code", "a || b", "!a", "[a, b]",
        "{x: a}", "a[*].b[*].c[*]", "a[?b=='1' && c=='2']", "a[?b==c.d[*]]", "a[?length(b)==`1`]", "&a",
        "@@", "a..b", "", "a" * 201, "a[*]" * 40, "to_string(@)", "__class__.__mro__()", "9**9**9", "'x' * 1000000000",
        "a[?contains(b, 'x')]", "sort_by(a, &b)", "map(&a, b)", "`[" + "1," * 50,
    ))],
)  # fmt: skip
def test_what_could_run_away_is_refused(text: str) -> None:
    """Functions, flatten, pipes, multi-selects, three projections: each with a cure or a reason."""
    with pytest.raises(BadExpression):
        compiled(text, "json")


@pytest.mark.parametrize(
    ("text", "one", "count"),
    [
        ("/r/row/k", "a", 2),
        ("row[2]/v", "B", 1),
        ("row[k='b']/v", "B", 1),
        ("//code", " 1 ", 1),
        ("string(//q:head/code)", " 1 ", 1),
        ("normalize-space(//code)", "1", 1),
        ("row/v/@n", "1", 1),
        ("row/k/text()", "a", 2),
        ("none/here", None, 0),
        ("string(none)", "", 1),
    ],
)
def test_paths_of_xml(text: str, one: Any, count: int) -> None:
    """Location paths with small predicates, two functions."""
    made = compiled(text, "xml", {"q": "urn:q"})
    assert made.one(XML) == one
    assert len(made.every(XML)) == count


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"B70-xml-{n}") for n, text in enumerate((
        "//a//b", "//*[//b]", "a[count(b)>1]", "a | b", "ancestor::a", "../a", "id('x')", "document('file:///etc/passwd')",
        "string(//a//b)", "concat(a, b)", "a[b or c]", "a[position()<9]", "$x", "x:unknown", "", "/", "//",
        "a" + "/a" * 20, "string(string(a))", "a[0]", "a[b=c]", "a[1][2][3][4]", "processing-instruction()",
    ))],
)  # fmt: skip
def test_xpath_that_could_run_away_is_refused(text: str) -> None:
    """`//` twice, axes, unions, functions, unknown prefixes."""
    with pytest.raises(BadExpression):
        compiled(text, "xml", {"q": "urn:q"})


BAD = (
    "(a+)+$", "(a|aa)+$", "(.*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "(?:a|a?)+$", "([a-zA-Z]+)*$",
    "(.*a){20}", "^(a?){25}a{25}$", "(\\w+\\s?)*$",
)  # fmt: skip


@pytest.mark.parametrize("text", [pytest.param(text, id=f"B71-{n}") for n, text in enumerate(BAD)])
def test_patterns_are_linear(text: str) -> None:
    """What makes others backtrack for hours reads 100,000 characters here."""
    begun = time.process_time()
    pattern(text).fullmatch("a" * 100_000 + "!")
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    "text", ["(?=a)", "(a)\\1", "(?<!a)b", "(", "a" * 201, "(?P<x", "x{1001}{1001}", "\udc00"]
)
def test_patterns_that_re2_does_not_take(text: str) -> None:
    """Look-around, back references, nonsense."""
    with pytest.raises(BadExpression):
        pattern(text)


def test_groups_of_text() -> None:
    """`re:` wants exactly one group and reads text only."""
    made = compiled(r"re:余额[:：]\s*([0-9.]+)", "text")
    assert made.one("您的余额：12.50 元, 余额: 3") == "12.50"
    assert made.every("您的余额：12.50 元, 余额: 3") == ["12.50", "3"]
    assert made.one("none") is None
    for text, read in (
        ("re:a", "text"),
        ("re:(a)(b)", "text"),
        ("re:(a)", "json"),
        ("a.b", "text"),
    ):
        with pytest.raises(BadExpression):
            compiled(text, read)  # type: ignore[arg-type]  # a table


def test_tests_compare_as_written() -> None:
    """Numbers, truth values and texts by their spelling; patterns over the whole value."""
    code = compiled("code", "json")
    assert looks(code, [0], None, missing=False).holds(DATA)
    assert looks(code, ["0"], None, missing=False).holds(DATA)
    assert looks(compiled("data.ok", "json"), [True], None, missing=False).holds(DATA)
    assert looks(compiled("none", "json"), (), None, missing=True).holds(DATA)
    assert not looks(compiled("data", "json"), (), ".*", missing=False).holds(DATA)
    assert not looks(code, (), "[1-9]", missing=False).holds(DATA)
    assert not looks(compiled("none", "json"), (), ".*", missing=False).holds(DATA)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abc.[]*?'=`0:|&@()\"/ -", max_size=30))
def test_anything_is_refused_or_harmless(text: str) -> None:
    """Whatever passes reads no more than the answer holds."""
    for read, document in (("json", DATA), ("xml", XML)):
        try:
            made = compiled(text, read)  # type: ignore[arg-type]  # a table
        except BadExpression:
            continue
        assert len(made.every(document)) <= 20
