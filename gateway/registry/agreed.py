"""Whether a consent covers what a service asks today, and what exactly it asks."""

from collections.abc import Collection
from typing import Any, Final

import orjson

from gateway.contract.citizen import Agreement
from gateway.contract.manifest import DataItem
from gateway.registry.entry import Entry

_NOTHING: Final[dict[str, Any]] = {}


def agreed(entry: Entry, agreement: Agreement | None) -> bool:
    """Whether the citizen agreed to exactly this text and to every item that is required.

    A service that asks for no data needs no consent. A changed text, recipient or retention is
    another digest, so it is asked again.
    """
    if not entry.data:
        return True
    if agreement is None or agreement.digest != entry.consent_digest:
        return False
    return required(entry) <= agreement.items


def required(entry: Entry) -> frozenset[str]:
    """Ids of the items without which the service cannot work."""
    return frozenset(item.id for item in entry.data if item.required)


def asked(entry: Entry) -> bytes:
    """What the citizen is asked, as the JSON whose SHA-256 is `entry.consent_digest`."""
    items = [item.model_dump(mode="json") for item in sorted(entry.data, key=lambda item: item.id)]
    owner = entry.owner
    whole = [owner.id, owner.name.model_dump(), owner.privacy, items]
    return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)


def not_asked_before(entry: Entry, text: bytes | None) -> tuple[DataItem, ...]:
    """Items that the earlier text (of `asked`) did not hold, or held in other words.

    Another recipient or privacy address makes every item a new question.
    """
    if text is None:
        return entry.data
    department, name, privacy, items = orjson.loads(text)
    owner = entry.owner
    if [department, name, privacy] != [owner.id, owner.name.model_dump(), owner.privacy]:
        return entry.data
    before = {item["id"]: item for item in items}
    return tuple(
        item for item in entry.data if item.model_dump(mode="json") != before.get(item.id, _NOTHING)
    )


def shared(entry: Entry, agreement: Agreement | None) -> Collection[str]:
    """Ids of the items that may be told now, in the entry's order."""
    if not agreed(entry, agreement) or agreement is None:
        return ()
    return tuple(item.id for item in entry.data if item.id in agreement.items)
