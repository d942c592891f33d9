"""What entries say of one another: successors, order, the same id twice."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.conformance.finding import Finding
from gateway.conformance.mistakes import near
from gateway.registry.document_model import ShownSpec
from gateway.registry.drafting import Draft
from gateway.registry.entry import Visibility
from gateway.registry.reading import EntrySource, FileSource


@dataclass(frozen=True, slots=True)
class Summary:
    """What other entries may ask of one; kept from one preparing to the next."""

    topic: str
    order: int | None
    successors: tuple[tuple[tuple[str | int, ...], str], ...]  # where it is said, whom
    gone: bool  # retired for good: nothing comes after

    @classmethod
    def of(cls, draft: Draft) -> "Summary":
        """The summary of a draft."""
        spec = draft.spec
        said: list[tuple[tuple[str | int, ...], str]] = []
        if spec.successor:
            said.append((("successor",), spec.successor))
        for number, line in enumerate(draft.shown):
            if line.successor:
                alone = isinstance(spec.visibility, ShownSpec)
                shift = 0 if len(draft.shown) == _lines(spec.visibility) else 1
                loc = ("visibility", number - shift, "successor")
                said.append((("visibility", "successor") if alone else loc, line.successor))
        gone = draft.shown[-1].state is Visibility.RETIRED
        return cls(spec.topic or "", spec.order, tuple(said), gone)

    def row(self) -> list[Any]:
        """As JSON."""
        return [self.topic, self.order, self.successors, self.gone]

    @classmethod
    def from_row(cls, row: list[Any]) -> "Summary":
        """From JSON."""
        said = tuple((tuple(loc), service) for loc, service in row[2])
        return cls(row[0], row[1], said, row[3])


def _lines(visibility: object) -> int:
    return len(visibility) if isinstance(visibility, tuple) else 1


def doubles(files: Iterable[FileSource]) -> tuple[dict[str, EntrySource], list[Finding]]:
    """Each service once, the first one; every further one is a finding."""
    once: dict[str, EntrySource] = {}
    found: list[Finding] = []
    for file in files:
        for entry in file.entries:
            first = once.setdefault(entry.id, entry)
            if first is not entry:
                line, _ = first.place((), key=True)
                places: dict[str, Any] = {"value": repr(entry.id), "first": f"{first.file}:{line}"}
                found.append(entry.finding((), "duplicate-service", key=True, **places))
    return once, found


def across(sources: Mapping[str, EntrySource], summaries: Mapping[str, Summary]) -> list[Finding]:
    """Findings about entries that name or disturb one another.

    `sources` are all entries, `summaries` those that could be read: an entry that is broken
    itself still counts as a successor.
    """
    found: list[Finding] = []
    for service, summary in summaries.items():
        found += _successors(sources, summaries, service, summary)
    return found + list(_clashes(sources, summaries))


def _successors(
    sources: Mapping[str, EntrySource],
    summaries: Mapping[str, Summary],
    service: str,
    summary: Summary,
) -> Iterator[Finding]:
    source = sources[service]
    for loc, successor in summary.successors:
        if successor == service:
            yield source.finding(loc, "own-successor", value=repr(successor))
        elif successor not in sources:
            told = source.finding(loc, "unknown-successor", value=repr(successor))
            cure = near(successor, sources) or "name an entry of this registry"
            yield source.saying(loc, told.code, told.message, cure)
        elif successor in summaries and summaries[successor].gone:
            yield source.finding(loc, "retired-successor", value=repr(successor))


def _clashes(
    sources: Mapping[str, EntrySource], summaries: Mapping[str, Summary]
) -> Iterator[Finding]:
    taken: dict[tuple[str, int], str] = {}
    for service, summary in summaries.items():
        if summary.order is None or summary.gone:
            continue
        other = taken.setdefault((summary.topic, summary.order), service)
        if other != service:
            places: dict[str, Any] = {"value": summary.order, "other": repr(other)}
            yield sources[service].finding(("order",), "order-clash", **places)
