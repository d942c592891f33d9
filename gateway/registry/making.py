"""Every entry made or taken over: the part of preparing that remembers.

A record per entry says what it was made of (its text, the head, its plugin's package); where that is
the same, the compiled bytes of the last generation are the entry, and its text is not even parsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from gateway.conformance.finding import Finding, errors
from gateway.conformance.mistakes import near
from gateway.contract.ids import PluginId
from gateway.hosting.package import Package
from gateway.registry.across import Summary
from gateway.registry.codes import sentence
from gateway.registry.compiling import compile_entry, entry_digest
from gateway.registry.drafting import Draft, Head, draft
from gateway.registry.entry import Entry
from gateway.registry.generation import Generation
from gateway.registry.parking import parked_entry
from gateway.registry.plugging import Wish, icon_of, open_plugin, package_key
from gateway.registry.reading import EntrySource


@dataclass(slots=True)
class Made:
    """Everything that came out."""

    entries: dict[str, bytes] = field(default_factory=dict)  # compiled, by service
    places: dict[str, tuple[str, int, str]] = field(default_factory=dict)  # topic, order, digest
    summaries: dict[str, Summary] = field(default_factory=dict)
    packages: dict[str, Package | None] = field(default_factory=dict)  # None: as before
    package_digests: dict[str, str] = field(default_factory=dict)
    icons: dict[str, bytes] = field(default_factory=dict)
    parked: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class _Item:
    """One entry on its way: a draft, or the record of an earlier one."""

    source: EntrySource
    draft: Draft | None
    record: dict[str, Any] | None
    plugin: str
    found: list[Finding]

    def wish(self) -> Wish:
        if self.draft is not None:
            limits = getattr(self.draft.spec, "limits", None)
            said = limits.model_dump() if limits else None
            return Wish(self.source, self.draft.settings, self.draft.network, said)
        wish = (self.record or {})["wish"]
        network = None if wish[1] is None else tuple(wish[1])
        return Wish(self.source, wish[0], network, wish[2])


class Maker:
    """Makes entries, taking over from `before` what is the same."""

    def __init__(
        self, environment: str, variables: Mapping[str, str], before: Generation | None
    ) -> None:
        self._environment = environment
        self._variables = variables
        self._before = before
        stored = before.artefact.part("records") if before is not None else None
        records = orjson.loads(stored) if stored else {}
        self._entries: dict[str, dict[str, Any]] = records.get("entries", {})
        self._plugins: dict[str, dict[str, Any]] = records.get("plugins", {})
        self.known = {record["text"] for record in self._entries.values()}

    def make(
        self,
        sources: Mapping[str, EntrySource],
        head: Head,
        head_digest: str,
        folders: Mapping[str, Mapping[str, bytes]],
        *,
        tolerant: bool,
    ) -> Made:
        """Make every entry."""
        made = Made(records={"entries": {}, "plugins": {}})
        items = [self._item(source, head, head_digest) for source in sources.values()]
        packages, same = self._open(items, folders, made)
        for item in items:
            made.findings += item.found
            if item.record is not None and item.plugin in same:
                self._take_over(item, made)
            else:
                self._compile(item, head, head_digest, packages, folders, made, tolerant=tolerant)
        return made

    def _item(self, source: EntrySource, head: Head, head_digest: str) -> _Item:
        record = self._entries.get(source.id)
        if (
            record
            and source.digest
            and (record["text"], record["head"]) == (source.digest, head_digest)
        ):
            found = [self._again(row, source) for row in record["found"]]
            return _Item(source, None, record, record["plugin"], found)
        made, found = draft(source, head)
        return _Item(source, made, None, made.plugin if made else "", found)

    @staticmethod
    def _again(row: list[Any], source: EntrySource) -> Finding:
        finding = Finding(*row)
        return replace(finding, file=source.file, line=finding.line + source.above)

    def _open(
        self,
        items: list[_Item],
        folders: Mapping[str, Mapping[str, bytes]],
        made: Made,
    ) -> tuple[dict[str, Package | None], set[str]]:
        """Open every plugin that an entry names; the second value: those that are as before."""
        by_plugin: dict[str, list[_Item]] = {}
        for item in items:
            if item.plugin:
                by_plugin.setdefault(item.plugin, []).append(item)
        packages: dict[str, Package | None] = {}
        same = {""}
        for plugin, users in by_plugin.items():
            files = folders.get(plugin)
            if files is None:
                continue
            wishes = [item.wish() for item in users]
            key = package_key(files, wishes)
            record = self._plugins.get(plugin)
            if record is not None and record["key"] == key and self._before is not None:
                same.add(plugin)
                made.findings += [Finding(*row) for row in record["found"]]
                made.packages[plugin] = None
                made.package_digests[plugin] = record["digest"]
            else:
                package, found = open_plugin(
                    plugin, files, wishes, self._environment, self._variables
                )
                made.findings += found
                packages[plugin] = package
                if package is None:
                    made.parked[plugin] = next((f.message for f in errors(found)), "not opened")
                    continue
                made.packages[plugin] = package
                made.package_digests[plugin] = package.digest
                record = {"key": key, "digest": package.digest, "found": _rows(found)}
            made.records["plugins"][plugin] = record
            if content := files.get("icon.svg"):
                made.icons[icon_of(files)] = content
        return packages, same

    def _take_over(self, item: _Item, made: Made) -> None:
        before, record = self._before, item.record
        if before is None or record is None:
            return
        service = item.source.id
        made.entries[service] = before.artefact.part(f"entry:{service}") or b""
        made.summaries[service] = Summary.from_row(record["summary"])
        made.places[service] = (record["topic"], record["order"], before.digest_of(service))
        made.records["entries"][service] = record

    def _compile(
        self,
        item: _Item,
        head: Head,
        head_digest: str,
        packages: Mapping[str, Package | None],
        folders: Mapping[str, Mapping[str, bytes]],
        made: Made,
        *,
        tolerant: bool,
    ) -> None:
        source, now = item.source, item.draft
        if now is None and item.record is not None:
            now, _ = draft(source, head)  # its text is the same, its plugin is not
        if now is None:
            return
        made.summaries[source.id] = Summary.of(now)
        if now.plugin and now.plugin not in folders:
            made.findings.append(_no_plugin(source, now.plugin, folders))
        package = packages.get(now.plugin)
        if package is None and now.plugin in made.packages and self._before is not None:
            package = self._before.package(PluginId(now.plugin))
        icon = icon_of(folders.get(now.plugin, {}))
        entry, found = compile_entry(now, head, package, icon)
        made.findings += found
        clean = entry is not None and not errors(found)
        if entry is None and tolerant:
            why = made.parked.get(now.plugin) or next((f.message for f in found), "no such plugin")
            last = self._before.entry(source.id) if self._before is not None else None
            entry = parked_entry(now, head, why, last)
            made.parked.setdefault(now.plugin, why)
        if entry is None:
            return
        made.entries[source.id] = entry.model_dump_json().encode()
        made.places[source.id] = (entry.topic, entry.order, entry.digest)
        if clean and source.digest:
            self._note(item, now, head_digest, entry, found, made)

    @staticmethod
    def _note(
        item: _Item, now: Draft, head_digest: str, entry: Entry, found: list[Finding], made: Made
    ) -> None:
        source = item.source
        limits = getattr(now.spec, "limits", None)
        relative = [replace(f, line=f.line - source.above) for f in (*item.found, *found)]
        made.records["entries"][source.id] = {
            "text": source.digest,
            "head": head_digest,
            "plugin": now.plugin,
            "wish": [dict(now.settings), now.network, limits and limits.model_dump()],
            "summary": Summary.of(now).row(),
            "topic": entry.topic,
            "order": entry.order,
            "found": _rows(relative),
        }


def _rows(found: list[Finding]) -> list[list[Any]]:
    return [[getattr(f, name) for name in Finding.__dataclass_fields__] for f in found]


def _no_plugin(
    source: EntrySource, plugin: str, folders: Mapping[str, Mapping[str, bytes]]
) -> Finding:
    message, _ = sentence("unknown-plugin", value=repr(plugin))
    cure = near(plugin, folders) or f"the plugins here are {', '.join(sorted(folders)) or '(none)'}"
    return source.saying(("plugin",), "unknown-plugin", message, cure)


__all__ = ["Made", "Maker", "entry_digest"]
