"""From registry files to single entries, each with its places.

A file of plain shape (entries under `services:`, indented by two) is cut into one text for each
entry, so that only changed entries are parsed again. Whatever does not look plain, or holds one
surprise, is read whole: cutting never decides what a document means.
"""

import hashlib
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from gateway.conformance.document import Document, check, read
from gateway.conformance.finding import Finding
from gateway.conformance.reader import Loc
from gateway.registry.codes import WARNINGS, named, sentence
from gateway.registry.gather import REGISTRY

M = TypeVar("M", bound=BaseModel)
_SERVICES: Final = re.compile(r"^services:[ ]*(?:#[^\n]*)?\n", re.MULTILINE)
_END: Final = re.compile(r"^[^\s#]", re.MULTILINE)
_ENTRY: Final = re.compile(r"^ {2}([a-z][a-z0-9-]{0,62}):[ ]*(?:#[^\n]*)?$")
_AT_TWO: Final = re.compile(r"^ {0,2}(?! )[^\s#][^\n]*$", re.MULTILINE)


@dataclass(slots=True)
class EntrySource:
    """One entry as it stands in a file; parsed when asked for."""

    id: str
    file: str
    digest: str  # of its text; "" where the file was not cut
    text: str = field(repr=False)
    above: int  # lines before its text
    _document: Document | None = field(default=None, repr=False)
    _prefix: Loc = ()

    @property
    def document(self) -> Document:
        """The document that holds it: the whole file, or its own text."""
        if self._document is None:
            self._document = read(self.text, self.file)
        return self._document

    @property
    def value(self) -> Any:
        """What stands under its id."""
        value = self.document.value
        for part in (*self._prefix, self.id):
            value = value[part]
        return value

    def place(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """Line and column in the file of a value, or of its key."""
        line, column = self.document.place((*self._prefix, self.id, *loc), key=key)
        return (line if self._prefix else line + self.above), column

    def finding(self, loc: Loc, code: str, *, key: bool = False, **places: object) -> Finding:
        """A sentence about a value of this entry; a missing cure is filled from `places`."""
        return self.saying(loc, code, *sentence(code, **places), key=key)

    def saying(self, loc: Loc, code: str, message: str, cure: str, *, key: bool = False) -> Finding:
        """As `finding`, in other words."""
        severity = "warning" if code in WARNINGS else "error"
        whole = (*self._prefix, self.id, *loc)
        made = self.document.finding(whole, code, message, cure, severity=severity, key=key)  # type: ignore[arg-type]  # one of the two words
        return self._moved(made)

    def made(self, model: type[M], value: Any, at: Loc = ()) -> tuple[M | None, list[Finding]]:
        """Make a model of the entry's value, or all that is wrong with it."""
        model_value, found = check(self.document, model, value, (*self._prefix, self.id, *at))
        return model_value, [self._moved(named(finding)) for finding in found]

    def _moved(self, finding: Finding) -> Finding:
        if self._prefix:
            return finding
        way = f"services.{finding.field}" if finding.field else ""
        return replace(finding, line=finding.line + self.above, field=way)


@dataclass(slots=True)
class FileSource:
    """One registry file: what stands above and below its entries, and the entries."""

    name: str
    head: Document  # without the entries where the file was cut
    entries: list[EntrySource]
    cut: bool


def read_file(name: str, source: bytes, known: Container[str]) -> FileSource:
    """Read one registry file; entries whose digest is in `known` need no parsing."""
    cut = _cut(name, source)
    if cut is not None:
        new = [entry for entry in cut.entries if entry.digest not in known]
        if len(new) * 2 <= len(cut.entries) and all(_plain(entry) for entry in new):
            return cut
    whole = read(source, name)
    services = whole.value.get("services") if isinstance(whole.value, dict) else None
    keys = list(services) if isinstance(services, dict) else []
    alike = cut is not None and not whole.findings and keys == [e.id for e in cut.entries]
    if cut is not None and alike:
        entries = [replace(e, _document=whole, _prefix=("services",)) for e in cut.entries]
    else:
        entries = [EntrySource(key, name, "", "", 0, whole, ("services",)) for key in keys]
    return FileSource(name, whole, entries, cut=False)


def _plain(entry: EntrySource) -> bool:
    document = entry.document
    return (
        document.whole
        and not document.findings
        and isinstance(document.value, dict)
        and list(document.value) == [entry.id]
    )


def _cut(name: str, source: bytes) -> FileSource | None:
    """Cut a file of plain shape; None where it is of another."""
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        return None
    begin = _SERVICES.search(text)
    if begin is None or _SERVICES.search(text, begin.end()):
        return None
    ends = _END.search(text, begin.end())
    end = ends.start() if ends else len(text)
    starts = list(_AT_TWO.finditer(text, begin.end(), end))
    if not starts or not all(_ENTRY.match(match.group()) for match in starts):
        return None
    if not _only_comments(text[begin.end() : starts[0].start()]):
        return None
    entries = list(_entries(name, text, [match.start() for match in starts], end))
    if len({entry.id for entry in entries}) != len(entries):
        return None
    above, below = text[: begin.start()], text[end:]
    lines = "\n" * text.count("\n", begin.start(), end)
    if _only_comments(above) and _only_comments(below):
        lines = "services: {}" + lines  # an included file of entries alone is not an empty one
    head = read(above + lines + below, name)
    if head.findings or not head.whole:
        return None
    return FileSource(name, head, entries, cut=True)


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.split("\n"))


def _entries(name: str, text: str, starts: list[int], end: int) -> Iterator[EntrySource]:
    line = text.count("\n", 0, starts[0])
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        body = text[start:stop]
        digest = hashlib.sha256(body.encode()).hexdigest()
        yield EntrySource(body[2 : body.index(":")], name, digest, body, line)
        line += body.count("\n")


def read_files(files: Mapping[str, bytes], known: Container[str]) -> list[FileSource]:
    """Read the registry file and every included one, the registry file first."""
    names = sorted(
        (n for n in files if not n.startswith("plugins/")), key=lambda n: (n != REGISTRY, n)
    )
    return [read_file(name, files[name], known) for name in names]
