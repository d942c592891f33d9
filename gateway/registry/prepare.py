"""From a revision's files to a generation, or to everything that is wrong with them.

Nothing here touches a store, the network or the clock; what did not change since the last
generation is taken from it, entry by entry.
"""

import gc
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gateway.conformance.finding import Finding, errors
from gateway.registry.across import Summary, across, doubles
from gateway.registry.artefact import Artefact, pack
from gateway.registry.drafting import Head
from gateway.registry.gather import REGISTRY, gather
from gateway.registry.generation import DraftGeneration, Generation, empty_facts
from gateway.registry.heading import head_value, read_head
from gateway.registry.making import Made, Maker
from gateway.registry.packing import copy_package, pack_package
from gateway.registry.plugging import folders
from gateway.registry.program import program_digest
from gateway.registry.reading import FileSource, read_files

__all__ = ["Extras", "Prepared", "gather", "generation_digest", "manifest_of", "prepare"]

Extras = Callable[[DraftGeneration], Mapping[str, bytes]]
_MOST_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of it: an artefact, unless an error stands among the findings."""

    artefact: bytes | None = field(repr=False)
    findings: list[Finding]
    digest: str


def manifest_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """{path: sha256} over everything: what a revision is."""
    return {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}


def generation_digest(
    manifest: Mapping[str, str], environment: str, variables: Mapping[str, str]
) -> str:
    """What a generation is made of, as one digest: equal on every node with the same program."""
    facts = [program_digest(), environment, dict(variables), dict(manifest)]
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def prepare(
    files: Mapping[str, bytes],
    *,
    environment: str,
    variables: Mapping[str, str],
    revision: int,
    extras: Extras = lambda _draft: {},
    before: Generation | None = None,
    now: int = 0,
    tolerant: bool = False,
) -> Prepared:
    """Read, check and compile everything.

    Args:
        files: by path, as `gather` names them.
        environment: which environment's values hold.
        variables: what `${NAME}` stands for in plugins.
        revision: the number that the generation will bear.
        extras: makes further prepared bytes (search keys, hall pages) from the entries.
        before: the last generation; what did not change is taken from it.
        now: UTC microseconds, for findings about what is over; 0: none of those.
        tolerant: leave out what is broken instead of refusing everything (at start).
    """
    digest = generation_digest(manifest_of(files), environment, variables)
    with _without_collector():
        if REGISTRY not in files:
            return Prepared(None, [], digest)
        usable = before if before is not None and _alike(before, environment, variables) else None
        maker = Maker(environment, variables, usable)
        sources = read_files(files, maker.known)
        document, departments, found = read_head(sources, environment)
        if document is None:
            return Prepared(None, _sorted([*found, *_rest(sources)]), digest)
        head = Head(document, departments, environment, now, variables)
        once, more = doubles(sources)
        found += more
        broken_head = bool(errors(found))
        made = maker.make(once, head, _head_digest(sources), folders(files), tolerant=tolerant)
        found += made.findings + across(once, made.summaries)
        found = _sorted(found)
        if (broken_head and errors(found)) or (errors(found) and not tolerant):
            return Prepared(None, found, digest)
        facts = _facts(head, made, revision, digest, environment, variables)
        artefact = _assemble(facts, made, found, usable, extras)
    return Prepared(artefact, found, digest)


def _rest(sources: list[FileSource]) -> list[Finding]:
    """Without a head nothing can be judged, but what cannot be read is still said of every file."""
    return [finding for file in sources[1:] for finding in file.head.findings]


def _sorted(found: list[Finding]) -> list[Finding]:
    return sorted(set(found))[:_MOST_FINDINGS]


def _head_digest(sources: list[FileSource]) -> str:
    value = orjson.dumps(head_value(sources), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(value).hexdigest()


def _context(environment: str, variables: Mapping[str, str]) -> str:
    said = orjson.dumps([environment, dict(variables)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(program_digest().encode() + said).hexdigest()


def _alike(before: Generation, environment: str, variables: Mapping[str, str]) -> bool:
    return before.artefact.facts.get("context") == _context(environment, variables)


def _facts(
    head: Head,
    made: Made,
    revision: int,
    digest: str,
    environment: str,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    document, topics = head.document, head.topics
    order = sorted(
        made.entries,
        key=lambda key: (topics[made.places[key][0]], made.places[key][1], key),
    )
    city = document.city.model_dump(mode="json")
    return empty_facts(environment) | {
        "revision": revision,
        "digest": digest,
        "context": _context(environment, variables),
        "city": city,
        "topics": [topic.model_dump(mode="json") for topic in document.topics],
        "life_events": {k: text.model_dump() for k, text in document.life_events.items()},
        "services": [[key, made.places[key][2]] for key in order],
        "packages": made.package_digests,
        "parked": made.parked,
    }


def _assemble(
    facts: dict[str, Any],
    made: Made,
    found: list[Finding],
    before: Generation | None,
    extras: Extras,
) -> bytes:
    parts: dict[str, bytes] = {f"entry:{key}": body for key, body in made.entries.items()}
    for plugin, package in made.packages.items():
        if package is not None:
            parts |= pack_package(package)
        elif before is not None:
            parts |= copy_package(plugin, before.artefact)
    parts |= {f"blob:icon:{digest}": content for digest, content in made.icons.items()}
    parts["findings"] = orjson.dumps([_row(finding) for finding in found])
    parts["records"] = orjson.dumps(made.records)
    draft = DraftGeneration(Artefact(pack(facts, parts)), before)
    blobs = extras(draft)
    parts |= {f"blob:{key}": content for key, content in blobs.items()}
    parts |= draft.kept
    return pack(facts, parts)


def _row(finding: Finding) -> list[Any]:
    return [getattr(finding, name) for name in Finding.__dataclass_fields__]


@contextmanager
def _without_collector() -> Iterator[None]:
    """Reading makes a million objects without cycles: collecting meanwhile doubles the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def summaries_of(generation: Generation) -> dict[str, Summary]:
    """What entries said of one another, from a prepared generation."""
    records = orjson.loads(generation.artefact.part("records") or b"{}")
    return {k: Summary.from_row(r["summary"]) for k, r in records.get("entries", {}).items()}
