"""The files of a revision, from the folders they are edited in.

A revision's paths are the same wherever the folders stand: `service_registry.yaml`, included files
relative to it, and `plugins/<id>/<path>`.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from gateway.conformance.document import read
from gateway.conformance.finding import Finding
from gateway.contract.ids import PLUGIN_ID_PATTERN
from gateway.registry.codes import WARNINGS, sentence

REGISTRY: Final = "service_registry.yaml"
PLUGINS: Final = "plugins/"
MOST_FILES: Final = 32
MOST_BYTES: Final = 8 << 20
MOST_PLUGIN_BYTES: Final = 8 << 20
MOST_PLUGIN_FILES: Final = 400
_PLUGIN: Final = re.compile(PLUGIN_ID_PATTERN)
_NAME: Final = re.compile(r"^[\w\u4e00-\u9fff][\w\u4e00-\u9fff .@+-]{0,99}$")
_LEFT_OUT: Final = ("__pycache__", "node_modules")
_INCLUDE_BLOCK: Final = re.compile(
    rb"^include[ \t]*:[^\n]*\n(?:(?:[ \t#\]-][^\n]*)?\n)*", re.MULTILINE
)


def gather(registry: Path, plugins: Path) -> tuple[dict[str, bytes], list[Finding]]:
    """Read the registry file, what it includes, and every plugin folder.

    Nothing is judged here but what keeps a file from being read; hidden files, editors' swap files
    and `__pycache__` are left out.

    Returns:
        {path: bytes} and findings, which name files as the paths do.
    """
    files: dict[str, bytes] = {}
    found: list[Finding] = []
    source = _bytes(registry, REGISTRY, found, MOST_BYTES, missing="no-registry")
    if source is not None:
        files[REGISTRY] = source
        _gather_included(registry, plugins, files, found)
    if plugins.is_dir():
        for folder in sorted(plugins.iterdir()):
            if _PLUGIN.match(folder.name) and folder.is_dir():
                _gather_plugin(folder, files, found)
    return files, sorted(set(found))


def about(path: str, code: str, line: int = 1, column: int = 1, **places: object) -> Finding:
    """A finding about a file as a whole."""
    severity = "warning" if code in WARNINGS else "error"
    message, cure = sentence(code, **places)
    return Finding(path, line, column, code, severity, "", message, cure)  # type: ignore[arg-type]  # one of the two words


def _gather_included(
    registry: Path, plugins: Path, files: dict[str, bytes], found: list[Finding]
) -> None:
    base = registry.parent
    for pattern, line, column in _patterns(files[REGISTRY]):
        parts = PurePosixPath(pattern).parts
        if not parts or parts[0] in ("/", "\\") or ".." in parts or ":" in parts[0]:
            found.append(about(REGISTRY, "include-outside", line, column, value=repr(pattern)))
            continue
        matches = _glob(base, pattern)
        if not matches:
            found.append(about(REGISTRY, "include-nothing", line, column, value=repr(pattern)))
        for path in matches:
            name = path.relative_to(base).as_posix()
            if name in files:
                continue
            if path.resolve().is_relative_to(plugins.resolve()) or name.startswith(PLUGINS):
                found.append(about(REGISTRY, "include-plugins", line, column, value=repr(name)))
                continue
            if len(files) > MOST_FILES:
                found.append(about(REGISTRY, "include-many", line, column, most=MOST_FILES))
                return
            content = _bytes(path, name, found, MOST_BYTES, inside=base)
            if content is not None:
                files[name] = content
    if sum(map(len, files.values())) > MOST_BYTES:
        found.append(about(REGISTRY, "registry-too-big", most=f"{MOST_BYTES >> 20} MiB"))


def _glob(base: Path, pattern: str) -> list[Path]:
    try:
        matches = sorted(path for path in base.glob(pattern) if not path.is_dir())
    except (ValueError, NotImplementedError, OSError):
        return []
    return [path for path in matches if not path.name.startswith((".", "~"))]


def _patterns(source: bytes) -> Iterator[tuple[str, int, int]]:
    """The `include:` list with its places; read alone, so that a broken file still has parts.

    What is wrong with the list itself is found when the whole file is read.
    """
    block = _INCLUDE_BLOCK.search(source + b"\n")
    if block is None:
        return
    above = source.count(b"\n", 0, block.start())
    document = read(block.group(), REGISTRY)
    listed = document.value.get("include") if isinstance(document.value, dict) else None
    for number, pattern in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(pattern, str):
            line, column = document.place(("include", number))
            yield pattern, line + above, column


def _gather_plugin(folder: Path, files: dict[str, bytes], found: list[Finding]) -> None:
    prefix = f"{PLUGINS}{folder.name}/"
    total = count = 0
    for path in _walk(folder):
        name = prefix + path.relative_to(folder).as_posix()
        if not all(_NAME.match(part) for part in path.relative_to(folder).parts):
            found.append(about(prefix.rstrip("/"), "path-name", value=ascii(name)))
            continue
        content = _bytes(path, name, found, MOST_PLUGIN_BYTES, inside=folder)
        if content is None:
            continue
        total += len(content)
        count += 1
        if total > MOST_PLUGIN_BYTES or count > MOST_PLUGIN_FILES:
            most = f"{MOST_PLUGIN_BYTES >> 20} MiB or {MOST_PLUGIN_FILES} files"
            found.append(about(prefix.rstrip("/"), "folder-too-big", most=most))
            return
        files[name] = content


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below but hidden ones, swap files and caches; folders that are links stay out."""
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith((".", "#")) or name.endswith(("~", ".swp", ".tmp", ".pyc")):
            continue
        if path.is_dir() and not path.is_symlink():
            if name not in _LEFT_OUT:
                yield from _walk(path)
        else:
            yield path


def _bytes(
    path: Path,
    name: str,
    found: list[Finding],
    most: int,
    *,
    inside: Path | None = None,
    missing: str = "unreadable",
) -> bytes | None:
    """A file's content, or None and a finding; never waits on a pipe, never reads without end."""
    try:
        if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
            found.append(about(name, "link", value=repr(path.name)))
            return None
        if not path.exists():
            found.append(about(name, missing, value=repr(str(path)), why="it does not exist"))
            return None
        if not path.is_file():
            found.append(about(name, "not-a-file", value=repr(str(path))))
            return None
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        found.append(about(name, "unreadable", value=repr(str(path)), why=why))
        return None
    if len(content) > most:
        found.append(about(name, "registry-too-big", most=f"{most >> 20} MiB"))
        return None
    return content
