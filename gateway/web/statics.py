"""Our own static files: read once, named by digest, kept compressed."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Static:
    """One file as it is sent."""

    name: str  # stem-<digest>.suffix
    media: str
    plain: bytes
    zipped: bytes


@cache
def by_address() -> Mapping[str, Static]:
    """Every static file by the name that its address ends with."""
    return {static.name: static for static in _all().values()}


def asset(name: str) -> str:
    """The address of a static file.

    Raises:
        KeyError: there is no such file; a mistake in a template.
    """
    return f"/static/{_all()[name].name}"


@cache
def _all() -> Mapping[str, Static]:
    found: dict[str, Static] = {}

    def take(folder: Traversable) -> None:
        for item in folder.iterdir():
            stem, _, suffix = item.name.rpartition(".")
            if item.is_dir():
                take(item)
            elif suffix in _TYPES:
                content = item.read_bytes()
                name = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
                zipped = gzip.compress(content, 9, mtime=0)
                found[item.name] = Static(name, _TYPES[suffix], content, zipped)

    take(files("gateway.web") / "static")
    return found
