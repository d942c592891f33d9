"""One plugin folder brought to a value: parsed, its places filled, for one environment.

`open_package` (strict reading, with findings) is `gateway.conformance.opening.open_package`:
hosting lies below conformance and never parses YAML itself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.contract.ids import PluginId
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe

Language = Literal["zh", "en"]
SettingValue = str | int | bool


@dataclass(frozen=True, slots=True)
class Package:
    """A plugin that can be asked; equal digests in one environment are equal plugins.

    `manifest.connect` and the launch addresses have their `{setting.x}` filled; `{secret.x}` never
    is: `Departments` fills it when a request leaves. `network` holds (host, port) pairs.
    """

    id: PluginId
    digest: str
    manifest: Manifest
    recipe: Recipe | None
    code: bytes | None
    words: Mapping[Language, Mapping[str, str]]
    settings: Mapping[str, SettingValue]
    network: tuple[tuple[str, int], ...]
    files: Mapping[str, bytes] = field(repr=False)


def package_digest(files: Mapping[str, bytes]) -> str:
    """What a folder holds, as one sha256 over its sorted paths and their contents' sha256."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    return whole.hexdigest()
