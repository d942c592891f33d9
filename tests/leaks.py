r"""Searches bytes for personal values of the test people, however they were written down.

Looked for: plain, JSON's `\uXXXX`, percent, base64 (each of its three alignments), hexadecimal, in
UTF-8, GB18030 and UTF-16. Numbers count only where no further digit stands beside them.
"""

import base64
import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import re2
import redis

from gateway.simulated.people import PERSONAL_VALUES

LEAST: Final = {"base64": 7, "hex": 12}  # characters: fewer stand in tokens and digests by chance
SHORT: Final = 6  # bytes: fewer meet by chance in what is sealed, so they need a text around them
_RULE: Final = "─" * 72  # around the table that `citygate run` prints for whoever started it
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{4}")


@dataclass(frozen=True, slots=True)
class Leak:
    """A personal value where it must not be; names the value by its place in the list, not itself."""

    place: str
    encoding: str
    value: int


class Scanner:
    """Knows every way of writing each value."""

    def __init__(self, values: Iterable[str] = PERSONAL_VALUES) -> None:
        self._ways: dict[bytes, tuple[int, str]] = {}
        for number, value in enumerate(values):
            for encoding, written in ways(value):
                if len(written) >= LEAST.get(encoding, 1):
                    self._ways.setdefault(written, (number, encoding))
        options = re2.Options()
        options.max_mem = 1 << 28
        options.encoding = re2.Options.Encoding.LATIN1
        longest_first = sorted(self._ways, key=len, reverse=True)
        self._pattern = re2.compile(b"|".join(map(_literal, longest_first)), options)

    def look(self, content: bytes, place: str) -> list[Leak]:
        """Every value in it, once each way."""
        found: dict[Leak, None] = {}
        start = 0
        while match := self._pattern.search(content, start):
            written = match.group()
            number, encoding = self._ways[written]
            if _counts(content, match.start(), match.end(), written):
                found[Leak(place, encoding, number)] = None
            start = match.start() + 1
        return list(found)

    def folder(self, folder: Path, but: Iterable[str] = ()) -> list[Leak]:
        """Names and contents of all files below, and every value of every SQLite table."""
        found: list[Leak] = []
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink() or name.split("/", maxsplit=1)[0] in but:
                continue
            found += self.look(name.encode(), f"name of {name}")
            if not path.is_file():
                continue
            with contextlib.suppress(FileNotFoundError):
                found += self.look(path.read_bytes(), str(path))
            if path.suffix == ".db" and not path.name.startswith("."):
                found += self.tables(path)
        return found

    def tables(self, path: Path) -> list[Leak]:
        """What the ledger holds, value by value: in the file a long one may lie in pieces."""
        found: list[Leak] = []
        if path.read_bytes()[:6] != b"SQLite":
            return found
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            names = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                for row in raw.execute(f'SELECT * FROM "{name}"'):
                    found += self.look(_row(row), f"{path} table {name}")
        return found

    def valkey(self, socket: str) -> list[Leak]:
        """Keys and values of a running server."""
        found: list[Leak] = []
        with closing(redis.Redis(unix_socket_path=socket)) as client:
            for key in client.scan_iter(count=500):
                found += self.look(key, "a key in Valkey")
                found += self.look(_dumped(client, key), f"value under {key[:12]!r} in Valkey")
        return found

    def titles(self, pids: Iterable[int]) -> list[Leak]:
        """What anybody on the machine reads of these processes."""
        found: list[Leak] = []
        for pid in pids:
            for name in ("cmdline", "comm", "environ"):
                with contextlib.suppress(OSError):
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                    found += self.look(content, f"{name} of a process")
        return found

    def log(self, path: Path) -> list[Leak]:
        """What processes wrote, but for the table of test people that a start ends with."""
        if not path.exists():
            return []
        outside = path.read_text("utf-8", errors="surrogateescape").split(_RULE)[::2]
        text = "\n".join(outside).encode("utf-8", errors="surrogateescape")
        return self.look(text, str(path))


def ways(value: str) -> Iterator[tuple[str, bytes]]:
    """Each way of writing a value, with its name."""
    utf8, gb = value.encode(), value.encode("gb18030")
    yield "plain", utf8
    yield "gb18030", gb
    for name in ("utf-16-le", "utf-16-be"):
        yield name, value.encode(name)
    escaped = "".join(c if c < "\x80" else f"\\u{ord(c):04x}" for c in value)
    yield "\\u", escaped.encode()
    yield "\\u", re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda m: m[0].upper(), escaped).encode()
    for coded in (utf8, gb):
        for text in (quote(coded, safe=""), quote(coded)):
            yield "percent", text.encode()
            yield "percent", re.sub(r"%..", lambda m: m[0].lower(), text).encode()
        yield "hex", coded.hex().encode()
        yield "hex", coded.hex().upper().encode()
        for shift in range(3):
            yield "base64", _core(base64.b64encode(bytes(shift) + coded), shift, len(coded))
            yield "base64", _core(base64.urlsafe_b64encode(bytes(shift) + coded), shift, len(coded))


def _core(coded: bytes, shift: int, length: int) -> bytes:
    """The part of a base64 text that is the same whatever stands before and behind."""
    first = -(-shift * 8 // 6)
    return coded[first : (shift + length) * 8 // 6]


def _literal(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)


def _counts(content: bytes, start: int, end: int, written: bytes) -> bool:
    around = content[max(0, start - 1) : start], content[end : end + 1]
    if written.isdigit() and any(side.isdigit() for side in around):
        return False
    if len(written) >= SHORT:
        return True
    before, behind = content[max(0, start - 4) : start], content[end : end + 4]
    return bool(_PRINTABLE.fullmatch(before) or _PRINTABLE.fullmatch(behind))


def _row(row: tuple[Any, ...]) -> bytes:
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in row)


def _dumped(client: "redis.Redis", key: bytes) -> bytes:
    kind: bytes = client.type(key)
    if kind == b"string":
        return client.get(key) or b""
    if kind == b"hash":
        return b"\n".join(part for pair in client.hgetall(key).items() for part in pair)
    if kind == b"zset":
        return b"\n".join(client.zrange(key, 0, -1))
    if kind == b"set":
        return b"\n".join(client.smembers(key))
    return client.dump(key) or b""
