"""What changed between two generations, in sentences that an admin understands.

One line per service: `公积金：暂停服务；收费 “免费” → “10 元”`. Nothing that only a machine sees is
told; where nothing else changed the answer is one sentence saying so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.clock import CITY_ZONE
from gateway.contract.manifest import Sheet, Text
from gateway.registry.entry import Entry, Shown, Visibility
from gateway.registry.generation import Generation
from gateway.words.loader import Language, say

_SHEET: Final = ("audience", "documents", "fee", "promised", "result", "place", "hours", "phone")
_TEXTS: Final = ("name", "short", "summary")
_VALUES: Final = ("order", "level", "min_host", "fresh", "keep", "timeout", "item_code")
_MOST: Final = 400  # characters of one sentence


def sentences(before: Generation | None, after: Generation, language: Language) -> list[str]:
    """Every difference, head first, then services in showing order; never empty."""
    old = before or Generation.empty(after.environment)
    told = list(_head(old, after, language))
    for service in after.services:
        if old.digest_of(service) == after.digest_of(service):
            continue
        was, now = old.entry(service), after.entry(service)
        if now is None:
            continue
        if was is None:
            parts = [_say(language, "added", state=_state(now.shown[-1], language))]
        else:
            parts = list(_entry(was, now, old, after, language))
        told += _line(now, parts, language)
    for service in old.services:
        was = old.entry(service)
        if was is not None and not after.digest_of(service):
            told += _line(was, [_say(language, "removed")], language)
    return told or [_say(language, "none")]


def _say(language: Language, key: str, **places: object) -> str:
    return say(language, f"registry.diff.{key}", **places)


def _line(entry: Entry, parts: Iterable[str], language: Language) -> list[str]:
    said = list(parts)
    if not said:
        return []
    joined = _say(language, "join").join(said)
    line = _say(language, "line", service=getattr(entry.short, language), parts=joined)
    return [line if len(line) <= _MOST else line[: _MOST - 1] + "…"]


def _head(old: Generation, new: Generation, language: Language) -> Iterator[str]:
    if old.revision == 0:
        yield _say(language, "first", count=len(new.services))
        return
    names = [{t.id: getattr(t.name, language) for t in g.topics} for g in (old, new)]
    yield from _sets("topic", names[0], names[1], language)
    if [t for t in names[0] if t in names[1]] != [t for t in names[1] if t in names[0]]:
        yield _say(language, "topic_order")
    for key in sorted(set(old.parked) ^ set(new.parked)):
        yield _say(language, "parked" if key in new.parked else "unparked", plugin=key)
    if old.city != new.city:
        yield _say(language, "city")


def _sets(
    kind: str, old: Mapping[str, str], new: Mapping[str, str], language: Language
) -> Iterator[str]:
    for key in new:
        if key not in old:
            yield _say(language, f"{kind}_added", name=new[key])
        elif old[key] != new[key]:
            yield _say(language, f"{kind}_renamed", was=old[key], now=new[key])
    for key in old:
        if key not in new:
            yield _say(language, f"{kind}_removed", name=old[key])


def _entry(
    was: Entry, now: Entry, old: Generation, new: Generation, language: Language
) -> Iterator[str]:
    """What changed of one service, the weightiest first."""
    yield from _shown(was, now, language)
    if was.parked != now.parked:
        yield _say(language, "entry_parked" if now.parked else "entry_unparked")
    yield from _launch(was, now, language)
    yield from _data(was, now, language)
    if was.owner != now.owner:
        names = (getattr(was.owner.name, language), getattr(now.owner.name, language))
        yield _changed("owner", *names, language)
    for name in _TEXTS:
        yield from _text(name, getattr(was, name), getattr(now, name), language)
    yield from _sheet(was.sheet, now.sheet, language)
    yield from _functions(was, now, language)
    yield from _values(was, now, old, new, language)
    if was.plugin != now.plugin or was.service != now.service:
        yield _changed("provider", was.plugin or "–", now.plugin or "–", language)
    elif was.package != now.package:
        yield _say(language, "plugin")


def _functions(was: Entry, now: Entry, language: Language) -> Iterator[str]:
    ids = [{f.id: getattr(f.name, language) for f in e.functions} for e in (was, now)]
    yield from _sets("function", ids[0], ids[1], language)
    if ids[0] == ids[1] and was.functions != now.functions:
        yield _say(language, "functions")


def _values(
    was: Entry, now: Entry, old: Generation, new: Generation, language: Language
) -> Iterator[str]:
    for name in _VALUES:
        one, two = getattr(was, name), getattr(now, name)
        if one != two:
            yield _changed(name, _plain(one), _plain(two), language)
    if was.topic != now.topic:
        yield _changed("topic", _topic(old, was, language), _topic(new, now, language), language)
    yield from _lists(was, now, new, language)
    for name in ("hours", "maintenance", "way", "card", "proxy", "icon"):
        if getattr(was, name) != getattr(now, name):
            yield _say(language, name)


def _shown(was: Entry, now: Entry, language: Language) -> Iterator[str]:
    if was.shown == now.shown:
        return
    new = [line for line in now.shown if line not in was.shown]
    if not new:
        yield _say(language, "back", state=_state(now.shown[-1], language))
    for line in new:
        key = "from" if line.since else "becomes"
        since = line.since.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M") if line.since else ""
        yield _say(language, key, state=_state(line, language), since=since)
        if line.sentence and line.state in (Visibility.SUSPENDED, Visibility.RETIRED):
            yield _say(language, "told", text=getattr(line.sentence, language))


def _state(line: Shown, language: Language) -> str:
    return say(language, f"registry.state.{line.state.value}")


def _launch(was: Entry, now: Entry, language: Language) -> Iterator[str]:
    lanes = [e.launch.lane.value if e.launch else "none" for e in (was, now)]
    if lanes[0] != lanes[1]:
        said = [say(language, f"registry.lane.{lane}") for lane in lanes]
        yield _changed("lane", said[0], said[1], language)
    elif was.launch and now.launch and was.launch != now.launch:
        if was.launch.address != now.launch.address:
            yield _changed("address", was.launch.address, now.launch.address, language)
        else:
            yield _say(language, "keys")


def _data(was: Entry, now: Entry, language: Language) -> Iterator[str]:
    old = {item.id: item for item in was.data}
    new = {item.id: item for item in now.data}
    labels = [{k: getattr(i.label, language) for k, i in items.items()} for items in (old, new)]
    yield from _sets("data", labels[0], labels[1], language)
    for key in old.keys() & new.keys():
        if old[key] != new[key]:
            yield _say(language, "data_changed", name=labels[1][key])


def _sheet(was: Sheet, now: Sheet, language: Language) -> Iterator[str]:
    for name in _SHEET:
        one, two = getattr(was, name), getattr(now, name)
        if one == two:
            continue
        if isinstance(one, tuple):
            yield _say(language, "documents")
        elif isinstance(one, str):
            yield _changed(name, one, two, language)
        else:
            yield from _text(name, one, two, language)


def _text(name: str, was: Text | None, now: Text | None, language: Language) -> Iterator[str]:
    one, two = getattr(was, language, ""), getattr(now, language, "")
    if one != two:
        yield _changed(name, f"“{_short(one)}”", f"“{_short(two)}”", language)
    elif was != now:
        yield _say(language, "other_language", field=say(language, f"registry.field.{name}"))


def _lists(was: Entry, now: Entry, new: Generation, language: Language) -> Iterator[str]:
    regions = new.city.regions

    def region(code: str) -> str:
        return str(getattr(regions.get(code), language, code))

    whole = say(language, "registry.everywhere")
    kinds: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("region", region), ("life_events", str), ("aliases", str), ("news_tags", str),
    )  # fmt: skip
    for name, shown in kinds:
        one, two = getattr(was, name), getattr(now, name)
        if one != two:
            none = whole if name == "region" else "–"
            comma = _say(language, "comma")
            said = [comma.join(map(shown, items)) or none for items in (one, two)]
            yield _changed(name, said[0], said[1], language)


def _changed(field: str, was: str, now: str, language: Language) -> str:
    name = say(language, f"registry.field.{field}")
    return _say(language, "changed", field=name, was=was, now=now)


def _topic(generation: Generation, entry: Entry, language: Language) -> str:
    found = next((t for t in generation.topics if t.id == entry.topic), None)
    return str(getattr(found.name, language)) if found else entry.topic


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g} s"
    return "–" if value is None else str(value)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"  # noqa: PLR2004 - enough to recognise it
