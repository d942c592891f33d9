"""From a plugin's files to a `Package`, or to all that is wrong with them."""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files as resources
from typing import Any, Final

from pydantic import RootModel

from gateway.conformance.document import Document, read, validate
from gateway.conformance.finding import Finding, errors
from gateway.conformance.mistakes import near
from gateway.contract.block import Block
from gateway.contract.ids import PluginId
from gateway.contract.manifest import Environment, Manifest, Setting
from gateway.contract.recipe import Recipe
from gateway.hosting.package import Language, Package, SettingValue, package_digest

_SETTING: Final = re.compile(r"\{setting\.([a-z][a-z0-9_]*)\}")
_VARIABLE: Final = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
_HOST_PORT: Final = re.compile(r"^(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})$")
_LAST_PORT: Final = 65535


class Words(RootModel[dict[str, str]]):
    """A words file: flat dotted keys, one text each."""


def open_package(
    files: Mapping[str, bytes],
    *,
    environment: str,
    overrides: Mapping[str, object] = {},
    variables: Mapping[str, str] = {},
) -> tuple[Package | None, list[Finding]]:
    """Read a plugin folder for one environment.

    Settings are the manifest's defaults, then its `environments.<environment>`, then `overrides`
    (the registry entry's). `${NAME:-default}` in values is filled from `variables`, `{setting.x}`
    in connect, auth, sign and launch addresses from the settings.

    Returns:
        The package (None when there is an error) and every finding, sorted; files are named as in
        the folder ("plugin.yaml").
    """
    if "plugin.yaml" not in files:
        return None, [_about("plugin.yaml", "missing", "there is no plugin.yaml", "add one")]
    document = read(files["plugin.yaml"], "plugin.yaml")
    manifest, found = validate(document, Manifest)
    recipe, more = _recipe(files, manifest)
    found += more
    words, more = _words(files)
    found += more
    if manifest is None or errors(found):
        return None, sorted(found)
    chosen = manifest.environments.get(environment) if environment else None  # type: ignore[call-overload]  # any text may be asked for
    opening = _Opening(document, manifest, chosen, overrides, variables, environment)
    settings, more = opening.settings()
    found += more
    network, more = opening.network()
    found += more
    filled = manifest if errors(found) else _filled(manifest, settings)
    if errors(found):
        return None, sorted(found)
    package = Package(
        id=PluginId(manifest.id),
        digest=package_digest(files),
        manifest=filled,
        recipe=recipe,
        code=files.get("plugin.py") if manifest.kind == "code" else None,
        words=words,
        settings=settings,
        network=network,
        files=dict(files),
    )
    return package, sorted(found)


def _about(file: str, code: str, message: str, cure: str) -> Finding:
    return Finding(file, 1, 1, code, "error", "", message, cure)


def standard_recipe() -> Recipe:
    """The recipe that serves every plugin of kind `standard`."""
    source = resources("gateway.hosting.recipes").joinpath("standard.yaml").read_bytes()
    recipe, found = validate(read(source, "standard.yaml"), Recipe)
    if recipe is None:
        raise ValueError("\n".join(finding.line_of_text() for finding in found))
    return recipe


def _recipe(
    files: Mapping[str, bytes], manifest: Manifest | None
) -> tuple[Recipe | None, list[Finding]]:
    """The recipe, where there must be one."""
    kind = manifest.kind if manifest else None
    found: list[Finding] = []
    for file, owner in (("recipe.yaml", "recipe"), ("plugin.py", "code")):
        if kind == owner and file not in files:
            found.append(_about(file, "missing", f"kind: {owner} needs {file}", f"add {file}"))
        if kind and kind != owner and file in files:
            cure = f"remove it, or say kind: {owner}"
            found.append(_about(file, "extra", f"kind: {kind} has no {file}", cure))
    if kind == "standard":
        return standard_recipe(), found
    if "recipe.yaml" not in files:
        return None, found
    recipe, more = validate(read(files["recipe.yaml"], "recipe.yaml"), Recipe)
    return recipe, found + more


def _words(
    files: Mapping[str, bytes],
) -> tuple[dict[Language, Mapping[str, str]], list[Finding]]:
    """The words files; a missing one is empty."""
    words: dict[Language, Mapping[str, str]] = {"zh": {}, "en": {}}
    found: list[Finding] = []
    for language in words:
        name = f"words.{language}.yaml"
        if name in files:
            table, more = validate(read(files[name], name), Words)
            found += more
            words[language] = table.root if table else {}
    return words, found


class _Opening:
    """Settings and network of one manifest in one environment."""

    def __init__(
        self,
        document: Document,
        manifest: Manifest,
        chosen: Environment | None,
        overrides: Mapping[str, object],
        variables: Mapping[str, str],
        environment: str,
    ) -> None:
        self.document = document
        self.manifest = manifest
        self.chosen = chosen or Environment()
        self.overrides = overrides
        self.variables = variables
        self.environment = environment

    def settings(self) -> tuple[dict[str, SettingValue], list[Finding]]:
        """The value of each setting; a missing or foreign one is a finding."""
        out: dict[str, SettingValue] = {}
        found: list[Finding] = []
        given = {**self.chosen.settings, **self.overrides}
        for name in given:
            if name not in self.manifest.settings:
                loc = ("environments", self.environment, "settings", name)
                message = f"{name!r} is no setting of plugin {self.manifest.id!r}"
                cure = near(name, self.manifest.settings) or "declare it under `settings:`"
                found.append(self.document.finding(loc, "unknown-setting", message, cure, key=True))
        for name, setting in self.manifest.settings.items():
            value = given.get(name, setting.default)
            where = "environments" if name in given else "settings"
            place: tuple[str | int, ...] = (
                ("environments", self.environment, "settings", name)
                if where == "environments"
                else ("settings", name, "default")
            )
            if isinstance(value, str):
                value = self._variables(value, place, found)
            if value is None:
                message = f"setting {name!r} has no value in environment {self.environment!r}"
                cure = f"set environments.{self.environment}.settings.{name} or a default"
                found.append(self.document.finding(place, "no-value", message, cure))
            elif wrong := _mistyped(setting, value):
                found.append(self.document.finding(place, "setting-type", f"{name!r} {wrong}"))
            else:
                out[name] = value  # type: ignore[assignment]  # _mistyped saw its type
        return out, found

    def network(self) -> tuple[tuple[tuple[str, int], ...], list[Finding]]:
        """Every (host, port) that may be called in this environment."""
        own = "network" in self.chosen.model_fields_set
        entries = self.chosen.network if own else self.manifest.network
        out: list[tuple[str, int]] = []
        found: list[Finding] = []
        for number, entry in enumerate(entries):
            way = ("environments", self.environment, "network") if own else ("network",)
            loc = (*way, number)
            text = self._variables(entry, loc, found)
            match = _HOST_PORT.match(text) if text else None
            if match is None or not 0 < int(match["port"]) <= _LAST_PORT:
                message = f"{text or entry!r} is no host and port"
                found.append(self.document.finding(loc, "host-port", message, 'write "host:port"'))
                continue
            out.append((match["host"].strip("[]").lower(), int(match["port"])))
        return tuple(dict.fromkeys(out)), found

    def _variables(self, text: str, loc: tuple[str | int, ...], found: list[Finding]) -> str | None:
        """Fill `${NAME:-default}`; a variable without value and default is a finding."""
        lost: list[str] = []

        def one(match: "re.Match[str]") -> str:
            value = self.variables.get(match[1]) or match[2]
            if value is None:
                lost.append(match[1])
            return value or ""

        filled = _VARIABLE.sub(one, text)
        for name in lost:
            message = f"the variable {name} is not set and has no default"
            found.append(
                self.document.finding(loc, "variable", message, f"write ${{{name}:-value}}")
            )
        return None if lost else filled


def _mistyped(setting: Setting, value: object) -> str:
    """What is wrong with a setting's value, or ""."""
    match setting.type:
        case "bool":
            return "" if isinstance(value, bool) else "must be true or false"
        case "int":
            right = isinstance(value, int) and not isinstance(value, bool)
            return "" if right else "must be a whole number"
        case "url":
            right = isinstance(value, str) and re.fullmatch(r"https?://[^\s{}]+", value) is not None
            return "" if right else f"must be an http or https address, not {str(value)[:60]!r}"
        case "text":
            return "" if isinstance(value, str) else "must be a text"


def _filled(manifest: Manifest, settings: Mapping[str, SettingValue]) -> Manifest:
    """The manifest with `{setting.x}` filled where the gateway itself reads addresses."""

    def one(match: "re.Match[str]") -> str:
        value = settings.get(match[1])
        if value is None:
            return match.group()  # a rule (C14) names it; nothing is sent with it
        return str(value).lower() if isinstance(value, bool) else str(value)

    def fill(text: str) -> str:
        return _SETTING.sub(one, text)

    services = tuple(
        service.model_copy(update={"launch": mapped(service.launch, fill)})
        for service in manifest.services
    )
    update: dict[str, Any] = {"services": services}
    for name in ("connect", "auth", "sign"):
        block = getattr(manifest, name)
        update[name] = mapped(block, fill) if block is not None else None
    return manifest.model_copy(update=update)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with every text in it changed, through models, lists and mappings."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Block):
        new = {name: mapped(getattr(value, name), change) for name in type(value).model_fields}
        return value.model_copy(update=new)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, change) for item in value)
    return value
