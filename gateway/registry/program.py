"""Which program prepared something: another one must not reuse its results."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_KINDS: Final = (".py", ".json", ".html", ".css", ".js", ".svg", ".yaml")
_APART: Final = ("simulated", "handbook", "__pycache__")


@cache
def program_digest() -> str:
    """SHA-256 over the program's own files; equal on every node that runs the same release."""
    whole = hashlib.sha256()

    def walk(folder: Traversable, way: str) -> None:
        for item in sorted(folder.iterdir(), key=lambda item: item.name):
            if item.is_dir():
                if item.name not in _APART:
                    walk(item, f"{way}/{item.name}")
            elif item.name.endswith(_KINDS):
                content = item.read_bytes()
                whole.update(f"{way}/{item.name}\0{len(content)}\n".encode() + content)

    walk(files("gateway"), "")
    return whole.hexdigest()
