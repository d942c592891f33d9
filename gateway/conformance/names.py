"""C14: expressions compile, and everything that is named exists."""

from collections.abc import Iterator
from typing import Final

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.mistakes import near
from gateway.conformance.naming import Names
from gateway.conformance.recipe_calls import asked
from gateway.conformance.recipe_cards import shown
from gateway.conformance.walking import part, places, texts
from gateway.contract.manifest import Manifest

MOST_CHINESE: Final = 60
MOST_ENGLISH: Final = 120
_FILLED: Final = ("connect", "auth", "sign")


def everything_named_exists(folder: Folder) -> Iterator[Finding]:
    """C14: settings, calls, cards, facts, words and columns; every expression is one of ours."""
    yield from _opening(folder)
    yield from named(folder)


def named(folder: Folder) -> Iterator[Finding]:
    """The same without what a registry entry may still give: values of settings."""
    yield from _words(folder)
    if folder.manifest is None:
        return
    yield from _settings(folder, folder.manifest)
    yield from _samples(folder, folder.manifest)
    if folder.recipe is not None:
        names = Names(folder, folder.manifest, folder.recipe)
        yield from asked(names, folder.documents["recipe.yaml"].value)
        yield from shown(names)


def _opening(folder: Folder) -> Iterator[Finding]:
    """Settings and hosts that an environment lacks; what does not fit a schema is C02's."""
    schema = set(folder.schema)
    for finding in folder.opening:
        if finding not in schema and finding.code not in ("missing", "extra"):
            yield finding


def _words(folder: Folder) -> Iterator[Finding]:
    """Both languages say the same, and not too long."""
    here, there = "words.zh.yaml", "words.en.yaml"
    for file, other in ((here, there), (there, here)):
        if file not in folder.documents:
            continue
        mine = folder.words[file[6:8]]
        for key in mine.keys() - folder.words[other[6:8]].keys():
            cure = f"add it to {other}"
            yield folder.at(file, (key,), f"{key!r} is said in one language only", cure, key=True)
        most = MOST_CHINESE if file == here else MOST_ENGLISH
        for key, text in mine.items():
            if len(text) > most:
                message = f"{len(text)} characters, where {most} fit"
                yield folder.at(file, (key,), message, "say it shorter")


def _settings(folder: Folder, manifest: Manifest) -> Iterator[Finding]:
    """`{setting.x}` in plugin.yaml names a setting that is declared."""
    raw = folder.documents["plugin.yaml"].value
    if manifest.kind == "standard" and manifest.connect is None:
        cure = "add `connect: {base: …}`"
        yield folder.at("plugin.yaml", ("kind",), "there is no address to ask", cure)
    for field in _FILLED:
        yield from _places(folder, manifest, ((field,), part(raw, (field,))))
    for number, _ in enumerate(manifest.services):
        loc = ("services", number, "launch")
        yield from _places(folder, manifest, (loc, part(raw, loc)))


def _places(
    folder: Folder, manifest: Manifest, where: tuple[tuple[str | int, ...], object]
) -> Iterator[Finding]:
    for way, text in texts(where[1], where[0]):
        for place in places(text):
            source, _, name = place.partition(".")
            if source == "setting" and name not in manifest.settings:
                cure = near(name, manifest.settings) or "declare it under `settings:`"
                yield folder.at("plugin.yaml", way, f"no setting named {name!r}", cure)
            elif source not in ("setting", "secret"):
                cure = "places here are {setting.x} and {secret.x}"
                yield folder.at(
                    "plugin.yaml", way, f"{{{place}}} is no place that can be filled", cure
                )


def _samples(folder: Folder, manifest: Manifest) -> Iterator[Finding]:
    """A sample names a service, a card and data items of the manifest."""
    services = {service.id: service for service in manifest.services}
    items = {item.id for item in manifest.data}
    for path, sample in folder.samples.items():
        for loc, name, known in (
            (("service",), sample.service, set(services)),
            (("card",), sample.card, {card.id for card in manifest.cards}),
            *((("citizen", item), item, items) for item in sample.citizen),
        ):
            if name not in known:
                cure = near(name, known) or f"the manifest has {', '.join(sorted(known))}"
                yield folder.at(path, loc, f"the manifest has no {loc[0]} {name!r}", cure)
        for call in sample.answers if folder.recipe is not None else ():
            if call not in folder.recipe.calls:  # type: ignore[union-attr]  # seen above
                known_calls = folder.recipe.calls  # type: ignore[union-attr]  # seen above
                cure = near(call, known_calls) or f"the calls are {', '.join(known_calls)}"
                loc = ("answers", call)
                yield folder.at(path, loc, f"no call named {call!r}", cure, key=True)
