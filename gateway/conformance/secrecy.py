"""C09: secrets are named, never written."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.reader import Loc
from gateway.conformance.walking import part, places, texts

_FIELDS: Final[tuple[Loc, ...]] = (
    ("auth", "password"), ("auth", "value"), ("auth", "key"), ("sign", "key"),
    ("connect", "client_key"), ("connect", "client_cert"),
)  # fmt: skip
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_IN_ADDRESS: Final = re.compile(r"https?://[^/\s:@{}]+:[^/\s@{}]+@")
_ASSIGNED: Final = re.compile(
    r"(?i)(?P<name>pass(?:word|wd)?|secret|api[_-]?key|private[_-]?key|access[_-]?token|client[_-]?secret|密码|口令|密钥)"
    r"[\"']?\s*[:=：]\s*(?P<quote>[\"']?)(?P<value>[A-Za-z0-9+/=_.!@#$%^&*-]{6,})(?P=quote)"
)
_WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{40,}")
_PUBLIC: Final = re.compile(r"[\"']?\b(?:x|y|n|x5c|kid)[\"']?\s*:\s*[\"']?$")
_ENTROPY: Final = 4.3
_TEXT: Final = (".yaml", ".yml", ".py", ".json", ".xml", ".txt", ".md", ".csv", ".html")
_CURE: Final = "write {secret.name} and hand the value to the gateway's operator"


def holds_no_secret(folder: Folder) -> Iterator[Finding]:
    """C09: no password, key or token stands in any file, samples included."""
    yield from _fields(folder)
    for path in sorted(folder.files):
        if path.endswith(_TEXT):
            yield from _lines(folder.files[path], path)


def _fields(folder: Folder) -> Iterator[Finding]:
    """Fields that hold a secret must name one; `{secret.x}` stands nowhere else."""
    document = folder.documents.get("plugin.yaml")
    if document is None or not isinstance(document.value, dict):
        return
    for loc in _FIELDS:
        said = part(document.value, loc)
        if isinstance(said, str) and not any(p.startswith("secret.") for p in places(said)):
            yield folder.at("plugin.yaml", loc, "a secret is written here", _CURE)
    for number, key in enumerate(document.value.get("keys") or ()):
        for name in _PRIVATE:
            if isinstance(key, dict) and name in key:
                loc = ("keys", number, name)
                yield folder.at("plugin.yaml", loc, "this half of the key is private", "remove it")
    yield from _leaks(folder)


def _leaks(folder: Folder) -> Iterator[Finding]:
    """`{secret.x}` in a path, query or body would end in logs of others."""
    document = folder.documents.get("recipe.yaml")
    if document is None or not isinstance(document.value, dict):
        return
    for way, text in texts(document.value):
        named = any(place.startswith("secret.") for place in places(text))
        if named and not (way[0] == "calls" and "headers" in way):
            cure = "put it into auth, sign or a header"
            yield folder.at("recipe.yaml", way, "a secret may not stand here", cure)


def _lines(content: bytes, path: str) -> Iterator[Finding]:
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        at = _PEM.search(line) or _IN_ADDRESS.search(line) or _assigned(line, path) or _dense(line)
        if at is not None:
            yield Finding(
                path, number, at.start() + 1, "", "error", "", "this looks like a secret", _CURE
            )


def _assigned(line: str, path: str) -> re.Match[str] | None:
    """`password: …` with a value that is neither a place nor marked as a sample."""
    for found in _ASSIGNED.finditer(line):
        value = found["value"].lower()
        if value.startswith(("sample", "example", "{", "$")) or set(value) <= set("x*.-"):
            continue
        if path.endswith((".py", ".md")) and not found["quote"]:
            continue  # code and prose: a name, not a literal
        return found
    return None


def _dense(line: str) -> re.Match[str] | None:
    """A long word with the look of random bytes, unless it is a public key's."""
    for found in _WORD.finditer(line):
        word = found.group()
        kinds = (re.search(r"[a-z]", word), re.search(r"[A-Z]", word), re.search(r"[0-9]", word))
        if not all(kinds) or _PUBLIC.search(line[: found.start()]):
            continue
        if _entropy(word) >= _ENTROPY:
            return found
    return None


def _entropy(word: str) -> float:
    """Bits a letter."""
    size = len(word)
    return -sum(n / size * math.log2(n / size) for n in Counter(word).values())
