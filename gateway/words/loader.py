"""Look up interface texts: one flat file of dotted keys for each language.

Places are written `{name}` and filled with plain values; whoever shows the text escapes it.
A missing key is a mistake in the program and raises at once; both files have the same keys and
places, which a house test holds.
"""

from functools import cache
from importlib.resources import files
from typing import Literal

import orjson

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@cache
def table(language: Language) -> dict[str, str]:
    """All texts of one language, by key: `<area>.json` files merged under `<area>.` prefixes."""
    folder = files("gateway.words") / language
    merged: dict[str, str] = {}
    for part in sorted(folder.iterdir(), key=lambda p: p.name):
        area = part.name.removesuffix(".json")
        for key, text in orjson.loads(part.read_bytes()).items():
            merged[f"{area}.{key}"] = text
    return merged


def say(language: Language, key: str, **places: object) -> str:
    """The text of a key with its places filled.

    Raises:
        KeyError: no such key, or a place that the text names is not given.
    """
    text = table(language)[key]
    return text.format_map(places) if places else text
