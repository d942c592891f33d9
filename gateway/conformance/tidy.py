"""C01–C04: the folder, its schemas, its kind, its contract."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.icon import MOST_ICON, unsafe_in_icon
from gateway.conformance.mistakes import near
from gateway.contract.ids import PLUGIN_ID_PATTERN
from gateway.contract.version import CONTRACT_VERSION

MOST_BINARY: Final = 200 << 10
_KNOWN: Final = (
    "plugin.yaml", "recipe.yaml", "plugin.py", "words.zh.yaml", "words.en.yaml",
    "conformance.yaml", "icon.svg", "README.md", "CHANGELOG.md",
)  # fmt: skip
_NEEDED: Final = (
    ("words.zh.yaml", "hold every text that citizens read"),
    ("words.en.yaml", "hold the same texts in English"),
    ("conformance.yaml", "say `conformance: 1` and `target: bronze`"),
    ("icon.svg", "draw one on a grid of 24"),
    ("README.md", "say what it connects and what happens to data when it is taken away"),
)
_SAMPLE: Final = re.compile(r"^samples/[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")
_BINARY: Final = bytes({*range(9), 11, 12, *range(14, 32)})
_WISH: Final = re.compile(r"^\s*(>=|<=|==|>|<)\s*([0-9]+(?:\.[0-9]+){0,2})\s*$")


def folder_is_tidy(folder: Folder) -> Iterator[Finding]:
    """C01: the folder's name is the id, and every file is one we know."""
    yield from folder.odd
    if not re.match(PLUGIN_ID_PATTERN, folder.name):
        cure = "a plugin's id has small letters, digits and hyphens"
        yield folder.about("plugin.yaml", f"the folder is called {folder.name!r}", cure)
    elif folder.manifest is not None and folder.manifest.id != folder.name:
        message = f"id is {folder.manifest.id!r}, the folder is called {folder.name!r}"
        yield folder.at("plugin.yaml", ("id",), message, "the two are one; the id never changes")
    for path in folder.files:
        yield from _file(folder, path)
    for path, cure in _NEEDED:
        if path not in folder.files:
            finding = folder.about(path, "this file is missing", cure)
            yield finding
    icon = folder.files.get("icon.svg", b"")
    if len(icon) > MOST_ICON:
        yield folder.about("icon.svg", f"more than {MOST_ICON >> 10} KiB", "draw it simpler")
    elif unsafe := unsafe_in_icon(icon):
        line, what = unsafe
        cure = "an icon holds shapes, no scripts, styles, links or pictures"
        yield folder.about("icon.svg", f"{what!r} may not stand in an icon", cure, line=line)


def _file(folder: Folder, path: str) -> Iterator[Finding]:
    if path not in _KNOWN and not _SAMPLE.match(path):
        cure = near(path, _KNOWN) or f"known files are {', '.join(_KNOWN)} and those in samples/"
        yield folder.about(path, "no file that a plugin has", cure)
    content = folder.files[path]
    if len(content) > MOST_BINARY and content[:4096].translate(None, _BINARY) != content[:4096]:
        yield folder.about(path, f"a binary file of {len(content) >> 10} KiB", "at most 200 KiB")


def documents_fit(folder: Folder) -> Iterator[Finding]:
    """C02: every document fits its schema, without unknown keys, twins or guessed values."""
    if "plugin.yaml" not in folder.files:
        yield folder.about(
            "plugin.yaml", "there is no plugin.yaml", "`citygate plugin new` writes one"
        )
    for finding in folder.schema:
        if not (finding.file == "plugin.yaml" and finding.field == "contract"):
            yield finding


def one_kind(folder: Folder) -> Iterator[Finding]:
    """C03: a recipe or a module, as `kind` says, never both."""
    if folder.manifest is None:
        if "recipe.yaml" in folder.files and "plugin.py" in folder.files:
            yield folder.about("plugin.py", "recipe.yaml is here too", "keep one of the two")
        return
    kind = folder.manifest.kind
    for file, owner in (("recipe.yaml", "recipe"), ("plugin.py", "code")):
        if kind == owner and file not in folder.files:
            yield folder.at("plugin.yaml", ("kind",), f"kind: {kind} needs {file}", f"add {file}")
        if kind != owner and file in folder.files:
            cure = f"remove it, or say kind: {owner}"
            yield folder.about(file, f"kind: {kind} has no {file}", cure)


def contract_is_spoken(folder: Folder) -> Iterator[Finding]:
    """C04: this gateway speaks the plugin's contract and is new enough for it."""
    for finding in folder.schema:
        if finding.file == "plugin.yaml" and finding.field == "contract":
            yield folder.at(
                "plugin.yaml", ("contract",), "a contract that this gateway does not speak",
                f'write contract: "{CONTRACT_VERSION}"',
            )  # fmt: skip
    wish = folder.manifest.requires_gateway if folder.manifest else None
    if wish is None:
        return
    here = _installed()
    for part in wish.split(","):
        match = _WISH.match(part)
        if match is None:
            cure = 'write ">=0.1" or ">=0.1, <2"'
            yield folder.at("plugin.yaml", ("requires_gateway",), f"{part!r} is no version", cure)
        elif not _holds(here, match[1], match[2]):
            message = f"this gateway is {here}, the plugin asks for {part.strip()}"
            yield folder.at("plugin.yaml", ("requires_gateway",), message, "update the gateway")


def _installed() -> str:
    try:
        return version("citygate")
    except PackageNotFoundError:
        return f"{CONTRACT_VERSION}.0"


def _holds(here: str, sign: str, wanted: str) -> bool:
    mine, other = _numbers(here), _numbers(wanted)
    return {
        ">=": mine >= other,
        "<=": mine <= other,
        "==": mine == other,
        ">": mine > other,
        "<": mine < other,
    }[sign]


def _numbers(text: str) -> tuple[int, ...]:
    found = [int(part) for part in re.findall(r"[0-9]+", text)[:3]]
    return (*found, 0, 0)[:3]
