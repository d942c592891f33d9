"""Walking through documents and the places in their texts: `{citizen.name}`, `{setting.api}`."""

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.conformance.reader import Loc

_PLACE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def texts(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every text below a value of a document, with its way."""
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*loc, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, (*loc, number))


def keys(value: Any, loc: Loc = ()) -> Iterator[Loc]:
    """The way of every key below a value of a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*loc, key)
            yield from keys(item, (*loc, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from keys(item, (*loc, number))


def places(text: str) -> list[str]:
    """What stands between single braces of a text; doubled braces are braces."""
    return [found[1] for found in _PLACE.finditer(text) if found[1] is not None]


def part(value: Any, loc: Loc) -> Any:
    """The value of a document at a way; None where there is none."""
    for step in loc:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
