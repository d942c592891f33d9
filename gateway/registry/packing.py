"""A plugin's package as parts of an artefact, so that workers never parse YAML."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.contract.ids import PluginId
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe
from gateway.hosting.package import Package
from gateway.registry.artefact import Artefact


def pack_package(package: Package) -> dict[str, bytes]:
    """The parts of one package."""
    facts: dict[str, Any] = {
        "digest": package.digest,
        "manifest": package.manifest.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "recipe": package.recipe
        and package.recipe.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "code": package.code is not None,
        "words": {language: dict(table) for language, table in package.words.items()},
        "settings": dict(package.settings),
        "network": package.network,
        "files": sorted(package.files),
    }
    parts = {f"package:{package.id}": orjson.dumps(facts)}
    for path, content in package.files.items():
        parts[f"file:{package.id}/{path}"] = content
    return parts


def unpack_package(plugin: PluginId, artefact: Artefact) -> Package:
    """The package again.

    Raises:
        KeyError: the artefact has no such plugin.
    """
    content = artefact.part(f"package:{plugin}")
    if content is None:
        raise KeyError(plugin)
    facts = orjson.loads(content)
    files = {path: artefact.part(f"file:{plugin}/{path}") or b"" for path in facts["files"]}
    recipe = facts["recipe"]
    return Package(
        id=plugin,
        digest=facts["digest"],
        manifest=Manifest.model_validate_json(orjson.dumps(facts["manifest"])),
        recipe=Recipe.model_validate_json(orjson.dumps(recipe)) if recipe else None,
        code=files.get("plugin.py") if facts["code"] else None,
        words=facts["words"],
        settings=facts["settings"],
        network=tuple((host, port) for host, port in facts["network"]),
        files=files,
    )


def copy_package(plugin: str, artefact: Artefact) -> Mapping[str, bytes]:
    """The parts of a package that did not change, for the next artefact."""
    content = artefact.part(f"package:{plugin}") or b"{}"
    parts = {f"package:{plugin}": content}
    for path in orjson.loads(content)["files"]:
        name = f"file:{plugin}/{path}"
        parts[name] = artefact.part(name) or b""
    return parts
