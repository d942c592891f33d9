"""What is imported before the cage closes: afterwards a child may not be able to read a file."""

import ast
import codecs
import importlib
import logging
import sys
from contextlib import suppress
from typing import Final
from zoneinfo import ZoneInfo

# What plugins use, and what those modules import by themselves only when first used.
_USUAL: Final = (
    "_strptime", "abc", "array", "asyncio", "base64", "bisect", "calendar", "collections.abc",
    "concurrent.futures.thread",
    "contextlib", "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum",
    "fractions", "functools", "hashlib", "heapq", "hmac", "html.parser", "io", "itertools", "json",
    "linecache", "locale", "math", "operator", "pathlib", "random", "re", "secrets", "statistics",
    "string", "stringprep", "struct", "textwrap", "time", "traceback", "types", "typing",
    "unicodedata", "urllib.parse", "uuid", "warnings", "weakref", "xml.etree.ElementTree",
    "zoneinfo", "gateway.contract.strict_json",
)  # fmt: skip
_CODECS: Final = ("utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk", "gb2312", "big5", "ascii",
                  "latin-1", "idna", "raw-unicode-escape", "unicode-escape")  # fmt: skip
# Importing these does something: opens a browser, prints, looks for a display.
_ACTING: Final = frozenset({"antigravity", "this", "turtle", "tkinter", "idlelib", "test"})
ZONE: Final = "Asia/Shanghai"
_kept: list[object] = []


def warm() -> None:
    """Import and open once what every child shares."""
    for name in _USUAL:
        importlib.import_module(name)
    # What asyncio says of a plugin's forgotten tasks is no output of the plugin.
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.addHandler(logging.NullHandler())
    asyncio_log.propagate = False
    _kept.extend(codecs.lookup(name) for name in _CODECS)
    _kept.append(ZoneInfo(ZONE))  # kept, so that the zone's file need not be read again


def for_source(source: bytes) -> None:
    """Import the standard library's modules that a plugin names anywhere in its text."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):  # loading it will tell
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [node.module, *whole]
            else:
                continue
            for name in names:
                _bring(name)


def _bring(name: str) -> None:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names and root not in _ACTING:
        # `from datetime import date` names no module; neither does a misspelt one.
        with suppress(ImportError):
            importlib.import_module(name)
