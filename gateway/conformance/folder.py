"""A plugin folder read once for all rules: its files, documents, models and packages."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel

from gateway.conformance.document import Document, read, validate
from gateway.conformance.finding import Finding, errors
from gateway.conformance.opening import Words, open_package
from gateway.conformance.reader import Loc
from gateway.contract.block import Block
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe
from gateway.contract.sample import Sample
from gateway.hosting.package import Package

MOST_FILES: Final = 400
MOST_BYTES: Final = 8 << 20
_LEFT_OUT: Final = ("__pycache__", ".git", "node_modules")
_SAMPLE: Final = re.compile(r"^samples/[^/]+\.yaml$")

M = TypeVar("M", bound=BaseModel)


class Aim(Block):
    """`conformance.yaml`: the tier aimed at; the tier itself is computed, never declared."""

    conformance: Literal[1]
    target: Literal["bronze", "silver", "gold"] = "bronze"


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """What the rules look at; a model is None where its file is wrong or absent."""

    name: str
    files: Mapping[str, bytes]
    odd: tuple[Finding, ...]  # links, files that cannot be read, too many of them
    documents: Mapping[str, Document]
    manifest: Manifest | None
    recipe: Recipe | None
    aim: Aim | None
    words: Mapping[str, Mapping[str, str]]  # language -> key -> text
    samples: Mapping[str, Sample]  # path -> sample
    schema: tuple[Finding, ...]  # all that does not fit its schema
    packages: Mapping[str, Package]  # environment -> package; "" where none is named
    opening: tuple[Finding, ...]  # what kept a package from opening
    softened: bool = False  # profiles demo and test: loopback hosts are a warning

    def about(self, file: str, message: str, cure: str = "", *, line: int = 1) -> Finding:
        """A finding about a file as a whole."""
        return Finding(file, line, 1, "", "error", "", message, cure)

    def at(
        self, file: str, loc: Loc, message: str, cure: str = "", *, key: bool = False
    ) -> Finding:
        """A finding about a value of one of the documents."""
        return self.documents[file].finding(loc, "", message, cure, key=key)

    @property
    def package(self) -> Package | None:
        """The package that samples run with: of environment demo, else the first that opened."""
        return self.packages.get("demo") or next(iter(self.packages.values()), None)


def gathered(folder: Path) -> tuple[dict[str, bytes], list[Finding]]:
    """Every file below a folder by its path; links and what cannot be read are findings."""
    files: dict[str, bytes] = {}
    found: list[Finding] = []
    size = 0
    for path in _paths(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found.append(_odd(name, "a link, not a file", "put the file itself here"))
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            found.append(_odd(name, f"cannot be read ({error.strerror})", "mend its rights"))
            continue
        size += len(content)
        if len(files) >= MOST_FILES or size > MOST_BYTES:
            found.append(_odd(name, "more files or bytes than a plugin may have", "remove some"))
            break
        files[name] = content
    return files, found


def _paths(folder: Path) -> Iterator[Path]:
    """Files and links, in order; folders of tools and hidden files are left out."""
    for top, folders, names in os.walk(folder, followlinks=False):
        here = Path(top)
        linked = [n for n in folders if (here / n).is_symlink()]
        folders[:] = sorted(
            n for n in folders if n not in _LEFT_OUT and n[0] != "." and n not in linked
        )
        yield from (here / n for n in sorted([*linked, *names]) if n[0] != ".")


def _odd(name: str, message: str, cure: str) -> Finding:
    return Finding(name, 1, 1, "", "error", "", message, cure)


class _Reading:
    """Documents and models of one folder, with all that is wrong."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.documents: dict[str, Document] = {}
        self.schema: list[Finding] = []

    def model(self, name: str, kind: type[M]) -> M | None:
        """The model of a file; None where it is absent or wrong."""
        if name not in self.files:
            return None
        document = read(self.files[name], name)
        made, found = validate(document, kind)
        self.documents[name] = document
        self.schema += found
        return made


def opened(
    name: str,
    files: Mapping[str, bytes],
    *,
    odd: tuple[Finding, ...] = (),
    variables: Mapping[str, str] = {},
    softened: bool = False,
) -> Folder:
    """Read all documents of a folder and open it for each environment that it names."""
    reading = _Reading(files)
    manifest = reading.model("plugin.yaml", Manifest)
    recipe = reading.model("recipe.yaml", Recipe)
    aim = reading.model("conformance.yaml", Aim)
    words: dict[str, Mapping[str, str]] = {}
    for language in ("zh", "en"):
        table = reading.model(f"words.{language}.yaml", Words)
        words[language] = table.root if table else {}
    samples: dict[str, Sample] = {}
    for path in sorted(files):
        if _SAMPLE.match(path) and (sample := reading.model(path, Sample)) is not None:
            samples[path] = sample
    packages, opening = _packages(files, manifest, variables) if manifest else ({}, [])
    return Folder(
        name=name,
        files=files,
        odd=odd,
        documents=reading.documents,
        manifest=manifest,
        recipe=recipe,
        aim=aim,
        words=words,
        samples=samples,
        schema=tuple(reading.schema),
        packages=packages,
        opening=tuple(dict.fromkeys(opening)),
        softened=softened,
    )


def _packages(
    files: Mapping[str, bytes], manifest: Manifest, variables: Mapping[str, str]
) -> tuple[dict[str, Package], list[Finding]]:
    packages: dict[str, Package] = {}
    found: list[Finding] = []
    names: list[Any] = list(manifest.environments) or [""]
    for environment in names:
        package, more = open_package(files, environment=environment, variables=variables)
        if package is not None:
            packages[environment] = package
        found += errors(more)
    return packages, found
