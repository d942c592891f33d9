"""The HTML of items: taken where it was kept of this very version, else made and kept."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gateway.cards.asking import Tools
from gateway.cards.copies import Copy
from gateway.cards.item import Item
from gateway.cards.rows import Row
from gateway.cards.viewer import Viewer
from gateway.store.away import Away

Shown = tuple[Item, Row, Copy]


async def paint(
    tools: Tools,
    viewer: Viewer,
    shown: Sequence[Shown],
    kept: Mapping[str, bytes | None],
    epoch: bytes,
) -> None:
    """Give each item that shows a copy its HTML; what is new of a citizen's is kept under `epoch`."""
    render, citizen, language = tools.render, viewer.citizen, viewer.language
    if render is None:
        return
    made: list[tuple[str, bytes, bytes]] = []
    for item, row, copy in shown:
        version = _version(item, copy)
        if row.public:
            item.fragment = tools.public.fragment(version)
            if item.fragment is None:
                item.fragment = render(item, language)
                tools.public.paint(version, item.fragment)
        elif citizen is not None:
            service = row.entry.id
            item.fragment = tools.copies.fragment(
                citizen.id, language, service, kept.get(service), version
            )
            if item.fragment is None:
                item.fragment = render(item, language)
                made.append((service, version, item.fragment))
    if made and citizen is not None and epoch:
        with suppress(Away):  # then it is made again the next time
            await tools.copies.paint(citizen.id, epoch, language, made)


def paint_sheets(tools: Tools, viewer: Viewer, items: Sequence[Item | None]) -> None:
    """What is the same for everybody keeps its HTML on the item itself."""
    for item in items:
        if tools.render is not None and item is not None and item.whole_json is not None:
            item.fragment = item.fragment or tools.render(item, viewer.language)


def _version(item: Item, copy: Copy) -> bytes:
    """Everything that an item's HTML is made of, as 16 bytes."""
    freshness = item.freshness
    how = f"{freshness.source}:{freshness.reason}".encode() if freshness is not None else b""
    said = b"\0".join((copy.mark, how, item.tail_json or b"", item.entry.digest.encode()))
    return hashlib.blake2b(said, digest_size=16).digest()
