"""One entry's own text: read into a model, its environment's values merged in, its mistakes named.

Only what the entry says by itself and against the lists at the head of the registry is judged
here; what it says of other entries is `gateway.registry.across`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.conformance.finding import Finding
from gateway.conformance.mistakes import near
from gateway.contract.block import seconds
from gateway.contract.ids import SERVICE_ID_PATTERN
from gateway.contract.manifest import Text
from gateway.registry.document_model import (
    DepartmentSpec,
    DirectoryEntry,
    PluginEntry,
    RegistryDocument,
    ShownSpec,
)
from gateway.registry.entry import Visibility
from gateway.registry.hosts import host_findings
from gateway.registry.reading import EntrySource

_ID: Final = re.compile(SERVICE_ID_PATTERN)
_SHORT: Final = 12  # Chinese characters in a card's title
_VARIABLE: Final = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
_HOST_PORT: Final = re.compile(r"^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})$")
_LAST_PORT: Final = 65535
_WEEK: Final = 7 * 86400.0
CLEARABLE: Final[dict[str, Any]] = {
    "order": None, "life_events": (), "aliases": (), "news_tags": (), "successor": None,
    "region": (), "min_host": None, "hours": None, "maintenance": (), "way": None,
    "functions": (), "lane": None, "limits": None, "timeout": None, "fresh": None, "keep": None,
    "link": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the entries: the lists that they name."""

    document: RegistryDocument
    departments: Mapping[str, DepartmentSpec]
    environment: str
    now: int  # UTC microseconds
    variables: Mapping[str, str] = field(default_factory=dict)  # what ${NAME} stands for

    @property
    def topics(self) -> dict[str, int]:
        """Topics by id, with their place in the hall."""
        return {topic.id: number for number, topic in enumerate(self.document.topics)}


@dataclass(frozen=True, slots=True)
class Draft:
    """One entry with its environment's values, and what it wants of its plugin."""

    source: EntrySource
    spec: PluginEntry | DirectoryEntry
    shown: tuple[ShownSpec, ...]
    settings: Mapping[str, str | int | bool]
    network: tuple[str, ...] | None  # None: the manifest's

    @property
    def plugin(self) -> str:
        """The plugin's id; "" for a directory entry."""
        return self.spec.plugin.partition("/")[0] if isinstance(self.spec, PluginEntry) else ""

    @property
    def service(self) -> str:
        """The service's id inside the plugin."""
        return self.spec.plugin.partition("/")[2] if isinstance(self.spec, PluginEntry) else ""


def draft(source: EntrySource, head: Head) -> tuple[Draft | None, list[Finding]]:
    """Read one entry; None when an error stands in it."""
    value = source.value
    wrong_id = (
        []
        if _ID.match(source.id)
        else [source.finding((), "service-id", key=True, value=repr(source.id))]
    )
    if not isinstance(value, dict):
        return None, [*wrong_id, source.finding((), "not-a-mapping", value=repr(source.id))]
    model: type[PluginEntry | DirectoryEntry]
    model = PluginEntry if _wants_plugin(value) else DirectoryEntry
    plain, cleared, found = _without_false(source, value, head.environment)
    spec, more = source.made(model, plain)
    found += wrong_id + more
    if spec is None:
        return None, found
    override = spec.environments.get(head.environment)  # type: ignore[call-overload]  # any text may be asked for
    changed: dict[str, Any] = {key: CLEARABLE[key] for key in cleared}
    if override is not None:
        names = override.model_fields_set - {"settings", "network"}
        changed |= {name: getattr(override, name) for name in names if name not in cleared}
    merged = spec.model_copy(update=changed)
    settings = getattr(override, "settings", {})
    network = override.network if override and "network" in override.model_fields_set else None
    merged, more = _filled(source, merged, head)
    found += more
    made = Draft(source, merged, _shown(merged), settings, network)
    found += _judge(made, head)
    return (None if any(f.severity == "error" for f in found) else made), found


def _filled(
    source: EntrySource, spec: PluginEntry | DirectoryEntry, head: Head
) -> tuple[PluginEntry | DirectoryEntry, list[Finding]]:
    """The entry with `${NAME:-default}` filled in its link."""
    if not isinstance(spec, DirectoryEntry) or not spec.link or "${" not in spec.link:
        return spec, []
    found: list[Finding] = []

    def value(match: "re.Match[str]") -> str:
        said = head.variables.get(match[1]) or match[2]
        if said is None:
            found.append(source.finding(("link",), "variable", value=match[1]))
        return said or ""

    filled = _VARIABLE.sub(value, spec.link)
    return spec.model_copy(update={"link": filled}), found


def _wants_plugin(value: Mapping[str, Any]) -> bool:
    return "plugin" in value or not {"name", "sheet", "owner", "short"} & value.keys()


def _without_false(
    source: EntrySource, value: dict[str, Any], environment: str
) -> tuple[dict[str, Any], tuple[str, ...], list[Finding]]:
    """The entry without `key: false` in its environments, and what is cleared in this one."""
    environments = value.get("environments")
    if not isinstance(environments, dict):
        return value, (), []
    cleared: list[str] = []
    found: list[Finding] = []
    kept: dict[str, Any] = {}
    for name, values in environments.items():
        kept[name] = values
        if not isinstance(values, dict):
            continue
        off = [key for key, item in values.items() if item is False]
        kept[name] = {key: item for key, item in values.items() if key not in off}
        for key in off:
            if key in CLEARABLE:
                cleared += [key] if name == environment else []
            else:
                loc = ("environments", name, key)
                found.append(source.finding(loc, "cannot-clear", value=repr(key)))
    return {**value, "environments": kept}, tuple(cleared), found


def _shown(spec: PluginEntry | DirectoryEntry) -> tuple[ShownSpec, ...]:
    """Visibility as a list; a first line that begins later is preceded by "hidden"."""
    said = spec.visibility
    lines = (ShownSpec(state=said),) if isinstance(said, Visibility) else said
    lines = (lines,) if isinstance(lines, ShownSpec) else lines
    if lines[0].since is not None:
        lines = (ShownSpec(state=Visibility.HIDDEN), *lines)
    return lines


def _judge(made: Draft, head: Head) -> list[Finding]:
    found = [*_names(made, head), *_visibility(made), *_times(made, head), *_numbers(made)]
    found += _texts(made)
    found += host_findings(made.source, made.source.value, head.environment)
    return found


def _names(made: Draft, head: Head) -> Iterator[Finding]:
    """Words that must stand in a list at the head of the registry."""
    source, spec = made.source, made.spec

    def lost(code: str, loc: tuple[str | int, ...], word: str, known: Mapping[str, Any]) -> Finding:
        finding = source.finding(loc, code, value=repr(word))
        cure = near(word, known) or f"choose one of {', '.join(list(known)[:20]) or '(none yet)'}"
        return source.saying(loc, code, finding.message, cure)

    if spec.topic is None:
        yield source.finding((), "missing-topic")
    elif spec.topic not in head.topics:
        yield lost("unknown-topic", ("topic",), spec.topic, head.topics)
    for number, word in enumerate(spec.life_events):
        if word not in head.document.life_events:
            loc = ("life_events", number)
            yield lost("unknown-life-event", loc, word, head.document.life_events)
    for number, code in enumerate(spec.region):
        if code not in head.document.city.regions and code != head.document.city.code:
            yield lost("unknown-region", ("region", number), code, head.document.city.regions)
    if isinstance(spec, DirectoryEntry) and spec.owner not in head.departments:
        yield lost("unknown-department", ("owner",), spec.owner, head.departments)


def _visibility(made: Draft) -> Iterator[Finding]:
    source, spec = made.source, made.spec
    lines = [spec.visibility] if isinstance(spec.visibility, ShownSpec) else spec.visibility
    before = None
    for number, line in enumerate(lines if not isinstance(lines, Visibility) else ()):
        loc: tuple[str | int, ...] = ("visibility", number)
        loc = ("visibility",) if isinstance(spec.visibility, ShownSpec) else loc
        if line.since is None and number > 0:
            yield source.finding(loc, "visibility-no-since")
        if line.since and before and line.since <= before:
            yield source.finding((*loc, "since"), "visibility-order", value=line.since.isoformat())
        before = line.since or before
        limited = line.state in (Visibility.TRIAL, Visibility.GRAY)
        if limited and not line.testers:
            yield source.finding((*loc, "state"), "testers-missing", value=line.state.value)
        if line.testers and not limited:
            yield source.finding((*loc, "testers"), "testers-ignored", value=line.state.value)
    for line in made.shown:
        loc = ("visibility",)
        if isinstance(spec.visibility, Visibility) and line.state in (
            Visibility.TRIAL,
            Visibility.GRAY,
        ):
            yield source.finding(loc, "testers-missing", value=line.state.value)
        if line.state is Visibility.SUSPENDED and line.sentence is None:
            yield source.finding(loc, "suspended-no-sentence")
        way = line.successor or spec.successor or spec.way
        if line.state is Visibility.RETIRED and way is None:
            yield source.finding(loc, "retired-no-way")


def _times(made: Draft, head: Head) -> Iterator[Finding]:
    source, spec = made.source, made.spec
    for number, window in enumerate(spec.maintenance):
        loc = ("maintenance", number)
        whole = window.start is not None and window.end is not None
        daily = window.daily_start is not None and window.daily_end is not None
        if whole == daily:
            yield source.finding(loc, "window-empty")
        if window.start and window.end and window.end <= window.start:
            yield _backwards(source, (*loc, "end"), window.start, window.end)
        elif window.end and window.end.timestamp() * 1e6 < head.now:
            yield source.finding((*loc, "end"), "window-over", end=window.end.isoformat())
        if daily and window.daily_start == window.daily_end:
            at = (*loc, "daily_end")
            yield _backwards(source, at, window.daily_start, window.daily_end)
        yield from _weekdays(source, (*loc, "weekdays"), window.weekdays)
    hours = spec.hours
    if hours is None:
        return
    if hours.closes <= hours.opens:
        places: dict[str, Any] = {"opens": hours.opens, "closes": hours.closes}
        yield source.finding(("hours", "closes"), "hours-order", **places)
    if (hours.season_start is None) != (hours.season_end is None):
        yield source.finding(("hours",), "season-half")
    yield from _weekdays(source, ("hours", "weekdays"), hours.weekdays)


def _backwards(
    source: EntrySource, loc: tuple[str | int, ...], start: object, end: object
) -> Finding:
    return source.finding(loc, "window-backwards", start=str(start), end=str(end))


def _weekdays(
    source: EntrySource, loc: tuple[str | int, ...], days: tuple[int, ...]
) -> Iterator[Finding]:
    for number, day in enumerate(days):
        if day in days[:number]:
            yield source.finding((*loc, number), "weekday-twice", value=day)


def _numbers(made: Draft) -> Iterator[Finding]:
    spec = made.spec
    if not isinstance(spec, PluginEntry):
        return
    for name, override in spec.environments.items():
        for number, text in enumerate(override.network):
            match = _HOST_PORT.match(text)
            if match is None or not 0 < int(match[1]) <= _LAST_PORT:
                loc = ("environments", name, "network", number)
                yield made.source.finding(loc, "host-port", value=repr(text))
    if spec.keep is None:
        return
    if seconds(spec.keep) > _WEEK:
        yield made.source.finding(("keep",), "keep-too-long", value=repr(spec.keep))
    if spec.fresh is not None and seconds(spec.fresh) > seconds(spec.keep):
        places: dict[str, Any] = {"value": repr(spec.fresh), "keep": repr(spec.keep)}
        yield made.source.finding(("fresh",), "fresh-over-keep", **places)


def _texts(made: Draft) -> Iterator[Finding]:
    source, spec = made.source, made.spec
    if not isinstance(spec, DirectoryEntry):
        return
    if len(spec.short.zh) > _SHORT:
        yield source.finding(("short", "zh"), "short-too-long", value=len(spec.short.zh))
    for name in ("name", "short", "summary"):
        text: Text = getattr(spec, name)
        for language in ("zh", "en"):
            said = getattr(text, language)
            if said != said.strip():
                yield source.finding((name, language), "text-spaces")
    seen: set[str] = set()
    for number, function in enumerate(spec.functions):
        if function.id in seen:
            yield source.finding(
                ("functions", number, "id"), "function-twice", value=repr(function.id)
            )
        seen.add(function.id)
