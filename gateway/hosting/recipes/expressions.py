"""Expressions that read answers, cut down to what cannot run away (reliability B70, B71).

JMESPath and XPath are powerful enough to make a million items of a kilobyte or to go quadratic, so
each is parsed first and only a small grammar of ours passes:

- JMESPath: fields, index, slice, projections at most two deep, filters with one comparison;
- XPath: location paths, `//` once and not in a predicate, predicates `[n]` and `[name='x']`,
  `string(path)`, `normalize-space(path)`;
- `re:` RE2 (linear by construction) with exactly one group.

Every result is a part of the answer, so its size is bounded by the answer's.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import re2
from jmespath import exceptions as jmes_errors
from jmespath import parser as jmes_parser
from lxml import etree

from gateway.contract.recipe import Read

MAX_LENGTH: Final = 200
MAX_NODES: Final = 40
MAX_PROJECTIONS: Final = 2
MAX_RE2_BYTES: Final = 1 << 20


class BadExpression(ValueError):
    """An expression that is not one of ours; `cure` says what to write instead."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure


class Expression(Protocol):
    """A compiled expression."""

    def one(self, document: Any) -> Any:
        """The value there, or None; of several matches the first."""
        ...

    def every(self, document: Any) -> list[Any]:
        """All matches in document order; [] where there is none."""
        ...


def compiled(text: str, read: Read, ns: Mapping[str, str] | None = None) -> Expression:
    """Compile an expression for answers read as `read`.

    Raises:
        BadExpression: it is not in our grammar.
    """
    if not text or len(text) > MAX_LENGTH:
        raise BadExpression(f"an expression has 1 to {MAX_LENGTH} characters")
    if text.startswith("re:"):
        if read != "text":
            raise BadExpression("`re:` reads answers of kind text", "use a path")
        return _Group(pattern(text[3:], groups=1))
    if read == "xml":
        return _xpath(text, ns or {})
    if read == "text":
        raise BadExpression("an answer of kind text is read by `re:`", 'write "re:…(…)…"')
    return _jmespath(text)


def pattern(text: str, *, groups: int | None = None) -> Any:
    """Compile an RE2 pattern; `groups` demands a number of groups.

    Raises:
        BadExpression: RE2 does not take it, or the groups are others.
    """
    options = re2.Options()
    options.max_mem = MAX_RE2_BYTES
    options.log_errors = False
    if len(text) > MAX_LENGTH:
        raise BadExpression(f"a pattern has at most {MAX_LENGTH} characters")
    try:
        made = re2.compile(text, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0] if error.args else error
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        cure = "RE2 has no look-around and no back references"
        raise BadExpression(f"not an RE2 pattern: {said[:120]}", cure) from None
    if groups is not None and made.groups != groups:
        raise BadExpression(f"a pattern here has {groups} group, this has {made.groups}")
    return made


@dataclass(frozen=True, slots=True)
class _Group:
    """`re:` with one group, over text."""

    pattern: Any

    def one(self, document: Any) -> Any:
        found = self.pattern.search(document) if isinstance(document, str) else None
        return found.group(1) if found else None

    def every(self, document: Any) -> list[Any]:
        if not isinstance(document, str):
            return []
        return [found.group(1) for found in self.pattern.finditer(document)]


# --- JMESPath ---------------------------------------------------------------------------------

_COMPARED: Final = ("field", "subexpression", "literal", "current")
_NODES: Final = {
    "field",
    "subexpression",
    "index_expression",
    "index",
    "slice",
    "projection",
    "filter_projection",
    "comparator",
    "literal",
    "current",
    "identity",
}
_INSTEAD: Final = {
    "function_expression": "functions are not allowed; use the value's kind, map or unit",
    "flatten": "write [*] instead of []",
    "value_projection": "name the fields, or write [*] over a list",
    "multi_select_list": "give each value an expression of its own",
    "multi_select_dict": "give each value an expression of its own",
    "pipe": "leave the pipe out: of several matches the first is taken",
    "or_expression": "use else:",
    "and_expression": "one comparison per filter",
    "not_expression": "one comparison per filter",
}


@dataclass(frozen=True, slots=True)
class _Jmes:
    """A JMESPath of our grammar."""

    parsed: Any
    projections: int  # how deep

    def one(self, document: Any) -> Any:
        value = self.parsed.search(document)
        while self.projections and isinstance(value, list):
            value = value[0] if value else None
        return value

    def every(self, document: Any) -> list[Any]:
        value = self.parsed.search(document)
        if value is None:
            return []
        if not isinstance(value, list):
            return [value]
        if self.projections > 1:  # a projection in a projection: one flat list of matches
            return [v for part in value for v in (part if isinstance(part, list) else [part])]
        return value


def _jmespath(text: str) -> Expression:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PendingDeprecationWarning)
            parsed = jmes_parser.Parser().parse(text)
    except PendingDeprecationWarning:
        raise BadExpression("a literal in backticks is JSON", "write 'x' for a text") from None
    except (jmes_errors.JMESPathError, RecursionError, ValueError) as error:
        said = str(error).split("\n", 1)[0][:120]
        raise BadExpression(
            f"not a JMESPath: {said}", "write a path such as data.rows[0]"
        ) from None
    count = _walk(parsed.parsed)
    return _Jmes(parsed, projections=count)


def _walk(root: Mapping[str, Any]) -> int:
    """Check every node; returns how many projections there are on the deepest way."""
    seen = 0
    deepest = 0
    stack: list[tuple[Any, int]] = [(root, 0)]
    while stack:
        node, deep = stack.pop()
        seen += 1
        kind = node["type"]
        if kind not in _NODES:
            cure = _INSTEAD.get(kind, "fields, [n], [a:b], [*], [?a=='x'] are allowed")
            raise BadExpression(f"{kind.replace('_', ' ')} is not allowed here", cure)
        if seen > MAX_NODES:
            raise BadExpression("the expression is too long", "shorten it")
        if kind in ("projection", "filter_projection"):
            deep += 1
        if kind == "filter_projection":
            _one_comparison(node["children"][2])
        if kind == "comparator" and node["value"] not in ("eq", "ne", "lt", "lte", "gt", "gte"):
            raise BadExpression("this comparison is not allowed")
        deepest = max(deepest, deep)
        if deep > MAX_PROJECTIONS:
            raise BadExpression(
                f"projections are at most {MAX_PROJECTIONS} deep", "read it with `items:`"
            )
        children = [child for child in node["children"] if isinstance(child, dict)]
        if kind != "slice":
            stack += [(child, deep) for child in children]
    return deepest


def _one_comparison(node: Mapping[str, Any]) -> None:
    """A filter holds one comparison of a plain path with a literal, nothing else."""
    if node["type"] != "comparator":
        raise BadExpression("a filter holds one comparison", "write [?name=='x']")
    sides = list(node["children"])
    while sides:
        side = sides.pop()
        if side["type"] not in _COMPARED:  # a projection in here would be rows times rows
            raise BadExpression("a filter compares a field with a literal", "write [?name=='x']")
        sides += [child for child in side["children"] if isinstance(child, dict)]


# --- XPath ------------------------------------------------------------------------------------

_NAME = r"(?:[^\W\d][\w.-]*:)?[^\W\d][\w.-]*"
_QUOTED = r"(?:'[^']*'|\"[^\"]*\")"
_PREDICATE = rf"\[\s*(?:[1-9][0-9]{{0,3}}|(?:@?{_NAME}|\.)\s*=\s*{_QUOTED})\s*\]"
_STEP: Final = re.compile(rf"(?P<step>\.|text\(\)|@{_NAME}|(?:{_NAME}|\*)(?:{_PREDICATE}){{0,3}})")
_FUNCTION: Final = re.compile(r"(?P<name>string|normalize-space)\(\s*(?P<path>.*)\s*\)")
_PREFIX: Final = re.compile(r"(?:^|[/@\[(])\s*@?([^\W\d][\w.-]*):[^\W\d:]")
_MAX_STEPS: Final = 16


@dataclass(frozen=True, slots=True)
class _Xpath:
    """An XPath of our grammar."""

    path: etree.XPath
    text: bool  # string() or normalize-space(): one text

    def one(self, document: Any) -> Any:
        if not isinstance(document, etree._Element | etree._ElementTree):  # noqa: SLF001 - lxml names no public class
            return None
        found = self.path(document)
        if self.text:
            return found
        return _string(found[0]) if isinstance(found, list) and found else None

    def every(self, document: Any) -> list[Any]:
        if not isinstance(document, etree._Element | etree._ElementTree):  # noqa: SLF001 - lxml names no public class
            return []
        found = self.path(document)
        return list(found) if isinstance(found, list) else [found]


def _string(node: Any) -> str:
    """A node's string value."""
    return node if isinstance(node, str) else "".join(node.itertext())


def _xpath(text: str, ns: Mapping[str, str]) -> Expression:
    stripped = text.strip()
    function = _FUNCTION.fullmatch(stripped)
    path = function["path"].strip() if function else stripped
    _check_path(path)
    for prefix in _PREFIX.findall(path):
        if prefix not in ns:
            known = ", ".join(sorted(ns)) or "none"
            raise BadExpression(
                f"the prefix {prefix!r} is not declared; known: {known}", "add `ns:`"
            )
    try:
        made = etree.XPath(stripped, namespaces=dict(ns) or None, smart_strings=False)
    except etree.XPathError as error:
        raise BadExpression(f"not an XPath: {error}") from None
    return _Xpath(made, text=function is not None)


def _check_path(path: str) -> None:
    """Steps of our grammar between slashes, `//` at most once."""
    rest, steps, deep = path, 0, 0
    cure = "location paths with [n] or [name='x'], string(), normalize-space()"
    while rest:
        if rest.startswith("//"):
            deep, rest = deep + 1, rest[2:]
        elif rest.startswith("/"):
            rest = rest[1:]
        elif steps:
            raise BadExpression(f"not allowed in a path: {rest[:30]!r}", cure)
        step = _STEP.match(rest)
        if step is None:
            raise BadExpression(f"not a step of a path: {rest[:30]!r}", cure)
        rest, steps = rest[step.end() :], steps + 1
        if deep > 1:
            raise BadExpression("`//` may stand once", "name the elements between")
        if steps > _MAX_STEPS:
            raise BadExpression(f"more than {_MAX_STEPS} steps", "shorten it")
    if not steps:
        raise BadExpression("the path is empty", cure)


# --- tests ------------------------------------------------------------------------------------

Sort = Literal["is", "in", "matches", "missing"]


@dataclass(frozen=True, slots=True)
class Tested:
    """A compiled `Test`: whether the value at a place is as said."""

    at: Expression
    values: frozenset[str]
    matches: Any = None
    missing: bool = False

    def holds(self, document: Any) -> bool:
        """Look at the document."""
        value = self.at.one(document)
        if self.missing:
            return value is None or value in ("", [], {})
        if value is None or isinstance(value, dict | list):
            return False
        said = spelled(value)
        if self.matches is not None:
            return self.matches.fullmatch(said) is not None
        return said in self.values


def spelled(value: object) -> str:
    """A scalar as it is compared and mapped: `1`, `true`, `"0000"`, `1.5`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def tested(
    at: Expression, values: Sequence[str | int | bool], matches: str | None, *, missing: bool
) -> Tested:
    """Compile a test whose place is compiled already; raises `BadExpression`."""
    made = pattern(matches) if matches is not None else None
    return Tested(at, frozenset(spelled(v) for v in values), made, missing)
