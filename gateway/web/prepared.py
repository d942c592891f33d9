"""The hall's directory as bytes: made at prepare, once for each language and edition.

Between the pieces stand NUL bytes, `…NUL service NUL tile NUL…`, so that a request exchanges only
the tiles of services that are not simply open at that moment, and leaves out those that are not shown.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from markupsafe import Markup

from gateway.cards.state import Code
from gateway.contract.ids import ServiceId
from gateway.registry.entry import Entry, Lane
from gateway.registry.generation import DraftGeneration, Generation
from gateway.web import fragments, pages
from gateway.web.appearance import Edition
from gateway.words.loader import LANGUAGES, Language, say

EDITIONS: Final[tuple[Edition, ...]] = ("standard", "elder")
COUNT: Final = "#count"  # stands where the number of services does
_MARK: Final = "\x00"
Exchange = Callable[[str, bytes], bytes]  # service, its prepared tile -> what is shown


def hall_pages(draft: DraftGeneration) -> dict[str, bytes]:
    """The prepared directory by blob name."""
    found = {}
    for language in LANGUAGES:
        tiles = {
            service: draft.remember(f"tile:{language}", service, partial(_tile, language=language))
            for service in draft.services
        }
        for edition in EDITIONS:
            found[_name(language, edition)] = _directory(draft, tiles, language, edition)
    return found


def directory(
    generation: Generation, language: Language, edition: Edition, exchange: Exchange
) -> bytes:
    """The directory as it is now."""
    blob = generation.blob(_name(language, edition))
    if blob is None:
        return b""
    pieces = blob.split(b"\x00")
    for at in range(1, len(pieces), 3):
        pieces[at], pieces[at + 1] = b"", exchange(pieces[at].decode(), pieces[at + 1])
    return b"".join(pieces)


def connected(entry: Entry) -> bool:
    """Whether a service stands in the hall as a whole card: it has one, or signs people in."""
    launched = entry.launch is not None and entry.launch.lane is not Lane.LINK
    return entry.card is not None or launched


def sprite(generation: Generation) -> Markup:
    """The topics' drawings that cards and tiles refer to."""
    topics = [(topic.id, topic.icon) for topic in generation.topics]
    return fragments.draw(topics)


def _name(language: Language, edition: Edition) -> str:
    return f"hall:{language}:{edition}"


def tile_view(entry: Entry, language: Language, code: str = Code.READY) -> fragments.View:
    """One line of the directory in a state."""
    english = language == "en"
    return fragments.View(
        service=entry.id,
        topic=entry.topic,
        title=entry.short.en if english else entry.short.zh,
        department=entry.owner.name.en if english else entry.owner.name.zh,
        code=code,
        message="",
    )


def _tile(entry: Entry, language: Language) -> bytes:
    summary = entry.summary.en if language == "en" else entry.summary.zh
    tile = fragments.render_tile(tile_view(entry, language), summary, language)
    return entry.topic.encode() + b"\x00" + tile


def _directory(
    draft: DraftGeneration, tiles: Mapping[ServiceId, bytes], language: Language, edition: Edition
) -> bytes:
    by_topic: dict[str, list[str]] = {topic.id: [] for topic in draft.topics}
    for service in draft.services:
        topic_id, _, tile = tiles[service].decode().partition(_MARK)
        if topic_id in by_topic:
            by_topic[topic_id].append(f"{_MARK}{service}{_MARK}{tile}{_MARK}")
    topics = [
        {
            "id": topic.id,
            "name": topic.name.en if language == "en" else topic.name.zh,
            "tiles": Markup("".join(by_topic[topic.id])),  # noqa: S704 - our own macro's output
        }
        for topic in draft.topics
        if by_topic[topic.id]
    ]
    count = Markup(f"{_MARK}{COUNT}{_MARK}{_MARK}")  # noqa: S704 - a mark
    template = pages.environment().get_template("_directory.html")
    return template.render(
        say=partial(say, language), topics=topics, count=count, elder=edition == "elder"
    ).encode()
