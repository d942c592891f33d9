"""The container of a generation: one file, an index in front, everything else read when needed.

Layout: magic · 8 bytes length of the index · SHA-256 of the index · index (JSON) · parts. The index
holds for each part its offset from the end of the index, and its length.
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

MAGIC: Final = b"citygate generation 1\n"
_FIXED: Final = len(MAGIC) + 8 + 32


class BadArtefact(Exception):
    """Not a generation, or one that was not written to its end."""


def pack(facts: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """One artefact: `facts` readable at once, `parts` by name."""
    places: dict[str, tuple[int, int]] = {}
    offset = 0
    for name, content in parts.items():
        places[name] = (offset, len(content))
        offset += len(content)
    index = orjson.dumps({"facts": facts, "parts": places, "length": offset})
    length = len(index).to_bytes(8, "big")
    return b"".join((MAGIC, length, hashlib.sha256(index).digest(), index, *parts.values()))


class Artefact:
    """An opened artefact: bytes, or a file mapped into memory (so workers share its pages)."""

    def __init__(self, source: bytes | Path) -> None:
        """Open it.

        Raises:
            BadArtefact: it is none, or damaged.
            OSError: the file cannot be read.
        """
        self._data: bytes | mmap.mmap = source if isinstance(source, bytes) else _map(source)
        if self._data[: len(MAGIC)] != MAGIC or len(self._data) < _FIXED:
            raise BadArtefact("not a generation of this kind")
        length = int.from_bytes(self._data[len(MAGIC) : len(MAGIC) + 8], "big")
        self._begin = _FIXED + length
        index = self._data[_FIXED : self._begin]
        if hashlib.sha256(index).digest() != self._data[len(MAGIC) + 8 : _FIXED]:
            raise BadArtefact("its index is damaged")
        read = orjson.loads(index)
        if len(self._data) != self._begin + read["length"]:
            raise BadArtefact("it was not written to its end")
        self.facts: dict[str, Any] = read["facts"]
        self._parts: dict[str, tuple[int, int]] = read["parts"]

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    @property
    def names(self) -> list[str]:
        """Every part's name."""
        return list(self._parts)

    def part(self, name: str) -> bytes | None:
        """One part's bytes, or None."""
        place = self._parts.get(name)
        if place is None:
            return None
        begin = self._begin + place[0]
        return self._data[begin : begin + place[1]]


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        try:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BadArtefact("it is empty") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
