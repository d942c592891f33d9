"""YAML read strictly, with the place of every value: `read` never guesses and never crashes.

Built on libyaml's *events* (`compose` kills the process on deep nesting). Only JSON's values come
out: what YAML 1.1 readers would turn into something else (`no`, `010`, `1:30`) is a finding, so
that a document means the same to every tool. Anchors, aliases, tags and merge keys are refused.
A reading ends at the first syntax error; everything else is found in one go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from gateway.conformance import mistakes, surprises
from gateway.conformance.finding import Finding, Severity
from gateway.conformance.reader import Loc, Mark, Reader, Stop

MAX_BYTES: Final = 8 << 20
_MOST_ERRORS: Final = 200

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """What was read: plain values, where each stands, and what was wrong.

    `whole` is False when reading ended early; `value` is None then and nothing may be concluded
    from what is absent.
    """

    name: str
    value: Any
    findings: list[Finding]
    whole: bool
    places: Mapping[Loc, Mark] = field(repr=False)
    keys: Mapping[Loc, Mapping[str, Mark]] = field(repr=False)

    def known(self, loc: Loc) -> Loc:
        """The part of `loc` that is in the document: a union's tag, a missing field are not."""
        path: Loc = ()
        for part in loc:
            if (*path, part) in self.places:
                path = (*path, part)
        return path

    def place(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at `loc`, or of its key.

        What is not in the document has the place of the nearest value around it.
        """
        path = self.known(loc)
        mark = self.places.get(path, (0, 0))
        if key and path:
            mark = self.keys.get(path[:-1], {}).get(str(path[-1]), mark)
        return mark[0] + 1, mark[1] + 1

    def finding(
        self,
        loc: Loc,
        code: str,
        message: str,
        cure: str = "",
        *,
        severity: Severity = "error",
        key: bool = False,
    ) -> Finding:
        """A sentence about the value at `loc` of this document."""
        line, column = self.place(loc, key=key)
        path = self.known(loc)
        way = ".".join(str(part) for part in (path if path or not loc else loc))
        return Finding(self.name, line, column, code, severity, way, message, cure)


def read(source: str | bytes, name: str) -> Document:
    """Read one YAML document; every surprise is a finding with line, column and cure.

    Args:
        source: the file's bytes (UTF-8) or its text.
        name: what findings call the file.
    """
    text, found = surprises.decode(source, name, MAX_BYTES)
    if text is None:
        return Document(name, None, found, whole=False, places={}, keys={})
    lines = text.split("\n")
    scanned = surprises.scan(lines, name)
    found += scanned
    if any(finding.code in surprises.FATAL for finding in scanned):
        return Document(name, None, sorted(found), whole=False, places={}, keys={})
    reader = Reader(name)
    whole = False
    try:
        reader.run(text)
        if reader.documents == 0:
            reader.bad("empty", (0, 0))
        whole = reader.documents == 1
    except Stop:
        pass
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        ended = surprises.syntax(error, lines, name)
        if not any(abs(ended.line - finding.line) <= 1 for finding in scanned):
            found.append(ended)
    value = reader.root if whole else None
    findings = sorted({*found, *reader.findings})
    return Document(name, value, findings, whole=whole, places=reader.places, keys=reader.keys)


def validate(document: Document, model: type[M]) -> tuple[M | None, list[Finding]]:
    """Make a `model` of the document's value.

    Reading is strict: `"5"` is no number and `5` is no text. Returns the model (None when
    anything is wrong) and the document's own findings followed by the model's, sorted.
    """
    if not document.whole:
        return None, document.findings
    made, found = check(document, model, document.value, ())
    everything = sorted({*document.findings, *found})
    wrong = any(finding.severity == "error" for finding in everything)
    return (None if wrong else made), everything


def check(
    document: Document, model: type[M], value: Any, at: Loc
) -> tuple[M | None, list[Finding]]:
    """Make a `model` of one part of a document that stands at `at`."""
    try:
        # JSON mode: lists become tuples and texts become dates, but nothing else is guessed
        return model.model_validate_json(orjson.dumps(value), strict=True), []
    except ValidationError as error:
        problems = error.errors(include_url=False)[:_MOST_ERRORS]
    found = []
    for problem in problems:
        if mistakes.is_echo(problem, problems):
            continue
        code, message, cure = mistakes.explain(problem, model)
        loc = (*at, *problem["loc"])
        if code == "value":
            loc, message = _named(document, loc, message)
        found.append(
            document.finding(loc, code, message, cure, key=problem["type"] == "extra_forbidden")
        )
    return None, found


def _named(document: Document, loc: Loc, message: str) -> tuple[Loc, str]:
    """A model's own rule names a place (`services.gjj.card: no card 'x'`): where that stands.

    The members of a list go by their `id`.
    """
    way, colon, said = message.partition(": ")
    path, value = loc, document.value
    for part in document.known(loc):
        value = value[part]
    for name in way.split(".") if colon else ():
        if isinstance(value, list):
            number = next(
                (
                    n
                    for n, one in enumerate(value)
                    if isinstance(one, dict) and one.get("id") == name
                ),
                None,
            )
            if number is None:
                return loc, message
            path, value = (*path, number), value[number]
        elif isinstance(value, dict) and name in value:
            path, value = (*path, name), value[name]
        else:
            return loc, message
    return (path, said) if colon else (loc, message)
