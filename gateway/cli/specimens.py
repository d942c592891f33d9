"""The cards of one plugin folder for `plugin preview`: its samples, and its service in every state.

Each card is made as the gateway makes it: samples through the recipe, then labels, masks, words and
state; gate states by the gates themselves, over an entry that is in them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.cards.body import BadAnswer, Maker
from gateway.cards.gates import gate, shown_now
from gateway.cards.item import Freshness, Item
from gateway.cards.present import answer_actions, gated, pending, plugin_sentence, unavailable
from gateway.cards.state import Code
from gateway.cards.viewer import Me, Viewer
from gateway.clock import instant, microseconds
from gateway.conformance.finding import Finding, errors
from gateway.conformance.folder import Folder, gathered, opened
from gateway.conformance.samples import outcomes
from gateway.contract.answer import CardAnswer, Empty
from gateway.contract.citizen import Citizen
from gateway.contract.ids import CitizenId, ServiceId
from gateway.hosting.outcome import Failed, Reason
from gateway.hosting.package import Package
from gateway.registry.compiling import offered
from gateway.registry.entry import Entry, Hours, Shown, Visibility, Window
from gateway.registry.gather import PLUGINS, REGISTRY
from gateway.registry.generation import Generation
from gateway.registry.prepare import prepare
from gateway.words.loader import LANGUAGES, Language

_NOW: Final = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_LANES: Final = ("ticket", "oidc", "cas", "link")
_TRACE: Final = "3f9c1a77b20e4d15"
_FAILED: Final = {
    "try_again": Reason.TRY_LATER,
    "show_last": Reason.CLOSED_NOW,
    "call_owner": Reason.CONTRACT,
}


@dataclass(frozen=True, slots=True)
class Specimen:
    """One card to be shown, in both languages."""

    name: str
    items: Mapping[Language, Item]


@dataclass(frozen=True, slots=True)
class Specimens:
    """All of a folder; where it cannot be opened, only what is wrong."""

    samples: tuple[Specimen, ...] = ()
    states: tuple[Specimen, ...] = ()
    findings: tuple[Finding, ...] = ()


def specimens(path: Path, variables: Mapping[str, str]) -> Specimens:
    """Read the folder anew and make all its cards."""
    files, odd = gathered(path)
    folder = opened(path.resolve().name, files, odd=tuple(odd), variables=variables, softened=True)
    package = folder.package
    if package is None:
        wrong = {*errors(list(folder.schema)), *folder.opening}
        return Specimens(findings=tuple(sorted(wrong)))
    entries, found = _entries(folder, package, variables)
    if not entries:
        return Specimens(findings=tuple(found))
    return Specimens(
        samples=tuple(_samples(folder, package, entries)),
        states=tuple(_states(package, next(iter(entries.values())))),
    )


def _entries(
    folder: Folder, package: Package, variables: Mapping[str, str]
) -> tuple[dict[str, Entry], list[Finding]]:
    """An entry for each service, as a registry that shows them all would make it."""
    rows = []
    for service in package.manifest.services:
        lane = next((name for name in _LANES if name in offered(service)), "none")
        rows.append(
            f"  {service.id}: {{plugin: {package.id}/{service.id}, topic: grid, lane: {lane}}}\n"
        )
    text = (
        'registry: 1\ncity: {code: "000000", prefix: XX, name: {zh: 预览, en: Preview}}\n'
        "topics: [{id: grid, name: {zh: 预览, en: Preview}}]\nservices:\n" + "".join(rows)
    )
    files = {f"{PLUGINS}{package.id}/{name}": body for name, body in folder.files.items()}
    files[REGISTRY] = text.encode()
    environment = next(iter(folder.packages), "") or "demo"
    done = prepare(files, environment=environment, variables=variables, revision=1)
    if done.artefact is None:
        prefix = f"{PLUGINS}{package.id}/"
        wrong = errors(done.findings)
        return {}, [finding.in_file(finding.file.removeprefix(prefix)) for finding in wrong]
    generation = Generation.load(done.artefact)
    found = (generation.entry(ServiceId(s.id)) for s in package.manifest.services)
    return {entry.service or entry.id: entry for entry in found if entry is not None}, []


def _makers(package: Package, entry: Entry, now: int) -> dict[Language, Maker]:
    words = package.words
    return {one: Maker(entry, one, {**words["zh"], **words[one]}, now) for one in LANGUAGES}


def _samples(folder: Folder, package: Package, entries: Mapping[str, Entry]) -> Iterator[Specimen]:
    """What each sample gives; a good answer also as a copy whose department is down."""
    for path, seen in outcomes(folder, package).items():
        sample = folder.samples[path]
        entry = entries.get(sample.service)
        if entry is None:
            continue
        if (spec := next((c for c in package.manifest.cards if c.id == sample.card), None)) is None:
            continue
        entry = entry.model_copy(update={"card": spec})
        makers = _makers(package, entry, microseconds(sample.now))
        items = {one: _item(maker, seen) for one, maker in makers.items()}
        name = path.removeprefix("samples/").removesuffix(".yaml")
        yield Specimen(f"{name} · {sample.title.zh}", items)
        if "card" in seen:
            yield Specimen(f"{name} · {sample.title.zh} · copy", {
                one: _item(maker, seen, copy=True) for one, maker in makers.items()
            })  # fmt: skip


def _item(maker: Maker, seen: Mapping[str, Any], *, copy: bool = False) -> Item:
    """An outcome as the feed would show it."""
    try:
        if "card" in seen:
            made = maker.answered(CardAnswer.model_validate(seen["card"]))
        elif "empty" in seen:
            made = maker.nothing(Empty.model_validate(seen["empty"]))
        elif seen.get("failure") == "ask_citizen":
            made = maker.for_citizen(seen.get("need") or "field", seen["words"])
        else:
            return _failed(maker, seen)
    except BadAnswer as error:
        return _failed(maker, {"failure": "call_owner", "what": str(error)})
    fresh = Freshness("copy" if copy else "live", made.as_of, "timeout" if copy else None)
    actions = answer_actions(maker.entry, made.state.code, maker.language, copy=copy)
    return Item(maker.entry, made.state, actions, (), fresh, made.body, _TRACE)


def _failed(maker: Maker, seen: Mapping[str, Any]) -> Item:
    reason = _FAILED.get(str(seen.get("failure")), Reason.PLUGIN)
    failed = Failed(reason, words=seen.get("words"))
    return unavailable(
        maker.entry,
        failed,
        badges=(),
        language=maker.language,
        trace=_TRACE,
        now=maker.now,
        said=plugin_sentence(failed, maker.words, maker.language),
    )


def _states(package: Package, entry: Entry) -> Iterator[Specimen]:
    """The service in each state that is decided without its department, and without an answer."""
    now = microseconds(_NOW)
    citizen = Citizen(CitizenId("sample"), entry.level, "sample", "", now)
    viewers: list[tuple[Entry, Viewer]] = [
        (_shown(entry, Visibility.RETIRED), Viewer(citizen)),
        (_shown(entry, Visibility.SUSPENDED), Viewer(citizen)),
        (entry.model_copy(update={"maintenance": (Window(daily_start="09:00", daily_end="12:00"),)}),
         Viewer(citizen)),
        (entry.model_copy(update={"hours": Hours(opens="13:00", closes="17:00")}), Viewer(citizen)),
        (entry.model_copy(update={"min_host": "9.0"}), Viewer(citizen, host_version="1.0")),
        (entry.model_copy(update={"region": ("000121",)}), Viewer(citizen, region="000102")),
        (_shown(entry, Visibility.TRIAL), Viewer(citizen)),
        (entry, Viewer()),
        (entry.model_copy(update={"level": 5}), Viewer(citizen)),
        (entry.model_copy(update={"proxy": "only"}), Viewer(citizen)),
        (entry, Viewer(citizen)),
    ]  # fmt: skip
    for changed, viewer in viewers:
        items = {one: _gated(changed, viewer, one, now) for one in LANGUAGES}
        found = {one: item for one, item in items.items() if item is not None}
        if found:
            yield Specimen(found["zh"].state.code, found)
    makers = _makers(package, entry, now)
    yield Specimen(Code.PENDING, {one: pending(entry, (), one) for one in LANGUAGES})
    yield Specimen(Code.UNAVAILABLE, {one: _failed(m, {}) for one, m in makers.items()})
    if entry.card is None:
        yield Specimen(Code.READY, {one: _sheet(m) for one, m in makers.items()})
        return
    yield Specimen(
        Code.EMPTY, {one: _item(m, {"empty": {"kind": "empty"}}) for one, m in makers.items()}
    )


def _shown(entry: Entry, state: Visibility) -> Entry:
    return entry.model_copy(update={"shown": (Shown(state=state),)})


def _gated(entry: Entry, viewer: Viewer, language: Language, now: int) -> Item | None:
    seen = Viewer(viewer.citizen, language, viewer.host_version, viewer.region)
    state = gate(entry, seen, Me(), now)
    if state is None:
        return None
    return gated(entry, state, shown_now(entry, instant(now)), (), language)


def _sheet(maker: Maker) -> Item:
    made = maker.sheet()
    actions = answer_actions(maker.entry, Code.READY, maker.language)
    return Item(maker.entry, made.state, actions, body=made.body)
